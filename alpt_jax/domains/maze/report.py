"""The report of the maze experiment: one HTML file that answers what section 5.6 claims.

The page needs no network and no script. Its numbers come from `findings_maze` and
`findings_labels`, its pictures from `figures`; here they become sentences and tables.
"""

import itertools
import math

from alpt_jax.domains.maze import claims, findings_labels, report_labels
from alpt_jax.domains.maze import findings as findings_maze
from alpt_jax.measures import curves, intervals
from alpt_jax.reports import figures, findings, label_section
from alpt_jax.reports import page as report_page

_e = report_page.escape

_OBSERVATIONS = {
    'grid': 'The agent sees the walls, the goal and itself as planes of the maze.',
    'xy': 'The agent sees its row and column only: one observation cannot tell a source maze from '
          'the target.',
}
_POLICIES = {'behaviour': 'the data’s own policy', 'random': 'random policy',
             'optimal': 'shortest paths'}


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
    curve = curves.curve(findings_maze.rows_of(results, method, observation), metric)
    if curve.n.any():
      drawn.append((styles[method], curve))
  title, unit, key = {
      'argmax/success_500': (
          'Return = success within 500 steps', 'share of starts', 'success_500'),
      'argmax/success_50': ('Success within 50 steps', 'share of starts', 'success_50'),
      'argmax/spl': ('SPL: success × shortest / actual path', 'mean over starts', 'spl'),
  }[metric]
  anchors = {_POLICIES.get(name, name): findings_maze.anchor(results, 'policies', name, key)
             for name in findings_maze.anchor_names(results, 'policies')}
  return figures.Panel(f'{title} ({observation})', unit, tuple(drawn), anchors, (-.02, 1.03))


def _policy(results, policy, metric):
  return report_page.number(findings_maze.anchor(results, 'policies', policy, metric), 3)


def _agent_sentence(results, observation, metric, title):
  """Success of agents, and of policies that need no learning."""
  ends = findings_maze.against(results, observation, metric)
  agents = [f'{_e(findings.label(results, method))} {mean.value:.3f}'
            for method, (mean, _) in ends.items() if mean.n]
  policies = [f'{_POLICIES[name]} {_policy(results, name, metric)}'
              for name in ('random', 'behaviour')]
  return (f'<p>{title}: {report_page.listed(agents or ["no finished run"])}; '
          f'{report_page.listed(policies)}.</p>')


def _found(results):
  sentence = findings_labels.no_idm_needed(results)
  cards, found = [], claims.claims(results)
  for observation in findings_maze.observations(results):
    cards += [f'<div class="card"><h3>Observation “{_e(observation)}”</h3>',
              *(report_labels.claim_card(results, finding) for finding in found
                if finding.observation == observation),
              _agent_sentence(results, observation, 'success_500',
                              'Agents in the end, success within 500 steps'),
              _agent_sentence(results, observation, 'success_50', 'Within 50'),
              _agent_sentence(results, observation, 'spl', 'SPL'), '</div>']
  return (f'<p><b>{_e(sentence)}</b></p>' if sentence else '') + (
      '<div class="grid">' + '\n'.join(cards) + '</div>')


def _updates(results):
  return report_labels.section(results, _styles(results))


def _agent_row(results, observation, method, n, ends):
  cells = []
  for metric in ('success_500', 'success_50', 'spl'):
    mean, difference = ends[metric][method]
    cells.append(_e(mean.text(3)) if mean.n else '–')
    if metric != 'spl':
      cells.append('' if difference is None else '–' if not difference.interval.n else
                   _e(difference.interval.text(3)))
  return [_e(findings.label(results, method)), *cells, str(n)]


def _agents(results):
  dt1 = findings.label(results, 'dt1')
  parts = [f'<p>The last evaluation of agents that are done, with arg max actions, and its '
           f'difference to {_e(dt1)}, paired by target and seed. Beside them, exactly: the random '
           'policy, the policy that recorded the data, and shortest paths. '
           f'{_e(intervals.caption(intervals.SEEDS))} All of it is exploratory: no verdicts.</p>']
  num_targets = str(len(findings_maze.targets(results)))
  for observation in findings_maze.observations(results):
    ends = {metric: findings_maze.against(results, observation, metric)
            for metric in ('success_500', 'success_50', 'spl')}
    body = [_agent_row(results, observation, method, mean.n, ends)
            for method, (mean, _) in ends['success_500'].items()]
    body.append('policies that need no learning (n targets)')
    for policy in findings_maze.anchor_names(results, 'policies'):
      long, short, spl = (_policy(results, policy, metric) for metric in ends)
      body.append([_e(_POLICIES.get(policy, policy)), long, '', short, '', spl, num_targets])
    parts.append(report_page.table(
        ['', 'success within 500', f'less {dt1}', 'success within 50', f'less {dt1}', 'SPL', 'n'],
        body, f'Observation “{observation}”'))
  return '\n'.join(parts)


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
           'has a gap. Dashed: policies that need no learning, as means over the targets.</p>']
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
    for metric in (findings_maze.RETURN, 'argmax/success_50', 'argmax/spl'):
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
      body.append([_e(_POLICIES.get(policy, policy)), *(
          report_page.number(findings_maze.anchor(results, 'policies', policy, metric), digits)
          for metric, (_, digits) in findings_maze.METRICS.items()), '', num_targets])
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
  parts = [f'<p>Exploratory, without verdicts: agents need good labels first, and how often they '
           'succeed goes up and down. '
           f'The first gradient step at which a run reaches the level, interpolated linearly '
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
      'updates.csv': (report_labels.csv_rows(results), 'updates to the label accuracy'),
      'final.csv': (findings_maze.final_metrics(results), 'the final metrics'),
      'steps.csv': (map(_flat, findings_maze.steps_to_levels(results)),
                    'steps to each level, with ratios and intervals'),
  }, 'config, mazes, anchors, runs, episodes and rows')


