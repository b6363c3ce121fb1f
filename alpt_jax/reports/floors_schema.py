"""The floors of a run in results.json and in run files: what they hold, and their check.

`floors` of a run, None or absent where they were not measured, is what `run_floors.measure` says of
it without what belongs to other runs:

  labels  None, or {step, most_frequent: {action, share}, is_constant} and, of labels that are not
          constant, accuracy, floors (majority, table, linear: None where one does not apply; margin
          of the accuracy above the best of them, which older ones lack), random_draws, ceiling
          (expected, realised) and, absent or None where it was not measured, voted (accuracy,
          floors), of labels that all windows voted on
  agent   None, unknown, or {loss, exchanged_loss, rise, is_blind, num_windows, by_loss, by_score};
          older ones lack the last two, and is_blind is by the loss alone; data_digest of the other
          recording that it was looked at on, if it was
  as_labeller  absent, or, of a run without an IDM, labels that its DT gives: {step, most_frequent,
               is_constant, accuracy, floors} as in labels
  scores  None, unknown, or {protocol, agents: {name: {score, standard_error, num_episodes}}}
  checkpoints  absent, or a list of at most one: the recording's best, {mean_score} and, if they are
               known, std_score (population) and num_episodes of its play, and the protocol by which
               it was recorded, not that of agents: sticky, max_steps
  versions  {package: version} that measured all this, which may be later than those that trained;
            older ones have none

A mean is {value, low, high, num_transitions, num_episodes}; what is unknown is {unknown: why}.
"""

import numbers

from alpt_jax.reports import fields

FLOORS = ('majority', 'table', 'linear')
CEILINGS = ('expected', 'realised')


def is_known(entry):
  """Whether there is an entry, and it is not unknown."""
  return bool(entry) and 'unknown' not in entry


def check(floors, where):
  """Refuses floors of a run that lack a field or hold something else.

  Args:
    floors: of a run; may be None.
    where: what messages call them.

  Raises:
    ValueError: naming the first bad field.
  """
  if floors is None:
    return
  fields.check(floors, {}, where)
  for name, check_one in (('labels', _check_labels), ('agent', _check_agent),
                          ('as_labeller', _check_labeller), ('scores', _check_scores)):
    entry, place = floors.get(name), f'{where}.{name}'
    if entry is None:
      continue
    fields.check(entry, {}, place)
    if 'unknown' in entry:
      fields.check(entry, {'unknown': str}, place)
    else:
      check_one(entry, place)
  checkpoints = floors.get('checkpoints', [])
  if not isinstance(checkpoints, list):
    fields.fail(f'{where}.checkpoints', fields.shown(checkpoints), 'a list')
  for i, checkpoint in enumerate(checkpoints):
    fields.check(checkpoint, {'mean_score': numbers.Real}, f'{where}.checkpoints[{i}]')
    fields.check_numbers(checkpoint, f'{where}.checkpoints[{i}]')


def _check_labels(labels, where):
  _check_share(labels, where)
  if labels['is_constant']:
    return
  fields.check(labels, {'accuracy': dict, 'floors': dict, 'random_draws': dict, 'ceiling': dict},
               where)
  _check_mean(labels['accuracy'], f'{where}.accuracy')
  for name in (*FLOORS, 'margin'):
    if labels['floors'].get(name) is not None:
      _check_mean(labels['floors'][name], f'{where}.floors.{name}')
  if labels.get('voted') is not None:
    _check_voted(labels['voted'], f'{where}.voted')
  if is_known(labels['random_draws']):
    _check_mean(labels['random_draws'], f'{where}.random_draws')
  if is_known(labels['ceiling']):
    for name in CEILINGS:
      _check_mean(labels['ceiling'].get(name), f'{where}.ceiling.{name}')


def _check_share(labels, where):
  fields.check(labels, {'step': numbers.Real, 'most_frequent': dict, 'is_constant': bool}, where)
  fields.check(labels['most_frequent'], {'action': str, 'share': numbers.Real},
               f'{where}.most_frequent')


def _check_labeller(labels, where):
  _check_share(labels, where)
  _check_voted(labels, where)


def _check_voted(voted, where):
  fields.check(voted, {'accuracy': dict, 'floors': dict}, where)
  _check_mean(voted['accuracy'], f'{where}.accuracy')
  for name in FLOORS:
    if voted['floors'].get(name) is not None:
      _check_mean(voted['floors'][name], f'{where}.floors.{name}')


def _check_agent(agent, where):
  fields.check(agent, dict.fromkeys(('loss', 'exchanged_loss', 'num_windows'), numbers.Real), where)
  fields.check(agent, {'rise': dict}, where)
  _check_mean(agent['rise'], f'{where}.rise')
  if 'is_blind' not in agent:
    fields.fail(f'{where}.is_blind', 'is missing', 'true, false or null')
  for name in ('is_blind', 'by_loss'):
    _check_verdict(agent, name, where)
  by_score, place = agent.get('by_score', {}), f'{where}.by_score'
  fields.check(by_score, {}, place)
  if is_known(by_score):
    fields.check(by_score, dict.fromkeys(
        ('score', 'exchanged_score', 'num_games', 'delay'), numbers.Real), place)
    fields.check_numbers({key: by_score.get(key) for key in (
        'low', 'high', 'drop_low', 'drop_high')}, place)
    _check_verdict(by_score, 'is_blind', place)


def _check_verdict(record, name, where):
  if not isinstance(record.get(name), bool | None):
    fields.fail(f'{where}.{name}', fields.shown(record[name]), 'true, false or null')


def verdicts(agent):
  """Reads what the criteria of blindness say of an agent.

  Args:
    agent: the entry `agent` of a run's floors, known.

  Returns:
    (by its loss, by its score): True for blind, False, or None where it cannot be told.
  """
  return (agent.get('by_loss', agent['is_blind']), agent.get('by_score', {}).get('is_blind'))


def _check_scores(scores, where):
  fields.check(scores, {'protocol': dict, 'agents': dict}, where)
  if not scores['agents']:
    fields.fail(f'{where}.agents', 'is empty', 'at least one agent')
  for name, about in scores['agents'].items():
    place = f'{where}.agents.{name}'
    fields.check(about, {'score': numbers.Real, 'num_episodes': numbers.Real}, place)
    fields.check_numbers({'standard_error': about.get('standard_error')}, place)


def _check_mean(mean, where):
  fields.check(mean, {'value': numbers.Real}, where)
  fields.check_numbers({key: mean.get(key) for key in (
      'low', 'high', 'num_transitions', 'num_episodes')}, where)
