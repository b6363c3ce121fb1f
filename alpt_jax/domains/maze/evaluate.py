"""Evaluates agents in mazes, from every start."""

import jax
import numpy as np

from alpt_jax.domains import play
from alpt_jax.domains.maze import env
from alpt_jax.learners import acting

SHORT_HORIZON = 50  # Steps; success within it tells good agents apart (random: 7 %).
_MIN_BATCH = 40


class MazeEvaluator:
  """Steps every start of one maze in one batch, with one compiled program per batch size.

  The batch shrinks as episodes end. A greedy agent with a bounded window in a deterministic maze
  repeats itself forever once its window recurs, the returns it asked for included: such an episode
  is ended as the failure it is. The 'release' rule samples returns even then, so it never is; nor
  is an agent whose history is no `acting.History`, as what it remembers is unknown.
  """

  def __init__(self, player, layout, *, observation, horizon=env.HORIZON):
    """Compiles nothing yet.

    Args:
      player: an `acting.Player`, or what has its members.
      layout: the `env.Layout`.
      observation: 'xy' or 'grid'.
      horizon: steps after which an episode has failed.

    Raises:
      ValueError: for a player that was not made for such a maze.
    """
    play.check_spec(player, env.spec(layout, observation))
    self._layout, self._observation, self._horizon = layout, observation, horizon
    self._player = player
    self._starts = env.starts(layout)
    self._shortest = env.distances(layout.walls, layout.goal)[tuple(self._starts.T)]
    self._step = jax.jit(player.step)

  def run(self, params, *, acting_mode, seed=0, num_paths=0):
    """Runs one episode from every reachable start.

    Args:
      params: of the player's network.
      acting_mode: 'argmax' or 'sampled', if the player knows it.
      seed: of the sampling.
      num_paths: how many paths to return, of starts spread evenly over the maze.

    Returns:
      A dict with `success_500` (named after the horizon), `success_50`, `spl` (success weighted by
      shortest over actual length), `mean_steps` (a failure counts as the horizon), all means over
      the starts, and `num_episodes`; and a list of {'start', 'path', 'reached'} for the report.
    """
    known = [mode for mode in ('argmax', 'sampled') if mode in self._player.modes]
    if acting_mode not in known:
      raise ValueError(f'acting_mode is {acting_mode!r}; expected one of {known}.')
    is_greedy = acting_mode == 'argmax'
    num_starts = len(self._starts)
    num_steps = np.full(num_starts, self._horizon)
    is_reached = np.zeros(num_starts, bool)
    positions = self._starts.copy()
    wanted = np.linspace(0, num_starts - 1, num_paths).round().astype(int)
    paths = {int(i): [positions[i].tolist()] for i in wanted}

    active = np.arange(num_starts)  # Rows of the batch; a row is computed even after it ended.
    is_active = np.ones(num_starts, bool)
    seen = [set() for _ in range(num_starts)]
    history, before, key = None, None, jax.random.key(seed)
    for t in range(self._horizon):
      active, (history, before) = self._shrink(active, is_active, (history, before))
      observations = env.observe(
          self._layout.walls, self._layout.goal, positions[active])[self._observation]
      if history is None:
        history, before = self._player.empty_history(params, observations), observations
        repeats = (isinstance(history, acting.History)
                   and not self._player.is_chance(is_greedy))
        window = history.returns.shape[1] if repeats else 0
        recent = np.zeros((num_starts, window, 4), np.int16)  # Positions, actions, returns.
      # No reward is ever seen here: the only one ends the episode.
      actions, history = self._step(
          params, history, np.zeros(len(active), np.float32), observations, before, key, is_greedy,
          1.)
      before = observations
      if repeats:
        recent[active] = np.roll(recent[active], -1, axis=1)
        recent[active, -1, :2] = positions[active]
        recent[active, -1, 2] = actions
        recent[active, -1, 3] = np.asarray(history.returns)[:, min(t, window - 1)]
      positions[active] = env.move(self._layout.walls, positions[active], np.asarray(actions))
      for i in paths.keys() & set(active[is_active[active]].tolist()):
        paths[i].append(positions[i].tolist())
      ended = is_active & (positions == self._layout.goal).all(axis=1)
      num_steps[ended], is_reached[ended] = t + 1, True
      is_active &= ~ended
      if repeats and t >= window:
        for i in np.flatnonzero(is_active):
          state = recent[i].tobytes()
          is_active[i] = state not in seen[i]
          seen[i].add(state)
      if not is_active.any():
        break
    scores = {
        f'success_{self._horizon}': is_reached.mean(),
        f'success_{SHORT_HORIZON}': (is_reached & (num_steps <= SHORT_HORIZON)).mean(),
        'spl': (is_reached * self._shortest / np.maximum(num_steps, 1)).mean(),
        'mean_steps': num_steps.mean(),
    }
    scores = {k: float(v) for k, v in scores.items()} | {'num_episodes': num_starts}
    return scores, [{'start': path[0], 'path': path, 'reached': bool(is_reached[i])}
                    for i, path in paths.items()]

  def _shrink(self, active, is_active, kept):
    """Halves the batch and what is kept of it, keeping the rows still active, once they fit."""
    num_active = int(is_active[active].sum())
    size = len(active)
    while size // 2 >= max(num_active, _MIN_BATCH):
      size //= 2
    if size == len(active):
      return active, kept
    rows = np.argsort(~is_active[active], kind='stable')[:size]  # Active ones first.
    take = lambda x: x[rows] if x.ndim else x  # noqa: E731
    return active[rows], jax.tree.map(take, kept)
