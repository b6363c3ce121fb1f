"""Scores of agents on Atari: raw points of whole games, all episodes in step with each other.

The protocol is that of Multi-Game Decision Transformers (Lee et al., 2022) as ALPT follows it: 16
episodes of at most 2,500 agent steps, no sticky actions, no no-op starts, a game ends with its last
life, and the score is the sum of unclipped rewards. Their release drops the reward of the step that
ends a game; here it counts.

Every episode has an emulator with a thread of its own, so that an episode that has ended costs
nothing, and is never begun anew by an emulator that resets itself. (One emulator for the whole
batch, which goes on with ended episodes, takes a tenth less time while all are running.)
"""

import pathlib
import time

import jax
import numpy as np

try:
  from ale_py import vector_env  # Needs gymnasium, which ale-py does not bring.
except ImportError as error:
  raise ImportError(f'Evaluating on Atari needs ale-py and gymnasium ({error}): '
                    'pip install ".[atari]"') from error

from alpt_jax import acting
from alpt_jax.envs import action_sets, atari, atari_scores
from alpt_jax.networks import models

ACTING_MODES = ('argmax', 'sampled')
_MIN_BATCH = 4  # Compiling for smaller ones costs more than it gains.


class AtariEvaluator:
  """Plays episodes of one game, with one compiled program per batch size.

  The batch shrinks as episodes end. Without sticky actions a game has no chance in it: the episodes
  differ by what the agent samples, and if it samples nothing (arg max under the 'paper' rule), one
  is played, as all would be equal.

  Attributes:
    seconds: of the last run, {'emulator', 'model', 'host'}: waiting for the emulators, waiting for
      the model, and all the rest.
    num_agent_steps: actions that were taken in the last run, in all episodes.
  """

  def __init__(self, dt, game, *, num_episodes=16, max_steps=2500, sticky=0., rule='paper'):
    """Starts the emulators; compiles nothing yet.

    Args:
      dt: the `DecisionTransformer`; of the full action set, for 84 x 84 grey images.
      game: one of `action_sets.GAMES`.
      num_episodes: episodes in a run.
      max_steps: agent steps (four frames each) after which an episode is cut.
      sticky: probability that a frame repeats the last frame's action; .25 in the data.
      rule: the acting rule; see `acting`.

    Raises:
      ValueError: for a model that cannot play the game, an unknown game, or a value out of range.
      FileNotFoundError: if the game's ROM is missing.
    """
    spec = action_sets.spec(game)
    for name in ('observation_kind', 'observation_shape', 'num_actions'):
      ours, needed = getattr(dt.spec, name), getattr(spec, name)
      if ours != needed:
        raise ValueError(f'{name} of the model ({dt.spec.name}) is {ours}; {game} has {needed}.')
    for name, value in (('num_episodes', num_episodes), ('max_steps', max_steps)):
      if value < 1:
        raise ValueError(f'{name} is {value}; expected at least 1.')
    if not 0. <= sticky < 1.:
      raise ValueError(f'sticky is {sticky}; expected a probability in [0, 1).')
    if rule not in acting.RULES:
      raise ValueError(f'rule is {rule!r}; expected one of {acting.RULES}.')
    self._game, self._max_steps, self._sticky, self._rule = game, max_steps, sticky, rule
    self._emulators = [_make_emulator(game, max_steps, sticky) for _ in range(num_episodes)]
    legal = np.isin(np.arange(spec.num_actions), spec.legal_actions)
    act = acting.make_act(dt, legal, rule=rule, is_tokenized=True)

    def tokenize(params, frames, before):
      frames, before = (x[:, None, :, :, None] for x in (frames, before))
      return dt.apply({'params': params}, frames, before,
                      method=models.DecisionTransformer.tokenize)[:, 0]

    def step(params, history, rewards, frames, before, key, is_greedy):
      history = acting.observe_reward(history, rewards)
      return act(params, history, tokenize(params, frames, before),
                 jax.random.fold_in(key, history.num_steps), is_greedy)

    self._empty_history = lambda params, frames: acting.empty_history(
        jax.eval_shape(tokenize, params, frames, frames), dt.num_steps)
    self._step = jax.jit(step, donate_argnums=1)
    self.seconds, self.num_agent_steps = {}, 0

  def run(self, params, *, acting_mode='sampled', seed=0, record_episodes=0):
    """Plays all episodes. The same arguments give the same scores.

    Args:
      params: of the DT.
      acting_mode: 'sampled' or 'argmax'.
      seed: of the sampling and the sticky actions; at least 0.
      record_episodes: how many episodes to return, those of the highest scores.

    Returns:
      A dict: `score`, the mean of the `scores` of all episodes, `score_std` (population) and
      `score_median`; `human_normalised`, 0 for random and 1 for human play, None where no human
      score is known; `lengths` in agent steps, `num_cut`, episodes that were cut at `max_steps`;
      and how it was done: `game`, `num_episodes`, `max_steps`, `sticky`, `acting_rule`,
      `acting_mode`, `seed`. And a list, best first, of {'episode', its index; 'seed' of its
      emulator; 'score'; 'actions' [L] int32, ids of the full set; 'observations' [L, 84, 84] uint8,
      what was seen before each action}.

    Raises:
      ValueError: for an unknown mode or a negative seed.
    """
    if acting_mode not in ACTING_MODES:
      raise ValueError(f'acting_mode is {acting_mode!r}; expected one of {ACTING_MODES}.')
    if seed < 0:
      raise ValueError(f'seed is {seed}; expected at least 0.')
    is_greedy = acting_mode == 'argmax'
    is_chance = self._sticky or not is_greedy or self._rule == 'release'
    emulators = self._emulators if is_chance else self._emulators[:1]
    seeds = episode_seeds(seed, len(emulators))
    scores, lengths, is_over, actions = self._play(params, emulators, seeds, is_greedy, seed)
    result = {
        'score': float(scores.mean()), 'score_std': float(scores.std()),
        'score_median': float(np.median(scores)),
        'human_normalised': atari_scores.human_normalised(self._game, float(scores.mean())),
        'scores': scores.tolist(), 'lengths': lengths.tolist(), 'num_cut': int((~is_over).sum()),
        'game': self._game, 'num_episodes': len(scores), 'max_steps': self._max_steps,
        'sticky': self._sticky, 'acting_rule': self._rule, 'acting_mode': acting_mode,
        'seed': seed}
    best = np.argsort(-scores, kind='stable')[:record_episodes]
    return result, [{'episode': int(i), 'seed': int(seeds[i]),
                     **self._replay(seeds[i], actions[:lengths[i], i])} for i in best]

  def _play(self, params, emulators, seeds, is_greedy, seed):
    """Returns [E] scores, lengths and whether the game was over, and [T, E] actions."""
    num_episodes = len(emulators)
    scores = np.zeros(num_episodes)
    lengths = np.full(num_episodes, self._max_steps)
    is_over = np.zeros(num_episodes, bool)
    actions = np.zeros((self._max_steps, num_episodes), np.int32)
    observations = np.stack([emulator.reset(seed=np.array([s]))[0][0, 0]
                             for emulator, s in zip(emulators, seeds, strict=True)])
    before = observations.copy()  # The first image has none before it; what is there is not used.
    rewards = np.zeros(num_episodes, np.float32)
    rows = np.arange(num_episodes)  # Of the batch; some may be of episodes that are over.
    history, key = None, jax.random.key(seed)
    self.seconds = dict.fromkeys(('emulator', 'model', 'host'), 0.)
    begin = time.perf_counter()
    for t in range(self._max_steps):
      rows, history = self._shrink(rows, is_over, history)
      frames = observations[rows]
      if history is None:
        history = self._empty_history(params, frames)
      before_model = time.perf_counter()
      chosen, history = self._step(
          params, history, rewards[rows], frames, before[rows], key, is_greedy)
      actions[t, rows] = chosen  # Waits.
      after_model = time.perf_counter()
      running = np.flatnonzero(~is_over)
      before[running] = observations[running]
      for i in running:
        emulators[i].send(actions[t, i:i + 1])
      for i in running:
        observation, reward, is_terminal, _, _ = emulators[i].recv()
        observations[i], rewards[i], is_over[i] = observation[0, 0], reward[0], is_terminal[0]
      scores[running] += rewards[running]
      lengths[running[is_over[running]]] = t + 1
      self.seconds['model'] += after_model - before_model
      self.seconds['emulator'] += time.perf_counter() - after_model
      if is_over.all():
        break
    total = time.perf_counter() - begin
    self.seconds['host'] = total - sum(self.seconds.values())
    self.num_agent_steps = int(lengths.sum())
    return scores, lengths, is_over, actions

  def _shrink(self, rows, is_over, history):
    """Halves the batch, keeping the rows of running episodes, once they fit."""
    size, num_running = len(rows), int((~is_over[rows]).sum())
    while size // 2 >= max(num_running, _MIN_BATCH):
      size //= 2
    if size == len(rows):
      return rows, history
    kept = np.argsort(is_over[rows], kind='stable')[:size]  # Running ones first.
    return rows[kept], jax.tree.map(lambda x: x[kept] if x.ndim else x, history)

  def _replay(self, seed, actions):
    """Plays an episode again, keeping what was seen: recording all in a run takes memory."""
    emulator, score = self._emulators[0], 0.
    observations = [emulator.reset(seed=np.array([seed]))[0][0, 0]]
    for action in actions:
      observation, reward, *_ = emulator.step(action[None])
      observations.append(observation[0, 0])
      score += float(reward[0])
    return {'score': score, 'actions': actions, 'observations': np.stack(observations[:-1])}


def episode_seeds(seed, num_episodes):
  """Seeds [num_episodes] int of the emulators in a run with this seed, each in [0, 2^31)."""
  return np.random.default_rng(seed).integers(2 ** 31, size=num_episodes)


def _make_emulator(game, max_steps, sticky):
  """Makes an emulator of one game with Dopamine's preprocessing, as the data was recorded."""
  return vector_env.AtariVectorEnv(
      pathlib.Path(atari.rom_path(game)).stem, num_envs=1, num_threads=1, full_action_space=True,
      repeat_action_probability=sticky, noop_max=0, use_fire_reset=False, stack_num=1,
      reward_clipping=False, max_num_frames_per_episode=atari.FRAME_SKIP * (max_steps + 1))
