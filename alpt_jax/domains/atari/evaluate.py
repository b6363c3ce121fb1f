"""Scores of agents on Atari: raw points of whole games, all episodes in step with each other.

The protocol is that of Multi-Game Decision Transformers (Lee et al., 2022) as ALPT follows it: 16
episodes of at most 2,500 agent steps, no sticky actions, no no-op starts, a game ends with its last
life, and the score is the sum of unclipped rewards. Their release drops the reward of the step that
ends a game; here it counts.

Every episode has an emulator with a thread of its own, so that an episode that has ended costs
nothing, and is never begun anew by an emulator that resets itself. (One emulator for the whole
batch, which goes on with ended episodes, takes a tenth less time while all are running.) The
episodes form two groups: while the model chooses for one, the emulators of the other run.
"""

import dataclasses
import pathlib
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

try:
  from ale_py import vector_env  # Needs gymnasium, which ale-py does not bring.
except ImportError as error:
  raise ImportError(f'Evaluating on Atari needs ale-py and gymnasium ({error}): '
                    'pip install ".[atari]"') from error

from alpt_jax.domains.atari import action_sets, env
from alpt_jax.domains.atari import scores as atari_scores
from alpt_jax.learners import acting, cql
from alpt_jax.measures import play
from alpt_jax.networks import decision_transformer, q_network

EPSILON_GREEDY = 'epsilon-greedy'  # The acting rule of Q-networks.
BLIND = 'blind'  # That of a `Blind` agent.
_NUM_GROUPS = 2
_MIN_BATCH = 2  # Compiling for one alone would take longer than it saves.


@dataclasses.dataclass
class _Group:
  """Episodes that the model chooses for together.

  Attributes:
    episodes: [B] their indices; some may be over.
    places: [..] where in the batch those are that are not.
    key: of the sampling.
    history: of the batch; None before the first step.
  """
  episodes: np.ndarray
  places: np.ndarray
  key: jax.Array
  history: Any = None

  @property
  def running(self):
    """[..] indices of the episodes that are not over."""
    return self.episodes[self.places]

  def shrink(self):
    """Halves the batch, keeping the episodes that run, once they fit."""
    size = len(self.episodes)
    while size // 2 >= max(len(self.places), _MIN_BATCH):
      size //= 2
    if size == len(self.episodes):
      return
    kept = np.concatenate([self.places, np.setdiff1d(np.arange(len(self.episodes)), self.places)])
    kept = kept[:size]
    self.episodes, self.places = self.episodes[kept], np.arange(len(self.places))
    self.history = jax.tree.map(lambda x: x[kept] if x.ndim else x, self.history)


class _Episodes:
  """What happens in N episodes, each in an emulator of its own.

  The agent is shown each image `delay` steps late, and the first one until then.
  """

  def __init__(self, emulators, seeds, max_steps, delay=0):
    self._emulators = emulators
    self.observations = np.stack([  # As they are shown.
        emulator.reset(seed=np.array([seed]))[0][0, 0]
        for emulator, seed in zip(emulators, seeds, strict=True)])
    # [N, delay, ...]: the image after step n is at n modulo delay until it is shown.
    self._unseen = np.repeat(self.observations[:, None], delay, axis=1)
    self.before = self.observations.copy()  # The ones before; any before the first.
    self.rewards = np.zeros(len(emulators), np.float32)  # Of the last step.
    self.scores = np.zeros(len(emulators))
    self.is_over = np.zeros(len(emulators), bool)
    self.lengths = np.zeros(len(emulators), int)
    self.actions = np.zeros((len(emulators), max_steps), np.int32)
    self._is_sent = np.zeros(len(emulators), bool)

  def send(self, episodes, actions):
    """Sets the emulators of some episodes going."""
    self.actions[episodes, self.lengths[episodes]] = actions
    self.lengths[episodes] += 1
    for i, action in zip(episodes, actions, strict=True):
      self._emulators[i].send(action[None])
      self._is_sent[i] = True

  def receive(self, episodes):
    """Waits until they have done what was sent."""
    for i in episodes:
      observation, reward, is_terminal, _, _ = self._emulators[i].recv()
      self._is_sent[i] = False
      self.before[i] = self.observations[i]
      self.observations[i] = self._delayed(i, observation[0, 0])
      self.rewards[i] = reward[0]
      self.is_over[i] = is_terminal[0]
    self.scores[episodes] += self.rewards[episodes]

  def _delayed(self, i, observation):
    """Exchanges the newest image of an episode for the one to be shown."""
    delay = self._unseen.shape[1]
    if not delay:
      return observation
    place = self.lengths[i] % delay
    shown = self._unseen[i, place].copy()
    self._unseen[i, place] = observation
    return shown

  def settle(self):
    """Takes what was not received: it would be the next run's first observation."""
    self.receive(np.flatnonzero(self._is_sent))


