"""Shows the settings of the Atari experiment: curves and final numbers of labels and scores."""

import math

import numpy as np

from alpt_jax.domains.atari import claims_cql, findings_floors
from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.measures import curves as statistics
from alpt_jax.reports import figures, findings
from alpt_jax.reports import page as report_page

_e = report_page.escape

_STATES = ('done', 'unfinished', 'running', 'failed')
_FAR = ('human', 'best of data')  # Levels that may be far above what agents score.


def num_digits(score):
  """Digits after the point of a score."""
  return 1 if abs(score) < 1000 else 0


def points(mean, std=math.nan):
  """A score, with a digit after the point below 1,000."""
  return report_page.number(mean, num_digits(mean), std)


def amount(part, mean, std=math.nan):
  """A share of labels with three digits, or a score, with its spread."""
  return report_page.number(mean, 3, std) if part == findings_atari.LABELS else points(mean, std)


def _styles(results):
  return figures.styles({m: findings.label(results, m) for m in results['methods']})


def title_of(setting):
  """E.g. 'Breakout, 500 labels'."""
  return f'{setting.target}, {setting.num_labels:,} labels'


def anchors_of(results, setting):
  """{name: level} of what needs no learning; floors and ceiling where they were measured."""
  game, measured = results['games'][setting.target], findings_floors.levels(results, setting)
  if setting.part == findings_atari.LABELS:
    return measured or {'majority action': statistics.value(game, 'majority_accuracy'),
                        'chance': statistics.value(game, 'chance_accuracy')}
  levels = {'random': statistics.value(game, 'random'), 'human': statistics.value(game, 'human'),
            'best of data': findings_atari.best_checkpoint(game)} | measured
  return {name: round(level, num_digits(level)) if math.isfinite(level) else level
          for name, level in levels.items()}


def _curves(results, setting):
  """{method: (curve, whether its std is over episodes)} of what was evaluated."""
  curves = {m: findings_atari.curve(results, setting, m)
            for m in (*setting.methods, *setting.bounds)}
  return {m: drawn for m, drawn in curves.items() if drawn[0].n.any()}


def _limits(results, settings):
  """A y range for all settings of a target; human scores and the data's may be far above it."""
  levels = []
  for setting in settings:
    levels += [x for name, x in anchors_of(results, setting).items() if name not in _FAR]
    for curve, _ in _curves(results, setting).values():
      std = np.nan_to_num(curve.std)
      levels += [*(curve.mean - std), *(curve.mean + std)]
  levels = [x for x in levels if math.isfinite(x)] or [0., 1.]
  low, high = min(levels), max(levels)
  if settings[0].part == findings_atari.LABELS:
    low, high = max(0., low), min(1., high)
  else:
    anchors, reach = anchors_of(results, settings[0]), high + (high - low)
    high = max([high, *(anchors[name] for name in _FAR if anchors[name] <= reach)])
  margin = .06 * (high - low) or 1.
  return low - margin, high + margin


def panel(results, setting):
  """The learning curves of a setting, as a `figures.Panel`."""
  styles = _styles(results)
  siblings = [s for s in findings_atari.settings(results, setting.part)
              if s.target == setting.target]
  title, unit = (('accuracy', 'share of hidden actions')
                 if setting.part == findings_atari.LABELS else ('score', 'points of a game'))
  title = (f'{setting.target}, {setting.num_labels:,} labels: {title}'
           if setting.part == findings_atari.LABELS or len(siblings) > 1
           else f'{setting.target}: {title}')
  return figures.Panel(
      title, unit, tuple((styles[m], curve) for m, (curve, _) in _curves(results, setting).items()),
      anchors_of(results, setting), _limits(results, siblings))


def _caption(results, setting):
  """How many runs are behind a panel, which ones are left out, what the bands are."""
  counts, over_episodes = [], []
  for method in (*setting.methods, *setting.bounds):
    runs = findings_atari.runs_of(results, setting, method)
    name = findings.label(results, method)
    if method in setting.bounds:
      name += f' (with {setting.bounds[method]:,} labels)'
    counts.append(f'{name} {_states(runs)}')
    curve, is_over_episodes = findings_atari.curve(results, setting, method)
    if curve.n.any() and is_over_episodes:
      over_episodes.append(name)
  sentences = [f'Runs: {"; ".join(counts)}.']
  failed = [run['run'] for method in (*setting.methods, *setting.bounds)
            for run in findings_atari.runs_of(results, setting, method)
            if run['status'] == 'failed']
  if failed:
    sentences.append(f'Left out, as failed: {report_page.listed(failed)}.')
  if over_episodes:
    sentences.append('One run only, so the band is the deviation over its episodes: '
                     f'{report_page.listed(over_episodes)}.')
  return _e(' '.join(sentences))


