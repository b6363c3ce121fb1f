"""Writes the report of an experiment: a page, a table, a picture and a few lines of text.

What its page says beside what all pages say, the domain brings; studies of how many labels are
enough have one for all domains.
"""

from alpt_jax import domains
from alpt_jax.files import atomic_files
from alpt_jax.reports import figures, page
from experiments.studies import budget


def of(results):
  """Makes the `reports.experiment.Report` of results, as `results_file.read` returns them."""
  found = domains.named(results['experiment']).report(results)
  return budget.Report(found) if 'budgets' in results else found


def write_report(results, path):
  """Writes the report: one HTML file that needs no network.

  Args:
    results: the dict of results.json.
    path: of the page.
  """
  atomic_files.write(path, of(results).page().encode())


def write_csv(results, path):
  """Writes the rows as CSV; missing numbers are empty, sources are joined by '+'.

  Args:
    results: the dict of results.json.
    path: of the table.
  """
  atomic_files.write(path, page.csv_bytes(results['rows']))


def figure_png(results, path):
  """Draws the learning curves as a PNG file.

  Args:
    results: the dict of results.json.
    path: of the picture.

  Raises:
    ValueError: if the results hold no runs.
  """
  rows_of_panels = of(results).panels()
  if not rows_of_panels:
    raise ValueError('results.runs is empty; expected at least one run to draw. Run '
                     'experiments.reproduce first.')
  atomic_files.write(path, figures.curves_png(rows_of_panels))


def summary_lines(results):
  """Sums up a report in lines of text: runs done, final metrics, claims."""
  return of(results).summary_lines()
