"""Brings recordings of somebody's own into a dataset, once: checks them, and says what it left out.

The sources are the other modules here. Each yields a `Recording` per episode, or a `Problem`
where there should be one. Here every recording is checked against the environment that it should
be of. What is damaged is an error, or is left out if the settings say so. What no training should
see is left out: episodes shorter than a window, blank ones, and those that occur a second time.
Whatever is left out is counted and listed on the card of the dataset.
"""

import collections
import dataclasses
import functools
import hashlib
from typing import Any, NamedTuple

import numpy as np

from alpt_jax.data import action_fields, environment_file, png, source_files, values, writer

DAMAGED, SHORT, BLANK, DUPLICATE = 'damaged', 'too short', 'blank', 'duplicate'
TOO_LARGE = 'too large'  # For one record; left out whatever the settings say, the others are kept.
_ON_PROBLEM = ('error', 'skip')
_DIGEST_BYTES = 16
_DTYPES = {'grid': np.dtype(np.uint8), 'vector': np.dtype(np.float32)}  # As they are written.
_BLANK_LEVELS = 3  # A video's black is not all the same.


class Recording(NamedTuple):
  """An episode of T transitions, as a source has it.

  Attributes:
    name: where it was found, for messages.
    observations: T + 1 of them; images as PNG bytes of the environment's shape.
    actions: [T] int ids, or {part: [T]} of the types in `action_fields`; anything where not
      labelled.
    is_labelled: [T] bool, or {part: [T] bool}; the action, or the part, is known.
    rewards: [T] float32; None if the environment has no reward.
    is_terminal: whether the episode ended, and was not merely cut.
    file: `source_files.SourceFile`; None if it is not one file's.
    scaled_from: height and width that its images had; None if they were not scaled.
    notes: sentences on it that whoever imports should see.
  """
  name: str
  observations: Any
  actions: Any
  is_labelled: Any
  rewards: np.ndarray | None
  is_terminal: bool = False
  file: source_files.SourceFile | None = None
  scaled_from: tuple[int, int] | None = None
  notes: tuple[str, ...] = ()

  def num_bytes(self, environment):
    """Returns what its observations take in a record, at most about: before grids are packed."""
    if isinstance(self.observations, list):
      return sum(map(len, self.observations))
    return np.size(self.observations) * _DTYPES[environment.observation.kind].itemsize

  def steps(self, environment):
    """Makes the step fields that are written, see `writer.steps`; values must be in range."""
    dtype = _DTYPES.get(environment.observation.kind)
    observed = self.observations
    return writer.steps(
        observed if dtype is None else np.asarray(observed).astype(dtype), self.actions,
        rewards=self.rewards, is_labelled=self.is_labelled, is_terminal=self.is_terminal)


class Problem(NamedTuple):
  """What stands in the place of an episode that cannot be had.

  Attributes:
    name: where it should have been.
    reason: a sentence with what was expected, and the remedy.
    kind: DAMAGED or TOO_LARGE.
  """
  name: str
  reason: str
  kind: str = DAMAGED


class TooLarge(ValueError):
  """Says that an episode is larger than a record can be."""


def problem(name, error):
  """Makes the `Problem` of an error that reading the episode `name` has raised."""
  return Problem(name, str(error), TOO_LARGE if isinstance(error, TooLarge) else DAMAGED)


class Images(list):
  """Encoded images of an episode that is being read; `append` raises `TooLarge` in time."""

  num_bytes = 0

  def append(self, encoded):
    """Adds the bytes of an image."""
    super().append(encoded)
    self.num_bytes += len(encoded)
    if self.num_bytes > writer.MAX_EPISODE_BYTES:
      raise TooLarge(f'its first {len(self)} images take {self.num_bytes / 1e9:.3g} GB; expected '
                     f'at most {writer.MAX_EPISODE_BYTES / 1e9:.3g} GB in an episode. Cut the '
                     'recording into several, or make observation.shape of the environment file '
                     'smaller.')


