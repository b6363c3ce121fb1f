"""Shows the paper's claims about Atari beside what was measured."""

import math

from alpt_jax.domains.atari import claims, claims_cql
from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.domains.atari import report_settings as shown
from alpt_jax.measures import intervals
from alpt_jax.reports import findings
from alpt_jax.reports import page as report_page

_e = report_page.escape


def _badge(text):
  return f'<span class="badge">{_e(text)}</span>'


def differences(finding):
  """E.g. 'differences +5.0 [4.1, 5.9], n = 5; +1.0 no interval: n = 1'."""
  found = []
  for comparison in finding.comparisons:
    part, pairs = finding.claim.part, comparison.pairs
    number = '' if pairs.interval.reason else f', n = {pairs.num_pairs}'
    found.append(f'{_difference(part, pairs)} {_between(part, pairs)}{number}')
  return f'difference{"s" if len(found) > 1 else ""} {"; ".join(found)}'


def _difference(part, pairs):
  """E.g. '+0.200'; a dash without pairs."""
  return ('–' if not math.isfinite(pairs.difference) else
          ('+' if pairs.difference > 0 else '')
          + shown.amount(part, pairs.difference).replace('-', '−'))


def _between(part, pairs):
  """The interval of a difference, e.g. '[0.10, 0.20]'."""
  return pairs.interval.reason or (
      f'[{shown.amount(part, pairs.interval.low)}, {shown.amount(part, pairs.interval.high)}]')


def _comparison_row(comparison, part):
  setting, pairs = comparison.setting, comparison.pairs
  return [f'<div class="wrap">{_e(shown.title_of(setting))}</div>', shown.amount(part, pairs.mean),
          shown.amount(part, pairs.baseline_mean), _difference(part, pairs),
          _e(_between(part, pairs)), str(pairs.num_pairs)]


def _claim_text(claim):
  return f'<p><b>{_e(claim.text)}.</b> <span class="muted">{_e(claim.section)}.</span></p>'


def _claim_card(results, finding):
  claim = finding.claim
  parts = ['<div class="card">',
           f'<p>{_badge(findings.verdict_text(finding.verdict, results))}</p>', _claim_text(claim)]
  body, last = [], None
  for comparison in sorted(finding.comparisons, key=lambda c: (c.method, c.baseline)):
    if (comparison.method, comparison.baseline) != last:
      last = comparison.method, comparison.baseline
      method, baseline = (_e(findings.label(results, m)) for m in last)
      body.append(f'{method} against {baseline}')
    body.append(_comparison_row(comparison, claim.part))
  what = 'labels right' if claim.part == findings_atari.LABELS else 'score'
  header = [what, 'method', 'against', 'difference', '95 % interval', 'seeds']
  return '\n'.join([*parts, report_page.table(header, body), '</div>'])


def section(results):
  """The section: a card for every claim, HTML."""
  rule = (
      '<p>Last evaluations are compared seed by seed. '
      f'{_e(intervals.caption(intervals.SEEDS))} {_e(findings.why_exploratory(results))} Between '
      'methods that do not differ, one interval in twenty does not hold 0: several comparisons are '
      'no test of several claims.</p>')
  found = claims.claims(results)
  cards = [_claim_card(results, finding) for finding in found if finding.comparisons]
  others = [_claim_text(finding.claim) for finding in found if not finding.comparisons]
  if others:
    cards.append(f'<div class="card"><p>{_badge("Not measured")}</p><p>The runs that would measure '
                 f'this were not part of the experiment:</p>{"".join(others)}</div>')
  return '\n'.join([rule, '<div class="grid" style="grid-template-columns:minmax(0,1fr)">', *cards,
                    '</div>'])


def claim_rows(results):
  """The claims that the results are about, as a list of `findings.ClaimRow`."""
  rows = []
  for finding in claims.claims(results):
    if finding.comparisons:
      measured = [_in_words(results, c, finding.claim.part) for c in finding.comparisons]
    else:
      measured = ['no two methods were run that it compares']
    rows.append(findings.ClaimRow(finding.claim.section, finding.claim.text, '; '.join(measured),
                                  finding.verdict))
  extra = (claims.largest_gain(results), claims_cql.claim_row(results))
  return rows + [row for row in extra if row]


def _in_words(results, comparison, part):
  """E.g. 'Breakout, 500 labels: ALPT 9.2, DT1-IDM 4.2, difference [5.0, 5.0], n = 2'."""
  pairs = comparison.pairs
  return (f'{shown.title_of(comparison.setting)}: {findings.label(results, comparison.method)} '
          f'{shown.amount(part, pairs.mean)}, {findings.label(results, comparison.baseline)} '
          f'{shown.amount(part, pairs.baseline_mean)}, difference {_between(part, pairs)}, '
          f'n = {pairs.num_pairs}')


def flat(results):
  """The comparisons behind the claims without nesting, for CSV."""
  for finding in claims.claims(results):
    for comparison in finding.comparisons:
      setting, pairs = comparison.setting, comparison.pairs
      yield dict(
          claim=finding.claim.text, verdict=finding.verdict, part=setting.part,
          target=setting.target, num_labels=setting.num_labels, method=comparison.method,
          baseline=comparison.baseline, difference=pairs.difference, low=pairs.interval.low,
          high=pairs.interval.high,
          **{key: x for key, x in pairs._asdict().items() if key != 'interval'})
