"""The report of an experiment: a page, a table, a picture and a few lines of text.

What a domain's page says beside what all have is in the domain's folder; studies of how many labels
are enough have a page of their own.
"""

from alpt_jax import atomic_files
from alpt_jax.domains.atari import report as report_atari
from alpt_jax.domains.maze import report as report_maze
from alpt_jax.reports import figures, page
from experiments.studies import budget, results_file

_REPORTS = {'maze': report_maze.Report, 'atari': report_atari.Report}


def of(results):
  """Makes the `experiment.Report` of results.

  Raises:
    ValueError: if the results lack a field, or are of an unknown experiment.
  """
  results_file.check(results)
  found = _REPORTS[results['experiment']](results)
  return budget.Report(found) if 'budgets' in results else found


def write_report(results, path):
  """Writes the report: one HTML file that needs no network.

  Args:
    results: the dict of results.json (see `results_file`).
    path: of the page.

  Raises:
    ValueError: if the results lack a field.
  """
  atomic_files.write(path, of(results).page().encode())


def write_csv(results, path):
  """Writes the rows as CSV; missing numbers are empty, sources are joined by '+'.

  Args:
    results: the dict of results.json.
    path: of the table.

  Raises:
    ValueError: if the results lack a field.
  """
  results_file.check(results)
  atomic_files.write(path, page.csv_bytes(results['rows']))


def figure_png(results, path):
  """Draws the learning curves as a PNG file.

  Args:
    results: the dict of results.json.
    path: of the picture.

  Raises:
    ValueError: if the results lack a field or hold no runs.
  """
  rows_of_panels = of(results).panels()
  if not rows_of_panels:
    raise ValueError('results.runs is empty; expected at least one run to draw. Run '
                     'experiments.reproduce first.')
  atomic_files.write(path, figures.curves_png(rows_of_panels))


def summary_lines(results):
  """The report in a few lines of plain text.

  Args:
    results: the dict of results.json.

  Returns:
    A list of str: how many runs are done, the final metrics of the methods, the claims.

  Raises:
    ValueError: if the results lack a field.
  """
  return of(results).summary_lines()
