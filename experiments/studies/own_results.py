"""Reads what `experiments.own_study` leaves of each seed, and makes a table of it.

A file, <film>/seeds/seed<n>.json: format, seed; data (digest, num_transitions, num_labelled,
num_episodes of the imported film); labels (accuracy with low and high, num_transitions and
num_episodes that are held out, linear and majority, which are floors, most_frequent_share); returns
of the agent's games; play (its most_frequent_share, longest_run, num_cut, max_steps, sticky); and
versions.
"""

import pathlib

import numpy as np

from alpt_jax import schema
from alpt_jax.measures import intervals

FORMAT = 1
_FILE = {'format': schema.one_of([FORMAT]), 'seed': float, 'data': dict, 'labels': dict,
         'returns': list, 'play': dict, 'versions': dict}
HEADER = ('film', 'transitions', 'labelled', 'labels right, held out', 'linear map of the change',
          'most frequent action', 'agent', 'its most frequent action', 'seeds')


def read(path):
  """Reads the file of a seed.

  Raises:
    ValueError: in one line, naming the file and the field.
  """
  return schema.read(path, _FILE)


def check_data(directory, digest=None):
  """Refuses files of seeds that are not of one film.

  Args:
    directory: of `results`.
    digest: of the imported film; None for that of the first file.

  Raises:
    ValueError: naming the first file of another film, or one that is damaged.
  """
  for path in sorted(pathlib.Path(directory).glob('seeds/*.json')):
    found = read(path)['data'].get('digest')
    digest = digest or found
    if found != digest:
      raise ValueError(f'{path}: it is of data {found}; expected {digest}, one film. Keep each '
                       'film in a directory of its own.')


def table(directories):
  """Tabulates the results: rows under HEADER.

  Args:
    directories: of `results`, each of one film.

  Returns:
    A list of lists of texts; intervals over seeds, and the agent's mean of seeds' means.

  Raises:
    ValueError: as `read`, or if the seeds of a directory are of different data.
  """
  rows = []
  for directory in map(pathlib.Path, directories):
    check_data(directory)
    files = [read(path) for path in sorted(directory.glob('seeds/*.json'))]
    if not files:
      continue
    data = files[0]['data']
    of = lambda key, files=files: intervals.mean(  # noqa: E731
        [file['labels'][key] for file in files]).text()
    rows.append([
        directory.name, f'{data["num_transitions"]:,}', f'{data["num_labelled"]:,}',
        of('accuracy'), of('linear'), of('majority'),
        intervals.mean([float(np.mean(file['returns'])) for file in files]).text(1),
        intervals.mean([file['play']['most_frequent_share'] for file in files]).text(),
        str(len(files))])
  return rows
