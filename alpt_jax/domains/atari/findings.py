"""What the Atari experiment measured: labels, scores, and the paper's claims about them.

A setting is a target game with so many labels, in one of two parts: 'labels' (the IDM alone, by the
share of hidden actions that it labels right) or 'score' (agents, by the points they make). Claims
are measured, with intervals over training seeds, and not judged: verdicts are for registered
hypotheses only. Failed runs are in no mean.
"""

import collections
import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from alpt_jax import methods
from alpt_jax.domains.atari import action_sets
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


class Comparison(NamedTuple):
  """Two methods in one setting.

  Attributes:
    setting: where.
    method: should be higher, if the claim is right.
    baseline: than this.
    pairs: a `curves.PairedDifference` of the last evaluations.
  """
  setting: Setting
  method: str
  baseline: str
  pairs: curves.PairedDifference


@dataclasses.dataclass(frozen=True)
class Claim:
  """What the paper says.

  Attributes:
    text: the claim.
    section: of the paper.
    part: by what it is measured.
    pairs: of (results, setting), the (method, baseline) pairs to compare.
    figure: of the paper, that shows it; the results of another one say nothing about it.
  """
  text: str
  section: str
  part: str
  pairs: Callable
  figure: str


@dataclasses.dataclass(frozen=True)
class Finding:
  """A claim, measured.

  Attributes:
    claim: the claim.
    comparisons: tuple of `Comparison`.
    verdict: 'exploratory', or 'not measured' without comparisons.
  """
  claim: Claim
  comparisons: tuple[Comparison, ...]
  verdict: str


def _learners(results, setting):
  """{method: sources} of the methods that a claim about sources can be about."""
  return {m: sources_of(results, setting, m) for m in setting.methods
          # Sees the past only; learns from sources that were changed.
          if not {'is_floor', 'is_control'} & {k for k, v in results['methods'][m].items() if v}
          and (setting.part == LABELS or m == 'dt1_idm'
               or m.startswith('alpt') and m != 'alpt_idm_only')}


def _most_sources_over_none(results, setting):
  sources = _learners(results, setting)
  most = max(map(len, sources.values()), default=0)
  return [(m, without) for m in sources if most and len(sources[m]) == most
          for without in sources if not sources[without]]


def _one_disjoint_source_over_none(results, setting):
  sources = _learners(results, setting)
  return [(m, without) for m in sources
          if len(sources[m]) == 1 and is_disjoint(setting.target, sources[m][0])
          for without in sources if not sources[without]]


def _more_sources_over_fewer(results, setting):
  sources = {m: s for m, s in _learners(results, setting).items() if s}
  sizes = sorted({len(s) for s in sources.values()})
  return [(more, fewer) for low, high in itertools.pairwise(sizes)
          for more in sources if len(sources[more]) == high
          for fewer in sources if len(sources[fewer]) == low]


def _alpt_over(baseline):
  def pairs(results, setting):
    learners = _learners(results, setting)
    alpt = {m: s for m, s in learners.items() if s}
    most = max(map(len, alpt.values()), default=0)
    return [(m, baseline) for m, s in alpt.items()
            if len(s) == most and baseline in setting.methods]
  return pairs


def _every_alpt_over_dt1_idm(results, setting):
  return [(m, 'dt1_idm') for m, sources in _learners(results, setting).items()
          if sources and 'dt1_idm' in setting.methods]


def _idm_only_over_dt1_idm(results, setting):
  del results
  return ([('alpt_idm_only', 'dt1_idm')]
          if {'alpt_idm_only', 'dt1_idm'} <= set(setting.methods) else [])


