"""Places the runs of an Atari study between floors and ceiling, and finds blind agents.

Rows for tables, from the `floors` of runs (see `floors_schema`). Of one run, intervals are over its
episodes; of several, between training seeds (Student's t); `Interval.over` says which. A floor of
one seed is compared with the run of that seed only, as both have the same labels. No verdicts here:
floors are no arms of a study.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.measures import blindness, curves, intervals
from alpt_jax.reports import findings, floors_schema

FLOOR, METHOD, CEILING = 'floor', 'method', 'ceiling'
AS_LABELLER = ' as labeller, told the return-to-go'  # Ends the names of rows of agents that label.
MAJORITY, TABLE, LINEAR = 'Most frequent action', 'Table of the change', 'Linear map of the change'
_FLOORS = dict(zip(floors_schema.FLOORS, (MAJORITY, TABLE, LINEAR), strict=True))
CEILING_NAME = 'Ceiling (all actions tried)'


class LabelRow(NamedTuple):
  """A floor, a method or the ceiling of the label accuracy of a setting.

  Attributes:
    name: for readers.
    kind: FLOOR, METHOD or CEILING.
    accuracy: `intervals.Interval`; None if all runs have constant labels.
    above_floor: `intervals.Interval` of (accuracy - highest floor) / (ceiling - highest floor); of
      one run without ends; None of what is no method, or without a ceiling above the floors.
    share: mean share of the most frequent label, in [0, 1]; None where there is none.
    action: the most frequent label; '' if runs differ in it.
    random_draws: `intervals.Interval` of the accuracy where actions were drawn at random, or None.
    voted: `intervals.Interval` of the accuracy where all windows vote, or None.
    num_runs: that are done.
    num_constant: of them, runs whose labels are constant; only `share` is of them, too.
  """
  name: str
  kind: str
  accuracy: Any
  above_floor: Any = None
  share: float | None = None
  action: str = ''
  random_draws: Any = None
  voted: Any = None
  num_runs: int = 0
  num_constant: int = 0


class AgentRow(NamedTuple):
  """An agent of a setting, with what its score is worth.

  Attributes:
    name: of the method.
    score: `intervals.Interval` of the mean score; of one run without ends.
    standard_error: of the score of one run, over its games; None of several runs, or of one game.
    num_games: of all runs.
    num_cut: of them, games that were cut; None if it is unknown.
    best_blind: name of the agent that looks at nothing and scores most, '' if none is known.
    blind_score: its score; None if unknown.
    random: score of random play in the same protocol; None if unknown.
    best_checkpoint: the highest mean score among the checkpoints of the recording; NaN if unknown.
    checkpoint: `intervals.Interval` of it over its episodes (Student's t); None if only the mean is
      known.
    recorded: protocol by which it was recorded, {sticky, max_steps}; {} if unknown.
    played: protocol of the agents; {} if unknown.
    share: of the most frequent action, mean over runs; None if unknown.
    longest_run: most steps in a row with one action; None if unknown.
    rise: `intervals.Interval`, nats that exchanging the images adds to the loss; None if unknown.
    own_score, exchanged_score: mean scores with own and with exchanged images, of the runs that
      have both; None if none has.
    num_agents: runs of which is known what exchanged images do to them.
    num_blind: runs that are called blind, by their loss or their score.
    num_looking: runs that look by both; of the others, one of them cannot be told.
    by_loss, by_score: the same of each criterion, (blind, looking).
    is_held_out: whether all of them were judged on episodes of which training knew no action.
  """
  name: str
  score: Any
  standard_error: float | None
  num_games: int
  num_cut: int | None
  best_blind: str
  blind_score: float | None
  random: float | None
  best_checkpoint: float
  checkpoint: Any
  recorded: dict[str, float]
  played: dict[str, float]
  share: float | None
  longest_run: int | None
  rise: Any
  own_score: float | None
  exchanged_score: float | None
  num_agents: int
  num_blind: int
  num_looking: int
  by_loss: tuple[int, int]
  by_score: tuple[int, int]
  is_held_out: bool

  @property
  def of_best(self):
    """(score - random) / (best checkpoint - random); NaN if one of them is unknown."""
    if self.random is None or not self.best_checkpoint > self.random:
      return math.nan
    return (self.score.value - self.random) / (self.best_checkpoint - self.random)


def is_floor(results, method):
  """Returns whether the IDM of a method sees the past only, so that it is a floor of the others."""
  return bool(results['methods'].get(method, {}).get('is_floor'))


def _done(results, setting, method, entry):
  """Runs of a method that are done and whose floors have an entry, as (run, entry)."""
  found = [(run, (run.get('floors') or {}).get(entry))
           for run in setting.runs[method] if run['status'] == 'done']
  return [(run, about) for run, about in found if floors_schema.is_known(about)]


def _over_runs(means):
  """The `Interval` of means, one a run: over the episodes of the only one, or over seeds."""
  if not means:
    return None
  if len(means) > 1:
    return intervals.mean([mean['value'] for mean in means])
  mean, = means
  reason = '' if mean.get('low') is not None else 'no interval: one episode'
  return intervals.Interval(mean['value'], mean.get('low'), mean.get('high'),
                            mean.get('num_episodes') or 0, intervals.EPISODES, reason=reason)


def _top(labels):
  """The higher mean of a run's ceiling; None if it is unknown."""
  if not floors_schema.is_known(labels['ceiling']):
    return None
  return max((labels['ceiling'][key] for key in floors_schema.CEILINGS),
             key=lambda mean: mean['value'])


def label_rows(results, setting):
  """Tabulates floors, methods and ceiling of label accuracy.

  Args:
    results: checked results.
    setting: a `findings.Setting`.

  Returns:
    A list of `LabelRow`, floors first; empty if no run of the setting has floors.
  """
  by_method = {m: _done(results, setting, m, 'labels') for m in setting.methods}
  varied = {m: {run['seed']: labels for run, labels in found if not labels['is_constant']}
            for m, found in by_method.items()}
  labellers = _labellers(results, setting)
  by_seed = {}  # Of a seed, any run: all have the same labels.
  for runs in varied.values():
    by_seed = runs | by_seed
  rows = []
  for key, name in _FLOORS.items():
    means = [labels['floors'][key] for labels in by_seed.values() if labels['floors'].get(key)]
    if means:
      rows.append(LabelRow(name, FLOOR, _over_runs(means), num_runs=len(means)))
  pasts = [*(varied[m] for m in varied if is_floor(results, m)), *labellers.values()]
  if by_seed:
    rows += [_labeller_row(results, m, by_run) for m, by_run in labellers.items()]
  order = sorted(by_method, key=lambda m: not is_floor(results, m))
  rows += [_method_row(results, m, by_method[m], varied[m], pasts) for m in order if by_method[m]]
  tops = [top for top in map(_top, by_seed.values()) if top]
  if tops:
    rows.append(LabelRow(CEILING_NAME, CEILING, _over_runs(tops[:1])))  # Of the recording.
  return rows


def _labellers(results, setting):
  """{method: {seed: labels of its agent}} of agents with the labels of a setting of IDMs."""
  found = {}
  for run in results['runs']:
    about = (run.get('floors') or {}).get('as_labeller')
    if run['status'] == 'done' and floors_schema.is_known(about) and (
        run['target'], run['num_labels']) == (setting.target, setting.num_labels):
      found.setdefault(run['method'], {})[run['seed']] = about
  return found


def _most_frequent(found):
  """Mean share of the most frequent label; which it is, '' if runs differ in it."""
  actions = {labels['most_frequent']['action'] for labels in found}
  return (float(np.mean([labels['most_frequent']['share'] for labels in found])),
          actions.pop() if len(actions) == 1 else '')


def _labeller_row(results, method, by_seed):
  return LabelRow(
      f'{findings.label(results, method)}{AS_LABELLER}', FLOOR,
      _over_runs([about['accuracy'] for about in by_seed.values()]), None,
      *_most_frequent(by_seed.values()), num_runs=len(by_seed))


def _method_row(results, method, found, varied, pasts):
  draws = [labels['random_draws'] for labels in varied.values()
           if floors_schema.is_known(labels['random_draws'])]
  voted = [labels['voted']['accuracy'] for labels in varied.values() if labels.get('voted')]
  kind = FLOOR if is_floor(results, method) else METHOD
  reached = [] if kind == FLOOR else [x for x in (
      _above_floor(labels, [past[seed] for past in pasts if seed in past])
      for seed, labels in varied.items()) if x is not None]
  return LabelRow(
      findings.label(results, method), kind,
      _over_runs([labels['accuracy'] for labels in varied.values()]),
      intervals.mean(reached) if reached else None,
      *_most_frequent([labels for _, labels in found]), _over_runs(draws), _over_runs(voted),
      len(found), len(found) - len(varied))


def _above_floor(labels, pasts):
  """How much of what lies between the highest floor and the ceiling a run's labels reach."""
  top, highest = _top(labels), best_floor(labels, pasts)
  if top is None or not top['value'] > highest:
    return None
  return (labels['accuracy']['value'] - highest) / (top['value'] - highest)


def best_floor(labels, pasts=()):
  """Finds the highest floor of a run.

  Args:
    labels: of its floors, not constant.
    pasts: the same of runs with the same labels that do not see the next observation: IDMs that
      see the past only, and agents, which are told the return-to-go.

  Returns:
    An accuracy, in [0, 1].
  """
  means = [labels['floors'].get(key) for key in floors_schema.FLOORS]
  return max(mean['value'] for mean in (*means, *(past['accuracy'] for past in pasts)) if mean)


def agent_rows(results, setting):
  """Tabulates agents, what they are compared with, and whether they look.

  Args:
    results: checked results.
    setting: a `findings.Setting` of scores.

  Returns:
    A list of `AgentRow`, of methods with runs that are done and have floors.
  """
  rows = []
  for method in (*setting.methods, *setting.bounds):
    last = findings.final_rows(results, findings.rows_of(results, setting, method))
    runs = [run for run in setting.runs[method]
            if run.get('floors') and math.isfinite(_number(last, run, 'score', results))]
    if runs:
      rows.append(_agent_row(results, setting, method, runs, last))
  return rows


def _number(last, run, name, results):
  column = findings_atari.score_metric(results).replace('score', name)
  return curves.value(last.get(run['run'], {}), column)


def _agent_row(results, setting, method, runs, last):
  numbers = {name: [_number(last, run, name, results) for run in runs] for name in (
      'score', 'score_std', 'num_episodes', 'num_cut', 'most_frequent_share', 'longest_run')}
  games = sum(n for n in numbers['num_episodes'] if math.isfinite(n))
  known = {name: np.isfinite(values).all() for name, values in numbers.items()}
  error = None
  if len(runs) == 1 and known['score_std'] and games > 1:
    error = numbers['score_std'][0] / math.sqrt(games - 1)  # A population deviation.
  blind = blind_scores(runs)
  best = max(blind, key=blind.get, default='')
  agents = [run['floors']['agent'] for run in runs
            if floors_schema.is_known(run['floors'].get('agent'))]
  by_loss, by_score = zip(*map(floors_schema.verdicts, agents), strict=True) if agents else ((), ())
  num_blind, num_looking = _counts(map(blindness.overall, by_loss, by_score))
  played = [agent['by_score'] for agent in agents if floors_schema.is_known(agent.get('by_score'))]
  both = [float(np.mean([by_score[name] for by_score in played])) if played else None
          for name in ('score', 'exchanged_score')]
  checkpoint = _best_checkpoint(results['games'][setting.target], runs)
  return AgentRow(
      findings.label(results, method), intervals.mean(numbers['score']), error, int(games),
      int(sum(numbers['num_cut'])) if known['num_cut'] else None, best, blind.get(best),
      blind.get('random'), curves.value(checkpoint, 'mean_score'), _interval_of(checkpoint),
      _protocol(checkpoint), _protocol(*(
          run['floors']['scores']['protocol'] for run in runs[:1]
          if floors_schema.is_known(run['floors'].get('scores')))),
      float(np.mean(numbers['most_frequent_share'])) if known['most_frequent_share'] else None,
      int(max(numbers['longest_run'])) if known['longest_run'] else None,
      _over_runs([agent['rise'] for agent in agents]),
      *both, len(agents), num_blind, num_looking, _counts(by_loss), _counts(by_score),
      all(agent.get('is_held_out') for agent in agents))


def _best_checkpoint(game, runs):
  """What is known of the best checkpoint of a game's recording; {} if there is none."""
  # Runs say by which protocol it was recorded, too.
  known = [checkpoint for run in runs for checkpoint in run['floors'].get('checkpoints') or ()]
  if known:
    return max(known, key=len)  # Older run files say less.
  scored = [checkpoint for checkpoint in game['checkpoints']
            if math.isfinite(curves.value(checkpoint, 'mean_score'))]
  return max(scored, key=lambda checkpoint: checkpoint['mean_score'], default={})


def _interval_of(checkpoint):
  value, std, n = (curves.value(checkpoint, key)
                   for key in ('mean_score', 'std_score', 'num_episodes'))
  return intervals.from_moments(value, std, int(n)) if math.isfinite(value + std + n) else None


def _protocol(record=None):
  return {key: record[key] for key in ('sticky', 'max_steps')
          if record and record.get(key) is not None}


def _counts(verdicts):
  """How many of some verdicts are blind, and how many looking."""
  verdicts = list(verdicts)
  return verdicts.count(True), verdicts.count(False)


def blind_scores(runs):
  """Returns {name: score} of blind agents, from the first of some runs that has them."""
  for run in runs:
    scores = (run.get('floors') or {}).get('scores')
    if floors_schema.is_known(scores):
      return {name: about['score'] for name, about in scores['agents'].items()}
  return {}


def levels(results, setting):
  """Returns the levels that need no training, for a picture of the setting.

  Args:
    results: checked results.
    setting: a `findings.Setting`.

  Returns:
    {name: level}: of labels, floors without a network and the ceiling; of scores, random play and
    the best agent that looks at nothing. Empty if they were not measured.
  """
  if setting.part == findings.LABELS:
    names = {MAJORITY: 'majority', CEILING_NAME: 'ceiling', LINEAR: 'linear map',
             TABLE: 'table'}
    return {names[row.name]: row.accuracy.value for row in label_rows(results, setting)
            if row.name in names and row.accuracy}
  blind = blind_scores([run for method in setting.methods
                        for run in setting.runs[method]])
  if not blind:
    return {}
  return {'random': blind['random'], 'best blind': max(blind.values())}
