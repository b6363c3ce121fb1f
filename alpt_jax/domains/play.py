"""Plays episodes with an agent in any emulator, all of them in lockstep.

Every episode has an emulator of its own, so that an episode that has ended costs nothing, and is
never begun anew by an emulator that resets itself. (One emulator for the whole batch, which steps
ended episodes as well, takes a tenth less time on Atari while all are running.) The episodes form
two groups: while the model chooses for one, the emulators of the other run.

An emulator has three methods: `reset(seed)` begins an episode and returns its first observation;
`send(action)` sets a step going, with an action as the player's space has them; `receive()` waits
for it and returns the observation, the reward and whether the episode is over. A player chooses the
actions, see `acting.Player`.

A score says something of an agent only beside those of `blind_agents`, which look at nothing.
"""

import dataclasses
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from alpt_jax.learners import acting
from alpt_jax.measures import play as measures

BLIND = 'blind'  # The acting rule of a `BlindPlayer`.
RANDOM, MARKOV, REPEAT = 'random', 'markov chain', 'repeat'
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

  def __init__(self, emulators, seeds, max_steps, space, delay=0):
    self._emulators = emulators
    self.observations = np.stack([  # As they are shown.
        emulator.reset(seed) for emulator, seed in zip(emulators, seeds, strict=True)])
    # [N, delay, ...]: the image after step n is at n modulo delay until it is shown.
    self._unseen = np.repeat(self.observations[:, None], delay, axis=1)
    self.before = self.observations.copy()  # Observations of the step before; at first, any.
    self.rewards = np.zeros(len(emulators), np.float32)  # Of the last step.
    self.scores = np.zeros(len(emulators))
    self.is_over = np.zeros(len(emulators), bool)
    self.lengths = np.zeros(len(emulators), int)
    self.actions = np.zeros((len(emulators), max_steps, *space.shape), space.dtype)
    self._is_sent = np.zeros(len(emulators), bool)

  def send(self, episodes, actions):
    """Sets the emulators of some episodes going."""
    self.actions[episodes, self.lengths[episodes]] = actions
    self.lengths[episodes] += 1
    for i, action in zip(episodes, actions, strict=True):
      self._emulators[i].send(action)
      self._is_sent[i] = True

  def receive(self, episodes):
    """Waits until they have done what was sent."""
    for i in episodes:
      observation, self.rewards[i], self.is_over[i] = self._emulators[i].receive()
      self._is_sent[i] = False
      self.before[i] = self.observations[i]
      self.observations[i] = self._delayed(i, observation)
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


class _LastActions(NamedTuple):
  """The last actions [B] int32 of B episodes, A before the first; and the number of steps taken."""
  actions: jax.Array
  num_steps: jax.Array


class BlindPlayer:
  """An agent that looks at nothing; its parameters are chances [A + 1, A], see `measures.play`.

  Members as those of `acting.Player`.
  """
  modes = acting.MODES
  about = {'acting_rule': BLIND}

  def __init__(self, spec):
    """Takes the `types.EnvironmentSpec` of what is played."""
    self.spec, self._legal = spec, jnp.asarray(spec.actions.mask)

  def is_chance(self, is_greedy):
    """Returns whether its actions are random in some mode."""
    return not is_greedy

  def empty_history(self, params, frames):
    """Makes the state of B episodes, of which `frames` are the first."""
    del params
    return _LastActions(jnp.full(len(frames), len(self._legal), jnp.int32),
                        jnp.zeros((), jnp.int32))

  def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
    """Chooses [B] actions by the ones before; returns them and the new history."""
    del rewards, frames, before
    chances = jnp.where(self._legal[None], params[history.actions], 0.)
    sampled = jax.random.categorical(
        jax.random.fold_in(key, history.num_steps), jnp.log(chances) / temperature)
    actions = jnp.where(is_greedy, jnp.argmax(chances, axis=-1), sampled).astype(jnp.int32)
    return actions, _LastActions(actions, history.num_steps + 1)


