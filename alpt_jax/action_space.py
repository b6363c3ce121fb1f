"""Action spaces: names, legal ids and stored ids of actions; checks and translations.

`types.EnvironmentSpec.actions` holds one. Whatever reads, imports or labels data asks it, so that
another kind of action is another class with these members:

  shape                   of one action, beside the dimensions of the data
  check(stored, ..)       what is wrong with actions as a dataset stores them
  to_ids(stored, ..)      stored actions as networks get them
  to_stored(probabilities)   predictions over `to_ids`'s actions, as the dataset stores them
  mask                    which actions are legal
"""

import dataclasses

import numpy as np


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

  shape = ()

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


def numbered(num, **fields):
  """Makes a `Discrete` of actions without names: their ids are what they are called."""
  return Discrete(tuple(map(str, range(num))), **fields)
