"""The report of the maze experiment: one HTML file that answers what section 5.6 claims.

The page needs no network and no script. Its numbers come from `findings_maze`, its pictures
from `figures`; here they become sentences and tables.
"""

import itertools
import math

from alpt_jax import figures, findings, findings_maze, report_labels, report_page, statistics
from alpt_jax.measures import intervals

_e = report_page.escape

_OBSERVATIONS = {
    'grid': 'The agent sees the walls, the goal and itself as planes of the maze.',
    'xy': 'The agent sees its row and column only: one observation cannot tell a source maze from '
          'the target.',
}
_VERDICTS = {
    'reproduced': 'Reproduces',
    'partly': 'Reproduces in part',
    'not shown': 'Does not reproduce: no clear speed-up',
    'contradicted': 'Does not reproduce: slower, not faster',
    'undecided': 'Undecided: the runs bound no ratio',
    'no verdict': 'No verdict below 5 seeds',
}


def _interval(interval):
  if interval.low is None:
    return interval.reason
  return f'[{interval.low:.2f}, {interval.high:.2f}]'


def _ratio(ratio):
  """E.g. '≤0.48'; the sign says which way the censored pairs push it."""
  if ratio.ratio is None:
    return '–'
  sign = {(False, False): '', (True, False): '≤', (False, True): '≥', (True, True): '≈'}[
      ratio.num_only_method > 0, ratio.num_only_baseline > 0]
  return f'{sign}{ratio.ratio:.2f}'


def _styles(results):
  return figures.styles({m: findings.label(results, m) for m in results['methods']})


def _panel(results, observation, metric):
  """The learning curves of a metric in one observation mode, as a `figures.Panel`."""
  styles, drawn = _styles(results), []
  for method in findings_maze.measured_methods(results, observation):
    curve = statistics.curve(findings_maze.rows_of(results, method, observation), metric)
    if curve.n.any():
      drawn.append((styles[method], curve))
  title, unit, low, group, key = {
      'argmax/success_500': (
          'Return = success within 500 steps', 'share of starts', 0., 'policies', 'success_500'),
      'argmax/success_50': (
          'Success within 50 steps', 'share of starts', 0., 'policies', 'success_50'),
      'argmax/spl': (
          'SPL: success × shortest / actual path', 'mean over starts', 0., 'policies', 'spl'),
      'label_accuracy': (
          'Accuracy of the IDM’s labels', 'share of hidden actions', .2, 'idm', None),
  }[metric]
  anchors = {name: findings_maze.anchor(results, group, name, key)
             for name in findings_maze.anchor_names(results, group)}
  return figures.Panel(f'{title} ({observation})', unit, tuple(drawn), anchors,
                       (low - .02, 1.03))


def _badge(verdict):
  return f'<span class="badge {verdict.replace(" ", "-")}">{_e(_VERDICTS[verdict])}</span>'


def _claim_card(results, finding):
  """Verdict, claim and measured ratios."""
  parts = [f'<p>{_badge(finding.verdict)}</p><p>The paper: {_e(finding.text)}.']
  measured = [(threshold, ratio) for threshold, ratio, _ in finding.levels if ratio.ratio]
  if measured:
    levels = report_page.listed([f'{threshold:g}' for threshold, _ in measured])
    ratios = report_page.listed([_ratio(ratio) for _, ratio in measured])
    parts.append(f'Here it needs <b>{ratios} times</b> the steps of '
                 f'{_e(findings.label(results, finding.claim.baseline))} to a return of {levels}.')
  elif finding.levels:
    parts.append('Here the pairs of runs bound no ratio of steps.')
  else:
    parts.append('Not measured: one of the two methods was not run.')
  parts.append('</p>')
  if finding.levels:
    parts.append(report_page.table(
        ['return', 'ratio of steps', '95 % interval', 'pairs'],
        [[f'{threshold:g}', _ratio(ratio), _e(_interval(ratio.interval)),
          f'{ratio.num_counted} of {ratio.num_pairs}'] for threshold, ratio, _ in finding.levels]))
  return '\n'.join(parts)


