"""Labels hidden transitions of a run's target as `experiments.label` does: all windows vote.

In training, a transition is labelled from the one window that was drawn; the last action of a
window is then labelled without the observation after next. Who labels a dataset averages all
windows that hold a transition.
"""

import numpy as np

from alpt_jax.labelling import trained_run


def label(trained, truth, *, num_transitions, seed=0):
  """Labels hidden transitions of some episodes.

  Args:
    trained: `trained_idm.TrainedIdm`.
    truth: `episodes.Episodes` of its target, with all actions.
    num_transitions: whole episodes are drawn at random until they have so many; at least 1. All
      episodes if there are fewer.
    seed: of that draw.

  Returns:
    Episode, timestep, label and true action, [N] int64 each, sorted by episode and timestep: of the
    transitions whose action is recorded, and was hidden in training.

  Raises:
    FileNotFoundError, ValueError: if the run does not say which actions it knew, or actions have
      several parts.
  """
  check_one_action(trained.spec)
  was_known = known_in_training(trained.directory, trained.config, truth)
  numbers = draw(truth.num_transitions, num_transitions, seed)
  return hidden(truth, was_known, (
      (said.episode, said.probabilities.argmax(axis=1))
      for said in trained.predict_episodes(truth, numbers)))


def check_one_action(spec):
  """Raises ValueError for a `types.EnvironmentSpec` with actions of several parts."""
  if spec.actions.shape:
    raise ValueError(f'{spec.name}: actions have several parts, {list(spec.actions.part_names)}, '
                     'whose labels experiments.audit judges; expected one action at every step.')


def hidden(truth, was_known, said):
  """Picks the labels of transitions whose action is recorded, and was hidden in training.

  Args:
    truth: `episodes.Episodes`, with all actions.
    was_known: {episode: [L] bool}, see `known_in_training`.
    said: iterator of (episode, [L] int labels), rising.

  Returns:
    Episode, timestep, label and true action, [N] int64 each.
  """
  parts = []
  for episode, labels in said:
    actions, is_recorded = truth.actions_of(episode)
    timestep = np.flatnonzero(is_recorded & ~was_known.get(episode, np.zeros(len(actions), bool)))
    parts.append((np.full(len(timestep), episode), timestep, labels[timestep], actions[timestep]))
  return tuple(np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True))


def known_in_training(directory, config, truth):
  """Marks the target's transitions whose action training knew; see `trained_run.is_known`.

  Args:
    directory: of the run.
    config: of the run.
    truth: episodes of its target.

  Returns:
    {episode: [L] bool} of the episodes with such transitions.

  Raises:
    FileNotFoundError, ValueError: if the run does not say so.
  """
  known = trained_run.known(directory, config.target, data_dir=config.data_dir)
  return trained_run.is_known(known.choice, truth.num_transitions, known.path)


def draw(lengths, num_transitions, seed):
  """Draws episodes.

  Args:
    lengths: [E] int; transitions of each.
    num_transitions: see `label`.
    seed: of the draw.

  Returns:
    [n] int episode numbers, rising; the fewest of a random order that have `num_transitions`.
  """
  order = np.random.default_rng(seed).permutation(len(lengths))
  total = np.cumsum(np.asarray(lengths)[order])
  return np.sort(order[:int(np.searchsorted(total, num_transitions)) + 1])
