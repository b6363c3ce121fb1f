"""Measures what agents that look at nothing score in a scenario, and the script that sees all.

Random play, each key alone, walking and turning while shooting, and the recording's own actions,
one episode after the other, whatever happens: floors. The script that made the recording, without
random actions, is a ceiling for who imitates it. All play the same games, by the same steps as
agents do.

A file of kind 'score floors', see `measure_files`:

  agents       {name: {score, score_std, standard_error, scores, lengths}} of RANDOM, REPLAY, SCRIPT
               and `constants`, e.g. 'always attack'
  versions     {package: version}
"""

import contextlib
import os

import numpy as np

from alpt_jax.data import measure_files
from alpt_jax.domains import play
from alpt_jax.domains.doom import scenarios
from alpt_jax.files import versions

FILE = 'score_floors.json'
RANDOM, REPLAY, SCRIPT = 'random', 'recorded actions', 'script'
_ALWAYS = 'always '
_TURN = 5.  # Degrees a step of who turns all the time: once around in 8 seconds.
_KIND = 'score floors'


def path_of(directory):
  """Returns the path of the floors of a dataset's scenario: beside the data."""
  return os.path.join(directory, FILE)


def measure(directory, episodes, scenario, *, num_episodes, frame_skip, seed=0, progress=None):
  """Measures the floors of a scenario, or reads them if that was done before.

  Args:
    directory: of the recording whose actions are replayed.
    episodes: its `episodes.Episodes`, with all actions.
    scenario: one of `scenarios.SCENARIOS`.
    num_episodes: games of each agent, at least 2.
    frame_skip: tics a step.
    seed: of the games and of what is drawn.
    progress: called with the number of agents that have played, or None.

  Returns:
    The dict that the module describes, with format, kind, digest and protocol.

  Raises:
    ValueError: for a number that is out of range, or if there are floors of other data or another
      protocol.
  """
  if num_episodes < 2:
    raise ValueError(f'num_episodes is {num_episodes}; expected at least 2, or no error is known.')
  about = dict(digest=episodes.digest, protocol={
      'scenario': scenario, 'num_episodes': num_episodes, 'frame_skip': frame_skip, 'seed': seed})
  path = path_of(directory)
  if not os.path.exists(path):
    agents = _play(scenario, episodes, about['protocol'], progress)
    measure_files.write(path, _KIND, **about,
                        content={'agents': agents, 'versions': versions.current()})
  return measure_files.read(path, _KIND, **about)


def known(directory, episodes, scenario, *, frame_skip):
  """Reads the floors of a scenario: as `measure`, of any number of games; None if there are none.

  Raises:
    ValueError: if there are floors of other data or another protocol.
  """
  path = path_of(directory)
  if not os.path.exists(path):
    return None
  played = measure_files.open_file(path)['protocol']
  return measure_files.read(path, _KIND, digest=episodes.digest, protocol=played | {
      'scenario': scenario, 'frame_skip': frame_skip})


def in_short(floors):
  """Selects what a run keeps of its scenario's floors: of constant agents, the best only.

  Args:
    floors: from `measure`.

  Returns:
    {'protocol', 'agents': {name: {score, standard_error, num_episodes}}}, without the script, which
    is none.
  """
  agents = floors['agents']
  best = best_constant(agents)
  return {'protocol': floors['protocol'], 'agents': {name: {
      'score': agents[name]['score'], 'standard_error': agents[name]['standard_error'],
      'num_episodes': len(agents[name]['scores'])} for name in (RANDOM, best, REPLAY)}}


def best_constant(agents):
  """Returns the name of the constant agent with the highest score, of {name: {'score', ..}}."""
  return max((name for name in agents if name.startswith(_ALWAYS)),
             key=lambda name: agents[name]['score'])


def constants(scenario):
  """Lists the actions of agents that always do the same.

  Args:
    scenario: one of `scenarios.SCENARIOS`.

  Returns:
    {name: [P] float32}: nothing, each key, turning; and with 'attack' the other keys and turning.
  """
  parts = scenarios.of(scenario).parts
  held = [(), *((part,) for part in parts)]
  held += [(part, 'attack') for part in parts if 'attack' in parts and part != 'attack']
  size = {scenarios.TURN: _TURN}
  return {_ALWAYS + ('nothing' if not keys else ' and '.join(keys)): np.array(
      [size.get(part, 1.) * (part in keys) for part in parts], np.float32) for keys in held}


class _Replay:
  """Takes the actions of recorded episodes, drawn one after the other."""

  def __init__(self, episodes, rng):
    self._episodes, self._rng, self._actions = episodes, rng, iter(())

  def __call__(self, timestep):
    if timestep.first():
      self._actions = iter(())
    action = next(self._actions, None)
    while action is None:
      number = int(self._rng.integers(self._episodes.num_episodes))
      self._actions = iter(self._episodes.actions_of(number)[0])
      action = next(self._actions, None)
    return action


def num_agents(scenario):
  """Says how many agents `measure` plays."""
  return 3 + len(constants(scenario))


def _play(scenario, episodes, protocol, progress):
  """{name: numbers} of all agents."""
  from alpt_jax.domains.doom import env as doom  # The game.
  from alpt_jax.domains.doom import policies, record

  seed, frame_skip = protocol['seed'], protocol['frame_skip']
  rng = np.random.default_rng(seed)
  agents = {RANDOM: lambda _: scenarios.draw(scenario, rng), REPLAY: _Replay(episodes, rng)} | {
      name: lambda _, action=action: action for name, action in constants(scenario).items()}
  seeds, found = play.episode_seeds(seed, protocol['num_episodes']), {}
  with contextlib.closing(doom.make(scenario, 0, frame_skip=frame_skip)) as env:
    for name, policy in agents.items():
      found[name] = _numbers([record.play(env, policy, seed=int(s)) for s in seeds])
      if progress is not None:
        progress(len(found))
  with contextlib.closing(doom.make(scenario, 0, frame_skip=frame_skip, has_view=True)) as env:
    script = policies.make(env, epsilon=0., seed=seed)
    found[SCRIPT] = _numbers([record.play(env, script, seed=int(s)) for s in seeds])
  return found


def _numbers(played):
  scores = np.array([episode.rewards.sum(dtype=np.float64) for episode in played])
  return {'score': float(scores.mean()), 'score_std': float(scores.std()),
          'standard_error': float(scores.std(ddof=1) / np.sqrt(len(scores))),
          'scores': scores.tolist(), 'lengths': [len(episode.actions) for episode in played]}
