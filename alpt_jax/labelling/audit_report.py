"""Builds the page of an audit: headlines first, then the numbers and pictures behind them.

The dict is that of `audit`, with one entry more, `about`: what was audited and how. It has
  preset, created, command, run, method   text
  label_command  to label the target with this IDM, stride and temperature
  step           updates after which the IDM was saved
  window         transitions in a window of the IDM
  versions       {package: version}

Where the run was compared with others, the dict of `audit_compare` is shown, too.
"""

import json

import numpy as np

from alpt_jax.labelling import audit_findings, compare_findings
from alpt_jax.reports import figures, label_section
from alpt_jax.reports import page as report_page
from alpt_jax.reports.page import html, join, muted, share

LINE = figures.COLOURS[2]
AFTER = figures.COLOURS[3]
_SHARES = (1., .9, .75, .5, .25)  # Of labels that are kept.
# The others say that labels are bad.
_BADGES = {'episodes': 'partly', 'known': 'partly', 'speed': 'partly'}
_KINDS = {'held out': 'no', 'hidden': 'other steps', 'never seen': 'nothing of it',
          'trained on': html('<b>trained on: not held out</b>')}


def page(audit, comparison=None):
  """Makes the page.

  Args:
    audit: as the module says.
    comparison: what `audit_compare.compare` found; None for none.

  Returns:
    HTML.
  """
  about = audit['about']
  sections = {'verdict': ('What it says', verdict(audit)),
              'environments': ('Numbers', _environments(audit))}
  if comparison is not None:
    sections['comparison'] = 'Is a source worth using?', _comparison(comparison)
  sections |= {'details': ('Mistakes, confidence and lag', _details(audit)),
               'examples': ('Labels beside the frames', _examples(audit)),
               'temperature': ('Temperatures', temperatures(audit)),
               'about': ('What was audited', about_section(audit))}
  return report_page.page(
      about, 'Can these labels be trusted?',
      html('What the inverse dynamics model of <b>{}</b> ({}, step {:,}) says of transitions whose '
           'actions are known.', about['run'], about['method'], about['step']), 0, sections)


def verdict(audit):
  """Shows headlines and warnings of an audit."""
  warnings = [join([report_page.badge(warning['kind'],
                                      _BADGES.get(warning['kind'], 'not-shown')),
                    warning['text']], ' ') for warning in audit['warnings']]
  return join([
      *(html('<p><b>{}</b></p>', line) for line in audit['headlines']),
      report_page.bullets(warnings) if warnings else html(
          '<p>{} The labels are better than each floor that was measured, sit at their '
          'transitions, and their confidence can be relied on.</p>',
          report_page.badge('no warning')),
      note('In parentheses: 95 % interval, by drawing whole episodes again; it is about other '
           'episodes of the same environment and data.')])


def note(text):
  """Shows small print below a table."""
  return html('<p class="muted small">{}</p>', text)


def _environments(audit):
  return join([
      report_page.table(
          ['', 'known to training', 'episodes', 'transitions', 'right', 'more than most frequent',
           'balanced', 'most frequent', 'no-op', 'chance'],
          [_accuracy_row(environment) for environment in audit['environments']]),
      note('Shares of transitions, 95 % intervals below. Balanced: mean over the actions that '
           'occur. Most frequent, no-op, chance: what always saying that, or guessing, scores.'),
      _floors(audit),
      report_page.table(
          ['', 'among 2 likeliest', 'among 3 likeliest', 'NLL, nats', 'if nothing were known',
           'mean confidence', 'calibration error', 'by chance at most', 'lag'],
          [_confidence_row(environment) for environment in audit['environments']]),
      note('Among 2 likeliest: share of transitions whose true action is one of the two most '
           'probable. NLL: mean negative log-likelihood of the true action. Calibration error: '
           'mean difference of confidence and accuracy in 15 bins of equally many transitions, '
           'and what calibrated labels stay below in 95 of 100 cases. Lag: the shift that is '
           'clearly better than none; one that all listed actions share is seen by '
           'experiments.audit --alignment only.')])


