"""Decides whether an agent looks at its images, by its loss and by its score.

By the loss: the images of a window are exchanged for those of another window of the same episode,
far enough away to show something else. (Images of another episode would also show another stage of
a game, e.g. a wall of bricks, and an agent may tell those without looking at anything that
matters.) Actions, returns and rewards stay. If the agent predicts the window's actions about as
well, it is blind.

By the score: the agent plays while it is shown the images of many steps before. If its score stays
inside the interval of its own score, or rises above it, it is blind. It looks by its score only if
the score falls by more than chance of both sets of games explains; between the two, nothing can be
told. An agent looks if it looks by both.
"""

from typing import NamedTuple

import numpy as np

from alpt_jax.measures import floors, intervals

FEWEST_STEPS_APART = 20  # Windows begin further apart than that.
DELAY = 2 * FEWEST_STEPS_APART + 1  # Steps by which images come late in exchanged games.
SMALLEST_RISE = .05  # Nats; below it, an agent is called blind.
FEWEST_EPISODES = 5  # Of fewer, or of fewer games, the interval says nothing.


class TooShortError(ValueError):
  """No episode is long enough for two windows that are far enough apart."""


class Blindness(NamedTuple):
  """What images are worth to an agent.

  Attributes:
    loss: negative log-likelihood of the true actions, in nats.
    exchanged_loss: the same with images of another window.
    rise: `floors.Mean` of their difference, paired by window, with an interval over episodes.
    is_blind: True if the upper end of it is below SMALLEST_RISE, False if the lower end is not;
      None, cannot tell, if they differ, or for fewer than FEWEST_EPISODES episodes.
    num_windows: that were exchanged.
  """
  loss: float
  exchanged_loss: float
  rise: floors.Mean
  is_blind: bool | None
  num_windows: int


class ScoreBlindness(NamedTuple):
  """What images are worth to an agent's score.

  Attributes:
    score: mean of its games.
    low, high: ends of the 95 % interval over games; None for a single game.
    exchanged_score: mean of as many games with exchanged images.
    is_blind: True if that lies inside the interval or above it, else False if `drop_low` is above
      0; None, cannot tell, if neither holds or for fewer than FEWEST_EPISODES games.
    num_games: of either kind.
    drop_low, drop_high: ends of the 95 % interval of score - exchanged_score, over the games of
      both, drawn independently; None for a single game.
  """
  score: float
  low: float | None
  high: float | None
  exchanged_score: float
  is_blind: bool | None
  num_games: int
  drop_low: float | None
  drop_high: float | None


def partners(episodes, starts, *, seed=0):
  """Draws for each window another one of its episode.

  Args:
    episodes: [W] int.
    starts: [W] int; first transition of each window.
    seed: of the draw.

  Returns:
    [W] int; index of the other window, -1 where none is more than FEWEST_STEPS_APART steps away.
  """
  episodes, starts = np.asarray(episodes), np.asarray(starts)
  rng, result = np.random.default_rng(seed), np.full(len(starts), -1)
  for episode in np.unique(episodes):
    rows = np.flatnonzero(episodes == episode)
    for row in rows:
      far = rows[np.abs(starts[rows] - starts[row]) > FEWEST_STEPS_APART]
      if len(far):
        result[row] = rng.choice(far)
  return result


def judge(losses, exchanged_losses, episodes, *, seed=0):
  """Compares the losses of windows with and without their own images.

  Args:
    losses: [W] float; mean negative log-likelihood of each window's actions, nats.
    exchanged_losses: [W]; the same with images of another window.
    episodes: [W] int.
    seed: of the bootstrap over episodes.

  Returns:
    `Blindness`.

  Raises:
    TooShortError: if there is no window.
    ValueError: if a loss is not finite.
  """
  losses, exchanged = np.asarray(losses, float), np.asarray(exchanged_losses, float)
  if not len(losses):
    raise TooShortError(f'no two windows of an episode begin more than {FEWEST_STEPS_APART} '
                        'steps apart; expected at least one episode that is long enough.')
  if not (np.isfinite(losses).all() and np.isfinite(exchanged).all()):
    raise ValueError('losses are not finite; expected negative log-likelihoods in nats.')
  rise = floors.mean(exchanged - losses, episodes, seed=seed)
  return Blindness(float(losses.mean()), float(exchanged.mean()), rise,
                   _is_blind(rise), len(losses))


def _is_blind(rise):
  if rise.high is None or rise.num_episodes < FEWEST_EPISODES:
    return None
  return {(True, True): True, (False, False): False}.get(
      (rise.low < SMALLEST_RISE, rise.high < SMALLEST_RISE))


def judge_scores(scores, exchanged_scores, *, seed=0):
  """Compares the scores of games with and without their own images.

  Args:
    scores: [N] float; of each game.
    exchanged_scores: [N] float; of games with exchanged images.
    seed: of the bootstrap over games.

  Returns:
    `ScoreBlindness`.

  Raises:
    ValueError: if there is no game, the numbers of games differ, or a score is not finite.
  """
  scores, exchanged = np.asarray(scores, float), np.asarray(exchanged_scores, float)
  if not scores.size or scores.shape != exchanged.shape or scores.ndim != 1:
    raise ValueError(f'scores have shape {scores.shape}, exchanged ones {exchanged.shape}; '
                     'expected [N] each, of at least one game.')
  if not np.isfinite(exchanged).all():
    raise ValueError(f'exchanged scores are {exchanged.tolist()}; expected finite numbers.')
  own = intervals.bootstrap_mean(scores, np.arange(len(scores)), seed=seed)
  mean = float(exchanged.mean())
  drop = intervals.bootstrap_difference(scores, exchanged, seed=seed)
  return ScoreBlindness(own.value, own.low, own.high, mean, _is_blind_by_score(own, mean, drop),
                        len(scores), drop.low, drop.high)


def _is_blind_by_score(own, exchanged_mean, drop):
  if own.n < FEWEST_EPISODES:
    return None
  if exchanged_mean >= own.low:
    return True
  return False if drop.low > 0 else None


def overall(*verdicts):
  """Joins criteria: blind (True) if one says so, looking (False) if all do, else unknown (None)."""
  if any(verdicts):
    return True
  return None if None in verdicts else False
