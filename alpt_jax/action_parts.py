"""Parts of actions: one of several values, a key that is up or down, or a number in a range.

An `action_space.Parts` holds some. Each is predicted over classes of its own, `num_classes` of
them: numbers over bins. What an environment declares is `own`, which may have fewer values, or a
smaller range, than the part of a run of several environments, see `action_space.union`.
"""

import dataclasses
import functools
import itertools

import numpy as np

MODES = ('absolute', 'delta')


@dataclasses.dataclass(frozen=True)
class Categorical:
  """A part of an action that is one of finitely many.

  Attributes:
    name: of the part.
    names: of the n values, at the position of their ids.
    legal: names of those that the environment knows; None for all.
  """
  name: str
  names: tuple[str, ...]
  legal: tuple[str, ...] | None = None

  kind = 'categorical'

  def __post_init__(self):
    if self.legal is None:
      object.__setattr__(self, 'legal', self.names)  # The class is frozen for others.
    if len(set(self.names)) < len(self.names) or not self.names:
      raise ValueError(f'names of {self.name} are {list(self.names)}; expected at least one, each '
                       'once.')
    if not self.legal or not set(self.legal) <= set(self.names):
      raise ValueError(f'legal values of {self.name} are {list(self.legal)}; expected some of '
                       f'{list(self.names)}.')

  @property
  def num_classes(self):
    """Number of its values, n."""
    return len(self.names)

  @property
  def class_names(self):
    """What its classes are called: n strings."""
    return self.names

  def problem(self, values):
    """Looks for values [L] that it does not have: [L] bool, and what was expected."""
    legal = [self.names.index(name) for name in self.legal]
    return ~np.isin(values, legal), f'one of {legal}, the ids of {list(self.legal)}'

  def classes(self, values):
    """Returns the classes of values [...]: [...] int32."""
    return np.asarray(values, np.int32)

  @property
  def class_values(self):
    """[n] float32; the value that each class stands for."""
    return np.arange(self.num_classes, dtype=np.float32)

  def predicted(self, probabilities, xp=np):
    """Predicts the value from probabilities of the classes: [..., n] -> [...] float32.

    It is the most probable one. xp: `numpy`, or `jax.numpy` for its arrays.
    """
    return xp.asarray(self.class_values)[xp.argmax(probabilities, axis=-1)]

  def is_right(self, said, true):
    """Says which values [...] are as good as the true ones: [...] bool."""
    return np.equal(said, true)

  def joined(self, other):
    """Returns the part of both: names of this one, then those that only the other has."""
    extra = tuple(name for name in other.names if name not in self.names)
    return Categorical(self.name, self.names + extra)

  def beyond(self, own):
    """Says which values of `own` it does not have: both in words, or ('', '') if there are none."""
    missing = [name for name in own.names if name not in self.names]
    return (f'names {missing}', f'names {list(self.names)}') if missing else ('', '')

  def own_classes(self, own):
    """Which classes an environment has that declares the part as `own`: [n] bool."""
    return np.isin(self.names, own.legal)

  def from_own(self, values, own):
    """Translates values [L] of `own` into those of this part."""
    ids = np.array([self.names.index(name) for name in own.names], np.float32)
    return ids[np.asarray(values, np.int64)]

  def to_own(self, values, own):
    """Translates back what `from_own` gave."""
    ids = np.array([own.names.index(n) if n in own.names else 0 for n in self.names], np.float32)
    return ids[np.asarray(values, np.int64)]


@dataclasses.dataclass(frozen=True)
class Binary:
  """A part that is down (1) or up (0): a key, a button.

  Attributes:
    name: of the part.
  """
  name: str

  kind = 'binary'
  num_classes = 2
  class_names = ('up', 'down')

  def problem(self, values):
    """See `Categorical.problem`."""
    return ~np.isin(values, (0, 1)), '0 or 1'

  def classes(self, values):
    """See `Categorical.classes`."""
    return np.asarray(values, np.int32)

  @property
  def class_values(self):
    """See `Categorical.class_values`."""
    return np.arange(2, dtype=np.float32)

  predicted = Categorical.predicted
  is_right = Categorical.is_right

  def joined(self, other):
    """See `Categorical.joined`."""
    del other
    return self

  def beyond(self, own):
    """See `Categorical.beyond`."""
    del own
    return '', ''

  def own_classes(self, own):
    """See `Categorical.own_classes`."""
    del own
    return np.ones(2, bool)

  def from_own(self, values, own):
    """See `Categorical.from_own`."""
    del own
    return np.asarray(values, np.float32)

  to_own = from_own


