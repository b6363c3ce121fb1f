"""Decides whether an agent looks at its images.

The images of a window are exchanged for those of another window of the same episode, far enough
away to show something else. (Images of another episode would also show another stage of a game,
e.g. a wall of bricks, and an agent may tell those without looking at anything that matters.)
Actions, returns and rewards stay. If the agent predicts the window's actions about as well, it is
blind.
"""

from typing import NamedTuple

import numpy as np

from alpt_jax.measures import floors

FEWEST_STEPS_APART = 20  # Windows begin further apart than that.
SMALLEST_RISE = .05  # Nats; below it, an agent is called blind.
FEWEST_EPISODES = 5  # Of fewer, the interval says nothing.


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
