"""Labels hidden transitions with a DT: a floor for IDMs that uses no next observation.

A DT that was trained on the labelled windows predicts what is done; it sees neither the next
observation nor the action. Its label of a transition is the most probable legal action given the
observations up to o[t], the rewards before it, and the recorded return-to-go. The return-to-go is
the sum of the rewards still to come, so the labels are not of the past alone, and where rewards are
frequent they may tell of the action. Past actions in its window are true where training knew them
and its own labels elsewhere, from the start of the episode on: hidden actions are not shown to it,
and a mark for unknown ones, which the network has, never occurs in windows of which all actions are
known.
"""

import jax
import numpy as np

from alpt_jax.labelling import voted_labels
from alpt_jax.learners import action_heads, alpt
from alpt_jax.networks import discretize

_ROWS = 50  # Episodes of one call.
_CHUNK = 50  # Transitions of each that are read at a time.


def label(trained, truth, directory, *, num_transitions, seed=0):
  """Labels hidden transitions of some episodes.

  Args:
    trained: `blindness.TrainedDt`.
    truth: `episodes.Episodes` of its target, with all actions.
    directory: of the run.
    num_transitions: as in `voted_labels.label`: with the same number and seed, an IDM of the same
      labels is judged on the same transitions.
    seed: of that draw.

  Returns:
    Episode, timestep, label and true action, [N] int64 each, sorted by episode and timestep: of the
    transitions whose action is recorded, and was hidden in training.

  Raises:
    FileNotFoundError, ValueError: if the run does not say which actions it knew, or actions have
      several parts.
  """
  config = trained.config
  voted_labels.check_one_action(trained.dt.spec)
  was_known = voted_labels.known_in_training(directory, config, truth)
  numbers = voted_labels.draw(truth.num_transitions, num_transitions, seed)
  predict_fn = jax.jit(make_predict_fn(trained.dt))
  # Of like length together, as the longest of a call decides how long it takes.
  order = numbers[np.argsort(-truth.num_transitions[numbers], kind='stable')]
  said = {}
  for first in range(0, len(order), _ROWS):
    some = order[first:first + _ROWS]
    rows = np.resize(some, min(_ROWS, len(order)))  # One shape for all.
    said |= dict(zip(some.tolist(), _label(
        predict_fn, trained.params, truth, rows, was_known, config.window), strict=False))
  return voted_labels.hidden(truth, was_known, ((n, said[n]) for n in numbers.tolist()))


def make_predict_fn(dt):
  """Makes the prediction of one action in each of some windows.

  Args:
    dt: the `DecisionTransformer`.

  Returns:
    predict(params, observations [B, T, ...], returns_to_go, actions, rewards [B, T], slot []) ->
    [B] int32: the most probable legal action at `slot` of the window. What is in later slots, and
    the action and reward of `slot` itself, do not matter.
  """
  spec = dt.spec
  legal, head = alpt.legal_actions([spec]), action_heads.of(spec.actions)

  def predict(params, observations, returns_to_go, actions, rewards, slot):
    returns = discretize.encode_return(
        returns_to_go, low=spec.return_low, high=spec.return_high)
    logits = dt.apply({'params': params}, observations, returns, actions,
                      discretize.encode_reward(rewards)).actions[:, slot]
    return head.predict(head.only_legal(logits, legal))

  return predict


def _label(predict_fn, params, truth, rows, was_known, window):
  """Labels all transitions of the episodes `rows` [B]: a list of [L] int32."""
  lengths = truth.num_transitions[rows]
  shape = len(rows), int(lengths.max())
  actions, is_known = np.zeros(shape, np.int32), np.zeros(shape, bool)
  for i, number in enumerate(rows.tolist()):
    if number in was_known:
      actions[i, :lengths[i]] = np.where(was_known[number], truth.actions_of(number)[0], 0)
      is_known[i, :lengths[i]] = was_known[number]
  # What the DT is told was done: of later steps nothing yet.
  told = np.zeros((shape[0], shape[1] + window), np.int32)
  said = np.zeros(shape, np.int32)
  begin = -_CHUNK
  for t in range(shape[1]):
    start = max(t - window + 1, 0)
    if start >= begin + _CHUNK:
      begin = start
      # Of episodes that are at their end, any window: its labels are dropped.
      chunk = truth.cut(rows, np.minimum(begin, lengths - 1), _CHUNK + window - 1)
    part = slice(start - begin, start - begin + window)
    said[:, t] = predict_fn(params, chunk.observations[:, part], chunk.returns_to_go[:, part],
                            told[:, start:start + window], chunk.rewards[:, part], t - start)
    told[:, t] = np.where(is_known[:, t], actions[:, t], said[:, t])
  return [row[:length] for row, length in zip(said, lengths, strict=True)]