_ONLY_DISJOINT = 'only targets that share no action with the source, but doing nothing, count'
CLAIMS = (
    Claim('Training the IDM on source games, too, gives better labels of the target than training '
          'it on the target only', 'Section 5.3: “most generalization benefits are occurring due '
          'to the IDM pretraining”; the paper shows scores, not labels', LABELS,
          _most_sources_over_none, '2'),
    Claim('A single source whose actions are disjoint from the target’s (Freeway) gives better '
          'labels', f'Section 5.5, there by scores; {_ONLY_DISJOINT}', LABELS,
          _one_disjoint_source_over_none, '4'),
    Claim('A single source whose actions are disjoint from the target’s (Freeway) gives higher '
          'scores', f'Section 5.5: “significant benefits”; {_ONLY_DISJOINT}', SCORE,
          _one_disjoint_source_over_none, '4'),
    Claim('More sources give better labels', 'Section 5.4, there by scores', LABELS,
          _more_sources_over_fewer, '3'),
    Claim('More sources give higher scores', 'Section 5.4: “target game performance improves with '
          'more source games”', SCORE, _more_sources_over_fewer, '3'),
    Claim('ALPT with more sources scores higher than DT1-IDM, which knows the target only',
          'Section 5.4: “we compare pretraining with ALPT to training DT1-IDM on each target game '
          'alone”', SCORE, _every_alpt_over_dt1_idm, '3'),
    Claim('ALPT scores higher than DT1-IDM, which knows the target only', 'Section 5.3: “up to '
          '≈500% higher”', SCORE, _alpt_over('dt1_idm'), '2'),
    Claim('ALPT scores higher than DT1, which trains on the labelled part alone', 'Section 5.3: '
          'DT1 “is poor”', SCORE, _alpt_over('dt1'), '2'),
    Claim('ALPT scores higher than DT5, which pretrains the DT but has no IDM', 'Section 5.3: '
          '“performance is not recovered under pretraining only the sequence model”', SCORE,
          _alpt_over('dt5'), '2'),
    Claim('ALPT scores higher than DT5-RET, which trains returns on unlabelled data', 'Section '
          '5.3: “is poor”', SCORE, _alpt_over('dt5_ret'), '2'),
    Claim('Pretraining the IDM alone already scores higher than DT1-IDM', 'Section 5.3, Figure 6: '
          '“this variant maintains strong performance compared to DT1-IDM”; that it does as well '
          'as ALPT is not measured', SCORE, _idm_only_over_dt1_idm, '6'),
)


def is_disjoint(target, source):
  """Whether two games share no action but doing nothing; False if a game is not known."""
  known = action_sets.MINIMAL_ACTIONS
  return (target in known and source in known
          and set(known[target]) & set(known[source]) <= {action_sets.ACTION_NAMES.index('NOOP')})


def _final_by_seed(results, setting, method, metric):
  rows = findings.final_rows(results, rows_of(results, setting, method)).values()
  return {row['seed']: curves.value(row, metric) for row in rows}


def claims(results):
  """Measures the paper's claims.

  Args:
    results: checked results.

  Returns:
    A `Finding` per claim.
  """
  found, figure = [], results.get('figure')
  for claim in CLAIMS:
    if figure and claim.figure != figure:
      continue
    comparisons, metric = [], metric_of(results, claim.part)
    # Agents have IDMs, too: where none was trained alone, those are compared.
    for setting in settings(results, claim.part) or settings(results, SCORE):
      for method, baseline in claim.pairs(results, setting):
        pairs = curves.paired_difference(
            _final_by_seed(results, setting, method, metric),
            _final_by_seed(results, setting, baseline, metric))
        comparisons.append(Comparison(setting, method, baseline, pairs))
    found.append(Finding(claim, tuple(comparisons),
                         'exploratory' if comparisons else 'not measured'))
  return found


def largest_gain(results):
  """How much more ALPT scores than DT1-IDM in each game, as a `findings.ClaimRow`.

  The paper says "up to 500 %" and gives no spread; here every gain has the interval of its
  difference, over the seeds that both have.

  Args:
    results: checked results.

  Returns:
    None if the results are of a figure that does not show it, or lack the two methods.
  """
  if results.get('figure') not in (None, '2'):
    return None
  metric, gains = score_metric(results), {}
  for setting in settings(results, SCORE):
    for method, baseline in _alpt_over('dt1_idm')(results, setting):
      pairs = curves.paired_difference(*(_final_by_seed(results, setting, m, metric)
                                         for m in (method, baseline)))
      if pairs.num_pairs and pairs.baseline_mean > 0:
        low, high, n, reason = pairs.interval
        gains[setting.target] = (
            f'{100 * pairs.difference / pairs.baseline_mean:+.0f} %, difference '
            f'{pairs.difference:.1f} ' + (reason or f'[{low:.1f}, {high:.1f}], n = {n}'))
  if not gains:
    return None
  return findings.ClaimRow(
      'Section 5.3', 'ALPT scores up to ≈500 % higher than training on the target alone, most '
      'in Breakout and Seaquest', 'gain of the mean score over DT1-IDM: ' + '; '.join(
          f'{game} {gain}' for game, gain in gains.items()), 'exploratory')


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
