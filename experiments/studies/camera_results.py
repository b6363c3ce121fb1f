"""Reads what `experiments.camera_study` leaves of each run, and makes a table of it.

A file: format, way, seed, updates, preset, versions, and labels: {one of WHO: {one of NUMBERS}}.
"""

import pathlib

import numpy as np

from alpt_jax import schema
from alpt_jax.measures import continuous, events, intervals

FORMAT = 1
_TOLERANCE = 5.  # Degrees; of `within`, which no table shows.
TITLES = {'all': 'every label of the target', 'few': '200 labels of the target',
          'few_short': '200 labels of the target, a tenth of the updates',
          'few_source': '200 labels of the target, and a source'}
WHO = {'idm': 'IDM', 'ceiling': 'exact posterior', 'linear': 'linear map, same labels',
       'persistence': 'action of the step before'}
NUMBERS = {'r2': 'R² of turns', 'event_f1': 'F1 of onsets and releases, same step',
           'all_right': 'both keys right'}
HEADER = ('trained with', 'labels by', *NUMBERS.values(), 'seeds')
_FILE = {'format': schema.one_of([FORMAT]), 'way': schema.one_of(TITLES), 'seed': int,
         'updates': int, 'preset': str, 'labels': dict, 'versions': dict}


def numbers(truth, said, places):
  """Judges what is said of actions, where there is a step before.

  Args:
    truth: [M, 3]; turn, keys.
    said: [M, 3]; the same by somebody.
    places: `timeline.Timeline` of the M transitions.

  Returns:
    {one of NUMBERS: float}.
  """
  _, is_known = places.before(truth, np.ones(truth.shape, bool))
  turns = continuous.sums(truth[:, 0], said[:, 0], is_known[:, 0], places, tolerance=_TOLERANCE)
  keys, others = truth[:, 1:], said[:, 1:] > .5
  found = [events.find(x, is_known[:, 1:], places) for x in (keys, others)]
  counts = events.count(*found, is_known[:, 1:], places, collar=0).sum(axis=(0, 1, 2))
  joint = events.count_joint(keys, others, is_known[:, 1:], places).sum(axis=0)
  return {'r2': float(continuous.r2(turns.sum(axis=0))), 'event_f1': float(events.f1(counts)),
          'all_right': float(events.share(joint))}


def read(path):
  """Reads the file of a run; ValueError naming the file and the field if it is none."""
  return schema.read(path, _FILE)


def table(directory):
  """Tabulates run files: a header, and rows of texts, with intervals over seeds."""
  files = [read(path) for path in sorted(pathlib.Path(directory).glob('*.json'))]
  presets = sorted({file['preset'] for file in files})
  if len(presets) > 1:
    raise ValueError(f'{directory}: runs are of presets {presets}; expected one.')
  rows = []
  for way, title in TITLES.items():
    own = [file for file in files if file['way'] == way]
    for who, name in WHO.items() if own else ():
      rows.append([title if who == 'idm' else '', name, *(
          intervals.mean([file['labels'][who][number] for file in own]).text()
          for number in NUMBERS), str(len(own))])
  return HEADER, rows + _differences(files)


def _differences(files):
  """Rows of the differences that the study is about, paired by seed."""
  labels = {way: {file['seed']: file['labels'] for file in files if file['way'] == way}
            for way in TITLES}
  wanted = [
      ('exact posterior minus IDM, every label', 'all', 'ceiling', 'all', 'idm'),
      ('with a source minus without, 200 labels', 'few_source', 'idm', 'few', 'idm'),
      ('with a source minus a tenth of the updates without', 'few_source', 'idm', 'few_short',
       'idm'),
      ('with a source minus the linear map', 'few_source', 'idm', 'few_source', 'linear')]
  rows = []
  for title, way, who, other_way, other in wanted:
    pairs = [({seed: found[who][number] for seed, found in labels[way].items()},
              {seed: found[other][number] for seed, found in labels[other_way].items()})
             for number in NUMBERS]
    num = len(labels[way].keys() & labels[other_way].keys())
    if num > 1:
      rows.append([title, '', *(intervals.difference(*pair).interval.text() for pair in pairs),
                   str(num)])
  return rows
