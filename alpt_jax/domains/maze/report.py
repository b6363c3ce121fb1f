"""Builds the report of the maze experiment: sections beyond the generic report."""

import itertools

from alpt_jax.domains.maze import claims, findings_labels, metrics
from alpt_jax.domains.maze import findings as findings_maze
from alpt_jax.measures import curves, intervals
from alpt_jax.reports import experiment, figures, findings, page
from alpt_jax.reports.page import html, join

_POLICIES = {'behaviour': 'the data’s own policy', 'random': 'random policy',
             'optimal': 'shortest paths'}
_STEPS = {  # Columns of steps.csv, and their titles.
    'median_steps': 'median steps', 'ratio': 'ratio to the baseline', 'interval_low': '95 % from',
    'interval_high': 'to', 'num_both': 'pairs: both', 'num_only_method': 'method only (≤)',
    'num_only_baseline': 'baseline only (≥)', 'num_neither': 'neither',
    'num_at_start': 'at step 0', 'num_unpaired': 'unpaired'}


class Report(experiment.Report):
  """Mazes with paths of agents, updates until labels are good, steps until agents succeed."""
  title = 'Does a source maze make learning from few labels faster?'
  introduction = ('Action-limited pretraining (ALPT; Venuto et al., 2023) on maze navigation: '
                  'section 5.6 and Figure 5(b), run again.')
  places = 'target mazes'
  environments = 'mazes'
  fields = ('observation', 'num_labels')
  metrics = metrics.METRICS
  baseline = 'dt1'
  contents = 'config, mazes, anchors, runs, episodes and rows'

  def anchors(self, setting, metric):
    """Means over the targets of policies that need no learning; of labels, floors and ceiling."""
    if metric == findings.ACCURACY:
      return findings_labels.exact(self.results)
    return {_POLICIES.get(name, name): findings_maze.anchor(self.results, 'policies', name, metric)
            for name in findings_maze.anchor_names(self.results, 'policies')}

  def claim_rows(self):
    """Lists the claims of section 5.6."""
    return claims.rows(self.results)

  def tables(self):
    """Updates, final metrics and steps."""
    return {
        'updates.csv': (findings_labels.csv_rows(self.results), 'updates to the label accuracy'),
        'final.csv': (findings_maze.final_metrics(self.results), 'the final metrics'),
        'steps.csv': (map(_flat, findings_maze.steps_to_levels(self.results)),
                      'steps to each level, with ratios and intervals')}

  def sections(self):
    """Mazes, updates and steps beside what all reports have."""
    more = super().sections() | {
        'mazes': ('Mazes', self.mazes), 'updates': ('Updates to good labels', self.updates),
        'scores': ('Agents', self.scores),
        'steps': ('Steps to a success, exploratory', self.steps)}
    return {key: more[key] for key in ('claims', 'run', 'mazes', 'updates', 'scores', 'steps',
                                       'mistakes', 'problems', 'data')}

  def panels(self):
    """Draws label accuracy and return, a row per observation mode."""
    returns = {setting.about['observation']: self.panel(setting)
               for setting in self.settings(findings.SCORE)}
    return [[self._labels_panel(observation), returns.get(observation)]
            for observation in findings_maze.observations(self.results)]

  def more_lines(self):
    """Updates of all methods, floors and ceiling of labels, and what follows."""
    lines, primary = [], findings_labels.primary_budget(self.results)
    for (observation, num_labels), methods in findings_labels.table(self.results).items():
      if num_labels == primary:
        lines.append(
            f'Observation “{observation}”: updates to label '
            f'{findings_labels.wanted_text(self.results)} right, and labels right in the end: '
            + ', '.join(
                f'{self.label(method)} {needed.text} and '
                f'{page.number(needed.final.value, 3)}' for method, needed in methods.items()))
    labels = ', '.join(f'{name} {page.number(level, 3)}'
                       for name, level in findings_labels.exact(self.results).items())
    return [*lines, f'Labels without an IDM: {labels}.',
            *filter(None, [findings_labels.no_idm_needed(self.results)])]

  def claims(self):
    """Shows the claims, and how many seeds the paper has."""
    num_seeds = len({run['seed'] for run in self.results['runs']})
    return join([html('<p>What section 5.6 of the paper says of speed; it has three seeds, these '
                      'results have {}.</p>', num_seeds), super().claims()])

  def mazes(self):
    """Walls and goals, and paths of trained agents."""
    parts = [html(
        '<p>Walls are grey, the goal is green. The agent starts in any free cell and moves down, '
        'right, up or left. The reward is 1 at the goal, which ends the episode. Observation '
        '“grid”: walls, goal and agent as planes of the maze; “xy”: row and column of the agent '
        'only, so that one observation cannot tell a source maze from the target. In the agents’ '
        'pictures a ring marks the start, a cross where an episode ended without the goal; '
        'episodes are drawn a little beside each other.</p><div class="mazes">{}</div>',
        join(_maze_figure(*item) for item in self.results['mazes'].items()))]
    for observation in findings_maze.observations(self.results):
      runs = [run for run in self.results['runs'] if run['observation'] == observation
              and run['status'] == 'done' and (run.get('rollout') or {}).get('episodes')]
      if not runs:
        continue
      target = runs[0]['rollout']['target']
      runs = sorted((run for run in runs if run['rollout']['target'] == target),
                    key=lambda run: run['seed'])
      first = {run['method']: run for run in reversed(runs)}  # The lowest seed of each method.
      parts.append(html(
          '<h3>Trained agents on {}, observation “{}”</h3><div class="mazes">{}</div>', target,
          observation, join(self._rollout(first[method]) for method in self.results['methods']
                            if method in first)))
    return join(parts)

  def _rollout(self, run):
    rollout, style = run['rollout'], self.styles[run['method']]
    maze, episodes = self.results['mazes'][rollout['target']], rollout['episodes']
    lengths = [str(len(episode['path']) - 1) for episode in episodes if episode['reached']]
    svg = figures.maze_svg(maze['walls'], maze['goal'], f'{style.label} on {rollout["target"]}',
                           episodes, style.colour)
    return html('<figure>{}<figcaption>{}<b>{}</b><br>{} of {} starts reach the goal{}<br>seed {}, '
                '{}</figcaption></figure>', svg, figures.swatch(style), style.label, len(lengths),
                len(episodes), lengths and f', in {page.listed(lengths)} steps' or '', run['seed'],
                findings.MODES.get(rollout['acting'], rollout['acting']))

  def _labels_panel(self, observation):
    """Label accuracy against updates at the primary number of labels."""
    num_labels = findings_labels.primary_budget(self.results)
    drawn = [(self.styles[method], curves.curve(some, findings_labels.ACCURACY))
             for method, some in findings_labels.rows_by_method(
                 self.results, observation, num_labels).items()]
    anchors = findings_labels.exact(self.results)
    fitted, _ = findings_labels.fitted_table(self.results, observation, num_labels)
    if fitted.value is not None:  # Instead of the exact one, which knows the most frequent action.
      del anchors['table of the change']
      anchors['table, same labels'] = fitted.value
    anchors[f'{findings_labels.LEVEL:g} of the ceiling'] = (
        findings_labels.LEVEL * anchors['ceiling'])
    return figures.Panel(
        f'Labels that are right ({observation})', 'share of hidden actions', tuple(drawn), anchors,
        experiment.limits([curve for _, curve in drawn], anchors), 'updates')

  def updates(self):
    """Updates of IDMs until their labels are good."""
    baseline = self.label(findings_maze.baseline(self.results))
    sentence = findings_labels.no_idm_needed(self.results)
    parts = [
        sentence and html(
            '<p><b>{}</b> So label accuracy is no result by itself; what is asked is how many '
            'updates an IDM needs to it with a source maze and without.</p>', sentence),
        html('<p>Of {}: updates until {} of the hidden actions are labelled right, interpolated '
             'linearly between evaluations; a run that does not get there is censored at its last '
             'one (“&gt;”). Updates are medians, accuracies means of the last evaluations. Ratios '
             'are to {}, paired by target and seed: geometric means, or with censored runs bounds '
             'of the median. {} The majority, the past alone, the table of the change and the '
             'ceiling are exact, from the maze and the policy of the data; the table is also '
             'fitted to the labels that the IDMs had. In the curves, bands are one population '
             'standard deviation.</p>',
             'IDMs trained alone' if findings_labels.has_part(self.results)
             else 'the IDMs of the agents', findings_labels.wanted_text(self.results), baseline,
             intervals.caption(intervals.SEEDS))]
    table = findings_labels.table(self.results)
    for observation in findings_maze.observations(self.results):
      body = []
      for (mode, num_labels), methods in table.items():
        if mode == observation:
          body.append('labels' if num_labels is None else f'{num_labels:,} labels')
          body += [self._updates_row(method, needed) for method, needed in methods.items()]
          fitted, num_entries = findings_labels.fitted_table(self.results, observation, num_labels)
          if fitted.value is not None:
            body.append([f'table of the change, {num_entries} entries, fitted to the same labels',
                         '', '', '', '', fitted.text(3), fitted.n])
      body.append('floors and ceiling that need no labels (n targets)')
      body += [[name, '', '', '', '', page.number(level, 3),
                len(findings_maze.targets(self.results))]
               for name, level in findings_labels.exact(self.results).items()]
      drawn = self._labels_panel(observation)
      parts += [html('<h3>Observation “{}”</h3>', observation),
                page.legend(style for style, _ in drawn.curves),
                page.grid([figures.curves_svg(drawn, f'{observation}-labels')]),
                page.table(['', 'updates to the level', 'runs that reach it',
                            f'ratio to {baseline}', 'pairs', 'label accuracy in the end', 'n'],
                           body)]
    return join(parts)

  def _updates_row(self, method, needed):
    ratio, pairs = needed.ratio, ''
    if ratio is not None:
      left_out = f', {needed.num_left_out} left out' if needed.num_left_out else ''
      pairs = f'{ratio.interval.n}, {ratio.num_censored} censored{left_out}'
    return [self.label(method), needed.text, f'{needed.num_reached} of {len(needed.updates)}',
            '1' if method == findings_maze.baseline(self.results) else
            findings_labels.ratio_text(ratio), pairs, needed.final.text(3), needed.final.n]

  def steps(self):
    """Steps of agents until they succeed so often."""
    baseline = self.label(findings_maze.baseline(self.results))
    parts = [html(
        '<p>Exploratory, without verdicts: agents need good labels first, and how often they '
        'succeed goes up and down. The first gradient step at which a run reaches the level, '
        'interpolated linearly between evaluations. Ratios are geometric means over pairs of runs '
        'with the same target and seed, against {}. {} They are of the logarithms of the ratios. A '
        'run that does not get there, or failed before, is censored, and the ratio is then a '
        'median: where only the method gets there, the pair is an upper bound (≤); where only the '
        'baseline does, a lower bound (≥); where neither does, it counts against both ends. Each '
        'end of such an interval holds by itself with 95 %. Left out are pairs in which one is '
        'there at step 0, or a run is missing. A dash: half of the runs or more never get there, '
        'or there is no interval.</p>', baseline, intervals.caption(intervals.SEEDS))]
    table = list(map(_flat, findings_maze.steps_to_levels(self.results)))
    for observation in findings_maze.observations(self.results):
      body = []
      for (metric, threshold), rows in itertools.groupby(
          (row for row in table if row['observation'] == observation),
          key=lambda row: (row['metric'], row['threshold'])):
        body.append(f'{self.metrics[metric.split("/")[1]].title} ≥ {threshold:g}')
        body += [[self.label(row['method']), f'{row["reached"]} of {row["runs"]}', *(
            page.number(row.get(key), 2 if key in ('ratio', 'interval_low', 'interval_high') else 0)
            for key in _STEPS)] for row in rows]
      parts.append(page.table(['', 'runs that reach it', *_STEPS.values()], body,
                              f'Observation “{observation}”, arg max actions'))
    return join(parts)


def _maze_figure(name, maze):
  counts = ', '.join(f'{maze[key]:,} {what}' for key, what in (
      ('num_episodes', 'episodes'), ('num_transitions', 'transitions')) if maze.get(key))
  return html('<figure>{}<figcaption><b>{}</b>, {}<br>{}<br>{}</figcaption></figure>',
              figures.maze_svg(maze['walls'], maze['goal'], name), maze['role'], maze['kind'], name,
              counts)


def _flat(entry):
  """An entry of `findings_maze.steps_to_levels` without nesting, for CSV."""
  ratio = entry['ratio']
  found = entry if ratio is None else entry | ratio._asdict() | {
      'interval_low': ratio.interval.low, 'interval_high': ratio.interval.high}
  left_out = {'interval', 'ratio' if ratio is None else ''}
  return {key: x for key, x in found.items() if key not in left_out}