def _end_sentences(results, entries):
  """How the runs ended, against the policies and ceilings that need no learning."""
  def means(metric, text):
    return report_page.listed([f'{_e(findings.label(results, entry["method"]))} '
                    + text(entry[f'{metric}/mean']) for entry in entries if entry[f'{metric}/n']]
                   or ['no finished run'])
  random = findings_maze.anchor(results, 'policies', 'random', 'success_500')
  ceiling = findings_maze.anchor(results, 'idm', 'bayes')
  sentences = ['Final return: ' + means('success_500', lambda x: f'{x:.3f}')
               + f'; a random policy has {report_page.number(random, 3)}.',
               'Final SPL: ' + means('spl', lambda x: f'{x:.3f}') + '.']
  if any(entry['label_accuracy/n'] for entry in entries):
    sentences.append('Labels right in the end: '
                     + means('label_accuracy', lambda x: f'{100 * x:.1f} %')
                     + f'; at most {report_page.number(100 * ceiling, 1)} % can be.')
  return ''.join(f'<p>{sentence}</p>' for sentence in sentences)


def _found(results):
  table, cards = findings_maze.final_metrics(results), []
  found = findings_maze.claims(results)
  for observation in findings_maze.observations(results):
    entries = [entry for entry in table
               if (entry['observation'], entry['acting']) == (observation, 'argmax')]
    cards += [f'<div class="card"><h3>Observation “{_e(observation)}”</h3>',
              *(_claim_card(results, finding) for finding in found
                if finding.observation == observation),
              _end_sentences(results, entries), '</div>']
  return '<div class="grid">' + '\n'.join(cards) + '</div>'


def _maze_figure(name, maze):
  counts = ', '.join(f'{maze[key]:,} {what}' for key, what in (
      ('num_episodes', 'episodes'), ('num_transitions', 'transitions')) if maze.get(key))
  return (f'<figure>{figures.maze_svg(maze["walls"], maze["goal"], name)}<figcaption>'
          f'<b>{_e(maze["role"])}</b>, {_e(maze["kind"])}<br>{_e(name)}<br>{counts}'
          '</figcaption></figure>')


def _rollout_figure(results, run, style):
  rollout = run['rollout']
  maze, episodes = results['mazes'][rollout['target']], rollout['episodes']
  lengths = [str(len(episode['path']) - 1) for episode in episodes if episode['reached']]
  svg = figures.maze_svg(maze['walls'], maze['goal'], f'{style.label} on {rollout["target"]}',
                         episodes, style.colour)
  return (f'<figure>{svg}<figcaption>{figures.swatch(style)}<b>{_e(style.label)}</b><br>'
          f'{len(lengths)} of {len(episodes)} starts reach the goal'
          + (f', in {report_page.listed(lengths)} steps' if lengths else '')
          + f'<br>seed {_e(str(run["seed"]))}, '
          f'{_e(findings_maze.ACTING.get(rollout["acting"], rollout["acting"]))}'
          '</figcaption></figure>')


def _mazes(results):
  parts = ['<p>Walls are grey, the goal is green. The agent starts in any free cell and moves '
           'down, right, up or left. The reward is 1 at the goal, which ends the episode. In the '
           'agents’ pictures a ring marks the start, a cross where an episode ended without the '
           'goal; episodes are drawn a little beside each other.</p>', '<div class="mazes">',
           *(_maze_figure(*item) for item in results['mazes'].items()), '</div>']
  styles = _styles(results)
  for observation in findings_maze.observations(results):
    runs = [run for run in results['runs'] if run['observation'] == observation
            and run['status'] == 'done' and (run.get('rollout') or {}).get('episodes')]
    if not runs:
      continue
    target = runs[0]['rollout']['target']
    runs = sorted((run for run in runs if run['rollout']['target'] == target),
                  key=lambda run: run['seed'])
    first = {run['method']: run for run in reversed(runs)}  # The lowest seed of each method.
    parts += [f'<h3>Trained agents on {_e(target)}, observation “{_e(observation)}”</h3>',
              '<div class="mazes">',
              *(_rollout_figure(results, first[method], styles[method])
                for method in results['methods'] if method in first), '</div>']
  return '\n'.join(parts)


