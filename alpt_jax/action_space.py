"""Action spaces: names, legal ids and stored ids of actions; checks and translations.

`types.EnvironmentSpec.actions` holds one: a `Discrete`, one of finitely many actions at every step,
or `Parts`, several things at once, as keys and a mouse. Whatever reads, imports or labels data asks
it, so that another kind of action is another class with these members:

  shape                   of one action, beside the dimensions of the data
  dtype                   of actions as networks get them
  check(stored, ..)       what is wrong with actions as a dataset stores them
  to_ids(stored, ..)      stored actions as networks get them
  known(is_known, ..)     which of them are known, of the same shape
  to_stored(predictions)  predictions over `to_ids`'s actions, as the dataset stores them
  values(chosen)          what an agent has chosen, as `to_ids` returns actions
  plain(action)           one action, as JSON can hold it
  is_right(said, true)    which labels are right
  within(space, names)    the same, laid out as those that a run was trained on
  num, mask               classes that are predicted, and which of them are legal
"""

import dataclasses
import functools
import itertools

import numpy as np

from alpt_jax import action_parts


@dataclasses.dataclass(frozen=True)
class Discrete:
  """One of finitely many actions at every step.

  Attributes:
    names: of all A actions that the space declares, at the position of their ids. Environments that
      are trained together declare the same ones.
    legal: ids in [0, A) of those that the environment knows; None for all.
    stored: the legal id that each action index k of the dataset stands for, at position k; () if
      the dataset stores ids.
  """
  names: tuple[str, ...]
  legal: tuple[int, ...] | None = None
  stored: tuple[int, ...] = ()

  kind = 'one action of a list at every step'
  shape = ()
  dtype = np.int32

  def __post_init__(self):
    if self.legal is None:
      object.__setattr__(self, 'legal', tuple(range(self.num)))  # The class is frozen for others.
    if not self.legal or not all(0 <= a < self.num for a in self.legal):
      raise ValueError(f'legal actions are {self.legal}; expected at least one id in '
                       f'[0, {self.num}).')
    if not set(self.stored) <= set(self.legal):
      raise ValueError(f'stored actions stand for {self.stored}; expected some of the legal ones, '
                       f'{self.legal}.')

  @property
  def num(self):
    """Number of declared actions A."""
    return len(self.names)

  @property
  def segments(self):
    """Slices of the classes among which one is: see `Parts.segments`."""
    return (slice(0, self.num),)

  @property
  def num_stored(self):
    """Number of actions that the dataset can tell apart."""
    return len(self.stored) or self.num

  @property
  def mask(self):
    """[A] bool; which actions are legal."""
    return np.isin(np.arange(self.num), self.legal)

  def check(self, stored, is_known=True, *, name):
    """Looks for actions that the environment does not have.

    Args:
      stored: [L], as the dataset stores them.
      is_known: [L] bool, or True; others may be anything.
      name: of the environment, for the message.

    Returns:
      '' if there are none; else the first of them and what was expected, to be put into a message.
    """
    stored = np.asarray(stored)
    if not np.issubdtype(stored.dtype, np.integer) or stored.ndim != 1:
      return (f'actions are {stored.dtype} of shape {list(stored.shape)}; expected one integer a '
              'step: the index of a discrete action')
    values = list(range(len(self.stored))) or list(map(int, self.legal))
    wrong = np.flatnonzero(is_known & ~np.isin(stored, values))
    if not wrong.size:
      return ''
    return (f'action is {stored[wrong[0]]} at step {wrong[0]} ({wrong.size} in all); {name} has '
            f'{values}')

  def to_ids(self, stored, is_known=True):
    """Translates what `check` has found right.

    Args:
      stored: [L] int.
      is_known: [L] bool, or True.

    Returns:
      [L] int32 ids; 0 where not known.
    """
    ids = np.where(is_known, stored, 0)
    if self.stored:
      ids = np.where(is_known, np.array(self.stored)[ids], 0)
    return ids.astype(np.int32)

  def known(self, is_known, length):
    """Returns [L] bool of that, or of True."""
    return np.ones(length, bool) if is_known is True else np.asarray(is_known, bool)

  def within(self, space, names=('the run', 'the environment')):
    """Lays it out as another space: as it is; ValueError if that is another. See `Parts.within`."""
    _check_kind(space, self, names)
    if self.names != space.names:
      raise ValueError(f'actions.space is {list(self.names)}, that of {names[0]} is '
                       f'{list(space.names)}.')
    return self

  def to_stored(self, probabilities):
    """Translates predictions into those of what the dataset stores.

    Args:
      probabilities: [L, A] float32.

    Returns:
      [L, `num_stored`] float32; rows sum to 1, or to 0 where no action is stored that has a
      probability. Of several indices that stand for one action, the first is it.
    """
    if not self.stored:
      return probabilities
    order, first = np.unique(self.stored, return_index=True)
    own = np.zeros((len(probabilities), len(self.stored)), np.float32)
    own[:, first] = probabilities[:, order]
    sums = own.sum(axis=1, keepdims=True)  # Less than 1 if it knows actions that are not stored.
    return own / np.maximum(sums, np.finfo(np.float32).tiny)

  def values(self, chosen):
    """Returns what an agent has chosen as actions: ids [...] int32, as they are."""
    return chosen

  def plain(self, action):
    """Writes one action, of shape `shape`, for JSON: its id."""
    return int(action)

  def is_right(self, said, true):
    """Says which labels [...] are the true actions: [...] bool."""
    return np.equal(said, true)


