"""What the actions of datasets of others mean: indices and their names, and where parts are.

Parts are found by keys. What is no dict has the name of its field, `actions.key` of the environment
file; an entry of a dict its own, and one of nested dicts 'arm/grip'. Of a vector each element is a
part: of an action of two numbers action[0] and action[1], of an entry arm of a dict arm[0], arm[1];
of a matrix arm[0][1]. The environment file says with `key` which part is where, if it is called
otherwise, and with `actions.left_out` what is not imported. What it does not name is refused: a
part that is forgotten would never be missed.
"""

import difflib
from typing import NamedTuple

import numpy as np

from alpt_jax.data import action_fields

_NUM_SHOWN = 20
_KINDS = {'categorical': ('iu', 'integers'), 'binary': ('biuf', '0 or 1'),
          'continuous': ('iuf', 'numbers')}  # Kinds of numpy that are let in, and their names.


class Names(NamedTuple):
  """What an environment file calls the action indices of the data.

  Attributes:
    field: of the environment file.
    expected: the names.
    is_stored: whether it says so of this data only, so that data has just these.
    hint: what else to say of it.
    what: they are names of.
  """
  field: str
  expected: tuple[str, ...]
  is_stored: bool = False
  hint: str = ''
  what: str = 'actions'


def stored_names(actions):
  """Returns `Names` of an `environment_file.Actions`."""
  hint = ': actions.stored is the name of each action index of the data'
  return (Names('actions.stored', actions.stored, True, hint) if actions.stored else
          Names('actions.space', actions.space, False, hint))


def check_num_actions(where, num_actions, names):
  """Raises ValueError if data has another number of actions than its environment file says.

  Args:
    where: for the message.
    num_actions: of the data.
    names: `Names`.
  """
  if num_actions != len(names.expected):
    raise ValueError(f'{where} has {num_actions} {names.what}; expected the {len(names.expected)} '
                     f'of {names.field} in the environment file, {list(names.expected)}. Correct it'
                     f'{names.hint}.')


def named_actions(where, found, names):
  """Finds the ids of actions that the data itself names.

  Args:
    where: for the message.
    found: names of the action indices of the data.
    names: `Names`.

  Returns:
    [len(found)] int32, an id each; None if the environment file has the same names.

  Raises:
    ValueError: showing both lists, if the environment file does not know one, or stores others.
  """
  if list(found) == list(names.expected):
    return None
  if names.is_stored or set(found) - set(names.expected):
    raise ValueError(f'{where} names the {names.what} {list(found)}; expected {names.field} of the '
                     f'environment file, {list(names.expected)}. Correct it.')
  return np.array([names.expected.index(name) for name in found], np.int32)


def action_ids(stored, environment, *, is_labelled=True):
  """Makes ids of the action indices that a source stores.

  Args:
    stored: [T] int.
    environment: `environment_file.Environment`; `actions.stored` says what they mean.
    is_labelled: [T] bool; others are not looked at.

  Returns:
    [T] int32; ids in the action space, of the labelled.

  Raises:
    ValueError: naming the first that the environment does not have; without the file's name.
  """
  space = environment.spec().actions
  problem = space.check(stored, is_labelled, name=environment.name)
  if problem:
    raise ValueError(f'{problem}. Correct actions.stored or actions.legal of the environment file, '
                     'or the data.')
  return space.to_ids(stored, is_labelled)


def check_one(environment, what):
  """Raises ValueError if `what`, which holds one discrete action a step, is to be several parts."""
  if environment.spec().actions.shape:
    raise ValueError(f'actions of {environment.name} are parts; expected actions.space, the names '
                     f'of one discrete action, for {what}. Correct the environment file.')


def places(value, entries, root):
  """Returns {key: value} of what nested dicts hold; `root` is the key of what is none.

  Args:
    value: e.g. a dict of arrays.
    entries: returns the dict of a value that has entries, None of others.
    root: see above.
  """
  inner = entries(value)
  if inner is None:
    return {root: value}
  result = {}
  for name in inner:
    is_dict = entries(inner[name]) is not None
    result |= {f'{name}/{key}' if is_dict else name: leaf
               for key, leaf in places(inner[name], entries, name).items()}
  return result


