"""Measures the Atari experiment: labels and scores of its runs.

A setting is a target game with so many labels, in one of two parts: 'labels' (the IDM alone, by the
share of hidden actions that it labels right) or 'score' (agents, by the points they make). Failed
runs are in no mean. The paper's claims are in `claims`.
"""

import collections
import math
from typing import NamedTuple

import numpy as np

from alpt_jax import methods
from alpt_jax.measures import curves, intervals
from alpt_jax.reports import findings

LABELS, SCORE = findings.PARTS
ACCURACY = 'label_accuracy'
DRAWN = 'drawn by seed'
_PHASES = sorted(methods.PHASES, key=('pretrain', 'joint', 'finetune').index)  # As they follow.


class Setting(NamedTuple):
  """What methods are compared in.

  Attributes:
    part: 'labels' or 'score'.
    target: the game.
    num_labels: transitions of the target whose action is known.
    methods: those that were run, in the order of the results' methods.
    bounds: {method: num_labels} of methods that were run on this target with a number of labels of
      their own; they are shown beside the others and compared with none.
  """
  part: str
  target: str
  num_labels: int
  methods: tuple[str, ...]
  bounds: dict[str, int]


def score_metric(results):
  """The score's column: 'sampled/score', or 'argmax/score' if agents acted so."""
  for metric in ('sampled/score', 'argmax/score'):
    if any(row.get(metric) is not None for row in results['rows']):
      return metric
  return 'sampled/score'


def metric_of(results, part):
  """The column that a part is about."""
  return ACCURACY if part == LABELS else score_metric(results)


def settings(results, part):
  """The `Setting`s of a part, in the order of the runs."""
  ran = collections.defaultdict(set)  # (target, number of labels): methods.
  for run in results['runs']:
    if run['part'] == part:
      ran[run['target'], run['num_labels']].add(run['method'])
  found = []
  for (target, num_labels), here in ran.items():
    elsewhere = {n: there for (t, n), there in ran.items() if t == target and n != num_labels}
    if _is_bound(here, elsewhere.values()):
      continue
    bounds = {min(there): n for n, there in elsewhere.items()
              if _is_bound(there, [here, *(x for k, x in elsewhere.items() if k != n)])}
    found.append(Setting(part, target, num_labels,
                         tuple(m for m in results['methods'] if m in here), bounds))
  return found


def _is_bound(here, elsewhere):
  """Whether methods with this number of labels are one alone, where others can be compared."""
  return (len(here) == 1 and any(len(there) > 1 for there in elsewhere)
          and not any(here & there for there in elsewhere))


def runs_of(results, setting, method):
  """Runs of a method in a setting, of its last phase: of ALPT's two, the finetuning."""
  num_labels = setting.bounds.get(method, setting.num_labels)
  runs = [run for run in results['runs']
          if (run['part'], run['target'], run['num_labels'], run['method'])
          == (setting.part, setting.target, num_labels, method)]
  last = max((_PHASES.index(run['phase']) for run in runs), default=None)
  return [run for run in runs if _PHASES.index(run['phase']) == last]


def rows_of(results, setting, method):
  """Evaluations of a method in a setting, without those of failed runs.

  Not every evaluation is a scored one. Where no run of the setting has a number, none was to be.
  """
  metric = metric_of(results, setting.part)
  methods_here = (*setting.methods, *setting.bounds)
  shown = {run['run'] for m in methods_here for run in runs_of(results, setting, m)}
  steps = {row['step'] for row in results['rows']
           if row['run'] in shown and row.get(metric) is not None}
  runs = {run['run'] for run in runs_of(results, setting, method) if run['status'] != 'failed'}
  return [row for row in results['rows'] if row['run'] in runs and row['step'] in steps]


def curve(results, setting, method):
  """A method's learning curve in a setting.

  Returns:
    A `curves.Curve`, and whether its std is over the episodes of the only run instead of over
    runs (of scores only).
  """
  rows, metric = rows_of(results, setting, method), metric_of(results, setting.part)
  result = curves.curve(rows, metric)
  if setting.part == SCORE and result.n.any() and result.n.max() == 1:
    return result._replace(std=curves.curve(rows, f'{metric}_std').mean), True
  return result, False


def sources_of(results, setting, method):
  """Names of a method's source games in a setting; of as many DRAWN if its seeds have others."""
  names = [tuple(run['sources']) for run in runs_of(results, setting, method)] or [()]
  return names[0] if len(set(names)) == 1 else (DRAWN,) * len(names[0])