class Evaluator:
  """Plays episodes with one compiled program per batch size.

  The batch shrinks as episodes end. Where neither the emulator nor the player leaves anything to
  chance, one episode is played, as all would be equal.

  Attributes:
    seconds: of the last run, spent on 'reset' of the emulators, on waiting for an 'emulator' or the
      'model' to finish, and on the 'host', which is the rest.
    num_agent_steps: actions that were taken in the last run, in all episodes.
  """

  def __init__(self, player, make_emulator, *, num_episodes, max_steps, is_chance):
    """Starts the emulators; compiles nothing yet.

    Args:
      player: see `acting.Player`.
      make_emulator: () -> emulator, see the module.
      num_episodes: episodes in a run.
      max_steps: agent steps after which an episode is cut.
      is_chance: whether the seed of an emulator's episode changes what happens in it.

    Raises:
      ValueError: for a number out of range.
    """
    for name, value in (('num_episodes', num_episodes), ('max_steps', max_steps)):
      if value < 1:
        raise ValueError(f'{name} is {value}; expected at least 1.')
    self._player, self._max_steps, self._is_chance = player, max_steps, is_chance
    self._space = player.spec.actions
    self._emulators = [make_emulator() for _ in range(num_episodes)]
    self._step = jax.jit(player.step, donate_argnums=1)
    self.seconds, self.num_agent_steps = {}, 0

  def run(self, params, *, acting_mode='sampled', seed=0, record_episodes=0, temperature=1.,
          delay=0):
    """Plays all episodes. The same arguments give the same scores.

    Args:
      params: of the player's network.
      acting_mode: one of the player's `modes`.
      seed: of the sampling and the emulators; at least 0.
      record_episodes: how many episodes to return, those of the highest scores.
      temperature: of the actions in mode 'sharpened', above 0; see `acting`. 1 in other modes.
      delay: steps by which the agent is shown every image late; until so many are taken, it is
        shown the first one. Actions, returns and rewards stay those of the present.

    Returns:
      A dict: `score`, the mean of the `scores` of all episodes, which are sums of rewards,
      `score_std` (population) and `score_median`; `lengths` in agent steps, `num_cut`, episodes
      that were cut at `max_steps`; `most_frequent_action`, see `plain` of its space, its
      `most_frequent_share` of all steps, and `longest_run`, steps in a row with one action; and how
      it was done: `num_episodes`, `max_steps`, what the player says `about` itself, `acting_mode`,
      `seed`, `temperature` (if sharpened), `delay` (if there is one). And a list, best first, of
      {'episode', its index; 'seed' of its emulator; 'score'; 'actions' [L] int32, or [L, P] float32
      of several parts; 'observations' [L, ...], of the emulator, before each action}.

    Raises:
      ValueError: for an unknown mode, a negative seed or delay, or a temperature out of range.
    """
    self._check(acting_mode, seed, temperature, delay)
    is_greedy = acting_mode == 'argmax'
    is_chance = self._is_chance or self._player.is_chance(is_greedy)
    emulators = self._emulators if is_chance else self._emulators[:1]
    seeds = episode_seeds(seed, len(emulators))
    self.seconds = dict.fromkeys(('reset', 'emulator', 'model', 'host'), 0.)
    clock = _Clock(self.seconds)
    episodes = _Episodes(emulators, seeds, self._max_steps, self._space, delay)
    clock.count_as('reset')
    try:
      self._play(params, episodes, is_greedy, temperature, jax.random.key(seed))
    finally:
      episodes.settle()
    self.num_agent_steps = int(episodes.lengths.sum())
    result = _described(episodes, self._space) | {
        'max_steps': self._max_steps, **self._player.about, 'acting_mode': acting_mode,
        'seed': seed}
    if acting_mode == 'sharpened':
      result['temperature'] = temperature
    if delay:
      result['delay'] = delay
    best = np.argsort(-episodes.scores, kind='stable')[:record_episodes]
    return result, [{'episode': int(i), 'seed': int(seeds[i]),
                     **self._replay(seeds[i], episodes.actions[i, :episodes.lengths[i]])}
                    for i in best]

  def _check(self, acting_mode, seed, temperature, delay):
    if acting_mode not in acting.MODES:
      raise ValueError(f'acting_mode is {acting_mode!r}; expected one of {acting.MODES}.')
    if acting_mode not in self._player.modes:
      raise ValueError(f"acting_mode is {acting_mode!r}, and rule "
                       f"{self._player.about['acting_rule']!r} samples no action from a "
                       "distribution; expected 'sampled' or 'argmax'.")
    is_sharpened = acting_mode == 'sharpened'
    if not 0 < temperature < np.inf or not is_sharpened and temperature != 1.:
      raise ValueError(f'temperature is {temperature} in mode {acting_mode!r}; expected a number '
                       "above 0 in mode 'sharpened', 1 in others.")
    for name, value in (('seed', seed), ('delay', delay)):
      if value < 0:
        raise ValueError(f'{name} is {value}; expected at least 0.')

  def _play(self, params, episodes, is_greedy, temperature, key):
    """Plays all episodes to their ends, or to `max_steps`."""
    groups = [
        _Group(indices, np.arange(len(indices)), jax.random.fold_in(key, g))
        for g, indices in enumerate(np.array_split(np.arange(len(episodes.scores)), _NUM_GROUPS))]
    clock = _Clock(self.seconds)
    for t in range(self._max_steps + 1):  # The last pass receives and sends nothing.
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
          group.history = self._player.empty_history(params, frames)
        clock.count_as('host')
        actions, group.history = self._step(
            params, group.history, episodes.rewards[group.episodes], frames,
            episodes.before[group.episodes], group.key, is_greedy, temperature)
        actions = np.asarray(actions)  # Waits.
        clock.count_as('model')
        actions = self._space.values(actions)
        episodes.send(group.running, actions[group.places])
        clock.count_as('host')

  def _replay(self, seed, actions):
    """Plays an episode again, keeping what was seen: recording all in a run takes memory."""
    emulator, score = self._emulators[0], 0.
    observations = [emulator.reset(seed)]
    for action in actions:
      emulator.send(action)
      observation, reward, _ = emulator.receive()
      observations.append(observation)
      score += float(reward)
    return {'score': score, 'actions': actions, 'observations': np.stack(observations[:-1])}


