"""Measures what belongs to a recording, once: the ceiling of labels and scores of blind agents.

Both are kept beside the data. A domain whose recordings can be measured has such a module, with
  check(config): refuses numbers in `study.floors` that cannot be measured.
  path_of(part, directory): where 'ceiling' or 'score floors' of a recording is kept.
  measure(part, config, name, directory, episodes): measures it, or checks what is there.
"""

import os

from alpt_jax import progress as progress_
from alpt_jax.data import rlds
from alpt_jax.domains.atari import recording_ceiling


def check(config):
  """Refuses a number of games that cannot be played.

  Raises:
    ValueError: naming the field.
  """
  num_episodes = config.study.floors.score_games
  if num_episodes:
    from alpt_jax.domains.atari import score_floors  # The emulator.
    score_floors.check_num_episodes(num_episodes, 'study.floors.score_games')


def path_of(part, directory):
  """Returns where a part is kept of the recording in a directory."""
  from alpt_jax.domains.atari import score_floors  # The emulator.
  return {'ceiling': recording_ceiling, 'score floors': score_floors}[part].path_of(directory)


def measure(part, config, name, directory, episodes):
  """Measures a part of a recording; of what is there, checks that it is of this recording.

  Args:
    part: 'ceiling' or 'score floors'.
    config: of the study.
    name: of the game.
    directory: of the recording.
    episodes: its `episode_files.EpisodeFiles`, with all actions.

  Raises:
    ValueError: if a file beside the data is of other data or of another protocol.
  """
  is_there = os.path.exists(path_of(part, directory))
  if part == 'score floors':
    _measure_scores(config, name, directory, episodes, is_there)
  elif is_there:  # Of any number of steps.
    recording_ceiling.known(directory, episodes)
  elif _is_recorded(directory):
    with progress_.Progress(int(episodes.num_transitions.sum()),
                            label=f'ceiling of {name}') as progress:
      recording_ceiling.measure(directory, episodes, num_steps=config.study.floors.ceiling_steps,
                                progress=progress.update)
  else:
    print(f'{name}: the ceiling of label accuracy is unknown: the data was not recorded here, so '
          'it cannot be played again.', flush=True)


def _is_recorded(directory):
  metadata = (rlds.read_card(directory) or {}).get('metadata') or {}
  return {'seed', 'sticky', 'max_episode_steps'} <= metadata.keys()


def _measure_scores(config, name, directory, episodes, is_there):
  from alpt_jax.domains.atari import score_floors  # The emulator.

  protocol = dict(max_steps=config.evaluation.max_steps, sticky=config.evaluation.sticky)
  if is_there:  # Of any number of games.
    score_floors.known(directory, episodes, name, **protocol)
    return
  with progress_.Progress(score_floors.num_agents(name), label=f'blind play of {name}',
                          unit='agents') as progress:
    score_floors.measure(directory, episodes, name, num_episodes=config.study.floors.score_games,
                         progress=progress.update, **protocol)