class _Clock:
  """Adds the seconds since it was last asked to what they are said to have been spent on."""

  def __init__(self, seconds):
    self._seconds, self._last = seconds, time.perf_counter()

  def count_as(self, name):
    now = time.perf_counter()
    self._seconds[name] += now - self._last
    self._last = now


class _Transformer:
  """How a DT plays: `AtariEvaluator` knows of an agent no more than what is here."""

  def __init__(self, dt, legal, rule):
    self._dt = dt
    self._act = acting.make_act(dt, legal, rule=rule, is_tokenized=True)

  def _tokenize(self, params, frames, before):
    frames, before = (x[:, None, :, :, None] for x in (frames, before))
    return self._dt.apply({'params': params}, frames, before,
                          method=decision_transformer.DecisionTransformer.tokenize)[:, 0]

  def empty_history(self, params, frames):
    """What is kept of B episodes; `frames` [B, 84, 84] are the first."""
    return acting.empty_history(
        jax.eval_shape(self._tokenize, params, frames, frames), self._dt.num_steps)

  def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
    """Chooses [B] actions after `rewards` [B] and `frames`; returns them and the new history."""
    history = acting.observe_reward(history, rewards)
    return self._act(params, history, self._tokenize(params, frames, before),
                     jax.random.fold_in(key, history.num_steps), is_greedy, temperature)


class _Frames(NamedTuple):
  """The last frames of B episodes, and the number of steps taken.

  Attributes:
    frames: [B, 84, 84, stack] uint8, the newest last; zeros from before the episode.
    num_steps: [] int32.
  """
  frames: jax.Array
  num_steps: jax.Array


class _QLearner:
  """How a Q-network plays; functions as those of `_Transformer`."""

  def __init__(self, network, legal, epsilon):
    self._network, self._legal, self._epsilon = network, jnp.asarray(legal), epsilon

  def empty_history(self, params, frames):
    del params
    return _Frames(jnp.zeros((*frames.shape, self._network.stack), jnp.uint8),
                   jnp.zeros((), jnp.int32))

  def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
    del rewards, before, temperature
    seen = jnp.concatenate([history.frames[..., 1:], frames[..., None]], axis=-1)
    actions = cql.act(self._network, params, seen, self._legal,
                      jax.random.fold_in(key, history.num_steps),
                      epsilon=jnp.where(is_greedy, 0., self._epsilon))
    return actions, _Frames(seen, history.num_steps + 1)


@dataclasses.dataclass(frozen=True)
class Blind:
  """An agent that looks at nothing; see `measures.play` for its parameters, [A + 1, A].

  Attributes:
    spec: the `types.EnvironmentSpec` of what is played.
  """
  spec: Any


class _LastActions(NamedTuple):
  """The last actions [B] int32 of B episodes, A before the first; and the number of steps taken."""
  actions: jax.Array
  num_steps: jax.Array


class _BlindPlayer:
  """How a blind agent plays; functions as those of `_Transformer`."""

  def __init__(self, agent, legal):
    self._num_actions, self._legal = agent.spec.num_actions, jnp.asarray(legal)

  def empty_history(self, params, frames):
    del params
    return _LastActions(jnp.full(len(frames), self._num_actions, jnp.int32),
                        jnp.zeros((), jnp.int32))

  def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
    del rewards, frames, before
    chances = jnp.where(self._legal[None], params[history.actions], 0.)
    sampled = jax.random.categorical(
        jax.random.fold_in(key, history.num_steps), jnp.log(chances) / temperature)
    actions = jnp.where(is_greedy, jnp.argmax(chances, axis=-1), sampled).astype(jnp.int32)
    return actions, _LastActions(actions, history.num_steps + 1)


