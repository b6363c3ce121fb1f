"""Measures what section 5.6 of the paper claims of mazes."""

import dataclasses
from typing import NamedTuple

from alpt_jax.domains.maze import findings as findings_maze
from alpt_jax.domains.maze import findings_labels
from alpt_jax.measures import intervals
from alpt_jax.reports import findings


@dataclasses.dataclass(frozen=True)
class Claim:
  """What section 5.6 says of two methods.

  Attributes:
    method: key of the faster method.
    baseline: key of the slower one.
    text: the claim, with the methods' labels to be filled in.
  """
  method: str
  baseline: str
  text: str


CLAIMS = (
    Claim('alpt_blocked', 'dt1_idm',
          '{method} solves the target “twice as fast” as training on the target only ({baseline})'),
    Claim('alpt_blocked_tunnel', 'alpt_blocked',
          'adding a tunneled source maze ({method}) leads to “even faster convergence” than '
          '{baseline}'),
)


class Finding(NamedTuple):
  """A claim measured in one observation mode.

  Attributes:
    claim: the `Claim`.
    observation: the mode.
    text: the claim with labels.
    comparison: `intervals.Comparison` of updates to the level; None if one was not run.
    verdict: 'exploratory', or 'not measured' if one was not run.
  """
  claim: Claim
  observation: str
  text: str
  comparison: intervals.Comparison | None
  verdict: str


def claims(results):
  """Measures the paper's claims at the primary number of labels.

  They have intervals and no verdicts: these are for registered hypotheses only.

  Args:
    results: checked results.

  Returns:
    A list of `Finding`, per observation mode and claim.
  """
  found = []
  for observation in findings_maze.observations(results):
    rows = findings_labels.rows_by_method(
        results, observation, findings_labels.primary_budget(results))
    for claim in CLAIMS:
      text = claim.text.format(method=findings.label(results, claim.method),
                               baseline=findings.label(results, claim.baseline))
      if not (rows.get(claim.method) and rows.get(claim.baseline)):
        found.append(Finding(claim, observation, text, None, 'not measured'))
        continue
      ratio = findings_labels.needed(results, rows[claim.method], rows[claim.baseline]).ratio
      found.append(Finding(claim, observation, text, ratio, 'exploratory'))
  return found
