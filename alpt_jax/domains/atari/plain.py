"""Evaluates a decision transformer on Atari the plain way, as a reference of speed and scores.

One environment at a time, and two passes of the whole model over the whole window at every step:
one for the return, one for the action given it. Nothing but the benchmark and a test needs it: it
knows the emulator, the model's `__call__` and the acting
rules, and shares nothing else with `atari.evaluate`.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

from alpt_jax.domains.atari import action_sets, env
from alpt_jax.learners import acting, action_heads
from alpt_jax.networks import discretize


class PlainEvaluation:
  """Plays one game with one agent.

  Attributes:
    seconds: of the last run, without starting the emulator.
  """

  def __init__(self, dt, game, *, sticky=0., rule='paper'):
    """Compiles nothing yet.

    Args:
      dt: the `DecisionTransformer`.
      game: one of `action_sets.GAMES`.
      sticky: probability that a frame repeats the last frame's action.
      rule: the acting rule; see `acting`.
    """
    self._game, self._sticky, self._window = game, sticky, dt.num_steps
    legal_actions = action_sets.MINIMAL_ACTIONS[game]
    self._index = {action: i for i, action in enumerate(legal_actions)}
    legal = np.isin(np.arange(action_sets.NUM_ACTIONS), legal_actions)
    head = action_heads.of(dt.spec.actions)

    @jax.jit
    def choose_return(params, window, step, key, is_greedy):
      logits = dt.apply({'params': params}, *window).returns[:, step]
      return acting.choose_return(logits, key, rule=rule, is_greedy=is_greedy)

    @jax.jit
    def choose_action(params, window, step, key, is_greedy):
      logits = dt.apply({'params': params}, *window).actions[:, step]
      return head.choose(logits, jnp.asarray(legal), key, is_greedy=is_greedy,
                         better_half=rule == acting.BETTER_HALF)

    self._choose_return, self._choose_action = choose_return, choose_action
    self.seconds = 0.

  def run(self, params, *, acting_mode='sampled', seed=0, episode_seed=0, max_steps=2500, delay=0):
    """Plays an episode.

    Args:
      params: of the DT.
      acting_mode: 'sampled' or 'argmax'.
      seed: of the sampling.
      episode_seed: of the emulator.
      max_steps: agent steps after which it is cut.
      delay: steps by which the agent is shown every frame late; the first one until then.

    Returns:
      (score, [L] ids of the actions taken).
    """
    environment = env.make(self._game, episode_seed, sticky=self._sticky, max_steps=max_steps)
    is_greedy = acting_mode == 'argmax'
    played, frames, returns, actions, rewards = [], [], [], [], []
    key = jax.random.key(seed)
    timestep = environment.reset()
    begin = time.perf_counter()
    while not timestep.last():
      played.append(timestep.observation)
      frames.append(played[max(len(actions) - delay, 0)])
      step = min(len(actions), self._window - 1)
      key, return_key, action_key = jax.random.split(key, 3)
      # Zeros stand for what is not known yet.
      window = [self._stack(x) for x in (frames, returns + [0], actions + [0], rewards + [0])]
      chosen = self._choose_return(params, window, step, return_key, is_greedy)
      returns.append(int(chosen[0]))
      window[1] = self._stack(returns)
      chosen = self._choose_action(params, window, step, action_key, is_greedy)
      actions.append(int(chosen[0]))
      timestep = environment.step(self._index[actions[-1]])
      rewards.append(int(discretize.encode_reward(timestep.reward)))
    self.seconds = time.perf_counter() - begin
    return environment.score, np.array(actions)

  def _stack(self, items):
    """The last steps of a list from the left, then zeros: [1, T, ...]."""
    items = np.stack(items[-self._window:])
    empty = np.zeros((self._window - len(items), *items.shape[1:]), items.dtype)
    stacked = np.concatenate([items, empty])[None]
    return stacked if stacked.ndim > 2 else stacked.astype(np.int32)
