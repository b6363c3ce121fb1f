"""Draws how many labels are right against the number of labels, with floors and ceiling.

python -m experiments.label_curves --runs=experiments/results/mazes/runs

Reads the run files of a study and writes labels.csv and labels.png beside their directory: means
over training seeds of the last evaluation of each run, with Student's t intervals of 95 %.
"""

import csv
import dataclasses
import io
import pathlib
import sys

import numpy as np

from alpt_jax import cli
from alpt_jax.files import atomic_files, paths
from alpt_jax.measures import curves
from alpt_jax.reports import figures
from experiments import summarise
from experiments.studies import label_points

_RUNS = paths.define('runs', None, 'The directory of the run files, e.g. '
                     'experiments/results/mazes/runs.')

_REFERENCES = {'past': '#8a5a00', 'linear': '#1b1f24', 'table': '#1b1f24',
               'majority': figures.MUTED, 'ceiling': '#b00020'}  # Colours of dashed lines.


def as_csv(found):
  """Returns the text of labels.csv; a float has six digits."""
  out = io.StringIO()
  writer = csv.writer(out, lineterminator='\n')
  writer.writerow(label_points.Point._fields)
  for point in found:
    writer.writerow(['' if x is None else f'{x:.6f}' if isinstance(x, float) else x for x in point])
  return out.getvalue()


def picture(found):
  """Draws points, a panel each game or observation: bytes of a PNG file."""
  names = dict.fromkeys(point.method for point in found)
  styles = figures.styles({method: label_points.METHODS.get(method, method) for method in names})
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
    found = label_points.points(summarise.read(directory))
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
