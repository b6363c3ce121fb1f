"""Shares compiled programs between the runs that one process of pytest trains.

A run traces and compiles its update, its labels and its agent for seconds, and computes for tenths
of a second. All of them are functions of a config that read no data, so runs that differ only in
what those functions do not depend on get the same ones.
"""

import functools
import json

import jax
import ml_collections

from alpt_jax.domains import base
from alpt_jax.domains.atari import domain as atari
from alpt_jax.domains.maze import domain as maze
from alpt_jax.learners import microbatches
from alpt_jax.training import label_windows, program

# Fields of a config that no program depends on; with any other difference there is another program.
_NO_PROGRAM = (
    'allow_changed_config', 'allow_other_speed', 'checkpoint_every_steps', 'compilation_cache_dir',
    'data_dir', 'eval_every_steps', 'init_from', 'label_seed', 'log_every_steps', 'num_labels',
    'study', 'wandb_project', 'workdir')


def key_of(config):
  """Returns a string that is the same for configs of the same programs."""
  content = {k: v for k, v in json.loads(config.to_json()).items() if k not in _NO_PROGRAM}
  if content['optimizer']['schedule'] != 'cosine':  # No rate depends on where the run ends.
    del content['num_steps']
  return json.dumps(content, sort_keys=True)


def install():
  """Lets all runs of this process share; call it once, before anything is patched."""
  program.make_program = _shared(program.make_program)
  microbatches.windows = _shared(microbatches.windows)
  label_windows.make_label_fn = _shared(label_windows.make_label_fn)
  for domain in (maze.Domain, atari.Domain):
    domain.make_evaluation = _shared(domain.make_evaluation)


_MADE = []  # What each function of `install` has made.


def clear():
  """Forgets all programs."""
  for made in _MADE:
    made.clear()


def _shared(make):
  """Returns `make`, which makes the same thing only once."""
  made = {}  # With the arguments, so that no later one has the address, and so the `repr`, of one.
  _MADE.append(made)

  @functools.wraps(make)
  def get(*args, **kwargs):
    key = tuple(map(_hashable, (*args, *sorted(kwargs.items()))))
    if key not in made:
      made[key] = make(*args, **kwargs), args, kwargs
    return made[key][0]

  return get


def _hashable(argument):
  if isinstance(argument, jax.sharding.Mesh):  # Its `repr` does not name the devices.
    return argument
  if isinstance(argument, base.Domain):
    return type(argument), key_of(argument.config)
  return key_of(argument) if isinstance(argument, ml_collections.ConfigDict) else repr(argument)