@dataclasses.dataclass(frozen=True)
class Settings:
  """What is let in.

  Attributes:
    window: transitions of the windows that training cuts; shorter episodes are left out.
    on_problem: 'error' ends the import at the first damaged episode; 'skip' leaves it out.
    max_blank: an episode of images is left out if a larger share of them is blank: of one colour.
      It is left out, too, if the image never changes.
  """
  window: int = 5
  on_problem: str = 'error'
  max_blank: float = .5

  def __post_init__(self):
    if self.window < 1:
      raise ValueError(f'window is {self.window}; expected at least 1.')
    if self.on_problem not in _ON_PROBLEM:
      raise ValueError(f'on_problem is {self.on_problem!r}; expected one of {_ON_PROBLEM}.')
    if not 0 <= self.max_blank <= 1:
      raise ValueError(f'max_blank is {self.max_blank}; expected a share in [0, 1].')


class LeftOut(NamedTuple):
  """An episode that is not in the dataset."""
  name: str
  kind: str  # DAMAGED, TOO_LARGE, SHORT, BLANK or DUPLICATE.
  reason: str


def write_dataset(found, directory, environment, settings, *, metadata):
  """Checks and writes all episodes of a source.

  Args:
    found: iterator of `Recording` and `Problem`.
    directory: where to; must not exist, or be empty.
    environment: `environment_file.Environment` of the source.
    settings: `Settings`.
    metadata: JSON-able dict for the card: where the data is from.

  Returns:
    The dataset card, with `left_out`: {kind: number}, `left_out_episodes`: [{name, kind, reason}],
    `scaled`: [{from, to, num_images, num_episodes}] of images of each size, [height, width], that
    were made larger or smaller, `notes`: [[name, note]], and the `source_files`, if there are any.

  Raises:
    ValueError: if an episode is damaged, none is left, or `directory` already holds something.
  """
  left_out, files, scaled, notes = [], [], {}, []

  def episodes():
    is_empty = True
    for recording in check(found, environment, settings, left_out):
      is_empty = False
      files.append(recording.file)
      notes.extend([recording.name, note] for note in recording.notes)
      if recording.scaled_from:
        scaled.setdefault(recording.scaled_from, []).append(len(recording.observations))
      yield recording.steps(environment)
    if is_empty:
      raise ValueError(f'{directory}: no episode is left to write, {describe(left_out)}; the first '
                       f'of them {left_out[0].name}: {left_out[0].reason}. Bring other recordings, '
                       'or change the settings of the import.')

  def card():
    return {
        'metadata': metadata | dataclasses.asdict(settings),
        'left_out': dict(collections.Counter(episode.kind for episode in left_out)),
        'left_out_episodes': [episode._asdict() for episode in left_out],
        'scaled': [{'from': list(size), 'to': list(environment.observation.shape[:2]),
                    'num_images': sum(numbers), 'num_episodes': len(numbers)}
                   for size, numbers in sorted(scaled.items())],
        'notes': notes,
        **({source_files.KEY: [file._asdict() for file in files]} if None not in files else {}),
    }

  return writer.write(directory, name=environment.name, environment=environment,
                      episodes=episodes(), card=card, consume=True)


def check(found, environment, settings, left_out):
  """Yields the recordings that are as they should be.

  Args:
    found: iterator of `Recording` and `Problem`.
    environment: `environment_file.Environment`.
    settings: `Settings`.
    left_out: list; `LeftOut` is appended for every other recording.

  Raises:
    ValueError: naming the first damaged one, unless `settings` say to leave it out; or one that
      would be left out for another with fewer known actions.
  """
  seen = {}  # Name and number of known actions by digest.
  for item in found:
    kind, reason, digest = _judged(item, environment, settings)
    if not reason:
      num_labelled = sum(int(np.sum(known)) for known in _flat(item.is_labelled))
      if digest in seen:
        name, num_before = seen[digest]
        kind, reason = DUPLICATE, f'is the same as {name}'
        if num_labelled > num_before:
          raise ValueError(f'{item.name}: is the same as {name}, and has {num_labelled} known '
                           f'actions where that has {num_before}. Remove {name}.')
      seen.setdefault(digest, (item.name, num_labelled))
    if reason and kind == DAMAGED and settings.on_problem == 'error':
      raise ValueError(f'{item.name}: {reason} Or leave out what is damaged with on_problem=skip.')
    if reason:
      left_out.append(LeftOut(item.name, kind, reason))
    else:
      yield item