def numbered(num, **fields):
  """Makes a `Discrete` of actions without names: their ids are what they are called."""
  return Discrete(tuple(map(str, range(num))), **fields)


@dataclasses.dataclass(frozen=True)
class Parts:
  """Several named parts at every step, e.g. keys and the motion of a mouse.

  Actions are float32 [..., P], in the order of the parts: ids, 0 or 1, or numbers in their units.
  Each part is predicted over classes of its own; those of all parts lie one after the other and are
  the A = `num` classes of the space. Each part of each step is known or not by itself.

  Attributes:
    parts: of the run, from `action_parts`.
    own: the same parts as this environment declares them, None for those that it lacks; see
      `union`. None if it is alone: then they are `parts`.
  """
  parts: tuple
  own: tuple | None = None

  kind = 'actions of several parts'
  dtype = np.float32

  def __post_init__(self):
    if self.own is None:
      object.__setattr__(self, 'own', self.parts)  # The class is frozen for others.
    names = [part.name for part in self.parts]
    if not names or len(set(names)) < len(names):
      raise ValueError(f'parts of actions are {names}; expected at least one, each once.')
    if len(self.own) != len(self.parts):
      raise ValueError(f'an environment declares {len(self.own)} parts; expected {len(names)}.')

  @property
  def shape(self):
    """(P,)."""
    return (len(self.parts),)

  @property
  def part_names(self):
    """Names of the P parts."""
    return tuple(part.name for part in self.parts)

  @property
  def names(self):
    """What the A classes are called."""
    return tuple(f'{part.name}={c}' for part in self.parts for c in part.class_names)

  @property
  def num(self):
    """Number of classes A of all parts."""
    return sum(part.num_classes for part in self.parts)

  @functools.cached_property
  def segments(self):
    """A slice of the classes for each part."""
    ends = list(itertools.accumulate(part.num_classes for part in self.parts))
    return tuple(map(slice, [0, *ends[:-1]], ends))

  @property
  def has(self):
    """[P] bool; the parts that the environment has."""
    return np.array([own is not None for own in self.own])

  @property
  def legal(self):
    """Numbers of the classes that are legal."""
    return tuple(np.flatnonzero(self.mask).tolist())

  @functools.cached_property
  def mask(self):
    """[A] bool; which classes are legal: none of a part that the environment lacks."""
    return np.concatenate([
        np.zeros(part.num_classes, bool) if own is None else part.own_classes(own)
        for part, own in zip(self.parts, self.own, strict=True)])

  def check(self, stored, is_known=True, *, name):
    """Looks for actions that the environment does not have.

    Args:
      stored: {part: [L] numbers}, as the dataset stores them.
      is_known: {part: [L] bool}, or True; other values may be anything.
      name: of the environment, for the message.

    Returns:
      '' if there are none; else the first of them and what was expected, to be put into a message.
    """
    own = {part.name: part for part in self.own if part}
    if not isinstance(stored, dict):
      return f'actions are an array; {name} has the parts {sorted(own)}'
    if set(stored) != set(own):
      return f'actions have parts {sorted(stored)}; {name} has {sorted(own)}'
    for key, values in stored.items():
      values = np.asarray(values)
      if values.ndim != 1 or values.dtype.kind not in 'biuf':
        return (f'action {key} is {values.dtype} of shape {list(values.shape)}; expected one '
                'number a step')
      is_wrong, expected = own[key].problem(values)
      wrong = np.flatnonzero(is_wrong & (True if is_known is True else is_known[key]))
      if wrong.size:
        return (f'action {key} is {values[wrong[0]]} at step {wrong[0]} ({wrong.size} in all); '
                f'expected {expected}')
    return ''

  def to_ids(self, stored, is_known=True):
    """Translates what `check` has found right.

    Args:
      stored: {part: [L] numbers}.
      is_known: {part: [L] bool}, or True.

    Returns:
      [L, P] float32, 0 where not known; see `known`.
    """
    length = len(next(iter(stored.values())))
    actions = np.zeros((length, len(self.parts)), np.float32)
    is_known = self.known(is_known, length)
    for p, (part, own) in enumerate(zip(self.parts, self.own, strict=True)):
      if own is not None:
        values = np.where(is_known[:, p], stored[part.name], own.class_values[0])
        actions[:, p] = np.where(is_known[:, p], part.from_own(values, own), 0)
    return actions

  def known(self, is_known, length):
    """Returns [L, P] bool of {part: [L] bool}, or True: parts that it lacks are never known."""
    return np.stack([np.zeros(length, bool) if own is None else
                     np.ones(length, bool) if is_known is True else
                     np.asarray(is_known[own.name], bool) for own in self.own], axis=1)

  def to_stored(self, actions):
    """Translates actions [L, P] into those of the dataset: {part: [L] float32}."""
    return {part.name: part.to_own(actions[:, p], own)
            for p, (part, own) in enumerate(zip(self.parts, self.own, strict=True)) if own}

  def predicted(self, probabilities, xp=np):
    """Predicts actions from probabilities of classes: [..., A] -> [..., P] float32.

    The most probable value, or of a number its expectation; any of parts that the environment
    lacks. xp: `numpy`, or `jax.numpy` for its arrays.
    """
    return xp.stack([part.predicted(probabilities[..., segment], xp)
                     for part, segment in zip(self.parts, self.segments, strict=True)], axis=-1)

  def values(self, chosen, xp=np):
    """Returns what an agent has chosen as actions.

    Args:
      chosen: [..., P] int32; classes, each counted from its part's first. Of a part that the
        environment lacks, the number of its classes.
      xp: `numpy`, or `jax.numpy` for its arrays.

    Returns:
      [..., P] float32; 0 of parts that the environment lacks.
    """
    tables = [_within_own(part, own) for part, own in zip(self.parts, self.own, strict=True)]
    return xp.stack([xp.asarray(np.append(table, np.float32(0)))[chosen[..., p]]
                     for p, table in enumerate(tables)], axis=-1)

  def plain(self, action):
    """Writes one action [P] for JSON: {part: value} of those that the environment has."""
    return {part.name: float(x) for part, x, has in zip(self.parts, action, self.has, strict=True)
            if has}

  def is_right(self, said, true):
    """Says which parts of labels are right: [..., P] float -> [..., P] bool.

    A number is if it is off by no more than the mean width of a bin.
    """
    return np.stack([part.is_right(said[..., p], true[..., p])
                     for p, part in enumerate(self.parts)], axis=-1)

  def within(self, space, names=('the run', 'the environment')):
    """Lays it out as another space, e.g. of a run of several environments.

    Args:
      space: `Parts`.
      names: of whom `space` is, and of whom this is, for messages.

    Returns:
      `Parts` with the parts of `space`; those that it does not have are left out.

    Raises:
      ValueError: naming the part and both values, if parts of one name do not fit each other, or
        `space` has not all values of one; or if the two have no part in common.
    """
    _check_kind(space, self, names)
    own = {part.name: part for part in self.own if part}
    if not own.keys() & set(space.part_names):
      raise ValueError(f'action parts are {list(own)} in {names[1]} and {list(space.part_names)} '
                       f'in {names[0]}; expected some in common.')
    for part in space.parts:
      if part.name in own:
        _check_same(part, own[part.name], *names)
        found, expected = part.beyond(own[part.name])
        if found:
          raise ValueError(f'action part {part.name} has {found} in {names[1]}, and {names[0]} '
                           f'knows {expected}; expected no others.')
    return Parts(space.parts, tuple(own.get(name) for name in space.part_names))

  def laid_out(self, actions, is_known, space):
    """Translates actions [L, P], and which are known, into those of another layout, `within`."""
    stored, names = self.to_stored(actions), self.part_names
    known = {name: is_known[:, names.index(name)] for name in stored}
    return space.to_ids(stored, known), space.known(known, len(actions))

  def classes(self, actions):
    """Returns the classes, each counted from its part's first: [..., P] float -> int32."""
    return np.stack([part.classes(actions[..., p]) for p, part in enumerate(self.parts)], axis=-1)