def _curves(results):
  parts = ['<p>As Figure 5(b) of the paper: evaluation on the target while training, with arg max '
           'actions. Lines are means over target mazes and seeds, bands one population standard '
           'deviation. Where some runs have ended the line is thin; where a number is missing it '
           'has a gap. Dashed: policies that need no learning, and what an IDM can at most know, '
           'as means over the targets.</p>']
  styles = _styles(results)
  for observation in findings_maze.observations(results):
    methods = findings_maze.measured_methods(results, observation)
    counts = [f'{findings.label(results, m)} '
              f'{len({row["run"] for row in findings_maze.rows_of(results, m, observation)})}'
              for m in methods] or ['none']
    parts += [f'<h3>Observation “{_e(observation)}”</h3>',
              f'<p>{_e(_OBSERVATIONS.get(observation, ""))} <span class="muted">Runs: '
              f'{_e(report_page.listed(counts))}.</span></p>',
              report_page.legend([styles[m] for m in methods]), '<div class="grid">']
    for metric in (findings_maze.RETURN, 'argmax/success_50', 'argmax/spl', 'label_accuracy'):
      svg = figures.curves_svg(_panel(results, observation, metric), f'{observation}-{metric}')
      parts.append(f'<figure>{svg}</figure>')
    parts.append('</div>')
  return '\n'.join(parts)


def _final_row(results, entry):
  cells = []
  digits_of = {metric: digits for metric, (_, digits) in findings_maze.METRICS.items()}
  for metric, digits in (digits_of | {'label_accuracy': 3}).items():
    mean, std, n = (entry[f'{metric}/{part}'] for part in ('mean', 'std', 'n'))
    some = f' <span class="muted">({n} of {entry["runs"]})</span>' if 0 < n < entry['runs'] else ''
    cells.append(report_page.number(mean, digits, std) + some)
  if entry['acting'] != 'argmax':
    cells[-1] = ''  # Labels don't depend on how the agent acts.
  return [_e(findings.label(results, entry['method'])), *cells, str(entry['runs'])]


def _final(results):
  parts = ['<p>The last evaluation of every run that is done, from every reachable start: mean ± '
           'population standard deviation over the n runs. SPL is success weighted by shortest '
           'over actual path length. “(k of n)” marks numbers that some runs lack.</p>']
  header = ['', *(title for title, _ in findings_maze.METRICS.values()), 'label accuracy', 'n']
  table = findings_maze.final_metrics(results)
  num_targets = str(len(findings_maze.targets(results)))
  for observation in findings_maze.observations(results):
    body = []
    for acting, title in findings_maze.ACTING.items():
      body += [_e(title), *(_final_row(results, entry) for entry in table if
                            (entry['observation'], entry['acting']) == (observation, acting))]
    body.append('policies that need no learning (n targets)')
    for policy in findings_maze.anchor_names(results, 'policies'):
      body.append([_e(policy), *(
          report_page.number(findings_maze.anchor(results, 'policies', policy, metric), digits)
          for metric, (_, digits) in findings_maze.METRICS.items()), '', num_targets])
    body.append('what an IDM can at most know (n targets)')
    for ceiling in findings_maze.anchor_names(results, 'idm'):
      level = report_page.number(findings_maze.anchor(results, 'idm', ceiling), 3)
      body.append([_e(ceiling), *[''] * len(findings_maze.METRICS), level, num_targets])
    parts.append(report_page.table(header, body, f'Observation “{observation}”'))
  return '\n'.join(parts)


def _steps_row(results, entry):
  ratio, baseline = entry['ratio'], findings_maze.baseline(results)
  cells = [_e(findings.label(results, entry['method'])), f'{entry["reached"]} of {entry["runs"]}',
           report_page.count(entry['median_steps']) if math.isfinite(entry['median_steps'])
           else f'&gt; {report_page.count(entry["last_step"])}']
  if ratio is None:
    return cells + ['1' if entry['method'] == baseline else '–'] + [''] * 6
  left_out = ratio.num_at_start + ratio.num_unpaired
  return cells + [_ratio(ratio), _e(_interval(ratio.interval)), str(ratio.num_both),
                  str(ratio.num_only_method), str(ratio.num_only_baseline),
                  str(ratio.num_neither), str(left_out)]


