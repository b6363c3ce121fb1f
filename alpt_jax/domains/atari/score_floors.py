"""Measures the scores of agents that look at nothing, by the evaluator that scores agents.

Random play, each action alone, a Markov chain of a recording's actions, and repeating the last
action as often as the recording does. A score says something of an agent only beside them: random
play of another protocol (sticky actions, no-op starts, another limit of steps) scores differently.

A file of kind 'score floors', see `measure_files`:

  agents       {name: what `AtariEvaluator.run` says of it, and `standard_error` of `score`, None
               where the games are one}; for the names see `play.blind_agents`
  versions     {package: version}
"""

import os

import jax.numpy as jnp
import numpy as np

from alpt_jax.data import measure_files
from alpt_jax.domains import play
from alpt_jax.domains.atari import action_sets, evaluate
from alpt_jax.files import versions

FILE = 'score_floors.json'
NUM_EPISODES = 400
_GAMES_AT_ONCE = 50


def path_of(directory, output=''):
  """Returns the path of the floors of a dataset's game: in `output`, or beside the data."""
  return os.path.join(output or directory, FILE)


def measure(directory, episodes, game, *, num_episodes=NUM_EPISODES, max_steps, sticky, seed=0,
            output='', progress=None):
  """Measures the floors of a game, or reads them if that was done before.

  Args:
    directory: of the recording that is imitated.
    episodes: its `episode_files.EpisodeFiles`, with all actions.
    game: one of `action_sets.GAMES`.
    num_episodes: games of each agent that has a chance in what it does; a multiple of 50 if it is
      above 50.
    max_steps, sticky: of the protocol, see `AtariEvaluator`.
    seed: of the first games; games come in batches of 50, of successive seeds.
    output: directory of the file; '' for beside the data.
    progress: called with the number of agents that have played, or None.

  Returns:
    The dict that the module describes, with format, kind, digest and protocol.

  Raises:
    ValueError: for a number that is out of range, or if there are floors of other data or another
      protocol.
  """
  check_num_episodes(num_episodes)
  path = path_of(directory, output)
  about = dict(digest=episodes.digest, protocol={
      'game': game, 'num_episodes': num_episodes, 'max_steps': max_steps, 'sticky': sticky,
      'seed': seed})
  found = measure_files.read(path, 'score floors', **about)
  if found is None:
    chances = play.blind_agents(episodes, action_sets.spec(game))
    agents = _play(chances, game, num_episodes, max_steps, sticky, seed, progress)
    measure_files.write(path, 'score floors', **about,
                        content={'agents': agents, 'versions': versions.current()})
    found = measure_files.read(path, 'score floors', **about)
  return found


def known(directory, episodes, game, *, max_steps, sticky, output=''):
  """Reads the floors of a game.

  Args:
    directory: of the recording that is imitated.
    episodes: its `episode_files.EpisodeFiles`.
    game: one of `action_sets.GAMES`.
    max_steps, sticky: of the protocol.
    output: directory of the file; '' for beside the data.

  Returns:
    As `measure`, of any number of games; None if they were not measured.

  Raises:
    ValueError: if there are floors of other data or another protocol.
  """
  path = path_of(directory, output)
  if not os.path.exists(path):
    return None
  played = measure_files.open_file(path)['protocol']
  return measure_files.read(path, 'score floors', digest=episodes.digest, protocol=played | {
      'game': game, 'max_steps': max_steps, 'sticky': sticky})


def check_num_episodes(num_episodes, name='num_episodes'):
  """Refuses a number of games that makes no whole batches.

  Raises:
    ValueError: naming it by `name`.
  """
  if num_episodes < 1 or num_episodes > _GAMES_AT_ONCE and num_episodes % _GAMES_AT_ONCE:
    raise ValueError(f'{name} is {num_episodes}; expected 1 to {_GAMES_AT_ONCE}, or a multiple of '
                     'that.')


def in_short(floors):
  """Selects what a run keeps of its game's floors: of single actions, the best only.

  Args:
    floors: from `measure`.

  Returns:
    {'protocol', 'agents': {name: {score, standard_error, num_episodes}}}.
  """
  agents = floors['agents']
  single = [name for name in agents if name not in (play.RANDOM, play.MARKOV, play.REPEAT)]
  names = [play.RANDOM, max(single, key=lambda name: agents[name]['score']), play.MARKOV,
           play.REPEAT]
  return {'protocol': floors['protocol'], 'agents': {name: {
      key: agents[name][key] for key in ('score', 'standard_error', 'num_episodes')}
      for name in names}}


def num_agents(game):
  """Says how many agents `measure` plays."""
  return 3 + len(action_sets.MINIMAL_ACTIONS[game])


def _play(agents, game, num_episodes, max_steps, sticky, seed, progress):
  """{name: result} of the games of all agents."""
  evaluator = evaluate.AtariEvaluator(
      play.BlindPlayer(action_sets.spec(game)), game,
      num_episodes=min(num_episodes, _GAMES_AT_ONCE), max_steps=max_steps, sticky=sticky)
  results = {}
  for i, (name, chances) in enumerate(agents.items(), 1):
    mode = 'argmax' if name.startswith('always') else 'sampled'
    # Without sticky actions, one action is one game.
    num_batches = 1 if mode == 'argmax' and not sticky else -(-num_episodes // _GAMES_AT_ONCE)
    results[name] = joined([
        evaluator.run(jnp.asarray(chances, jnp.float32), acting_mode=mode, seed=seed + batch)[0]
        for batch in range(num_batches)])
    if progress is not None:
      progress(i)
  return results


def joined(results):
  """Joins what `AtariEvaluator.run` says of batches of games of one agent into one of all."""
  normalised = [r['human_normalised'] for r in results]
  return play.joined(results) | {'human_normalised': None if normalised[0] is None else float(
      np.average(normalised, weights=[r['num_episodes'] for r in results]))}