def _floors(audit):
  """What labels score that need no IDM, and what the best could."""
  titles = ('majority', 'table', 'linear', 'past', 'random_draws', 'expected', 'realised')
  rows, reasons = [], []
  for environment in audit['environments']:
    found, labels = environment.get('floors'), environment.get('labels')
    if not found or not labels:  # Of an audit from before there were any.
      continue
    cells = {**found['floors'], 'random_draws': found['random_draws'], **found['ceiling'],
             'past': (found.get('causal') or {}).get('accuracy')}
    rows.append([
        environment['name'], join([share(labels['share']), labels['most_frequent']], '<br>'),
        _interval(environment['accuracy']),
        *(_interval(cells[key]) if cells.get(key) and 'value' in cells[key] else '–'
          for key in titles)])
    reasons += [f'{environment["name"]}, {name}: unknown, {found[key]["unknown"]}'
                for key, name in (('floors', 'floors'), ('random_draws', 'random draws'),
                                  ('ceiling', 'ceiling')) if 'unknown' in found[key]]
    if 'agreement' in found['ceiling']:
      both = found['ceiling']['agreement']
      reasons.append(f'{environment["name"]}: two people agree on {share(both["value"])} of '
                     f'{both["num_transitions"]:,} actions; labels can be judged no better.')
  if not rows:
    return ''
  return join([
      report_page.table(
          ['', 'most frequent label', 'right', 'most frequent action', 'table of the change',
           'linear map of the change', 'past only', 'on random draws', 'ceiling, expected',
           'ceiling, realised'], rows, 'What labels score that need no IDM, and what any could.'),
      note('Most frequent action, table and linear map know the labels that the IDM knew, and '
           'nothing else; past only is an IDM with these labels that does not see what an action '
           'did (--causal). A label more frequent than 0.95 is called constant. On random draws: '
           'right of the steps whose action no policy chose. Ceiling: what the best guesser '
           'counts on, and what it got right, when all actions are tried, in the emulator or in '
           'the maze. '
           'Intervals: 95 %, over episodes.'), reasons and report_page.bullets(reasons)])


def _comparison(comparison):
  """Pairs of runs with and without a source, and what they say of it."""
  titles = [title for title, _ in compare_findings.references(comparison['pairs'][0])]
  rows = [[f'{one["environment"]}, seed {one["seed"]}',
           *(join([_interval(one[key]['accuracy']), compare_findings.sources_of(one[key])], '<br>')
             for key in ('run', 'baseline')),
           compare_findings.signed(one['difference']),
           *(_interval(mean) if mean else '–' for _, mean in compare_findings.references(one)),
           f'{one["num_transitions"]:,} of {one["num_episodes"]:,}']
          for one in comparison['pairs']]
  content = json.dumps(comparison, allow_nan=False, indent=1).encode()
  return join([
      *(html('<p><b>{}: {}</b></p>', result['environment'], compare_findings.verdict_of(result))
        for result in comparison['results']),
      report_page.table(
          ['', 'right', 'right, compared with', 'difference', *titles, 'transitions of episodes'],
          rows, 'The same transitions, of which neither run of a pair knew the action.'),
      note('Intervals: 95 %, over episodes, of these IDMs. A verdict is over training seeds '
           f'(Student’s t). A difference below {comparison["smallest_effect"]:g} counts as none.'),
      report_page.bullets(comparison['sentences']),
      report_page.links([('compare.json', 'application/json', content,
                          'all numbers; alpt_jax/labelling/audit_compare.py says what each is')])])


def _accuracy_row(environment):
  baselines = environment['baselines']
  return [
      environment['name'], _KINDS[environment['kind']], f'{environment["num_episodes"]:,}',
      f'{environment["num_transitions"]:,}', _interval(environment['accuracy']),
      _interval(environment['gain']), share(environment['balanced_accuracy']),
      join([share(baselines['majority_accuracy']), baselines['majority']], '<br>'),
      '–' if baselines['no_op'] is None else share(baselines['no_op_accuracy']),
      share(baselines['chance_accuracy'])]


def _confidence_row(environment):
  top, calibration, lag = (environment[key] for key in ('top_k', 'calibration', 'lag'))
  return [
      environment['name'],
      *(share(top[k - 1]) if len(top) >= k else '–' for k in (2, 3)),
      share(environment['nll']), share(environment['nll_uniform']),
      *(share(calibration[key]) for key in ('mean_confidence', 'error', 'error_by_chance')),
      f'{lag["best"]:+d}' if lag['is_shifted'] else 'none']


def _interval(estimate):
  ends = ('no interval' if estimate['low'] is None else
          f'{share(estimate["low"])} to {share(estimate["high"])}')
  return join([share(estimate['value']), muted(ends)], '<br>')