def _steps(results):
  baseline = findings.label(results, findings_maze.baseline(results))
  parts = [f'<p>The first gradient step at which a run reaches the level, interpolated linearly '
           f'between evaluations. Ratios are geometric means over pairs of runs with the same '
           f'target and seed, against {_e(baseline)}. '
           f'{_e(intervals.caption(intervals.SEEDS))} They are of the logarithms of the '
           'ratios. A run that does not get there, or failed before, is '
           'censored, and the ratio is then a median: where only the method gets there, the pair '
           'is an upper bound (≤); where only the baseline does, a lower bound (≥); where neither '
           'does, it counts against both ends. Each end of such an interval holds by itself with '
           '95 %. Left out are pairs in which one is there at step 0, or a run is missing.</p>']
  header = ['', 'runs that reach it', 'median steps', f'ratio to {baseline}', '95 % interval',
            'pairs: both', 'method only (≤)', 'baseline only (≥)', 'neither', 'left out']
  table = findings_maze.steps_to_levels(results)
  for observation in findings_maze.observations(results):
    body = []
    for (metric, threshold), entries in itertools.groupby(
        (entry for entry in table if entry['observation'] == observation),
        key=lambda entry: (entry['metric'], entry['threshold'])):
      title = findings_maze.METRICS[metric.split('/')[1]][0]
      body += [_e(f'{title} ≥ {threshold:g}'), *(_steps_row(results, e) for e in entries)]
    parts.append(report_page.table(header, body, f'Observation “{observation}”, arg max actions'))
  return '\n'.join(parts)


def _claims(results):
  body = []
  for finding in findings_maze.claims(results):
    measured = '<br>'.join(
        f'to {threshold:g}: <b>{_ratio(ratio)}</b> {_e(_interval(ratio.interval))}, '
        f'{ratio.num_counted} of {ratio.num_pairs} pairs: {_e(verdict)}'
        for threshold, ratio, verdict in finding.levels) or 'not measured'
    body.append([f'<div class="wrap">{_e(report_page.sentence(finding.text))}</div>',
                 _e(finding.observation),
                 f'<div class="wrap">{_badge(finding.verdict)}</div>', measured])
  rules = report_page.listed([f'{claim.at_most:.2f} for {findings.label(results, claim.method)}'
                              for claim in findings_maze.CLAIMS])
  num_seeds = len({run['seed'] for run in results['runs']})
  return ('<p>What section 5.6 of the paper says; it has three seeds, these results have '
          f'{num_seeds}. The verdict at each level of the return follows a rule of ours on the '
          'ratio of steps. <i>Reproduced</i>: the whole interval is below 1, and the ratio is at '
          f'most {_e(rules)}. <i>Partly</i>: only the former. <i>Not shown</i>: the interval '
          'reaches 1. <i>Contradicted</i>: the whole interval is above 1. <i>Undecided</i>: it has '
          'no end. Fewer than five pairs give <i>no verdict</i>. The overall verdict is what the '
          'decided levels share, or <i>in part</i> if only some agree with the paper.</p>'
          + report_page.table(['claim', 'observation', 'verdict', 'ratio of steps to a return'],
                              body))


def _problems(results):
  problems = findings_maze.run_problems(results)
  table = [[_e(run['run']), _e(run['status']), report_page.count(run.get('num_steps')),
            report_page.count(run.get('seconds'))] for run in results['runs']]
  return '\n'.join([
      report_page.bullets(map(_e, problems)) if problems else '<p>None: every run is done.</p>',
      '<details><summary>All runs</summary>',
      report_page.table(['run', 'status', 'steps', 'seconds'], table), '</details>'])


def _flat(entry):
  """An entry of `findings_maze.steps_to_levels` without nesting, for CSV."""
  flat, ratio = dict(entry), entry['ratio']
  del flat['ratio']
  if ratio is not None:
    flat |= ratio._asdict() | {'interval_low': ratio.interval.low,
                               'interval_high': ratio.interval.high}
    del flat['interval']
  return flat