class AtariEvaluator:
  """Plays episodes of one game, with one compiled program per batch size.

  The batch shrinks as episodes end. Without sticky actions a game has no chance in it: the episodes
  differ by what the agent samples, and if it samples nothing (arg max, but for the 'release' rule),
  one is played, as all would be equal.

  Attributes:
    seconds: of the last run, spent on 'reset' of the emulators, on waiting for an 'emulator' or the
      'model' to finish, and on the 'host', which is the rest.
    num_agent_steps: actions that were taken in the last run, in all episodes.
  """

  def __init__(self, network, game, *, num_episodes=16, max_steps=2500, sticky=0., rule='paper',
               epsilon=None):
    """Starts the emulators; compiles nothing yet.

    Args:
      network: a `DecisionTransformer`, `QNetwork` or `Blind`; of the full action set, for 84 x 84
        grey images.
      game: one of `action_sets.GAMES`.
      num_episodes: episodes in a run.
      max_steps: agent steps (four frames each) after which an episode is cut.
      sticky: probability that a frame repeats the last frame's action; .25 in the data.
      rule: the acting rule, see `acting`; of a `QNetwork`, EPSILON_GREEDY; of `Blind`, BLIND.
      epsilon: of that rule, in mode 'sampled'. (Mode 'argmax' explores nothing.)

    Raises:
      ValueError: for a model that cannot play the game, an unknown game, or a value out of range.
      FileNotFoundError: if the game's ROM is missing.
    """
    spec = action_sets.spec(game)
    for name in ('observation_kind', 'observation_shape', 'num_actions'):
      ours, needed = getattr(network.spec, name), getattr(spec, name)
      if ours != needed:
        raise ValueError(f'{name} of the model ({network.spec.name}) is {ours}; {game} has '
                         f'{needed}.')
    for name, value in (('num_episodes', num_episodes), ('max_steps', max_steps)):
      if value < 1:
        raise ValueError(f'{name} is {value}; expected at least 1.')
    if not 0. <= sticky < 1.:
      raise ValueError(f'sticky is {sticky}; expected a probability in [0, 1).')
    is_q = isinstance(network, q_network.QNetwork)
    is_blind = isinstance(network, Blind)
    rules = (EPSILON_GREEDY,) if is_q else (BLIND,) if is_blind else acting.RULES
    if rule not in rules:
      raise ValueError(f'rule is {rule!r}; expected one of {rules}.')
    if (epsilon is not None) != is_q or is_q and not 0. <= epsilon <= 1.:
      raise ValueError(f'epsilon is {epsilon} for rule {rule!r}; expected a probability for '
                       f'{EPSILON_GREEDY!r}, None for others.')
    self._game, self._max_steps, self._sticky, self._rule = game, max_steps, sticky, rule
    self._emulators = [_make_emulator(game, max_steps, sticky) for _ in range(num_episodes)]
    legal = np.isin(np.arange(spec.num_actions), spec.legal_actions)
    if is_blind:
      agent = _BlindPlayer(network, legal)
    else:
      agent = _QLearner(network, legal, epsilon) if is_q else _Transformer(network, legal, rule)
    self._about_agent = {'acting_rule': rule} | ({'epsilon': epsilon} if is_q else {})
    self._empty_history = agent.empty_history
    self._step = jax.jit(agent.step, donate_argnums=1)
    self.seconds, self.num_agent_steps = {}, 0

  def run(self, params, *, acting_mode='sampled', seed=0, record_episodes=0, temperature=1.,
          delay=0):
    """Plays all episodes. The same arguments give the same scores.

    Args:
      params: of the network.
      acting_mode: one of `acting.MODES`; a `QNetwork` has no 'sharpened'.
      seed: of the sampling and the sticky actions; at least 0.
      record_episodes: how many episodes to return, those of the highest scores.
      temperature: of the actions in mode 'sharpened', above 0; see `acting`. 1 in other modes.
      delay: steps by which the agent is shown every image late; until so many are taken, it is
        shown the first one. Actions, returns and rewards stay those of the present.

    Returns:
      A dict: `score`, the mean of the `scores` of all episodes, `score_std` (population) and
      `score_median`; `human_normalised`, 0 for random and 1 for human play, None where no human
      score is known, and `human_normalised_by`, whose; `lengths` in agent steps, `num_cut`,
      episodes that were cut at `max_steps`; `most_frequent_action`, an id of the full set, its
      `most_frequent_share` of all steps, and `longest_run`, steps in a row with one action; and how
      it was done: `game`, `num_episodes`, `max_steps`, `sticky`, `acting_rule`,
      `epsilon` (of a `QNetwork`), `acting_mode`, `temperature` (if sharpened), `delay` (if there is
      one), `seed`. And a list, best first, of {'episode', its index; 'seed' of its emulator;
      'score'; 'actions' [L] int32, ids of the full set; 'observations' [L, 84, 84] uint8, of the
      emulator, before each action}.

    Raises:
      ValueError: for an unknown mode, a negative seed or delay, or a temperature out of range.
    """
    if acting_mode not in acting.MODES:
      raise ValueError(f'acting_mode is {acting_mode!r}; expected one of {acting.MODES}.')
    is_sharpened = acting_mode == 'sharpened'
    if is_sharpened and self._rule == EPSILON_GREEDY:
      raise ValueError(f"acting_mode is 'sharpened', and rule {EPSILON_GREEDY!r} samples no action "
                       "from a distribution; expected 'sampled' or 'argmax'.")
    if not 0 < temperature < np.inf or not is_sharpened and temperature != 1.:
      raise ValueError(f'temperature is {temperature} in mode {acting_mode!r}; expected a number '
                       "above 0 in mode 'sharpened', 1 in others.")
    for name, value in (('seed', seed), ('delay', delay)):
      if value < 0:
        raise ValueError(f'{name} is {value}; expected at least 0.')
    is_greedy = acting_mode == 'argmax'
    is_chance = self._sticky or not is_greedy or self._rule == 'release'
    emulators = self._emulators if is_chance else self._emulators[:1]
    seeds = episode_seeds(seed, len(emulators))
    self.seconds = dict.fromkeys(('reset', 'emulator', 'model', 'host'), 0.)
    clock = _Clock(self.seconds)
    episodes = _Episodes(emulators, seeds, self._max_steps, delay)
    clock.count_as('reset')
    try:
      self._play(params, episodes, is_greedy, temperature, jax.random.key(seed))
    finally:
      episodes.settle()
    self.num_agent_steps = int(episodes.lengths.sum())
    scores = episodes.scores
    actions = play.describe([row[:length] for row, length in zip(
        episodes.actions, episodes.lengths, strict=True)])
    result = {
        'score': float(scores.mean()), 'score_std': float(scores.std()),
        'score_median': float(np.median(scores)),
        'human_normalised': atari_scores.human_normalised(self._game, float(scores.mean())),
        'human_normalised_by': atari_scores.PUBLISHED,
        'scores': scores.tolist(), 'lengths': episodes.lengths.tolist(),
        'num_cut': int((~episodes.is_over).sum()),
        'most_frequent_action': actions.most_frequent, 'most_frequent_share': actions.share,
        'longest_run': actions.longest_run,
        'game': self._game, 'num_episodes': len(scores), 'max_steps': self._max_steps,
        'sticky': self._sticky, **self._about_agent, 'acting_mode': acting_mode, 'seed': seed}
    if is_sharpened:
      result['temperature'] = temperature
    if delay:
      result['delay'] = delay
    best = np.argsort(-scores, kind='stable')[:record_episodes]
    return result, [{'episode': int(i), 'seed': int(seeds[i]),
                     **self._replay(seeds[i], episodes.actions[i, :episodes.lengths[i]])}
                    for i in best]

  def _play(self, params, episodes, is_greedy, temperature, key):
    """Plays all episodes to their ends, or to `max_steps`."""
    groups = [
        _Group(indices, np.arange(len(indices)), jax.random.fold_in(key, g))
        for g, indices in enumerate(np.array_split(np.arange(len(episodes.scores)), _NUM_GROUPS))]
    clock = _Clock(self.seconds)
    for t in range(self._max_steps + 1):  # The last time only receives.
      for group in groups:
        if t:
          episodes.receive(group.running)
          clock.count_as('emulator')
        group.places = group.places[~episodes.is_over[group.running]]
        if t == self._max_steps or not group.places.size:
          continue
        group.shrink()
        frames = episodes.observations[group.episodes]
        if group.history is None:
          group.history = self._empty_history(params, frames)
        clock.count_as('host')
        actions, group.history = self._step(
            params, group.history, episodes.rewards[group.episodes], frames,
            episodes.before[group.episodes], group.key, is_greedy, temperature)
        actions = np.asarray(actions)  # Waits.
        clock.count_as('model')
        episodes.send(group.running, actions[group.places])
        clock.count_as('host')

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
      pathlib.Path(env.rom_path(game)).stem, num_envs=1, num_threads=1, full_action_space=True,
      repeat_action_probability=sticky, noop_max=0, use_fire_reset=False, stack_num=1,
      reward_clipping=False, max_num_frames_per_episode=env.FRAME_SKIP * (max_steps + 1))