def _described(episodes, space):
  """What `Evaluator.run` says of `_Episodes` that were played, with actions of a space."""
  scores = episodes.scores
  actions = measures.describe([row[:length] for row, length in zip(
      episodes.actions, episodes.lengths, strict=True)])
  return {
      'score': float(scores.mean()), 'score_std': float(scores.std()),
      'score_median': float(np.median(scores)), 'scores': scores.tolist(),
      'lengths': episodes.lengths.tolist(), 'num_cut': int((~episodes.is_over).sum()),
      'most_frequent_action': space.plain(actions.most_frequent),
      'most_frequent_share': actions.share, 'longest_run': actions.longest_run,
      'num_episodes': len(scores)}


def episode_seeds(seed, num_episodes):
  """Draws seeds [num_episodes] int of the emulators in a run with this seed, each in [0, 2^31)."""
  return np.random.default_rng(seed).integers(2 ** 31, size=num_episodes)


def check_spec(player, spec):
  """Refuses a player, or a network, that was not made for what is played.

  Raises:
    ValueError: naming the field of the specs that differs.
  """
  for name in ('observation_kind', 'observation_shape', 'num_actions'):
    ours, needed = getattr(player.spec, name), getattr(spec, name)
    if ours != needed:
      raise ValueError(f'{name} of the model ({player.spec.name}) is {ours}; {spec.name} has '
                       f'{needed}.')


def blind_agents(episodes, spec):
  """Makes the agents whose scores are floors.

  Args:
    episodes: recorded ones that are imitated; at least two known actions follow each other.
    spec: the `types.EnvironmentSpec` of what is played.

  Returns:
    {name: [A + 1, A] chances}: RANDOM, MARKOV, REPEAT and 'always NOOP' etc. of each legal action.
  """
  num = spec.num_actions
  recorded = [actions[is_known] for actions, is_known in map(
      episodes.actions_of, range(episodes.num_episodes))]
  return {
      RANDOM: measures.uniform(spec.actions.mask), MARKOV: measures.markov_chain(recorded, num),
      REPEAT: measures.repeat_last(recorded, num),
      **{f'always {spec.actions.names[a]}': measures.always(a, num) for a in spec.legal_actions}}


def joined(results):
  """Joins what `Evaluator.run` says of batches of episodes of one agent into one of all.

  Args:
    results: list of its dicts; what is not of episodes is taken from the first.

  Returns:
    A dict of the same keys, and the `standard_error` of `score`, None of a single episode.
  """
  scores = np.concatenate([r['scores'] for r in results])
  steps = [sum(r['lengths']) for r in results]
  first = results[0]
  is_one = all(r['most_frequent_action'] == first['most_frequent_action'] for r in results)
  return first | {
      'score': float(scores.mean()), 'score_std': float(scores.std()),
      'score_median': float(np.median(scores)),
      'standard_error': (float(scores.std(ddof=1) / np.sqrt(len(scores)))
                         if len(scores) > 1 else None),
      'scores': scores.tolist(), 'lengths': sum((r['lengths'] for r in results), []),
      'num_cut': sum(r['num_cut'] for r in results), 'num_episodes': len(scores),
      # Of batches that differ in it, the share is that of each batch's own.
      'most_frequent_action': first['most_frequent_action'] if is_one else None,
      'most_frequent_share': float(
          np.average([r['most_frequent_share'] for r in results], weights=steps)),
      'longest_run': max(r['longest_run'] for r in results)}