@dataclasses.dataclass(frozen=True)
class Continuous:
  """A part that is a number: a stick, a mouse's motion, a joint. It is predicted over bins.

  Bins are equally wide in log(1 + growth |x| / s), with the sign of x, where s is the largest |x|:
  of the same width for a growth of 0, narrow around 0 and growing from there for more (mu-law, as
  models of a mouse have them). The value of a bin is the middle of it in the same sense.

  Attributes:
    name: of the part.
    low: smallest value.
    high: largest value.
    unit: what values are in, e.g. 'degrees'.
    mode: 'absolute', or 'delta' for a change.
    wraps: whether `high` is `low` again, as of an angle.
    num_bins: at least 2; odd ones have one around 0 if the range is symmetric.
    growth: of the bins' width, at least 0.
  """
  name: str
  low: float
  high: float
  unit: str = ''
  mode: str = 'absolute'
  wraps: bool = False
  num_bins: int = 41
  growth: float = 0.

  kind = 'continuous'

  def __post_init__(self):
    if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
      raise ValueError(f'low and high of {self.name} are {self.low} and {self.high}; expected '
                       'numbers, low below high.')
    if self.mode not in MODES:
      raise ValueError(f'mode of {self.name} is {self.mode!r}; expected one of {MODES}.')
    if self.num_bins < 2:
      raise ValueError(f'num_bins of {self.name} is {self.num_bins}; expected at least 2.')
    if not (np.isfinite(self.growth) and self.growth >= 0):
      raise ValueError(f'growth of {self.name} is {self.growth}; expected a number of at least 0.')
    if self.growth and not self.low <= 0 <= self.high:
      raise ValueError(f'growth of {self.name} is {self.growth}, and its values, {self.low} to '
                       f'{self.high}, leave out 0, from which bins grow. Use 0.')
    if self.growth and self.wraps:
      raise ValueError(f'growth of {self.name} is {self.growth}, and its values wrap around: no '
                       'bin is another than the others. Use 0.')

  @property
  def num_classes(self):
    """Number of bins."""
    return self.num_bins

  @property
  def class_names(self):
    """See `Categorical.class_names`."""
    return tuple(f'{low:.4g}..{high:.4g}' for low, high in itertools.pairwise(self.edges.tolist()))

  @functools.cached_property
  def edges(self):
    """[num_bins + 1] float64, rising; from `low` to `high`."""
    edges = self._at(np.arange(self.num_bins + 1))
    edges[[0, -1]] = self.low, self.high
    return edges

  @functools.cached_property
  def class_values(self):
    """See `Categorical.class_values`."""
    return self._at(np.arange(self.num_bins) + .5).astype(np.float32)

  def _at(self, bins):
    """Values at places in [0, num_bins]."""
    if not self.growth:
      return self.low + (self.high - self.low) / self.num_bins * bins
    scale = max(-self.low, self.high)
    place = lambda x: np.sign(x) * np.log1p(self.growth * abs(x) / scale)  # noqa: E731
    places = place(self.low) + (place(self.high) - place(self.low)) / self.num_bins * bins
    return np.sign(places) * np.expm1(abs(places)) * scale / self.growth

  def _wrapped(self, values, xp=np):
    """Values [...] in [low, high) of the same direction."""
    low, width = np.float32(self.low), np.float32(self.high - self.low)
    return low + xp.mod(values - low, width)

  def problem(self, values):
    """See `Categorical.problem`; values are compared in float32."""
    low, high = np.float32(self.low), np.float32(self.high)
    with np.errstate(over='ignore'):  # Of what is far too large.
      values = np.asarray(values, np.float32)
    is_wrong = ~((values >= low) & (values <= high))  # Also where it is NaN.
    return is_wrong, f'a number in [{self.low}, {self.high}]{self.unit and " " + self.unit}'

  def classes(self, values):
    """See `Categorical.classes`."""
    return self.bins_of(values, np).astype(np.int32)

  def bins_of(self, values, xp):
    """Returns the bins of values, computed in float32 with `numpy` or `jax.numpy`, given as xp."""
    values = xp.asarray(values, np.float32)
    if self.wraps:
      values = self._wrapped(values, xp)
    edges = self.edges[1:-1].astype(np.float32)
    edges = edges.reshape((1,) * values.ndim + edges.shape)
    return (values[..., None] >= edges).sum(axis=-1)

  def predicted(self, probabilities, xp=np):
    """Predicts the value, see `Categorical.predicted`: the expectation.

    Of values that wrap around it is the direction of the mean of the bins' directions.
    """
    if not self.wraps:
      return probabilities @ self.class_values
    width = self.high - self.low
    turns = (2 * np.pi / width) * (self.class_values - self.low)
    turn = xp.arctan2(probabilities @ np.sin(turns), probabilities @ np.cos(turns))
    return self.low + xp.mod(turn, 2 * np.pi) * (width / (2 * np.pi))

  @property
  def tolerance(self):
    """Largest error of a value that is as good as the true one: the mean width of a bin."""
    return (self.high - self.low) / self.num_bins

  def is_right(self, said, true):
    """See `Categorical.is_right`."""
    error = np.abs(np.asarray(said, np.float64) - true)
    if self.wraps:
      error = np.minimum(error, self.high - self.low - error)
    return error <= self.tolerance

  def quantiles(self, probabilities, levels):
    """Reads quantiles off the distribution, even inside of a bin.

    Those of values that wrap around are of the way from the bin opposite of `predicted`, so that
    they enclose it.

    Args:
      probabilities: [L, num_bins]; rows sum to 1.
      levels: [q] in [0, 1], rising.

    Returns:
      [L, q] float32 in [low, high]; NaN in rows that are 0.
    """
    levels = np.maximum(levels, 1e-9)  # 0 is where the mass begins.
    found = np.asarray(probabilities, float)
    rows = np.flatnonzero(found.any(axis=1))
    found = found[rows]
    first = np.zeros(len(rows), int)
    if self.wraps:
      first = self.classes(self.predicted(found)) + (self.num_bins + 1) // 2
      found = np.take_along_axis(
          found, (first[:, None] + np.arange(self.num_bins)) % self.num_bins, axis=1)
    found = found / found.sum(axis=1, keepdims=True)
    sums, of_row = np.cumsum(found, axis=1), np.arange(len(rows))
    last = self.num_bins - 1 - np.argmax(found[:, ::-1] > 0, axis=1)
    result = np.full((len(probabilities), len(levels)), np.nan, np.float32)
    for i, level in enumerate(levels):
      bins = np.minimum((sums < level).sum(axis=1), last)  # Of rounding.
      rest = (sums[of_row, bins] - level) / found[of_row, bins]
      places = self._at(first + bins + 1 - np.clip(rest, 0, 1))
      result[rows, i] = self._wrapped(places) if self.wraps else places
    return result

  def joined(self, other):
    """See `Categorical.joined`; the range of both, the bins of the first."""
    if self.wraps and (self.low, self.high) != (other.low, other.high):
      raise ValueError(f'{self.name} wraps around at {self.low} and {self.high} in one environment '
                       f'and at {other.low} and {other.high} in another; expected the same.')
    return dataclasses.replace(
        self, low=min(self.low, other.low), high=max(self.high, other.high))

  def beyond(self, own):
    """See `Categorical.beyond`; values that wrap around need the same range."""
    ranges = [(part.low, part.high) for part in (own, self)]
    is_within = self.low <= own.low and own.high <= self.high
    if ranges[0] == ranges[1] or (is_within and not self.wraps):
      return '', ''
    return tuple(f'numbers from {low} to {high}' for low, high in ranges)

  def own_classes(self, own):
    """See `Categorical.own_classes`."""
    first, last = self.classes(np.array([own.low, own.high]))
    if self.wraps:
      return np.ones(self.num_bins, bool)
    bins = np.arange(self.num_bins)
    return (bins >= first) & (bins <= last)

  def from_own(self, values, own):
    """See `Categorical.from_own`."""
    del own
    return np.asarray(values, np.float32)

  to_own = from_own
