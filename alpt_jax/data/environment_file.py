"""Reads and checks environment.json, which describes a user's own dataset, beside the data.

  {"name": "Breakout",
   "observation": {"kind": "image", "key": "", "shape": [84, 84, 1], "low": 0.0, "high": 1.0},
   "actions": {"key": "action", "space": ["NOOP", "FIRE", "RIGHT", "LEFT", "UP"],
               "legal": ["NOOP", "FIRE", "RIGHT", "LEFT"], "stored": null},
   "reward": {"key": "reward", "clip": 1.0},
   "returns": [-20, 100],
   "steps_per_second": 15.0}

Actions of several parts, e.g. keys and a mouse, have `parts` in place of `space`, `legal` and
`stored`, each with the fields of its kind, see `action_parts`:

   "actions": {"parts": {
       "fire": {"kind": "binary"},
       "turn": {"kind": "continuous", "low": -90, "high": 90, "unit": "degrees", "mode": "delta"},
       "weapon": {"kind": "categorical", "names": ["fist", "pistol"], "legal": ["fist"]}}}

The same file describes data that is to be imported (where its fields are, what its action indices
mean) and, with the names that all our datasets have, what was imported.
"""

import dataclasses
import math
import os
import re
import unicodedata

import numpy as np

from alpt_jax import action_parts, action_space, schema, types
from alpt_jax.files import atomic_files