def elements(key, shape):
  """Returns {key: index} of the elements of an array of a shape: of a number its own key."""
  return {key + ''.join(f'[{i}]' for i in index): index for index in np.ndindex(*shape)}


def check_keys(where, found, actions):
  """Raises ValueError unless data has all parts of an environment file, and no others.

  Args:
    where: for the message.
    found: keys of the data, see the module.
    actions: `environment_file.ActionParts`.
  """
  found = sorted(found)
  shown = f'{found[:_NUM_SHOWN]}{" .." if len(found) > _NUM_SHOWN else ""}'
  for part, key in zip(actions.parts, actions.keys, strict=True):
    if key not in found:
      near = difflib.get_close_matches(key, found, n=1)
      raise ValueError(f'{where} has no {key!r}, the key of actions.parts.{part.name} in the '
                       f'environment file, but {shown}. Correct the key'
                       f'{f"; is {near[0]!r} meant?" if near else "."}')
  for key in found:
    is_left_out = any(key == name or key.startswith((f'{name}[', f'{name}/'))
                      for name in actions.left_out)
    if key not in actions.keys and not is_left_out:
      raise ValueError(f'{where} has {key!r}, the key of no part of the environment file; expected '
                       f'{list(actions.keys)}. Declare it as a part, or list it in '
                       'actions.left_out.')


def check_values(where, key, part, dtype, num_values=None):
  """Raises ValueError unless values can be those of a part.

  Args:
    where: for the message.
    key: of the part in the data.
    part: from `action_parts`.
    dtype: numpy's, of the values.
    num_values: how many values there are; None if they are just numbers.
  """
  kinds, expected = _KINDS[part.kind]
  if np.dtype(dtype).kind not in kinds and num_values is None:
    raise ValueError(f'{where}: {key} is {np.dtype(dtype)}; expected {expected}, as {part.name} is '
                     f'{part.kind} in the environment file. Correct it.')
  if num_values is None:
    return
  if part.kind == 'continuous':
    raise ValueError(f'{where}: {key} is one of {num_values} values; expected a number, as '
                     f'{part.name} is continuous in the environment file. Correct it.')
  check_num_actions(f'{where}: {key}', num_values, part_names(part))


def part_names(part):
  """Returns the `Names` of a part that is categorical or binary."""
  if part.kind == 'binary':
    return Names(f'actions.parts.{part.name}', ('0', '1'), what='values')
  return Names(f'actions.parts.{part.name}.names', part.names, what='values')


def of_key(found, key, root):
  """Picks what is said of a part, e.g. whether it is known: of itself, its vector, or of all."""
  return next((found[name] for name in (key, key.partition('[')[0], root) if name in found), None)


def parts(found, environment, is_known=None):
  """Checks the parts of an episode.

  Args:
    found: {key: [T]}.
    environment: `environment_file.Environment` with `actions.parts`.
    is_known: {part: [T] bool}; None for all.

  Returns:
    actions {part: [T]} as `checks.Recording` has them; is_labelled {part: [T] bool}.

  Raises:
    ValueError: naming part, step, value and what was expected; without the file's name.
  """
  actions, space = environment.actions, environment.spec().actions
  if missing := [key for key in actions.keys if key not in found]:
    raise ValueError(f'the actions have no {missing[0]!r} but {sorted(found)[:_NUM_SHOWN]}. Copy '
                     'the data again.')
  values = {part.name: np.asarray(found[key])
            for part, key in zip(actions.parts, actions.keys, strict=True)}
  lengths = {part: len(x) for part, x in values.items()}
  if len(set(lengths.values())) > 1:
    raise ValueError(f'the parts of the actions have different lengths, {lengths}. Copy the data '
                     'again.')
  known = is_known or {part: np.ones(len(x), bool) for part, x in values.items()}
  if problem := space.check(values, known, name=environment.name):
    raise ValueError(f'{problem}. Correct the environment file, or the data.')
  return action_fields.stored(space, values, known), known
