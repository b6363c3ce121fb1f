"""Measures what belongs to a recording, once: scores of agents that look at nothing.

`atari.measures` says what such a module has.
"""

import os

from alpt_jax import progress as progress_
from alpt_jax import schema
from alpt_jax.domains.doom import score_floors


def check(config):
  """Refuses what cannot be measured.

  Raises:
    ValueError: naming the field.
  """
  floors = config.study.floors
  schema.expect('study.floors.score_games', floors.score_games, floors.score_games != 1,
                'at least 2, or no error is known; 0 for none')
  for name, nothing in (('ceiling_steps', 0), ('of_runs', False)):
    schema.expect(f'study.floors.{name}', floors[name], floors[name] == nothing,
                  f'{nothing}: of Doom, nothing measures it')


def path_of(part, directory):
  """Returns where 'score floors' of a recording are kept."""
  del part
  return score_floors.path_of(directory)


def measure(part, config, name, directory, episodes):
  """Measures the floors of a recording; of what is there, checks that it is of this recording.

  Args:
    part: 'score floors'.
    config: of the study.
    name: of the scenario.
    directory: of the recording.
    episodes: its `episode_files.EpisodeFiles`, with all actions.

  Raises:
    ValueError: if a file beside the data is of other data or of another protocol.
  """
  del part
  frame_skip = config.collect.frame_skip
  if os.path.exists(score_floors.path_of(directory)):  # Of any number of games.
    score_floors.known(directory, episodes, name, frame_skip=frame_skip)
    return
  with progress_.Progress(score_floors.num_agents(name), label=f'blind play of {name}',
                          unit='agents') as progress:
    score_floors.measure(directory, episodes, name, num_episodes=config.study.floors.score_games,
                         frame_skip=frame_skip, progress=progress.update)