def _downloads(results):
  return report_page.downloads(results, {
      'final.csv': (findings_maze.final_metrics(results), 'the final metrics'),
      'steps.csv': (map(_flat, findings_maze.steps_to_levels(results)),
                    'steps to each level, with ratios and intervals'),
  }, 'config, mazes, anchors, runs, episodes and rows')


SECTIONS = {  # Id: title, content.
    'found': ('What was found', _found),
    'run': ('What was run', lambda results: report_page.what_was_run(results, 'target mazes')),
    'mazes': ('Mazes', _mazes),
    'curves': ('Learning curves', _curves),
    'final': ('Final metrics', _final),
    'steps': ('Steps to a level', _steps),
    'claims': ('The paper’s claims', _claims),
    'mistakes': ('What the IDM mixes up', lambda results: report_labels.section(
        results.get('labellings', []))),
    'problems': ('Failed and missing runs', _problems),
    'data': ('Data', _downloads),
}


def page(results):
  """Returns the page, HTML."""
  found = problems(results)
  num_missing = findings.num_missing(results, found)
  return report_page.page(
      results, 'Does a source maze make learning from few labels faster?',
      'Action-limited pretraining (ALPT; Venuto et al., 2023) on maze navigation: section 5.6 '
      'and Figure 5(b), run again.', num_missing, SECTIONS,
      num_remarks=len(found) - num_missing)


def problems(results):
  """Runs that failed, are missing, lack numbers or differ in versions: a list of sentences."""
  return findings_maze.run_problems(results)


def claim_rows(results):
  """The paper's claims as a list of `findings.ClaimRow`."""
  rows = []
  for finding in findings_maze.claims(results):
    levels = '; '.join(
        f'{_ratio(ratio)} times the steps to {threshold:g} '
        f'({_interval(ratio.interval)}, {ratio.num_counted} of {ratio.num_pairs} pairs)'
        for threshold, ratio, _ in finding.levels)
    rows.append(findings.ClaimRow(
        f'Section 5.6, observation {finding.observation}', finding.text,
        levels or 'one of the two was not run',
        finding.verdict if finding.levels else 'not measured'))
  return rows


def panels(results):
  """Returns return and label accuracy as `figures.Panel`s, a row per observation mode."""
  return [[_panel(results, observation, metric)
           for metric in (findings_maze.RETURN, 'label_accuracy')]
          for observation in findings_maze.observations(results)]


def summary_lines(results):
  """Returns a line per method with its final metrics, a line per claim and observation mode."""
  done = sum(run['status'] == 'done' for run in results['runs'])
  lines = [' '.join([f'{results["experiment"]}, preset {results["preset"]}: {done} of '
                     f'{len(results["runs"])} runs done.', *findings.size_lines(results),
                     'Final metrics, arg max:'])]
  table = {(entry['method'], entry['observation']): entry
           for entry in findings_maze.final_metrics(results) if entry['acting'] == 'argmax'}
  width = max((len(findings.label(results, method)) for method in results['methods']), default=0)
  for method in results['methods']:
    parts = []
    for observation in findings_maze.observations(results):
      entry = table.get((method, observation))
      if entry and entry['runs']:
        parts.append(f'{observation}: success {report_page.number(entry["success_500/mean"], 3)}, '
                     f'SPL {report_page.number(entry["spl/mean"], 3)}, '
                     f'labels {report_page.number(entry["label_accuracy/mean"], 3):5}')
      else:
        parts.append(f'{observation}: no finished run')
    lines.append(f'{findings.label(results, method):{width}}  {"   ".join(parts)}'.rstrip())
  for finding in findings_maze.claims(results):
    ratios = ', '.join(f'{_ratio(ratio)} {_interval(ratio.interval)} to {threshold:g}'
                       for threshold, ratio, _ in finding.levels) or 'not measured'
    lines.append(f'{finding.observation}: steps of '
                 f'{findings.label(results, finding.claim.method)} over '
                 f'{findings.label(results, finding.claim.baseline)}: {ratios}: {finding.verdict}.')
  return lines