def final_metrics(results):
  """The last evaluation of the runs that are done.

  Args:
    results: checked results.

  Returns:
    A list of dicts, one per setting and method, and one per bound: part, target, num_labels,
    method, sources, step, planned, done, failed (numbers of runs), and per metric
    ('label_accuracy', and 'score' and 'human_normalised' of agents) mean, population std, n, and
    low and high of the 95 % interval (None for one run) over the runs that are done. For one run,
    `score/episodes_std` and `score/episodes` are over its episodes.
  """
  table, seen_bounds, score = [], set(), score_metric(results)
  normalised, episodes = (score.replace('score', name)
                          for name in ('human_normalised', 'num_episodes'))
  for setting in (*settings(results, LABELS), *settings(results, SCORE)):
    columns = {ACCURACY: ACCURACY}
    if setting.part == SCORE:
      columns |= {'score': score, 'human_normalised': normalised}
    for method in (*setting.methods, *setting.bounds):
      if (setting.part, setting.target, method) in seen_bounds:
        continue  # Beside every setting of its target, and once here.
      if method in setting.bounds:
        seen_bounds.add((setting.part, setting.target, method))
      runs = runs_of(results, setting, method)
      last = findings.final_rows(results, rows_of(results, setting, method)).values()
      entry = dict(
          part=setting.part, target=setting.target,
          num_labels=setting.bounds.get(method, setting.num_labels), method=method,
          sources=sources_of(results, setting, method),
          step=max((row['step'] for row in last), default=None), planned=len(runs),
          done=len(last), failed=sum(run['status'] == 'failed' for run in runs))
      for name, column in columns.items():
        values = np.array([curves.value(row, column) for row in last])
        values = values[np.isfinite(values)]
        entry |= {f'{name}/mean': values.mean() if values.size else math.nan,
                  f'{name}/std': values.std() if values.size > 1 else math.nan,
                  f'{name}/n': values.size} | _ends(name, values)
      if setting.part == SCORE and len(last) == 1:
        row, = last
        entry |= {'score/episodes_std': curves.value(row, f'{score}_std'),
                  'score/episodes': row.get(episodes)}
      table.append(entry)
  return table


def _ends(name, values):
  interval = intervals.mean(values)
  return {f'{name}/low': interval.low, f'{name}/high': interval.high}


def final_accuracies(results):
  """The last label accuracy of each run that is done, of its last phase: pairs of run and share."""
  found = []
  for part in (LABELS, SCORE):
    for setting in settings(results, part):
      for method in (*setting.methods, *setting.bounds):
        last = findings.final_rows(results, rows_of(results, setting, method))
        found += [(run, last[run['run']][ACCURACY]) for run in runs_of(results, setting, method)
                  if run['run'] in last and last[run['run']].get(ACCURACY) is not None]
  # A method that is shown beside every setting of its target counts once.
  return list({(run['part'], run['run']): (run, x) for run, x in found}.values())


def best_checkpoint(game):
  """The highest mean score among the checkpoints of a game's data; NaN if none is known."""
  scores = [curves.value(checkpoint, 'mean_score') for checkpoint in game['checkpoints']]
  return max((score for score in scores if math.isfinite(score)), default=math.nan)


def run_problems(results):
  """Runs that failed, are not finished, are missing or lack numbers.

  A run is missing if others of its setting ran with its seed, but it did not.

  Args:
    results: checked results.

  Returns:
    A list of sentences.
  """
  problems, rows = findings.remarks(results), findings.rows_by_run(results['rows'])
  names = {LABELS: 'label accuracy', SCORE: 'score'}
  for run in results['runs']:
    # Pretraining need not be scored.
    if run['phase'] != 'pretrain' or run['status'] != 'done' or run.get('damaged'):
      problems += findings.unfinished(run, rows[run['run']])
  for part, name in names.items():
    for setting in settings(results, part):
      metric = metric_of(results, part)
      seeds = sorted({run['seed'] for method in setting.methods
                      for run in runs_of(results, setting, method)})
      for method in setting.methods:
        runs = runs_of(results, setting, method)
        scored = findings.rows_by_run(rows_of(results, setting, method))
        for run in runs:
          problems += findings.gaps(run, scored[run['run']], metric, name)
        problems += [
            f'{findings.label(results, method)}, {setting.target}, {setting.num_labels:,} labels, '
            f'seed {seed}: missing.' for seed in seeds if seed not in {r['seed'] for r in runs}]
  return problems


def groups(results):
  """Returns (key, title, metric of agents or None, runs) of what is compared: by part and game."""
  found = {}
  for run in results['runs']:
    if run['phase'] != 'pretrain':
      found.setdefault((run['part'], run['target']), []).append(run)
  return [(f'{part}-{target}', f'{target}, ' + ('IDM alone' if part == LABELS else 'agents'),
           None if part == LABELS else score_metric(results), runs)
          for (part, target), runs in found.items()]


def majority(results, places):
  """Returns the label accuracy of always saying the most frequent action, mean over targets."""
  return float(np.mean([curves.value(results['games'][place], 'majority_accuracy')
                        for place in places]))


def levels(results, places, metric):
  """Returns {name: level} of a metric that needs no labels; NaN where it is not known."""
  if metric == ACCURACY:
    return {}
  game = results['games'][places[0]]
  return {'random': curves.value(game, 'random'), 'best of data': best_checkpoint(game)}
