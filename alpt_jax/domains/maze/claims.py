"""Measures what section 5.6 of the paper claims of mazes."""

from typing import NamedTuple

from alpt_jax.domains.maze import findings as findings_maze
from alpt_jax.domains.maze import findings_labels
from alpt_jax.measures import intervals
from alpt_jax.reports import findings

CLAIMS = (  # The faster method, the slower one, what the paper says of them.
    ('alpt_blocked', 'dt1_idm',
     '{method} solves the target “twice as fast” as training on the target only ({baseline})'),
    ('alpt_blocked_tunnel', 'alpt_blocked',
     'adding a tunneled source maze ({method}) leads to “even faster convergence” than {baseline}'),
)


class Finding(NamedTuple):
  """A claim measured in one observation mode.

  Attributes:
    observation: the mode.
    method: key of the faster method.
    baseline: key of the slower one.
    text: the claim, with their labels.
    comparison: `intervals.Comparison` of updates to the level; None if one was not run.
  """
  observation: str
  method: str
  baseline: str
  text: str
  comparison: intervals.Comparison | None

  @property
  def verdict(self):
    """'exploratory', or 'not measured' if one was not run; others need registered hypotheses."""
    return 'not measured' if self.comparison is None else 'exploratory'


def claims(results):
  """Measures the paper's claims at the primary number of labels.

  Args:
    results: checked results.

  Returns:
    A list of `Finding`, per observation mode and claim.
  """
  found = []
  for observation in findings_maze.observations(results):
    rows = findings_labels.rows_by_method(
        results, observation, findings_labels.primary_budget(results))
    for method, baseline, text in CLAIMS:
      ratio = None
      if rows.get(method) and rows.get(baseline):
        ratio = findings_labels.needed(results, rows[method], rows[baseline]).ratio
      found.append(Finding(observation, method, baseline, text.format(
          method=findings.label(results, method), baseline=findings.label(results, baseline)),
                           ratio))
  return found


def rows(results):
  """Lists the paper's claims as `findings.ClaimRow`s."""
  return [findings.ClaimRow(
      'Section 5.6', found.text, f'observation “{found.observation}”: ' + (
          'one of the two was not run' if found.comparison is None else
          f'{findings_labels.ratio_text(found.comparison)} times the updates to label '
          f'{findings_labels.wanted_text(results)} right, n = {found.comparison.interval.n}'),
      found.verdict) for found in claims(results)]
