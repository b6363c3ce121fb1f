"""Turns the results of an experiment into a page and a table.

python -m experiments.report --results=runs/maze/results.json
python -m experiments.report --figures=runs/figures_desk

Writes report.html and results.csv beside the results; with --figures, figures.html and figures.json
on all figures of the paper that are in a directory.
"""

import os
import sys

from absl import app, flags

from alpt_jax import report, results_file, suite

_RESULTS = flags.DEFINE_string('results', 'runs/maze/results.json',
                               'The results.json that experiments.reproduce wrote.')


_FIGURES = flags.DEFINE_string('figures', '', 'The workdir of figures of the paper; instead of '
                               '--results.')


def main(argv):
  """Writes the pages and tables; returns 1 if results cannot be read."""
  if len(argv) > 1:
    raise app.UsageError(f'Unknown arguments: {argv[1:]}. Use --results=<file>.')
  if _FIGURES.value:
    return _report_figures(_FIGURES.value)
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


def _report_figures(workdir):
  parts = suite.read(workdir)
  if not any(part.results or part.problem for part in parts):
    print(f'error: {workdir}: holds no figure; expected directories such as '
          f'{parts[0].figure.directory} that experiments.reproduce makes.', file=sys.stderr)
    return 1
  suite.write(workdir)
  print('\n'.join(f'{claim["figure"]}: {claim["paper"]}: {claim["verdict"]}'
                  for claim in suite.summary(parts)['claims']))
  for problem in suite.problems(parts):
    print(problem)
  print(f'Wrote {os.path.join(workdir, suite.PAGE)} and {os.path.join(workdir, suite.NUMBERS)}.')
  return 0


if __name__ == '__main__':
  app.run(main)