def _states(runs):
  """E.g. '2 of 3 done, 1 failed'."""
  numbers = {state: sum(run['status'] == state for run in runs) for state in _STATES}
  rest = [f'{numbers[state]} {state}' for state in _STATES[1:] if numbers[state]]
  return ', '.join([f'{numbers["done"]} of {len(runs)} done' if rest else f'{len(runs)}', *rest])


def _shown_legend(results, settings):
  styles = _styles(results)
  present = {m for s in settings for m in (*s.methods, *s.bounds)}
  return report_page.legend([styles[m] for m in results['methods'] if m in present])


def _figures(results, settings):
  parts = [_shown_legend(results, settings), '<div class="grid">']
  for setting in settings:
    name = f'{setting.part}-{setting.target}-{setting.num_labels}'
    svg = figures.curves_svg(panel(results, setting), name)
    parts.append(f'<figure>{svg}<figcaption>{_caption(results, setting)}</figcaption></figure>')
  return '\n'.join([*parts, '</div>'])


def _runs_cell(entry):
  missing = entry['planned'] - entry['done']
  text = f'{entry["done"]} of {entry["planned"]}' if missing else str(entry['done'])
  return text + (f'<br><span class="muted">{entry["failed"]} failed</span>'
                 if entry['failed'] else '')


def _sources_cell(entry):
  sources = entry['sources']
  if not sources:
    return 'none'
  return _e(sources[0]) if len(sources) == 1 else f'{len(sources)} games'


def _share_cell(entry, metric, digits=3):
  n = entry[f'{metric}/n']
  return report_page.number(entry[f'{metric}/mean'], digits, entry[f'{metric}/std']) + (
      f' <span class="muted">({n} of {entry["done"]})</span>' if 0 < n < entry['done'] else '')


def _group_title(results, setting):
  total = results['games'][setting.target].get('num_transitions')
  return f'{_e(title_of(setting))}' + (
      f' <span class="muted">({100 * setting.num_labels / total:.2g} % of {total:,.0f} transitions)'
      '</span>' if total else '')


def _anchor_rows(results, setting, num_columns):
  """Rows of a final table: what needs no learning, and empty cells."""
  return [[_e(name), '', amount(setting.part, level)] + [''] * (num_columns - 3)
          for name, level in anchors_of(results, setting).items() if math.isfinite(level)]


def _absent_rows(results, setting, num_columns):
  """Rows of a final table: methods of this part that this setting lacks."""
  others = {m for s in findings_atari.settings(results, setting.part) for m in s.methods}
  return [[_e(findings.label(results, m)), '', '<span class="muted">not run</span>']
          + [''] * (num_columns - 3)
          for m in results['methods'] if m in others - {*setting.methods, *setting.bounds}]


def entries(table, setting):
  """The entries of `findings_atari.final_metrics` of a setting, in the order of its methods."""
  return [entry for m in (*setting.methods, *setting.bounds) for entry in table
          if (entry['part'], entry['target'], entry['num_labels'], entry['method'])
          == (setting.part, setting.target, setting.bounds.get(m, setting.num_labels), m)]


def _steps_cell(results, entry, part):
  """Steps of the last evaluation, and of the pretraining before them."""
  before = {run.get('num_steps') for run in results['runs'] if run['phase'] == 'pretrain'
            and (run.get('part'), run['method']) == (part, entry['method'])} - {None}
  text = report_page.count(entry['step'])
  if before:
    text += f' <span class="muted">after {report_page.count(max(before))} of pretraining</span>'
  return text