PLACES = 'target mazes'
# Of studies of budgets.
groups, majority, levels = findings_maze.groups, findings_maze.majority, findings_maze.levels


SECTIONS = {  # Id: title, content.
    'found': ('What was found', _found),
    'run': ('What was run', lambda results: report_page.what_was_run(results, 'target mazes')),
    'mazes': ('Mazes', _mazes),
    'updates': ('Updates to good labels', _updates),
    'agents': ('Agents against DT1 and random', _agents),
    'curves': ('Learning curves of agents', _curves),
    'final': ('Final metrics', _final),
    'steps': ('Steps to a success, exploratory', _steps),
    'claims': ('The paper’s claims', report_labels.claims),
    'mistakes': ('What the IDM mixes up', lambda results: label_section.section(
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
  for finding in claims.claims(results):
    measured = 'one of the two was not run'
    if finding.comparison is not None:
      measured = (f'{report_labels.ratio_text(finding.comparison)} times the updates to label '
                  f'{report_labels.wanted_text(results)} right, '
                  f'n = {finding.comparison.interval.n}')
    rows.append(findings.ClaimRow(f'Section 5.6, observation {finding.observation}', finding.text,
                                  measured, finding.verdict))
  return rows


def floor_tables(results):
  """Returns tables of floors and ceilings of runs: none, as mazes have exact ones."""
  del results
  return []


def panels(results):
  """Returns label accuracy and return as `figures.Panel`s, a row per observation mode."""
  return [[report_labels.panel(results, observation, _styles(results)),
           _panel(results, observation, findings_maze.RETURN)]
          for observation in findings_maze.observations(results)]


def summary_lines(results):
  """Returns a line per method with its updates and final metrics, floors, and a line per claim."""
  done = sum(run['status'] == 'done' for run in results['runs'])
  primary = findings_labels.primary_budget(results)
  lines = [' '.join([f'{results["experiment"]}, preset {results["preset"]}: {done} of '
                     f'{len(results["runs"])} runs done.', *findings.size_lines(results),
                     f'Updates to a label accuracy of {report_labels.wanted_text(results)} '
                     f'with {report_labels.budget_title(primary)}; label accuracy, success '
                     'within 500 and 50 steps and SPL in the end:'])]
  width = max((len(findings.label(results, method)) for method in results['methods']), default=0)
  updates = findings_labels.table(results)
  for method in results['methods']:
    parts = []
    for observation in findings_maze.observations(results):
      needed = updates.get((observation, primary), {}).get(method)
      words = [f'{report_labels.updates_text(needed)} updates',
               f'labels {_number(needed.final)}'] if needed else []
      agents = [findings_maze.against(results, observation, metric).get(method)
                for metric in ('success_500', 'success_50', 'spl')]
      if agents[0] and agents[0][0].n:
        long, short, spl = (_number(mean) for mean, _ in agents)
        words += [f'success {long} and {short}', f'SPL {spl}']
      parts.append(f'{observation}: {", ".join(words) or "no finished run"}')
    lines.append(f'{findings.label(results, method):{width}}  {"   ".join(parts)}'.rstrip())
  return lines + _floor_lines(results) + [
      f'{finding.observation}: updates of {findings.label(results, finding.claim.method)} over '
      f'{findings.label(results, finding.claim.baseline)}: '
      + ('not measured.' if finding.comparison is None else
         f'{report_labels.ratio_text(finding.comparison)}: '
         f'{findings.verdict_text(finding.verdict, results).lower()}.')
      for finding in claims.claims(results)]


def _number(interval):
  return '–' if interval.value is None else f'{interval.value:.3f}'


def _floor_lines(results):
  """Policies that need no learning, floors and ceiling of labels, and what follows."""
  policies = '; '.join(
      f'{_POLICIES[name]} {_policy(results, name, "success_500")} and '
      f'{_policy(results, name, "success_50")}, SPL {_policy(results, name, "spl")}'
      for name in ('random', 'behaviour'))
  labels = ', '.join(f'{name} {report_page.number(found, 3)}'
                     for name, found in findings_labels.exact(results).items())
  return [f'Success without learning: {policies}.', f'Labels without an IDM: {labels}.',
          *filter(None, [findings_labels.no_idm_needed(results)])]
