"""Builds the report's section on aggregate scores across games, with intervals.

Human-normalised scores of all games together, as rliable reports them (`aggregates`): interquartile
mean, median, mean and optimality gap with intervals over seeds, the share of runs above each score,
and how likely one method beats another. With one seed there is no interval, and the page says so.
"""

import math

import numpy as np

from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.measures import aggregates, curves
from alpt_jax.reports import figures, findings, page
from alpt_jax.reports.page import html, join, muted

STATISTICS = {  # Title: function.
    'IQM': aggregates.iqm, 'median': aggregates.median, 'mean': aggregates.mean,
    'optimality gap': aggregates.optimality_gap}
_NUM_RESAMPLES = 2000
_NUM_THRESHOLDS = 101


def scores(results):
  """Collects the human-normalised final scores of the runs that are done.

  Args:
    results: checked Atari results.

  Returns:
    {number of labels: {method: {game: [N] float}}}, without games whose human score is unknown;
    games without a finished run of a method are absent from it.
  """
  found = {}
  column = findings_atari.score_metric(results).replace('score', 'human_normalised')
  for setting in findings_atari.settings(results, findings.SCORE):
    for method in setting.methods:
      rows = findings.final_rows(
          results, findings.rows_of(results, setting, method)).values()
      values = np.array([curves.value(row, column) for row in rows])
      values = values[np.isfinite(values)]
      if values.size:
        found.setdefault(setting.num_labels, {}).setdefault(method, {})[setting.target] = values
  return found


def common(by_method):
  """Returns the games that all methods have, and {method: {game: scores}} on them."""
  games = [game for game in next(iter(by_method.values()))
           if all(game in by_game for by_game in by_method.values())]
  return games, {method: {game: by_game[game] for game in games}
                 for method, by_game in by_method.items()}


def _cell(by_game, statistic):
  """An aggregate, with its interval if there is one."""
  if min(map(len, by_game.values())) < 2:
    return f'{statistic(by_game).value:.3f}'
  estimate = aggregates.interval(by_game, statistic, num_resamples=_NUM_RESAMPLES)
  return html('{:.3f}<br>{}', estimate.value, muted(f'[{estimate.low:.3f}, {estimate.high:.3f}]'))


def _table(results, by_method):
  body = []
  for method, by_game in by_method.items():
    counts = sorted({len(x) for x in by_game.values()})
    body.append([findings.label(results, method),
                 *(_cell(by_game, statistic) for statistic in STATISTICS.values()),
                 str(len(by_game)), '–'.join(map(str, (counts if len(counts) < 3 else
                                                       (counts[0], counts[-1]))))])
  return page.table(['', *STATISTICS, 'games', 'seeds a game'], body)


def _improvement_row(results, method, baseline, by_method):
  x, y = by_method[method], by_method[baseline]
  has_interval = min(len(s) for by_game in (x, y) for s in by_game.values()) > 1
  found = aggregates.probability_of_improvement(
      x, y, level=.95 if has_interval else None, num_resamples=_NUM_RESAMPLES)
  interval = f'[{found.low:.2f}, {found.high:.2f}]' if has_interval else 'one seed'
  return [f'{findings.label(results, method)} over {findings.label(results, baseline)}',
          f'{found.value:.2f}', interval,
          f'{found.num_runs} and {found.num_baseline_runs} runs']


def _profile(results, by_method, name):
  """Shares of runs above each score, as a picture."""
  styles = figures.styles({m: findings.label(results, m) for m in results['methods']})
  low, high = (f(x.min() if f is min else x.max() for by_game in by_method.values()
                 for x in by_game.values()) for f in (min, max))
  margin = .05 * (high - low) or .5
  thresholds = np.linspace(low - margin, high + margin, _NUM_THRESHOLDS)

  def draw(ax):
    for method, by_game in by_method.items():
      profile = aggregates.performance_profile(by_game, thresholds)
      ax.step(profile.thresholds, profile.share, color=styles[method].colour, lw=1.8, where='post')
    ax.set_ylim(-.03, 1.03)

  return figures.plot_svg(draw, 'Performance profile', 'human-normalised score',
                          'share of runs above', name)


def section(results):
  """Builds the section of the page, HTML."""
  parts = [html(
      '<p>All games together, by human-normalised scores of the last evaluation: 0 is random, 1 '
      'human play, both as published, of another protocol. IQM is the mean of the middle half of '
      'all runs; the optimality gap is what is missing to 1, where less is better. Intervals: 95 '
      '%, from a bootstrap of the seeds within each game (rliable; Agarwal et al., 2021). They are '
      'over training seeds, not games, and too narrow for a handful of seeds: no verdict rests on '
      'them. From one seed there is none.</p>')]
  found = scores(results)
  if not found:
    return html('<p>No agent has been scored.</p>')
  for num_labels, by_method in found.items():
    games, shown = common(by_method)
    if not games:
      parts.append(html('<p>{:,} labels: no game was finished by all methods.</p>', num_labels))
      continue
    parts.append(html('<h3>{:,} labels: {}</h3>', num_labels, page.listed(games)))
    left_out = sorted({g for by_game in by_method.values() for g in by_game} - set(games))
    parts += [_named('Left out, as not every method finished there', left_out),
              _table(results, shown)]
    baseline = 'dt1_idm' if 'dt1_idm' in shown else next(iter(shown))
    pairs = [m for m in shown if m != baseline]
    if pairs:
      parts += [html('<p>How likely a run of one method beats a run of another on the same game:'
                     '</p>'), page.table(['', 'probability', '95 % interval', 'n'], [
                         _improvement_row(results, m, baseline, shown) for m in pairs])]
    parts.append(page.grid([(_profile(results, shown, f'profile-{num_labels}'),
                             'Share of the runs above a score, mean over games.')]))
  unfinished = [findings.label(results, m) for m in dict.fromkeys(
      run['method'] for run in results['runs'] if run['part'] == findings.SCORE)
                if not any(m in by_method for by_method in found.values())]
  unknown = sorted(game for game, about in results['games'].items() if about['role'] == 'target'
                   and not math.isfinite(curves.value(about, 'human')))
  return join([*parts, _named('Without a finished run, and so not counted', unfinished),
               _named('Without a human score, and so not counted', unknown)])


def _named(what, names):
  return names and html('<p class="muted">{}: {}.</p>', what, page.listed(names))
