"""Measures what sections 5.3 to 5.5 of the paper claim of Atari.

Claims are measured, with intervals over training seeds, and not judged: verdicts are for registered
hypotheses only.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import NamedTuple

from alpt_jax.domains.atari import action_sets, claims_cql
from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.measures import curves
from alpt_jax.reports import findings, page

LABELS, SCORE = findings.PARTS


class Comparison(NamedTuple):
  """Two methods in one setting.

  Attributes:
    setting: where.
    method: should be higher, if the claim is right.
    baseline: than this.
    pairs: a `curves.PairedDifference` of the last evaluations.
  """
  setting: findings.Setting
  method: str
  baseline: str
  pairs: curves.PairedDifference


@dataclasses.dataclass(frozen=True)
class Claim:
  """What the paper says.

  Attributes:
    text: the claim.
    section: of the paper.
    part: by what it is measured.
    pairs: of (results, setting), the (method, baseline) pairs to compare.
    figure: of the paper, that shows it; the results of another one say nothing about it.
  """
  text: str
  section: str
  part: str
  pairs: Callable
  figure: str


@dataclasses.dataclass(frozen=True)
class Finding:
  """A claim, measured.

  Attributes:
    claim: the claim.
    comparisons: tuple of `Comparison`.
    verdict: 'exploratory', or 'not measured' without comparisons.
  """
  claim: Claim
  comparisons: tuple[Comparison, ...]
  verdict: str


def _learners(results, setting):
  """{method: sources} of the methods that a claim about sources can be about."""
  return {m: findings.sources_of(setting, m) for m in setting.methods
          # Sees the past only; learns from sources that were changed.
          if not {'is_floor', 'is_control'} & {k for k, v in results['methods'][m].items() if v}
          and (setting.part == LABELS or m == 'dt1_idm'
               or m.startswith('alpt') and m != 'alpt_idm_only')}


def _most_sources_over_none(results, setting):
  sources = _learners(results, setting)
  most = max(map(len, sources.values()), default=0)
  return [(m, without) for m in sources if most and len(sources[m]) == most
          for without in sources if not sources[without]]


def _one_disjoint_source_over_none(results, setting):
  sources = _learners(results, setting)
  return [(m, without) for m in sources
          if len(sources[m]) == 1 and is_disjoint(setting.target, sources[m][0])
          for without in sources if not sources[without]]


def _more_sources_over_fewer(results, setting):
  sources = {m: s for m, s in _learners(results, setting).items() if s}
  sizes = sorted({len(s) for s in sources.values()})
  return [(more, fewer) for low, high in itertools.pairwise(sizes)
          for more in sources if len(sources[more]) == high
          for fewer in sources if len(sources[fewer]) == low]


def _alpt_over(baseline):
  def pairs(results, setting):
    learners = _learners(results, setting)
    alpt = {m: s for m, s in learners.items() if s}
    most = max(map(len, alpt.values()), default=0)
    return [(m, baseline) for m, s in alpt.items()
            if len(s) == most and baseline in setting.methods]
  return pairs


def _every_alpt_over_dt1_idm(results, setting):
  return [(m, 'dt1_idm') for m, sources in _learners(results, setting).items()
          if sources and 'dt1_idm' in setting.methods]


def _idm_only_over_dt1_idm(results, setting):
  del results
  return ([('alpt_idm_only', 'dt1_idm')]
          if {'alpt_idm_only', 'dt1_idm'} <= set(setting.methods) else [])


_ONLY_DISJOINT = 'only targets that share no action with the source, but doing nothing, count'
CLAIMS = (
    Claim('Training the IDM on source games, too, gives better labels of the target than training '
          'it on the target only', 'Section 5.3: “most generalization benefits are occurring due '
          'to the IDM pretraining”; the paper shows scores, not labels', LABELS,
          _most_sources_over_none, '2'),
    Claim('A single source whose actions are disjoint from the target’s (Freeway) gives better '
          'labels', f'Section 5.5, there by scores; {_ONLY_DISJOINT}', LABELS,
          _one_disjoint_source_over_none, '4'),
    Claim('A single source whose actions are disjoint from the target’s (Freeway) gives higher '
          'scores', f'Section 5.5: “significant benefits”; {_ONLY_DISJOINT}', SCORE,
          _one_disjoint_source_over_none, '4'),
    Claim('More sources give better labels', 'Section 5.4, there by scores', LABELS,
          _more_sources_over_fewer, '3'),
    Claim('More sources give higher scores', 'Section 5.4: “target game performance improves with '
          'more source games”', SCORE, _more_sources_over_fewer, '3'),
    Claim('ALPT with more sources scores higher than DT1-IDM, which knows the target only',
          'Section 5.4: “we compare pretraining with ALPT to training DT1-IDM on each target game '
          'alone”', SCORE, _every_alpt_over_dt1_idm, '3'),
    Claim('ALPT scores higher than DT1-IDM, which knows the target only', 'Section 5.3: “up to '
          '≈500% higher”', SCORE, _alpt_over('dt1_idm'), '2'),
    Claim('ALPT scores higher than DT1, which trains on the labelled part alone', 'Section 5.3: '
          'DT1 “is poor”', SCORE, _alpt_over('dt1'), '2'),
    Claim('ALPT scores higher than DT5, which pretrains the DT but has no IDM', 'Section 5.3: '
          '“performance is not recovered under pretraining only the sequence model”', SCORE,
          _alpt_over('dt5'), '2'),
    Claim('ALPT scores higher than DT5-RET, which trains returns on unlabelled data', 'Section '
          '5.3: “is poor”', SCORE, _alpt_over('dt5_ret'), '2'),
    Claim('Pretraining the IDM alone already scores higher than DT1-IDM', 'Section 5.3, Figure 6: '
          '“this variant maintains strong performance compared to DT1-IDM”; that it does as well '
          'as ALPT is not measured', SCORE, _idm_only_over_dt1_idm, '6'),
)


def is_disjoint(target, source):
  """Returns whether two games share no action but NOOP; False if a game is not known."""
  known = action_sets.MINIMAL_ACTIONS
  return (target in known and source in known
          and set(known[target]) & set(known[source]) <= {action_sets.ACTION_NAMES.index('NOOP')})


def _final_by_seed(results, setting, method, metric):
  rows = findings.final_rows(results, findings.rows_of(results, setting, method)).values()
  return {row['seed']: curves.value(row, metric) for row in rows}


def claims(results):
  """Measures the paper's claims.

  Args:
    results: checked results.

  Returns:
    A `Finding` per claim.
  """
  found, figure = [], results.get('figure')
  for claim in CLAIMS:
    if figure and claim.figure != figure:
      continue
    comparisons = []
    metric = findings.ACCURACY if claim.part == LABELS else findings_atari.score_metric(results)
    # Agents have IDMs, too: where none was trained alone, those are compared.
    for setting in (findings_atari.settings(results, claim.part)
                    or findings_atari.settings(results, SCORE)):
      for method, baseline in claim.pairs(results, setting):
        pairs = curves.paired_difference(
            _final_by_seed(results, setting, method, metric),
            _final_by_seed(results, setting, baseline, metric))
        comparisons.append(Comparison(setting, method, baseline, pairs))
    found.append(Finding(claim, tuple(comparisons),
                         'exploratory' if comparisons else 'not measured'))
  return found


def largest_gain(results):
  """Compares ALPT with DT1-IDM in each game, as a `findings.ClaimRow`.

  The paper says "up to 500 %" and gives no spread; here every gain has the interval of its
  difference, over the seeds that both have.

  Args:
    results: checked results.

  Returns:
    None if the results are of a figure that does not show it, or lack the two methods.
  """
  if results.get('figure') not in (None, '2'):
    return None
  metric, gains = findings_atari.score_metric(results), {}
  for setting in findings_atari.settings(results, SCORE):
    for method, baseline in _alpt_over('dt1_idm')(results, setting):
      pairs = curves.paired_difference(*(_final_by_seed(results, setting, m, metric)
                                         for m in (method, baseline)))
      if pairs.num_pairs and pairs.baseline_mean > 0:
        interval = pairs.interval
        gains[setting.target] = (
            f'{100 * pairs.difference / pairs.baseline_mean:+.0f} %, difference '
            f'{pairs.difference:.1f} ' + (interval.reason or (
                f'[{interval.low:.1f}, {interval.high:.1f}], n = {interval.n}')))
  if not gains:
    return None
  return findings.ClaimRow(
      'Section 5.3', 'ALPT scores up to ≈500 % higher than training on the target alone, most '
      'in Breakout and Seaquest', 'gain of the mean score over DT1-IDM: ' + '; '.join(
          f'{game} {gain}' for game, gain in gains.items()), 'exploratory')


def rows(results):
  """Lists the claims that the results are about, as `findings.ClaimRow`s."""
  found = [findings.ClaimRow(
      finding.claim.section, finding.claim.text,
      '; '.join(_in_words(results, c, finding.claim.part) for c in finding.comparisons)
      or 'no two methods were run that it compares', finding.verdict)
           for finding in claims(results)]
  extra = (largest_gain(results), claims_cql.claim_row(results))
  return found + [row for row in extra if row]


def _in_words(results, comparison, part):
  """E.g. 'Breakout, 500 labels: ALPT 9.2, DT1-IDM 4.2, difference +5.0 [5.0, 5.0], n = 2'."""
  def number(x):
    return page.number(x, 3 if part == LABELS else 1)

  pairs = comparison.pairs
  difference = ('+' if pairs.difference > 0 else '') + number(pairs.difference).replace('-', '−')
  between = pairs.interval.reason or (
      f'[{number(pairs.interval.low)}, {number(pairs.interval.high)}], n = {pairs.num_pairs}')
  return (f'{comparison.setting.title}: {findings.label(results, comparison.method)} '
          f'{number(pairs.mean)}, {findings.label(results, comparison.baseline)} '
          f'{number(pairs.baseline_mean)}, difference {difference} {between}')


def flat(results):
  """Lists the comparisons behind the claims without nesting, for CSV."""
  for finding in claims(results):
    for comparison in finding.comparisons:
      setting, pairs = comparison.setting, comparison.pairs
      yield dict(
          claim=finding.claim.text, verdict=finding.verdict, part=setting.part,
          target=setting.target, num_labels=setting.num_labels, method=comparison.method,
          baseline=comparison.baseline, difference=pairs.difference, low=pairs.interval.low,
          high=pairs.interval.high,
          **{key: x for key, x in pairs._asdict().items() if key != 'interval'})
