"""Turns the results of an experiment into a page and a table.

python -m experiments.report --results=runs/maze/results.json

Writes report.html and results.csv beside the results.
"""

import os
import sys

from absl import app, flags

from alpt_jax import report, results_file

_RESULTS = flags.DEFINE_string('results', 'runs/maze/results.json',
                               'The results.json that experiments.reproduce wrote.')


def main(argv):
  """Writes report.html and results.csv beside the results; returns 1 if they cannot be read."""
  if len(argv) > 1:
    raise app.UsageError(f'Unknown arguments: {argv[1:]}. Use --results=<file>.')
  directory = os.path.dirname(_RESULTS.value)
  page, table = os.path.join(directory, 'report.html'), os.path.join(directory, 'results.csv')
  try:
    results = results_file.read(_RESULTS.value)
    report.write_report(results, page)
    report.write_csv(results, table)
  except (OSError, ValueError) as error:
    print(f'error: {error}', file=sys.stderr)
    return 1
  print('\n'.join(report.summary_lines(results)))
  print(f'Wrote {page} and {table}.')
  return 0


if __name__ == '__main__':
  app.run(main)