def _details(audit):
  return join(report_page.fold(
      html('<b>{}</b>: {} right', environment['name'], share(environment['accuracy']['value'])),
      _pictures(environment, i), _kept(environment),
      label_section.matrix(environment['actions'], environment['confusion'], 'Actions'),
      is_open=i == 0) for i, environment in enumerate(audit['environments']))


def _examples(audit):
  shown = [environment for environment in audit['environments'] if environment['examples']]
  if not shown:
    return html('<p>None: observations are no pictures, or no window of {} transitions was audited '
                'as a whole.</p>', audit['about']['window'])
  return join([
      html('<p>Windows of audited episodes: up to 6 with the most mistakes, 3 of which the IDM was '
           'least sure and 3 drawn at random, fewer if their pictures are large; so they are worse '
           'than the average. The most wrong ones come first. Least sure is the lowest mean '
           'confidence. {}</p>', label_section.HOW_TO_READ),
      *(report_page.fold(
          html('<b>{}</b>: {} windows', environment['name'], len(environment['examples'])),
          label_section.viewer(environment['examples'], environment['actions'], 'actions'),
          is_open=i == 0) for i, environment in enumerate(shown)), label_section.SCRIPT])


def _pictures(environment, i):
  calibration, coverage = environment['calibration'], environment['coverage']
  accuracy, lag = environment['accuracy']['value'], environment['lag']

  def draw_coverage(ax):
    ax.plot(coverage['coverage'], coverage['accuracy'], color=LINE, lw=1.8)
    ax.axhline(accuracy, color=figures.MUTED, lw=.9, ls=(0, (5, 3)), zorder=1)
    ax.set_xlim(0, 1.02)

  pictures = [
      (figures.plot_svg(
          lambda ax: draw_reliability(ax, ((calibration, LINE, 'o'),)), 'Reliability',
          'confidence', 'share right', f'reliability-{i}'),
       'A point for each of 15 bins of equally many transitions; on the dashed line, confidence is '
       'the share that is right. Below it, labels are too sure of themselves. With bins of equal '
       f'width the calibration error is {share(calibration["equal_width_error"])}.'),
      (figures.plot_svg(draw_coverage, 'Unsure labels dropped', 'share of labels kept',
                        'share right of these', f'coverage-{i}'),
       'How many labels are right if only the surest are kept; dashed, if confidence said nothing. '
       f'Area below the curve: {share(coverage["area"])}.'),
      (lag_picture(lag, 'share right', f'lag-{i}'),
       'Labels compared with what was done so many transitions later. The highest bar must be at '
       '0; at +1, labels come one transition too early. Several high bars mean that actions seldom '
       'change, or a lag that changes, e.g. another frame skip.')]
  return report_page.grid(pictures)


def lag_picture(lag, y_label, name):
  """Draws the entry `lag` of an audit; `name` is unique on the page."""
  def draw(ax):
    shares = [np.nan if x is None else x for x in lag['accuracy']]
    colours = [AFTER if lag['is_shifted'] and x == lag['best'] else LINE for x in lag['shifts']]
    ax.bar(lag['shifts'], shares, color=colours, width=.7)
    ax.set_xticks(lag['shifts'])
    ax.set_ylim(0, 1.02)

  return figures.plot_svg(draw, 'Lag', 'shift, transitions', y_label, name)


def draw_reliability(ax, curves):
  """Draws (calibration, colour, marker) of each."""
  ax.plot([0, 1], [0, 1], color=figures.MUTED, lw=.9, ls=(0, (5, 3)), zorder=1)
  for calibration, colour, marker in curves:
    ax.plot(calibration['confidence'], calibration['accuracy'], color=colour, lw=1.2,
            marker=marker, markersize=4, markeredgewidth=0)
  ax.set_xlim(0, 1.02)
  ax.set_ylim(-.02, 1.02)


def _kept(environment):
  """A table of what a threshold on the confidence keeps."""
  curve = environment['coverage']
  rows = {}
  for kept in _SHARES:
    # The first threshold that keeps as many; equal confidences are kept together.
    i = min(int(np.searchsorted(curve['coverage'], kept - 1e-9)), len(curve['coverage']) - 1)
    rows[i] = [f'{curve["threshold"][i]:.6g}', share(curve['coverage'][i]),
               share(curve['accuracy'][i])]
  return report_page.table(['confidence at least', 'labels kept', 'right of these'],
                           list(rows.values()), 'What dropping unsure labels would leave.')


