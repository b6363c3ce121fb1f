"""Schema of a run's floors in results.json and in run files.

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
OF_RUN is the form, for `schema.check`.
"""

from alpt_jax import schema

FLOORS = ('majority', 'table', 'linear')
CEILINGS = ('expected', 'realised')


def is_known(entry):
  """Returns whether there is an entry, and it is not unknown."""
  return bool(entry) and 'unknown' not in entry


def verdicts(agent):
  """Reads what the criteria of blindness say of an agent.

  Args:
    agent: the entry `agent` of a run's floors, known.

  Returns:
    (by its loss, by its score): True for blind, False, or None where it cannot be told.
  """
  return (agent.get('by_loss', agent['is_blind']), agent.get('by_score', {}).get('is_blind'))


def _check_labels(labels, where):
  if not labels['is_constant']:
    schema.check(labels, _COMPARED, where)


_UNKNOWN = {'unknown': str}
_MEAN = {'value': float} | schema.optional(
    schema.NUMBER, 'low', 'high', 'num_transitions', 'num_episodes')
_VOTED = {'accuracy': _MEAN, 'floors': schema.optional((_MEAN, None), *FLOORS, 'margin')}
_COMPARED = _VOTED | {
    'random_draws': (_UNKNOWN, _MEAN), 'ceiling': (_UNKNOWN, dict.fromkeys(CEILINGS, _MEAN)),
    'voted?': (_VOTED, None)}
_LABELS = {'step': float, 'most_frequent': {'action': str, 'share': float}, 'is_constant': bool}
_VERDICT = (bool, None)
_BY_SCORE = dict.fromkeys(('score', 'exchanged_score', 'num_games', 'delay'), float) | {
    'is_blind?': _VERDICT} | schema.optional(schema.NUMBER, 'low', 'high', 'drop_low', 'drop_high')
_AGENT = dict.fromkeys(('loss', 'exchanged_loss', 'num_windows'), float) | {
    'rise': _MEAN, 'is_blind': _VERDICT, 'by_loss?': _VERDICT, 'by_score?': (_UNKNOWN, _BY_SCORE)}
_SCORES = {'protocol': dict, 'agents': schema.filled({str: {
    'score': float, 'num_episodes': float, 'standard_error?': schema.NUMBER}})}
_CHECKPOINT = {'mean_score': float} | schema.optional(
    schema.NUMBER, 'std_score', 'num_episodes', 'sticky', 'max_steps')
OF_RUN = {
    'labels?': (_UNKNOWN, schema.Also(_LABELS, _check_labels), None),
    'agent?': (_UNKNOWN, _AGENT, None), 'as_labeller?': (_UNKNOWN, _LABELS | _VOTED, None),
    'scores?': (_UNKNOWN, _SCORES, None), 'checkpoints?': [_CHECKPOINT]}
