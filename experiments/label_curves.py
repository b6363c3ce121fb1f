"""Draws how many labels are right against the number of labels, with floors and ceiling.

python -m experiments.label_curves --runs=experiments/results/mazes/runs

Reads the run files of a study and writes labels.csv and labels.png beside their directory: means
over training seeds of the last evaluation of each run, with Student's t intervals of 95 %.
"""

import collections
import csv
import dataclasses
import io
import pathlib
import sys
from typing import NamedTuple

import numpy as np
from absl import flags

from alpt_jax import atomic_files, cli
from alpt_jax.measures import curves, intervals
from alpt_jax.reports import figures
from experiments import summarise

_RUNS = flags.DEFINE_string('runs', None, 'The directory of the run files, e.g. '
                            'experiments/results/mazes/runs.')

_METHODS = {  # Of studies, in the order of legends; others have their own names.
    'none': 'target only', 'dt1_idm': 'target only', 'one': '1 source', 'alpt_blocked': '1 source',
    'four': '4 sources', 'nine': '9 sources', 'alpt_blocked_tunnel': '2 sources, one tunneled',
    'alpt_two_blocked': '2 sources alike', 'permuted': '4 sources, actions permuted',
    'past': 'floor: past only', 'linear': 'floor: linear map of the change',
    'table': 'floor: table of the change', 'majority': 'floor: most frequent action',
    'ceiling': 'ceiling: all actions tried'}
_REFERENCES = {'past': '#8a5a00', 'linear': '#1b1f24', 'table': '#1b1f24',
               'majority': figures.MUTED, 'ceiling': '#b00020'}  # Colours of dashed lines.


class Point(NamedTuple):
  """The share of right labels of a method at a number of labels.

  Attributes:
    panel: what the picture is of: a game, or how mazes are observed.
    method: of the runs, or the name of a floor or ceiling.
    num_labels: of the target.
    mean: over seeds, in [0, 1].
    low, high: ends of the 95 % interval over seeds; None with fewer than two.
    seeds: how many.
  """
  panel: str
  method: str
  num_labels: int
  mean: float
  low: float | None
  high: float | None
  seeds: int


def points(files):
  """Averages the last evaluations of finished runs of IDMs.

  Args:
    files: contents of run files.

  Returns:
    List of `Point`, sorted.

  Raises:
    ValueError: if two runs have one seed, method, panel and number of labels.
  """
  values = collections.defaultdict(dict)
  for content in files:
    identity = content['identity']
    if content['status'] != 'done' or identity['part'] != 'labels':
      continue
    panel = identity.get('observation') or identity['target']
    found = {identity['method']: content['curves']['label_accuracy'][-1]} | _references(content)
    for method, value in found.items():
      of_seeds = values[panel, method, identity['num_labels']]
      if method == identity['method'] and identity['seed'] in of_seeds:
        raise ValueError(f'{content["run"]}: a second run of {method} with {panel}, '
                         f'{identity["num_labels"]} labels and seed {identity["seed"]}.')
      of_seeds[identity['seed']] = value
  result = []
  for (panel, method, num_labels), of_seeds in values.items():
    found = intervals.mean([of_seeds[seed] for seed in sorted(of_seeds)])
    result.append(Point(panel, method, num_labels, found.value, found.low, found.high, found.n))
  order = {method: i for i, method in enumerate(_METHODS)}
  return sorted(result, key=lambda point: (point.panel, order.get(point.method, -1), point.method,
                                           point.num_labels))


def _references(content):
  """Floors on the same labels, and the ceiling, that a run file has."""
  found = {}
  if content.get('table_floor'):
    found |= {name: content['table_floor'][name] for name in ('table', 'majority')}
  labels = (content.get('floors') or {}).get('labels') or {}
  for name in ('linear', 'majority'):
    if (labels.get('floors') or {}).get(name):
      found[name] = labels['floors'][name]['value']
  ceiling = labels.get('ceiling') or {}
  known = [ceiling[name]['value'] for name in ('expected', 'realised') if ceiling.get(name)]
  if known:
    found['ceiling'] = max(known)  # As reports do.
  return found


def as_csv(found):
  """The text of labels.csv; a float has six digits."""
  out = io.StringIO()
  writer = csv.writer(out, lineterminator='\n')
  writer.writerow(Point._fields)
  for point in found:
    writer.writerow(['' if x is None else f'{x:.6f}' if isinstance(x, float) else x for x in point])
  return out.getvalue()


def picture(found):
  """Draws points, a panel each game or observation: bytes of a PNG file."""
  names = dict.fromkeys(point.method for point in found)
  styles = figures.styles({method: _METHODS.get(method, method) for method in names})
  for method, colour in _REFERENCES.items():
    if method in styles:
      styles[method] = dataclasses.replace(styles[method], colour=colour, is_dashed=True)
  panels = []
  for panel in dict.fromkeys(point.panel for point in found):
    drawn, lowest = [], 1.
    for method in names:
      here = [p for p in found if (p.panel, p.method) == (panel, method)]
      if here:
        # Of an interval, symmetric around its mean, half is drawn to each side.
        half = [0. if p.high is None else p.high - p.mean for p in here]
        drawn.append((styles[method], curves.Curve(
            np.array([p.num_labels for p in here]), np.array([p.mean for p in here]),
            np.array(half), np.array([p.seeds for p in here]))))
        lowest = min(lowest, *(p.mean for p in here))
    panels.append(figures.Panel(panel, 'hidden actions labelled right', tuple(drawn), {},
                                (max(0., lowest - .05), 1.01), 'labels', is_log=True))
  return figures.curves_png([panels])


def main(argv):
  """Writes labels.csv and labels.png."""
  if len(argv) > 1:
    print(f'error: {argv[1]}: unexpected argument', file=sys.stderr)
    return 1
  if _RUNS.value is None or not pathlib.Path(_RUNS.value).is_dir():
    print(f'error: --runs is {_RUNS.value!r}; expected a directory of run files.', file=sys.stderr)
    return 1
  directory = pathlib.Path(_RUNS.value)
  try:
    found = points(summarise.read(directory))
  except ValueError as error:
    print(f'error: {directory}: {error}', file=sys.stderr)
    return 1
  if not found:
    print(f'error: {directory}: no run of IDMs is done.', file=sys.stderr)
    return 1
  atomic_files.write(directory.parent / 'labels.csv', as_csv(found).encode())
  atomic_files.write(directory.parent / 'labels.png', picture(found))
  print(f'Wrote {directory.parent / "labels.csv"} and labels.png.')
  return 0


if __name__ == '__main__':
  cli.run_with_arguments(main)
