"""Labellings: what an IDM said about the hidden actions of a target, its checks and its numbers.

A labelling is a part of results.json:

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
import binascii
import math
import numbers
from typing import NamedTuple

import numpy as np

from alpt_jax.data import png
from alpt_jax.measures import curves
from alpt_jax.reports import fields

_LABELLING = {'run': str, 'method': str, 'label': str, 'target': str, 'actions': list,
              'confusion': list, 'examples': list}
_EXAMPLE = {'strip': str, 'true': list, 'predicted': list, 'was_labelled': list}
ORDERS = ('most wrong', 'least sure', 'in order')


def _is_count(x):
  return isinstance(x, int) and not isinstance(x, bool) and x >= 0


def _is_finite(x):
  return isinstance(x, numbers.Real) and not isinstance(x, bool) and math.isfinite(x)


def _check_counts(record, names, where, lowest=0):
  for name in names:
    if name not in record:
      fields.fail(f'{where}.{name}', 'is missing', 'a whole number')
    if not _is_count(record[name]) or record[name] < lowest:
      fields.fail(f'{where}.{name}', fields.shown(record[name]),
                  f'a whole number, {lowest} or more')


def _check_all(values, length, is_good, expected, where):
  """Refuses what is no list of `length` values that are all good."""
  if not isinstance(values, list):
    fields.fail(where, fields.shown(values), 'a list')
  if len(values) != length:
    fields.fail(where, f'has {len(values)} entries', f'{length}')
  for i, x in enumerate(values):
    if not is_good(x):
      fields.fail(f'{where}[{i}]', fields.shown(x), expected)


def _check_strip(example, where):
  """Refuses what is not the whole PNG of T + 1 frames."""
  width = (len(example['true']) + 1) * example['frame_width']
  height = example['frame_height']
  expected = f'base64 of a PNG, 8 bit grey or RGB, {width} x {height}'
  try:
    encoded = base64.b64decode(example['strip'], validate=True)
  except (binascii.Error, ValueError):
    fields.fail(where, fields.shown(example['strip']), expected)
  shape = png.shape(encoded)
  if shape is None:
    fields.fail(where, f'begins with {encoded[:8]!r}', expected)
  if shape[:2] != (height, width):
    fields.fail(where, f'is {shape[1]} x {shape[0]}', expected)
  try:
    png.decode_into(np.empty(shape, np.uint8), encoded)
  except ValueError as error:
    fields.fail(where, f'is damaged ({error})', expected)


def _check_example(example, num_actions, where):
  fields.check(example, _EXAMPLE, where)
  _check_counts(example, ('episode', 'start'), where)
  _check_counts(example, ('frame_width', 'frame_height'), where, lowest=1)
  if 'file' in example:
    fields.check(example, {'file': str}, where)
  t = len(example['true'])
  if not t:
    fields.fail(f'{where}.true', 'is empty', 'an action per step')
  for name in ('true', 'predicted'):
    _check_all(example[name], t, lambda x: _is_count(x) and x < num_actions,
               f'an index below {num_actions}, the number of actions', f'{where}.{name}')
  _check_all(example['was_labelled'], t, lambda x: isinstance(x, bool), 'true or false',
             f'{where}.was_labelled')
  for name, is_good, expected in (
      ('confidence', lambda x: _is_finite(x) and 0 <= x <= 1, 'a number between 0 and 1'),
      ('return_to_go', _is_finite, 'a finite number')):
    if name not in example:
      fields.fail(f'{where}.{name}', 'is missing', 'a list or null')
    if example[name] is not None:
      _check_all(example[name], t, is_good, expected, f'{where}.{name}')
  _check_strip(example, f'{where}.strip')


def check(labelling, where):
  """Refuses a labelling that lacks a field or contradicts itself.

  Args:
    labelling: as the module says.
    where: what messages call it, e.g. 'results.labellings[0]'.

  Raises:
    ValueError: naming the first bad field, what it holds and what was expected.
  """
  fields.check(labelling, _LABELLING, where)
  _check_counts(labelling, ('seed', 'step', 'num_hidden'), where)
  actions, confusion = labelling['actions'], labelling['confusion']
  if not actions:
    fields.fail(f'{where}.actions', 'is empty', 'the names of the actions')
  _check_all(actions, len(actions), lambda x: isinstance(x, str) and actions.count(x) == 1,
             'a name of its own', f'{where}.actions')
  _check_all(confusion, len(actions), lambda row: isinstance(row, list), 'a list of counts',
             f'{where}.confusion')
  for i, row in enumerate(confusion):
    _check_all(row, len(actions), _is_count, 'a count, 0 or more', f'{where}.confusion[{i}]')
  total = sum(map(sum, confusion))
  if total != labelling['num_hidden']:
    fields.fail(f'{where}.num_hidden', f'is {labelling["num_hidden"]}',
                f'{total}, the sum of confusion')
  if 'num_labels' in labelling:
    _check_counts(labelling, ('num_labels',), where)
  clips = labelling.get('clips', [])
  if not isinstance(clips, list):
    fields.fail(f'{where}.clips', fields.shown(clips), 'a list')
  for name, shown in (('examples', labelling['examples']), ('clips', clips)):
    for i, example in enumerate(shown):
      _check_example(example, len(actions), f'{where}.{name}[{i}]')
      if name == 'clips':
        fields.check(example, {'uncertainty': numbers.Real}, f'{where}.clips[{i}]')


class Numbers(NamedTuple):
  """How well actions were labelled; NaN (None for `majority`) where there is nothing to count.

  Attributes:
    accuracy: share that is right.
    interval: 95 % Wilson `curves.Interval` of the accuracy.
    balanced_accuracy: mean recall of the actions that occur.
    majority: index of the most frequent true action, the first of equals.
    majority_accuracy: share that is right if that is always said.
    recall: [A] share of each true action that is right.
    precision: [A] share of each predicted action that is right.
  """
  accuracy: float
  interval: curves.Interval
  balanced_accuracy: float
  majority: int | None
  majority_accuracy: float
  recall: np.ndarray
  precision: np.ndarray


def _shares(parts, wholes):
  return np.divide(parts, wholes, out=np.full(len(parts), math.nan), where=wholes > 0)


def compute(confusion):
  """Computes the `Numbers` of a confusion matrix, [A, A] counts with true actions as rows."""
  counts = np.asarray(confusion)
  right, n = np.diagonal(counts), int(counts.sum())
  occurring = counts.sum(1)
  recall = _shares(right, occurring)
  return Numbers(
      accuracy=int(right.sum()) / n if n else math.nan,
      interval=curves.wilson_interval(int(right.sum()), n),
      balanced_accuracy=float(recall[occurring > 0].mean()) if n else math.nan,
      majority=int(occurring.argmax()) if n else None,
      majority_accuracy=int(occurring.max()) / n if n else math.nan,
      recall=recall, precision=_shares(right, counts.sum(0)))


def is_wrong(example):
  """[T] bool: hidden actions that were labelled wrong. What training knew does not count."""
  return np.array([predicted != true and not known for predicted, true, known in zip(
      example['predicted'], example['true'], example['was_labelled'], strict=True)])


def mean_confidence(example):
  """Mean over the hidden actions; infinite, so that it comes last, where none is known."""
  if example['confidence'] is None or all(example['was_labelled']):
    return math.inf
  return float(np.mean(np.array(example['confidence'])[~np.array(example['was_labelled'])]))


def ordered(examples, order):
  """Sorts examples.

  Args:
    examples: of a labelling.
    order: one of ORDERS. 'most wrong' puts the least sure of equally wrong ones first, 'least sure'
      the most wrong of equally sure ones; what is still equal stays in order of time.

  Returns:
    Indices into `examples`.
  """
  wrong = [-int(is_wrong(example).sum()) for example in examples]
  sure = [mean_confidence(example) for example in examples]
  time = [(example['episode'], example['start']) for example in examples]
  key = {'most wrong': lambda i: (wrong[i], sure[i], time[i]),
         'least sure': lambda i: (sure[i], wrong[i], time[i]),
         'in order': lambda i: time[i]}[order]
  return sorted(range(len(examples)), key=key)