def describe(left_out):
  """Counts what was left out, in words, e.g. '2 left out (1 blank, 1 too short)'."""
  counts = collections.Counter(episode.kind for episode in left_out)
  words = ', '.join(f'{number} {kind}' for kind, number in sorted(counts.items()))
  return f'{len(left_out)} left out ({words})' if left_out else 'none left out'


def entries_of(value):
  """Returns a dict as it is, and None of anything else."""
  return value if isinstance(value, dict) else None


def picked(found, key, entries=entries_of):
  """Picks the entry of nested dicts of observations that an environment file names.

  Args:
    found: a dict of dicts, or what `entries` makes one of.
    key: '' where it is no dict; 'cam' or, of nested ones, 'cam/front'.
    entries: returns the dict of a value that has entries, None of others.

  Returns:
    The entry.

  Raises:
    ValueError: listing the keys that are there.
  """
  value, rest = found, key
  while rest and (inner := entries(value)) is not None:
    name = rest if rest in inner else rest.partition('/')[0]
    if name not in inner:
      break
    value, rest = inner[name], rest[len(name) + 1:]
  if rest or entries(value) is not None:
    raise ValueError(f'the observation is {_keys(found, entries) or "a single array"}; expected '
                     f'observation.key {key!r} of the environment file. Correct it.')
  return value


def _keys(value, entries, before=''):
  """Keys of nested dicts, 'cam/front'."""
  inner = entries(value)
  if inner is None:
    return [before] if before else []
  return [key for name in sorted(inner) for key in _keys(
      inner[name], entries, f'{before}/{name}' if before else name)]


def observations(observed, wanted):
  """Checks the observations of an episode, and encodes images.

  Args:
    observed: [T + 1, ...]; grey images with or without a dimension for it, and so vectors of one.
    wanted: `environment_file.Observation`.

  Returns:
    `observed`, or T + 1 times the bytes of a PNG.

  Raises:
    ValueError: if they are of another shape or type; without the file's name.
  """
  expected, is_right = {'image': ('uint8', observed.dtype == np.uint8),
                        'grid': ('integers', observed.dtype.kind in 'biu'),
                        'vector': ('numbers', observed.dtype.kind in 'fiu')}[wanted.kind]
  if not is_right or not is_shape(observed.shape[1:], wanted):
    raise ValueError(f'observations are {observed.dtype} {list(observed.shape[1:])}; expected '
                     f'{expected} {list(wanted.shape)} by the environment file. Correct it.')
  if wanted.kind != 'image':
    return observed.reshape(-1, *wanted.shape)
  images = Images()
  for value in observed:
    images.append(png.encode(value.reshape(wanted.shape)))
  return images


def is_shape(found, wanted):
  """Whether observations of a shape are those of an environment: one grey plane, or one number."""
  without = {'image': wanted.shape[:2], 'vector': ()}.get(wanted.kind, wanted.shape)
  return found == wanted.shape or wanted.shape[-1] == 1 and found == without