def temperatures(audit):
  """Shows the temperatures of an audit, and what they were fitted to."""
  if audit['temperature_fit'] is None:
    return html('<p>Not fitted: that takes two episodes of a target that training did not know, '
                'one to fit it and one to judge it.</p>')
  stride, window = audit['stride'], audit['about']['window']
  training = f'{audit["training_temperature"]:.4g}'
  return join([
      html('<p>A temperature T changes the confidence in labels only: above 1 it falls. The two '
           'were fitted to different things, and one is not to be used for the other.</p>'
           '<h3>For datasets</h3><p>For experiments.label with --stride={0}: windows {0} apart '
           'vote, and the average of a transition is raised to the power 1 / T.</p>', stride),
      _temperature(audit, 'temperature'),
      html('<pre>{}</pre><h3>For training</h3><p>For agents that train together with their IDM: '
           'logits of single windows, here {} apart, are divided by T. Mode hard does not need it.'
           '</p>',
           audit['about']['label_command'], window), _temperature(audit, 'training_temperature'),
      html('<pre>--config.pseudo_labels.mode=soft --config.pseudo_labels.temperature={}</pre>',
           training)])


def _temperature(audit, key):
  """A temperature and how good it is; `key` is that of the audit."""
  fit = audit[f'{key}_fit']
  rows = [[name, f'{t:.3f}', share(fit[f'nll_{when}']), share(fit[when]['error']),
           share(fit[when]['mean_confidence'])]
          for name, when, t in (('as they are', 'before', 1.), ('fitted', 'after', fit['fitted']))]
  svg = figures.plot_svg(
      lambda ax: draw_reliability(ax, ((fit['before'], LINE, 'o'), (fit['after'], AFTER, 's'))),
      'Reliability of the other half', 'confidence', 'share right', key.replace('_', '-'))
  legend = report_page.legend([figures.Style('as they are', LINE, 'o'),
                               figures.Style('at the fitted temperature', AFTER, 's')])
  return join([
      html('<p><b>{}</b> Episodes that it was fitted on: {}; others that it was judged on: {}.</p>',
           _advice(fit, audit[key]), fit['num_episodes_fitted'], fit['num_episodes_judged']),
      report_page.table(['other half', 'temperature', 'NLL, nats', 'calibration error',
                         'mean confidence'], rows), report_page.grid([join([legend, svg], '')])])


def _advice(fit, temperature):
  if temperature != 1:
    return (f'Use temperature {temperature:.4g}: on the other half it lowers the negative '
            f'log-likelihood from {fit["nll_before"]:.3f} to {fit["nll_after"]:.3f}.')
  why = ('no temperature within its bounds was best, as labels were all right or useless'
         if fit['is_at_bound'] else
         f'on the other half, the fitted {fit["fitted"]:.4g} changes the negative log-likelihood '
         f'from {fit["nll_before"]:.3f} to {fit["nll_after"]:.3f} and the calibration error from '
         f'{fit["before"]["error"]:.3f} to {fit["after"]["error"]:.3f}')
  return f'Leave the temperature at 1, as no other was found to help: {why}.'


def about_section(audit, kinds=audit_findings.KINDS, prefix=''):
  """Shows what was audited, and links to the numbers.

  Args:
    audit: as in `page`.
    kinds: of warnings.
    prefix: of the modules that have the rules of warnings, and say what the numbers are.
  """
  about = audit['about']
  content = json.dumps(report_page.without_pictures(audit), allow_nan=False, indent=1).encode()
  return join([
      html('<pre>{}</pre>', about['command']),
      report_page.definitions([
          ('Run', f'{about["run"]}, step {about["step"]:,}'), ('Method', about['method']),
          ('Windows', f'of {about["window"]} transitions, {audit["stride"]} apart'),
          ('Rules of warnings', f'kinds: {", ".join(kinds)}; see '
                                f'alpt_jax/labelling/{prefix or "audit_"}findings.py'),
          ('Versions', ', '.join(f'{k} {v}' for k, v in about['versions'].items()))]),
      report_page.links([('audit.json', 'application/json', content,
                          f'all numbers; alpt_jax/labelling/{prefix}audit.py says what each is')])])
