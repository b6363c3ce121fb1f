"""Schema of a labelling in results.json: an IDM's labels of a target's hidden actions.

  run, method, target   strings, as everywhere in that file
  label                 the method's name for readers
  seed, step            whole numbers
  num_labels            may be there: how many labels training was given
  num_hidden            how many hidden actions were labelled and counted
  actions               names of the A legal actions
  confusion             [A, A] counts of hidden actions; a row per true, a column per predicted
  examples              windows of the target, each with
    episode, start        where it begins
    file                  may be there: name of the file that the episode comes from
    strip                 base64 of a PNG, T + 1 frames side by side
    frame_width, frame_height   of one frame, in pixels
    true, predicted       [T] indices into `actions`
    confidence            [T] probability that the IDM gives to its prediction, or null
    was_labelled          [T] whether training knew the true action, so that it was not hidden
    return_to_go          [T] numbers, or null
  clips                 may be there: windows that are worth labelling, as examples, each with
    uncertainty           one minus the mean confidence
"""

import base64

import numpy as np

from alpt_jax import schema
from alpt_jax.data import png


def _check_example(example, where):
  """Refuses lists that differ in length, and pictures of another size."""
  for name in ('predicted', 'was_labelled', 'confidence', 'return_to_go'):
    if example[name] is not None:
      _check_length(example[name], len(example['true']), f'{where}.{name}')
  _check_strip(example, f'{where}.strip')


def _check_labelling(labelling, where):
  """Refuses actions of one name, other counts than one a pair of actions, and another sum."""
  actions, confusion = labelling['actions'], labelling['confusion']
  for i, name in enumerate(actions):
    schema.expect(f'{where}.actions[{i}]', name, actions.count(name) == 1, 'a name of its own')
  _check_length(confusion, len(actions), f'{where}.confusion')
  for i, row in enumerate(confusion):
    _check_length(row, len(actions), f'{where}.confusion[{i}]')
  total = sum(map(sum, confusion))
  schema.expect(f'{where}.num_hidden', labelling['num_hidden'], labelling['num_hidden'] == total,
                f'{total}, the sum of confusion')
  index = schema.Rule(schema.COUNT, lambda x: x < len(actions),
                      f'an index below {len(actions)}, the number of actions')
  windows = [{'true': [index], 'predicted': [index]}]
  schema.check(labelling, {'examples': windows, 'clips?': windows}, where)


def _check_length(values, length, where):
  if len(values) != length:
    schema.fail(where, f'has {len(values)} entries', f'{length}')


def _check_strip(example, where):
  """Refuses what is not the whole PNG of T + 1 frames."""
  width = (len(example['true']) + 1) * example['frame_width']
  height = example['frame_height']
  expected = f'base64 of a PNG, 8 bit grey or RGB, {width} x {height}'
  try:
    encoded = base64.b64decode(example['strip'], validate=True)
  except ValueError:
    schema.expect(where, example['strip'], False, expected)
  shape = png.shape(encoded)
  if shape is None:
    schema.fail(where, f'begins with {encoded[:8]!r}', expected)
  if shape[:2] != (height, width):
    schema.fail(where, f'is {shape[1]} x {shape[0]}', expected)
  try:
    png.decode_into(np.empty(shape, np.uint8), encoded)
  except ValueError as error:
    schema.fail(where, f'is damaged ({error})', expected)


_EXAMPLE = {
    'episode': schema.COUNT, 'start': schema.COUNT, 'file?': str, 'strip': str,
    'frame_width': schema.POSITIVE, 'frame_height': schema.POSITIVE,
    'true': schema.filled(list), 'predicted': list, 'confidence': ([schema.SHARE], None),
    'was_labelled': [bool], 'return_to_go': ([schema.FINITE], None)}
LABELLING = schema.Also({
    'run': str, 'method': str, 'label': str, 'target': str, 'seed': schema.COUNT,
    'step': schema.COUNT, 'num_labels?': schema.COUNT, 'num_hidden': schema.COUNT,
    'actions': schema.filled([str]), 'confusion': [[schema.COUNT]],
    'examples': [schema.Also(_EXAMPLE, _check_example)],
    'clips?': [schema.Also(_EXAMPLE | {'uncertainty': float}, _check_example)]}, _check_labelling)
