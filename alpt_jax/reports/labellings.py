"""Orders examples of labellings: what an IDM said about the hidden actions of a target.

A labelling is a part of results.json; its fields: `experiments/studies/labelling_schema.py`.
"""

import math

import numpy as np

ORDERS = ('most wrong', 'least sure', 'in order')


def is_wrong(example):
  """Finds hidden actions that were labelled wrong, [T] bool; known ones are not hidden."""
  return np.array([predicted != true and not known for predicted, true, known in zip(
      example['predicted'], example['true'], example['was_labelled'], strict=True)])


def mean_confidence(example):
  """Averages confidence over the hidden actions; infinite where none is known."""
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
