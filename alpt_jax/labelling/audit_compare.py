"""Compares IDMs that were trained with a source to those without: is it worth using?

Both are audited on the same transitions, of which neither knew the action in training, and their
difference is paired: within one pair of runs by transition, with an interval over episodes; with
several pairs by training seed, with Student's t over seeds. An interval within one pair says how
sure the difference of these two IDMs is, not that of the next two: a verdict needs five pairs.

The dict, format 1, which `experiments.audit --compare` writes to compare.json. A mean is a
`floors.Mean`; what cannot be known is {'unknown': why}:

  format, command, created, versions, stride
  smallest_effect  difference of accuracies below which a source makes no difference
  pairs       list, by environment and seed:
    environment, kind, seed, label_seed, num_transitions, num_episodes; kind as in `audit`
    run, baseline   each {directory, step, method, sources, pretraining_also, accuracy, labels,
                    margin}: settings of a pretraining that the other lacks
                    (`paired_runs.unmatched`), a mean, the most frequent label as in `audit`, and by
                    how much it is above the best floor, None where floors are unknown
    difference      mean of run minus baseline, paired by transition
    floors, random_draws, ceiling   as in `run_floors.of_audit`; random_draws are those of `run`
  results     list, one for each environment, or one for targets of which every seed has its own:
    environment, num_pairs
    difference      {value, low, high, level, n, over}: over training seeds of several pairs, over
                    episodes of one
    p_value         of a paired t test; None for one pair
    verdict         {word, reason, detectable}: word is better, worse, no difference or
                    cannot tell: always the last of fewer than five pairs
  sentences   list of lines that say all of it
"""

import datetime

import numpy as np

from alpt_jax.files import versions
from alpt_jax.labelling import audit, audit_run, compare_findings, paired_runs
from alpt_jax.measures import floors, intervals, verdicts

FORMAT = 1
SMALLEST_EFFECT = .03
_WORDS = {'as expected': 'better', 'opposite': 'worse', 'no effect': 'no difference',
          'cannot tell': 'cannot tell', 'no verdict': 'cannot tell'}
_OWN_TARGETS = 'a target of its own for every seed'


def compare(pairs, *, environments=(), num_episodes=100, seed=0, stride=1,
            is_hidden=False, smallest_effect=SMALLEST_EFFECT, command='', progress=True):
  """Compares pairs of IDMs.

  Args:
    pairs: from `paired_runs.pair`.
    environments: names; () for the target of each pair.
    num_episodes: see `audit_run.audit_run`, as for the next three.
    seed: of the draw of episodes, and of all resampling.
    stride: transitions from one window of the IDM to the next.
    is_hidden: whether to take hidden transitions of episodes in which training knew others.
    smallest_effect: see the module; above 0.
    command: to make it again.
    progress: whether to write progress to standard error.

  Returns:
    The dict that the module describes.

  Raises:
    FileNotFoundError, ValueError: for data that is missing, changed, or cannot be compared.
  """
  specs = check(pairs, environments=environments, num_episodes=num_episodes, stride=stride,
                smallest_effect=smallest_effect)  # All, before hours are spent on the first.
  settings = dict(num_episodes=num_episodes, seed=seed, is_hidden=is_hidden, progress=progress)
  found = [[_compare(pair, spec, stride, settings) for spec in own]
           for pair, own in zip(pairs, specs, strict=True)]
  by_environment = list(zip(*found, strict=True))
  result = {
      'format': FORMAT, 'command': command, 'versions': versions.current(),
      'created': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      'stride': stride, 'smallest_effect': smallest_effect,
      'pairs': [one for group in by_environment for one in group],
      'results': [result_of(group, smallest_effect) for group in by_environment]}
  return result | {'sentences': [
      line for group, summary in zip(by_environment, result['results'], strict=True)
      for line in compare_findings.sentences(group, summary)]}