FILE = 'environment.json'
_NAME = r'[A-Za-z][A-Za-z0-9._:-]*'  # Names a directory, too.
_PART_NAME = r'\w([\w .:+\[\]-]*[\w.:+\[\]-])?'  # Names a field of records, a column.
RESERVED = ('file', 'step', 'reward')  # The other columns of lists of actions.
_MOST_BINS, _MOST_GROWTH = 4096, 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
  """What is seen at a step.

  Attributes:
    kind: one of `types.OBSERVATION_KINDS`.
    key: the entry of the step's observation dict; '' if the observation is a single array.
    shape: [H, W, C] of an image (C is 1 or 3) or grid; [n] of a vector.
    low: smallest value of a vector; means nothing for other kinds.
    high: its largest value.
  """
  kind: str
  key: str = ''
  shape: tuple[int, ...]
  low: float = 0.
  high: float = 1.

  def __post_init__(self):
    _expect('observation.kind', self.kind, self.kind in types.OBSERVATION_KINDS,
            f'one of {types.OBSERVATION_KINDS}')
    _expect('observation.key', self.key, isinstance(self.key, str), 'a string, "" for none')
    is_right = (isinstance(self.shape, tuple) and all(_is_integer(n) and n > 0 for n in self.shape)
                and len(self.shape) == (1 if self.kind == 'vector' else 3))
    if self.kind == 'image':
      is_right = is_right and self.shape[2] in (1, 3)
    expected = {'vector': '[number of values]', 'grid': '[height, width, planes]',
                'image': '[height, width, 1] or [height, width, 3]'}
    _expect('observation.shape', self.shape, is_right, expected[self.kind])
    _expect('observation.low', self.low, _is_number(self.low), 'a finite number')
    _expect('observation.high', self.high, _is_number(self.high) and self.high > self.low,
            f'a finite number above observation.low, {self.low}')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actions:
  """What can be done.

  Attributes:
    key: the field of the step that holds the action.
    space: names of all actions, at the position of their ids. Environments trained together have
      the same one.
    legal: names of those that this environment knows; None for all.
    stored: the name that each action index k of the data stands for, at position k; None if the
      data stores ids.
  """
  key: str = 'action'
  space: tuple[str, ...]
  legal: tuple[str, ...] | None = None
  stored: tuple[str, ...] | None = None

  left_out = ()  # See `ActionParts`; no field of the file.

  def __post_init__(self):
    _expect('actions.key', self.key, isinstance(self.key, str) and self.key, 'a name of a field')
    _check_names('actions.space', self.space)
    if self.legal is None:
      object.__setattr__(self, 'legal', self.space)  # The class is frozen for others.
    _check_names('actions.legal', self.legal, among=('actions.space', self.space))
    if self.stored is not None:
      # Two indices may stand for the same action.
      _check_names('actions.stored', self.stored, among=('actions.legal', self.legal),
                   is_once=False)

  def spec(self):
    """Returns the `action_space.Discrete`."""
    ids = {name: i for i, name in enumerate(self.space)}
    return action_space.Discrete(
        self.space, legal=tuple(sorted(ids[name] for name in self.legal)),
        stored=tuple(ids[name] for name in self.stored or ()))

  def canonical(self):
    """See `Environment.canonical`."""
    return dataclasses.replace(self, key='action', stored=None)

  def content(self):
    """Returns what is written of them, JSON-able."""
    return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionParts:
  """What can be done, where an action has several parts.

  Attributes:
    key: the field of the step that holds the action.
    parts: from `action_parts`.
    keys: where data that is imported has each part, see `importers.parts`; in the file a field
      `key` of the part. None: they are called as the parts.
    left_out: keys that this data has, too, and that are not imported.
  """
  key: str = 'action'
  parts: tuple
  keys: tuple[str, ...] | None = None
  left_out: tuple[str, ...] = ()

  def __post_init__(self):
    _expect('actions.key', self.key, isinstance(self.key, str) and self.key, 'a name of a field')
    names = tuple(part.name for part in self.parts)
    _expect('actions.parts', names, names, 'at least one part')
    for name in names:
      if not re.fullmatch(_PART_NAME, name) or name in RESERVED:
        schema.fail('actions.parts', f'has a part {name!r}', 'names of letters, digits, spaces and '
                    f'_ . : + - [ ], none of them {", ".join(RESERVED)}')
    if self.keys is None:
      object.__setattr__(self, 'keys', names)  # The class is frozen for others.
    for name, key in zip(names, self.keys, strict=True):
      _expect(f'actions.parts.{name}.key', key,
              isinstance(key, str) and key and key not in RESERVED and self.keys.count(key) == 1,
              f'where the data has it, unlike other parts, none of {", ".join(RESERVED)}')
    _expect('actions.left_out', self.left_out,
            isinstance(self.left_out, tuple) and not {*self.left_out} & {*self.keys, *RESERVED} and
            all(isinstance(key, str) and key for key in self.left_out),
            'a list of keys that no part has')

  def spec(self):
    """Returns the `action_space.Parts`."""
    return action_space.Parts(self.parts)

  def canonical(self):
    """See `Environment.canonical`."""
    return ActionParts(parts=self.parts)

  def content(self):
    """Returns what is written of them, JSON-able."""
    parts = {}
    for part, key in zip(self.parts, self.keys, strict=True):
      fields = {'kind': part.kind} | dataclasses.asdict(part) | {'key': key}
      del fields['name']
      if key == part.name:
        del fields['key']
      parts[part.name] = fields
    left_out = {'left_out': self.left_out} if self.left_out else {}
    return {'key': self.key, 'parts': parts} | left_out


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reward:
  """The reward of a step.

  Attributes:
    key: the field of the step that holds the reward.
    clip: rewards are clipped to [-clip, clip] when read; None for as they are.
  """
  key: str = 'reward'
  clip: float | None = None

  def __post_init__(self):
    _expect('reward.key', self.key, isinstance(self.key, str) and self.key, 'a name of a field')
    _expect('reward.clip', self.clip, self.clip is None or _is_number(self.clip) and self.clip > 0,
            'a number above 0, or null to keep rewards as they are')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
  """What a dataset is data of.

  Attributes:
    name: names the environment in messages, results and directories.
    observation: `Observation`.
    actions: `Actions` or `ActionParts`.
    reward: `Reward`, or None if rewards are unknown.
    returns: the smallest and the largest return of the return token, both inclusive, in units of
      (clipped) reward; None, for (0, 1), only where there is no reward.
    steps_per_second: how many actions are chosen in a second; None if that means nothing.
  """
  name: str
  observation: Observation
  actions: Actions | ActionParts
  reward: Reward | None
  returns: tuple[int, int] | None = None
  steps_per_second: float | None = None

  def __post_init__(self):
    _expect('name', self.name, isinstance(self.name, str) and re.fullmatch(_NAME, self.name),
            'a letter, then letters, digits and . _ : -')
    if self.returns is None and self.reward is None:
      object.__setattr__(self, 'returns', (0, 1))
    is_pair = (isinstance(self.returns, tuple) and len(self.returns) == 2 and
               all(map(_is_integer, self.returns)) and self.returns[0] < self.returns[1])
    _expect('returns', self.returns, is_pair,
            '[smallest, largest], two integers, of the returns of an episode')
    _expect('steps_per_second', self.steps_per_second,
            self.steps_per_second is None or
            _is_number(self.steps_per_second) and self.steps_per_second > 0,
            'a number above 0, or null')

  def spec(self):
    """Returns the `types.EnvironmentSpec`."""
    clip = self.reward.clip if self.reward else None
    return types.EnvironmentSpec(
        name=self.name,
        observation_key=self.observation.key,
        observation_kind=self.observation.kind,
        observation_shape=self.observation.shape,
        observation_low=self.observation.low,
        observation_high=self.observation.high,
        actions=self.actions.spec(),
        return_low=self.returns[0],
        return_high=self.returns[1],
        reward_clip=math.inf if clip is None else clip)

  def notes(self, name):
    """Returns what a user who trains on the data should know, a list of lines."""
    return [] if self.reward else [
        f'{name} has no rewards: the agent imitates what was done (behaviour cloning).']

  def canonical(self):
    """Returns the environment as our own datasets store it: fixed field names, ids as actions."""
    return dataclasses.replace(
        self, observation=dataclasses.replace(self.observation, key=''),
        actions=self.actions.canonical(),
        reward=self.reward and dataclasses.replace(self.reward, key='reward'))


