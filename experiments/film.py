"""Films an Atari game as a person's own data: videos, and a few of them with their actions.

python -m experiments.film --game=Breakout --output=runs/own/clips

For trying out what is there for data of your own (see OWN_DATA.md) before you have any. A scripted
player is filmed in colour, 15 frames a second, one for each of its actions. Some short clips have
their actions in actions.csv; those of the others are not recorded. Each clip is cut from a game
of its own at a random moment, so that clips are like the videos. environment.json says what it all
is. Rewards are not in a video, so there are none.
"""

import csv
import io
import os

import numpy as np
from absl import flags

from alpt_jax import cli
from alpt_jax import progress as progress_
from alpt_jax.data import environment_file
from alpt_jax.domains.atari import action_sets, policies
from alpt_jax.domains.atari import env as atari
from alpt_jax.files import atomic_files, paths
from alpt_jax.reports import video

_GAME = flags.DEFINE_string('game', 'Breakout', 'Which; see alpt_jax/domains/atari/action_sets.py.')
_OUTPUT = paths.define('output', 'runs/own/clips', 'Directory; must not exist.')
_NUM_VIDEOS = flags.DEFINE_integer('num_videos', 20, 'Without actions.', lower_bound=0)
_SECONDS = flags.DEFINE_integer('seconds', 90, 'Of each, or less if the game is over.',
                                lower_bound=1)
_NUM_LABELLED = flags.DEFINE_integer('num_labelled', 24, 'With actions.', lower_bound=0)
_LABELLED_SECONDS = flags.DEFINE_integer('labelled_seconds', 5, 'Of each, cut from a game of '
                                         '--seconds.', lower_bound=1)
_EPSILON = flags.DEFINE_float('epsilon', .1, 'Share of random actions.')
_SEED = flags.DEFINE_integer('seed', 0, 'Of the random ones, and of the moments.', lower_bound=0)


def film(game, seed, num_steps, epsilon):
  """Films one episode.

  Args:
    game: one of `action_sets.GAMES`.
    seed: of the player.
    num_steps: actions at most.
    epsilon: share of random actions.

  Returns:
    List of T + 1 frames [H, W, 3] uint8, and of the T names of actions between them.
  """
  env = atari.make(game, seed, sticky=0., max_steps=num_steps)
  behaviour = 'scripted' if game in policies.SCRIPTED else 'lookahead'
  policy = policies.make(behaviour, game, env, epsilon=epsilon, seed=seed)
  timestep, actions = env.reset(), []
  frames = [env.screen()]
  while not timestep.last():
    action = policy(timestep)
    timestep = env.step(action)
    actions.append(action_sets.ACTION_NAMES[action_sets.MINIMAL_ACTIONS[game][action]])
    frames.append(env.screen())
  return frames, actions


def cut(frames, actions, num_steps, seed):
  """Cuts a clip out of an episode at a random moment.

  Args:
    frames: list of T + 1.
    actions: list of T.
    num_steps: actions of the clip; all if there are fewer.
    seed: of the moment.

  Returns:
    Lists of the frames and of the actions of the clip.
  """
  num_steps = min(num_steps, len(actions))
  start = int(np.random.default_rng(seed).integers(len(actions) - num_steps + 1))
  return frames[start:start + num_steps + 1], actions[start:start + num_steps]


def describe(game):
  """Describes the videos of a game as an `environment_file.Environment`."""
  names, spec = action_sets.ACTION_NAMES, action_sets.spec(game)
  return environment_file.Environment(
      name=game, observation=environment_file.Observation(
          kind='image', shape=spec.observation_shape),
      actions=environment_file.Actions(
          space=names, legal=tuple(names[i] for i in spec.legal_actions)),
      reward=None, steps_per_second=float(video.FPS))


def main():
  """Films all videos."""
  action_sets.check_game(_GAME.value)
  if not 0 <= _EPSILON.value <= 1:
    raise ValueError(f'--epsilon is {_EPSILON.value}; expected a share in [0, 1].')
  if _NUM_LABELLED.value and _LABELLED_SECONDS.value > _SECONDS.value:
    raise ValueError(f'--labelled_seconds is {_LABELLED_SECONDS.value}; expected at most --seconds '
                     f'{_SECONDS.value}, the games that clips are cut from.')
  wanted = [('labelled', i) for i in range(_NUM_LABELLED.value)]
  wanted += [('video', i) for i in range(_NUM_VIDEOS.value)]
  if not wanted:
    raise ValueError('--num_videos and --num_labelled are 0; expected at least one video.')
  rows = io.StringIO()
  writer = csv.writer(rows)
  writer.writerow(['file', 'step', 'action'])
  with atomic_files.new_directory(_OUTPUT.value) as staging, progress_.Progress(
      len(wanted), label=f'filming {_GAME.value}', unit='videos') as progress:
    content = os.path.join(staging, 'content')
    for done, (kind, number) in enumerate(wanted):
      name, seed = f'{kind}{number:03d}.mp4', 1000 * _SEED.value + done
      frames, actions = film(_GAME.value, seed, _SECONDS.value * video.FPS, _EPSILON.value)
      if kind == 'labelled':
        frames, actions = cut(frames, actions, _LABELLED_SECONDS.value * video.FPS, seed)
        writer.writerows((name, step, action) for step, action in enumerate(actions))
      video.write(os.path.join(content, name), frames)
      progress.update(done + 1)
    if _NUM_LABELLED.value:
      atomic_files.write(os.path.join(content, 'actions.csv'), rows.getvalue().encode())
    environment_file.write(os.path.join(content, environment_file.FILE), describe(_GAME.value))
  print(f'{_OUTPUT.value}: {_NUM_VIDEOS.value} videos without actions, {_NUM_LABELLED.value} with '
        'them.')


if __name__ == '__main__':
  cli.run_without_config(main)