def labels(results):
  """The section on labels: curves and final accuracies, HTML."""
  settings = findings_atari.settings(results, findings_atari.LABELS)
  if not settings:
    return '<p>Not part of this experiment.</p>'
  table = findings_atari.final_metrics(results)
  header = ['', 'sources', 'labels right', 'after steps', 'runs']
  body = []
  for setting in settings:
    body.append(_group_title(results, setting))
    for entry in entries(table, setting):
      name = _e(findings.label(results, entry['method']))
      if entry['num_labels'] != setting.num_labels:
        name += f' <span class="muted">({entry["num_labels"]:,} labels)</span>'
      body.append([name, _sources_cell(entry), _share_cell(entry, findings_atari.ACCURACY),
                   _steps_cell(results, entry, findings_atari.LABELS), _runs_cell(entry)])
    body += _absent_rows(results, setting, len(header))
    body += _anchor_rows(results, setting, len(header))
  return '\n'.join([
      '<p>The IDM alone: the share of the target’s hidden actions that its labels get right, while '
      'it trains on the target’s labels; those with sources have been pretrained before step 0. '
      'Lines are means over seeds, bands one population standard deviation. Where some runs '
      'have ended the line is thin; where a number is missing it has a gap. Dashed: what needs '
      'no inverse dynamics and, where it was measured, the ceiling.</p>',
      _figures(results, settings), '<h3>In the end</h3>',
      '<p>The last evaluation of the runs that are done: mean ± population standard deviation over '
      'them.</p>', report_page.table(header, body)])


def _score_cell(entry):
  text = points(entry['score/mean'], entry['score/std'])
  if 0 < entry['score/n'] < entry['done']:
    text += f' <span class="muted">({entry["score/n"]} of {entry["done"]})</span>'
  if entry['score/n'] == 1 and math.isfinite(entry.get('score/episodes_std', math.nan)):
    episodes = entry['score/episodes']
    text = (points(entry['score/mean'], entry['score/episodes_std'])
            + f'<br><span class="muted">one run; over {report_page.count(episodes)} episodes'
            '</span>')
  return text


def scores(results):
  """The section on scores: curves, final scores and Table 4, HTML."""
  settings = findings_atari.settings(results, findings_atari.SCORE)
  if not settings:
    return '<p>Not part of this experiment.</p>'
  table = findings_atari.final_metrics(results)
  header = ['', 'sources', 'score', 'human-normalised', 'labels right', 'after steps', 'runs']
  body = []
  for setting in settings:
    body.append(_group_title(results, setting))
    for entry in entries(table, setting):
      body.append([
          _e(findings.label(results, entry['method'])), _sources_cell(entry), _score_cell(entry),
          _share_cell(entry, 'human_normalised'), _share_cell(entry, findings_atari.ACCURACY),
          _steps_cell(results, entry, findings_atari.SCORE), _runs_cell(entry)])
    body += _absent_rows(results, setting, len(header))
    body += _anchor_rows(results, setting, len(header))
  acting = findings_atari.score_metric(results).split('/')[0]
  return '\n'.join([
      f'<p>As Figure 2 of the paper: raw points while finetuning on the target, {_e(acting)} '
      'actions. Lines are means over seeds, bands one population standard deviation over seeds; '
      'where there is one seed only, over its episodes. Dashed: random play, human play, the best '
      'that looks at nothing, if it was measured, and the mean score of the best checkpoint in '
      'the data, as it was recorded; an arrow says that it is above the picture.'
      '</p>',
      _figures(results, settings), '<h3>In the end</h3>',
      '<p>The last evaluation of the runs that are done: mean ± population standard deviation. '
      'Human-normalised is 0 for random and 1 for human play. “Labels right” is the accuracy of '
      'the IDM that labels for the agent.</p>', report_page.table(header, body),
      _table_4(results)])


def _table_4(results):
  """CQL beside Table 4, HTML; '' if it was not run."""
  rows = claims_cql.rows(results)
  if not rows:
    return ''
  body = [[_e(row.game), f'{row.paper:,.1f}', points(row.mean, row.std), str(row.num_seeds),
           points(row.random), points(row.human),
           *(f'{(x - row.random) / (row.human - row.random):.3f}' if math.isfinite(x) else '–'
             for x in (row.paper, row.mean))] for row in rows]
  note = '' if claims_cql.is_comparable(results) else (
      '<p>Not the same experiment: the paper trains for 100 iterations of 62,500 updates, on '
      '10,000 frames of DQN replay. “After steps” above says how many are made here.</p>')
  return '\n'.join([
      '<h3>Table 4</h3>', '<p>Conservative Q-learning on 10,000 labelled transitions: points of '
      'the paper, which gives no spread, and here, mean ± population standard deviation over '
      'seeds.</p>', note, report_page.table(
          ['', 'paper', 'here', 'seeds', 'random', 'human', 'paper, normalised',
           'here, normalised'], body)])