def check(pairs, *, environments, num_episodes, stride, smallest_effect):
  """Refuses settings of a comparison that make no sense.

  Args:
    pairs: from `paired_runs.pair`.
    environments: see `compare`, as for the others.
    num_episodes: of each environment.
    stride: in transitions.
    smallest_effect: a difference of accuracies.

  Returns:
    For each pair a list of the `types.EnvironmentSpec`s to compare it in.

  Raises:
    ValueError: naming the setting.
  """
  if not 0 < smallest_effect < 1:
    raise ValueError(f'smallest_effect is {smallest_effect}; expected a difference of accuracies, '
                     'in (0, 1).')
  specs = []
  for pair in pairs:
    trained = pair.run.trained
    if not audit_run.kind_of(trained.spec.actions).is_comparable:
      raise ValueError(f'{trained.directory}: actions have several parts; expected runs with one '
                       'action a step to compare. Audit both, and compare part by part.')
    names = tuple(environments) or (trained.config.target,)
    audit_run.check(trained.config, names, num_episodes=num_episodes, stride=stride)
    specs.append([audit_run.spec_of(trained, name) for name in names])
  return specs


def _compare(pair, spec, stride, settings):
  """An entry of `pairs`."""
  predictions = []
  for member in pair:
    trained = member.trained
    episodes = audit_run.read(trained, spec)
    found = audit_run.gather(trained, spec, episodes, [stride], **settings)
    predictions.append(found[stride])
    if found[stride].kind == audit.TRAINED_ON:
      raise ValueError(f'environments: {spec.name} was a source of {trained.directory}, whose '
                       'training knew all of its actions; expected an environment of which '
                       'neither run of a pair knew them.')
  ours, theirs = predictions
  _check_same(ours, theirs, pair)
  numbers = _measure(ours, theirs, settings['seed'])
  references = [audit_run.floors_of(member.trained, spec, episodes, predictions,
                                    seed=settings['seed'])
                for member, predictions in zip(pair, (ours, theirs), strict=True)]
  for name, member, other, found in zip(('run', 'baseline'), pair, reversed(pair), references,
                                        strict=True):
    trained = member.trained
    numbers[name] = {
        'directory': str(trained.directory), 'step': trained.step, 'method': trained.config.method,
        'sources': list(member.sources),
        'pretraining_also': paired_runs.unmatched(member, other),
        'margin': found['floors'].pop('margin', None)} | numbers[name]
  config = pair.run.trained.config
  return {'environment': spec.name, 'seed': config.seed, 'label_seed': config.label_seed} | (
      numbers | references[0])


def _check_same(ours, theirs, pair):
  """Refuses predictions of other transitions, which other labels or other data would bring."""
  fields = ('name', 'kind', 'actions', 'episodes', 'timesteps', 'action_names')
  for field in fields:
    if not np.array_equal(getattr(ours, field), getattr(theirs, field)):
      raise ValueError(f'{ours.name}: {field} of the transitions that {pair.run.trained.directory} '
                       f'is judged on differ from those of {pair.baseline.trained.directory}; '
                       'expected the same. Give both the same data and the same labels.')


def _measure(ours, theirs, seed):
  """Compares a pair's two `audit.Predictions` of the same transitions, transition by transition."""
  labels = [x.probabilities.argmax(axis=1) for x in (ours, theirs)]
  is_right = [(said == ours.actions).astype(float) for said in labels]
  found = {'kind': ours.kind, 'num_transitions': len(ours.actions),
           'num_episodes': len(np.unique(ours.episodes))}
  for name, said, right in zip(('run', 'baseline'), labels, is_right, strict=True):
    found[name] = {
        'accuracy': floors.mean(right, ours.episodes, seed=seed)._asdict(),
        'labels': audit.about_labels(said, ours.action_names)}
  return found | {'difference': floors.mean(
      is_right[0] - is_right[1], ours.episodes, seed=seed)._asdict()}


def result_of(group, smallest_effect):
  """Makes an entry of `results`."""
  names = {one['environment'] for one in group}
  accuracies = [{one['seed']: one[key]['accuracy']['value'] for one in group}
                for key in ('run', 'baseline')]
  comparison = intervals.difference(*accuracies)
  verdict = verdicts.judge(comparison, sign='higher', smallest_effect=smallest_effect)
  interval = comparison.interval
  if len(group) == 1:
    only = group[0]['difference']
    interval = intervals.Interval(only['value'], only['low'], only['high'], only['num_episodes'],
                                  intervals.EPISODES)
  return {
      'environment': names.pop() if len(names) == 1 else _OWN_TARGETS, 'num_pairs': len(group),
      'difference': {key: getattr(interval, key)
                     for key in ('value', 'low', 'high', 'level', 'n', 'over')},
      'p_value': comparison.p_value,
      'verdict': {'word': _WORDS[verdict.word], 'reason': verdict.reason,
                  'detectable': verdict.detectable}}
