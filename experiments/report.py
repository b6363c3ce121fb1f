"""Builds the report of an experiment from its results: a page and a table.

python -m experiments.report --results=runs/maze/results.json
python -m experiments.report --figures=runs/figures_desk

Writes report.html and results.csv beside the results; with --figures, figures.html and figures.json
on all figures of the paper that are in a directory.
"""

import os
import sys

from absl import flags

from alpt_jax import cli
from alpt_jax.files import paths
from experiments.studies import figures, figures_report, report, results_file

_RESULTS = paths.define('results', 'runs/maze/results.json',
                        'The results.json that experiments.reproduce wrote.')


_FIGURES = paths.define('figures', '', 'The workdir of figures of the paper; instead of '
                        '--results.')


def main(argv):
  """Writes the pages and tables; returns 1 if results cannot be read."""
  if len(argv) > 1:
    return _refuse(f'{argv[1]}: unexpected argument; flags are written --name=value, e.g. '
                   f'--results={argv[1]}')
  if _FIGURES.value:
    if flags.FLAGS['results'].present:
      return _refuse(f'--results={_RESULTS.value} --figures={_FIGURES.value}: one of the two is '
                     'reported on. Leave out the other.')
    return _report_figures(_FIGURES.value)
  if not _RESULTS.value:
    return _refuse('--results is empty; expected a file, e.g. --results=runs/maze/results.json')
  directory = os.path.dirname(_RESULTS.value)
  page, table = os.path.join(directory, 'report.html'), os.path.join(directory, 'results.csv')
  try:
    results = results_file.read(_RESULTS.value)
    report.write_report(results, page)
    report.write_csv(results, table)
  except (OSError, ValueError) as error:
    return _refuse(error)
  print('\n'.join(report.summary_lines(results)))
  print(f'Wrote {page} and {table}.')
  return 0


def _refuse(why):
  print(f'error: {why}', file=sys.stderr)
  return 1


def _report_figures(workdir):
  parts = figures.read(workdir)
  if not any(part.results or part.problem for part in parts):
    return _refuse(f'{workdir}: holds no figure; expected directories such as '
                   f'{parts[0].figure.directory} that experiments.reproduce makes.')
  figures_report.write(workdir)
  print('\n'.join(f'{claim["figure"]}: {claim["paper"]}: {claim["verdict"]}'
                  for claim in figures.summary(parts)['claims']))
  for problem in figures.problems(parts):
    print(problem)
  page, numbers = (os.path.join(workdir, name) for name in (figures.PAGE, figures.NUMBERS))
  print(f'Wrote {page} and {numbers}.')
  unread = [part.figure.title for part in parts if part.problem]
  return _refuse(f'{", ".join(unread)}: cannot be read, see above') if unread else 0


if __name__ == '__main__':
  cli.run_with_arguments(main)