_SECTIONS = {'observation': Observation, 'actions': Actions, 'reward': Reward}
_NUMBER = schema.Rule(float, lambda x: abs(x) <= float(np.finfo(np.float32).max), 'a finite number')
_PART_FIELDS = {
    'binary': {},
    'categorical': {'names': object, 'legal?': object},  # As `actions.space` and `actions.legal`.
    'continuous': {
        'low': _NUMBER, 'high': _NUMBER, 'unit?': str, 'mode?': schema.one_of(action_parts.MODES),
        'wraps?': bool,
        'growth?': schema.Rule(
            float, lambda x: 0 <= x <= _MOST_GROWTH, f'a number from 0 to {_MOST_GROWTH}'),
        'num_bins?': schema.Rule(
            int, lambda x: 2 <= x <= _MOST_BINS, f'a whole number from 2 to {_MOST_BINS}')},
}
_KINDS = {'binary': action_parts.Binary, 'categorical': action_parts.Categorical,
          'continuous': action_parts.Continuous}


def read(path):
  """Reads an environment file.

  Args:
    path: of the file, or of the dataset directory that it lies in.

  Returns:
    `Environment`.

  Raises:
    FileNotFoundError: if there is none.
    ValueError: naming the file and the field, if something in it is not as it has to be.
  """
  if os.path.isdir(path):
    path = os.path.join(path, FILE)
  if not os.path.isfile(path):
    raise FileNotFoundError(f'{path}: no such file; expected a description of the environment '
                            '(see alpt_jax/data/environment_file.py). Write one, or correct the '
                            'path.')
  content = schema.read(path, object, 'Correct the file.')
  try:
    return _parse(content)
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error


def write(path, environment):
  """Writes an environment file, whole or not at all.

  Args:
    path: of the file.
    environment: `Environment`.
  """
  atomic_files.write_json(
      path, dataclasses.asdict(environment) | {'actions': environment.actions.content()}, indent=2)


def _parse(content):
  fields = _fields('', content, Environment)
  for name, kind in _SECTIONS.items():
    if name == 'actions' and isinstance(fields[name], dict) and 'parts' in fields[name]:
      fields[name] = _action_parts(fields[name])
    elif name != 'reward' or fields[name] is not None:
      fields[name] = kind(**_fields(name, fields[name], kind))
  if fields['observation'].kind == 'vector':
    for name in ('low', 'high'):
      if name not in content['observation']:
        raise ValueError(f'observation.{name} is missing; expected the '
                         f'{"smallest" if name == "low" else "largest"} value of the vectors.')
  return Environment(**fields)


def _action_parts(content):
  form = {'key?': object, 'parts': schema.filled({str: {'kind': schema.one_of(_PART_FIELDS)}}),
          'left_out?': list}
  schema.check_names(content, form, 'actions')
  schema.check(content, form, 'actions')
  named = {}
  for name, fields in content['parts'].items():
    name = unicodedata.normalize('NFC', name)
    if name in named:
      schema.fail(f'actions.parts.{name}', 'is there twice', 'every name once')
    named[name] = _part(name, fields)
  content = content | {'parts': tuple(part for part, _ in named.values()),
                       'keys': tuple(key for _, key in named.values())}
  return ActionParts(**content | {'left_out': tuple(content.get('left_out', ()))})


def _part(name, content):
  """Makes a part of the fields that a file has of it; also returns its key."""
  where = f'actions.parts.{name}'
  form = {'kind': str, 'key?': object} | _PART_FIELDS[content['kind']]
  schema.check_names(content, form, where)
  schema.check(content, form, where)
  fields = {key: tuple(x) if isinstance(x, list) else x for key, x in content.items()
            if key not in ('kind', 'key')}
  if 'names' in fields:
    _check_names(f'{where}.names', fields['names'])
    if fields.get('legal') is not None:
      _check_names(f'{where}.legal', fields['legal'], among=(f'{where}.names', fields['names']))
  if 'low' in fields:
    _expect(f'{where}.low', fields['low'], np.float32(fields['low']) < np.float32(fields['high']),
            f'a number below {where}.high, {fields["high"]}')
  try:
    return _KINDS[content['kind']](name, **fields), content.get('key', name)
  except ValueError as error:
    raise ValueError(f'{where}: {error}') from error


def _fields(name, content, kind):
  """Checks the keys of a JSON object against the fields of a class; makes tuples of lists."""
  form = {field.name + '?' * (field.default is not dataclasses.MISSING): object
          for field in dataclasses.fields(kind)}
  schema.check(content, (dict, None) if name == 'reward' else dict, name)
  schema.check_names(content, form, name)  # Before what a misspelt one leaves missing.
  schema.check(content, form, name)
  return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


def _check_names(field, names, *, among=None, is_once=True):
  is_names = (isinstance(names, tuple) and names and
              all(isinstance(name, str) and name for name in names))
  _expect(field, names, is_names, 'a list of names')
  repeated = [name for i, name in enumerate(names) if name in names[:i]]
  _expect(field, names, not (is_once and repeated), f'every name once, and {repeated} is repeated')
  if among:
    unknown = [name for name in names if name not in among[1]]
    _expect(field, names, not unknown,
            f'names of {among[0]}, {list(among[1])}; {unknown} is not there')


def _expect(field, value, is_right, expected):
  schema.expect(field, list(value) if isinstance(value, tuple) else value, is_right, expected)


def _is_integer(value):
  return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
  return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