def _within_own(part, own):
  """Values of a part's classes; of numbers, the nearest that the environment has."""
  if own is None or part.kind != 'continuous':
    return part.class_values
  return np.clip(part.class_values, np.float32(own.low), np.float32(own.high))


def union(spaces, names):
  """Lays out the actions of environments that are trained together.

  Parts are matched by name, in the order in which they first appear.

  Args:
    spaces: of the environments: all `Discrete`, or all `Parts`.
    names: of the environments, for messages.

  Returns:
    As many spaces: `Discrete` as they are; `Parts` of one layout.

  Raises:
    ValueError: naming the part, both environments and what differs, if parts of one name do not
      fit each other.
  """
  if all(isinstance(space, Discrete) for space in spaces):
    return list(spaces)
  joined, declared_by = {}, {}
  for space, name in zip(spaces, names, strict=True):
    if isinstance(space, Discrete):
      raise ValueError(f'{name} has one action of {space.num} at every step, and others have '
                       'several parts; expected parts of all. Declare it as one categorical part.')
    for part in filter(None, space.own):
      if part.name in joined:
        _check_same(joined[part.name], part, declared_by[part.name], name)
      joined[part.name] = joined[part.name].joined(part) if part.name in joined else part
      declared_by.setdefault(part.name, name)
  for part in joined:  # What only one environment knows is legal only there.
    if isinstance(joined[part], action_parts.Categorical):
      joined[part] = action_parts.Categorical(part, joined[part].names)
  result = []
  for space in spaces:
    own = {part.name: part for part in space.own if part}
    result.append(Parts(tuple(joined.values()), tuple(own.get(name) for name in joined)))
  return result


def _check_kind(first, second, names):
  """Refuses one action at every step beside several parts."""
  if type(first) is not type(second):
    raise ValueError(f'{names[1]} has {second.kind}, and {names[0]} has {first.kind}; expected the '
                     'same.')


def _check_same(first, second, first_name, second_name):
  """Refuses parts of one name that differ in kind, or in what their values mean."""
  for field in ('kind', 'unit', 'mode', 'wraps'):
    a, b = getattr(first, field, None), getattr(second, field, None)
    if a != b:
      raise ValueError(f'{field} of action part {first.name} is {a!r} in {first_name} and {b!r} in '
                       f'{second_name}; expected the same. Rename one of them.')