def _judged(item, environment, settings):
  """Returns the kind and the reason why an item is left out, '' if it is not, and its digest."""
  if isinstance(item, Problem):
    return item.kind, item.reason, b''
  if problem := _problem(item, environment):
    return DAMAGED, problem, b''
  num_transitions = max(len(item.observations) - 1, 0)
  if num_transitions < settings.window:
    return SHORT, (f'has {num_transitions} transitions; expected at least a window of '
                   f'{settings.window}'), b''
  if environment.observation.kind == 'image':
    return _judged_images(item, environment, settings)
  num_bytes = item.num_bytes(environment)
  if num_bytes > writer.MAX_EPISODE_BYTES:
    return TOO_LARGE, (f'its observations take {num_bytes / 1e9:.3g} GB; expected at most '
                       f'{writer.MAX_EPISODE_BYTES / 1e9:.3g} GB in an episode. Cut it into '
                       'several'), b''
  observations = np.asarray(item.observations)
  # In a small grid, different play may look the same.
  digest = hashlib.sha256(np.ascontiguousarray(observations))
  digest.update(action_fields.content(item.actions, item.is_labelled))
  for known in _flat(item.is_labelled):
    digest.update(known)
  digest.update(b'' if item.rewards is None else item.rewards.astype(np.float32))
  return '', '', digest.digest()[:_DIGEST_BYTES]


def _problem(item, environment):
  """Says in a sentence what is wrong with the values of a recording; '' if nothing is."""
  spec = environment.spec()
  if problem := _action_problem(environment.actions, item):
    return f'{problem}. Correct the environment file or the data.'
  problem = '' if item.rewards is None else values.reward_problem(item.rewards)
  if problem:
    return f'{problem}. Correct the data.'
  if spec.observation_kind == 'image':
    return ''  # They were made, or are decoded below.
  problem = values.observation_problem(np.asarray(item.observations), spec)
  return problem and f'{problem}. Correct the range in the environment file, or the data.'


@functools.singledispatch
def _action_problem(actions, item):
  """Says what is wrong with the actions of a recording; '' if nothing is."""
  raise NotImplementedError(type(actions))


@_action_problem.register
def _(actions: environment_file.Actions, item):
  legal = actions.spec().legal
  wrong = np.flatnonzero(item.is_labelled & ~np.isin(item.actions, legal))
  if not wrong.size:
    return ''
  name = actions.space[item.actions[wrong[0]]]
  return (f'action is {name!r} at step {wrong[0]} ({wrong.size} in all); expected one of '
          f'actions.legal, {list(actions.legal)}')


@_action_problem.register
def _(actions: environment_file.ActionParts, item):
  return actions.spec().check(item.actions, item.is_labelled, name='the environment file')


def _flat(field):
  """The arrays of what is [T], or {part: [T]}."""
  return [np.ascontiguousarray(values) for values in action_fields.flat({'': field}).values()]


def _judged_images(item, environment, settings):
  """As `_judged`. The digest is of pixels, which another program may have compressed otherwise.

  Images that are the same are the same play, whatever is known of it: labels of the one would leak
  into the other.
  """
  if item.num_bytes(environment) > writer.MAX_EPISODE_BYTES:
    return TOO_LARGE, (f'its images take more than {writer.MAX_EPISODE_BYTES / 1e9:.3g} GB, the '
                       'most that an episode holds. Cut the recording into several'), b''
  image, first = (np.empty(environment.observation.shape, np.uint8) for _ in range(2))
  num_blank, last, is_moving, digest = 0, None, False, hashlib.sha256()
  for t, encoded in enumerate(item.observations):
    if encoded != last:
      try:
        png.decode_into(image, encoded)
      except ValueError as error:
        return DAMAGED, f'image of step {t}: {error} Copy the data again.', b''
      is_blank = np.ptp(image, axis=(0, 1)).max() <= _BLANK_LEVELS
      first = image.copy() if t == 0 else first
      is_moving = is_moving or not np.array_equal(image, first)
    digest.update(image)
    num_blank += bool(is_blank)
    last = encoded
  if num_blank > settings.max_blank * len(item.observations):
    return BLANK, (f'{num_blank} of {len(item.observations)} images have one colour only; expected '
                   f'a share of at most {settings.max_blank}'), b''
  if not is_moving:
    return BLANK, 'all images are the same', b''
  return '', '', digest.digest()[:_DIGEST_BYTES]
