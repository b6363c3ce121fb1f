"""Random spaces of actions of several parts, and legal values of them: for tests of whatever reads,
writes, learns or judges them.
"""

import numpy as np

from alpt_jax import action_parts, action_space


def part_of_any_kind(rng, name):
  """Draws a part of any kind."""
  kind = rng.integers(3)
  if kind == 0:
    names = tuple(f'v{i}' for i in rng.permutation(rng.integers(1, 6)))
    return action_parts.Categorical(
        name, names, legal=tuple(n for n in names if rng.random() < .7) or names[:1])
  if kind == 1:
    return action_parts.Binary(name)
  low, high = (np.sort(rng.normal(0, 80, 2)).round() / 8).tolist()  # As float32 holds them.
  high += .5
  growth = float(rng.choice([0., 5., 255.])) if low <= 0 <= high else 0.
  return action_parts.Continuous(
      name, low, high, unit='deg', mode=str(rng.choice(action_parts.MODES)),
      wraps=bool(not growth and rng.random() < .3), num_bins=int(rng.integers(2, 60)),
      growth=growth)


def values(rng, part, num):
  """Draws legal values of a part."""
  if part.kind == 'categorical':
    return rng.choice([part.names.index(name) for name in part.legal], num)
  if part.kind == 'binary':
    return rng.integers(0, 2, num)
  drawn = rng.uniform(part.low, part.high, num).astype(np.float32)
  drawn[:2] = (part.low, part.high)[:num]
  return drawn


def space(rng):
  """Draws a space of 1 to 10 parts."""
  return action_space.Parts(tuple(
      part_of_any_kind(rng, f'p{i}') for i in rng.permutation(rng.integers(1, 11))))


def episode(rng, space, length, *, known=.6):
  """Draws actions of an episode.

  Args:
    rng: numpy Generator.
    space: `action_space.Parts`.
    length: T.
    known: share of known actions, of each part by itself.

  Returns:
    {part: [T] of the type that datasets store}, anything where not known; {part: [T] bool}.
  """
  actions, is_known = {}, {}
  for part in filter(None, space.own):
    kind = {'categorical': np.int64, 'binary': bool, 'continuous': np.float32}[part.kind]
    is_known[part.name] = rng.random(length) < known
    garbage = rng.choice([np.nan, 1e9]) if kind is np.float32 else 77
    actions[part.name] = np.where(
        is_known[part.name], values(rng, part, length), garbage).astype(kind)
  return actions, is_known


def in_process(space, actions, is_known):
  """What readers should make of `episode`'s: [T, P] float32 and bool, by rules written out here."""
  length = len(next(iter(actions.values())))
  values, labelled = np.zeros((length, len(space.own)), np.float32), np.zeros(
      (length, len(space.own)), bool)
  for p, part in enumerate(space.own):
    for t in range(length if part else 0):
      if is_known[part.name][t]:
        values[t, p], labelled[t, p] = actions[part.name][t], True
  return values, labelled
