"""Measures what labelling a dataset takes beyond computing its windows.

python -m experiments.label_speed --config=experiments/configs/atari.py:desk --strides=1,5

python -m experiments.label_speed --config=experiments/configs/atari.py:desk --parts=10

Labels the target's data with an IDM that was not trained, which takes as long as any: reading,
decoding, embedding, voting, and writing the new dataset, as experiments.label does. Against it, the
bare forward pass: the same windows through the same IDM, as many at a time, from a batch that is in
memory. Both in turns, once compiled. Prints one JSON object: for each stride the windows, the
seconds of each turn, their quotient, and at most how much memory the process has had.

With --parts=10, actions have ten parts, keys, numbers and names in turn, none of them known: a copy
of the data is labelled, with the observations as they are.
"""

import json
import os
import resource
import shutil
import tempfile
import time

import jax
import numpy as np
from absl import flags

from alpt_jax import action_parts, cli, domains
from alpt_jax.data import (
    action_fields,
    environment_file,
    labelled_dataset,
    records,
    rlds,
    writer,
)
from alpt_jax.labelling import votes
from alpt_jax.learners import alpt, learner, microbatches
from alpt_jax.training import program, run_config, sharding

_STRIDES = flags.DEFINE_list('strides', ['1', '5'], 'Transitions from one window to the next.')
_LABELLINGS = flags.DEFINE_integer('labellings', 3, 'Turns.', lower_bound=1)
_PARTS = flags.DEFINE_integer('parts', 0, 'Parts of actions; 0: the actions of the data.',
                              lower_bound=0)
_KINDS = (action_parts.Binary,
          lambda name: action_parts.Continuous(name, -180., 180., unit='degrees', mode='delta'),
          lambda name: action_parts.Categorical(name, tuple('abcde')))


class _Bare:
  """The forward pass alone."""

  def __init__(self, idm, params, spec, episodes, window, microbatch):
    self._params, self._legal = params, alpt.legal_actions([spec])
    self._run = jax.jit(lambda params, observations: microbatches.map_rows(
        lambda rows: alpt.probabilities(idm, params, rows, self._legal), observations,
        microbatches.count([votes.ROWS], size=microbatch)))
    starts = np.linspace(0, episodes.num_transitions[0] - window, votes.ROWS).astype(int)
    self._windows = jax.device_put(np.stack([
        episodes.frames(0, start, start + window + 1) for start in starts.tolist()]))
    jax.block_until_ready(self._run(params, self._windows))

  def seconds(self, num_windows):
    """Returns the seconds of labelling that many windows."""
    num_calls = -(-num_windows // votes.ROWS)
    start = time.perf_counter()
    jax.block_until_ready([self._run(self._params, self._windows) for _ in range(num_calls)])
    return (time.perf_counter() - start) * num_windows / (num_calls * votes.ROWS)


def _nothing(unused, fields):
  """Says that no action is known, for `labelled_dataset.write`."""
  return action_fields.each(lambda values: np.zeros(len(values) - 1, bool), fields['action'])


def directories(config):
  """Lists the directories of the target's data."""
  return domains.of(config).directories(config.target)


def copy_with_parts(source, directory, num_parts):
  """Writes the observations of a dataset again, with actions of several parts that are not known.

  Args:
    source: `records.Dataset`.
    directory: of the copy.
    num_parts: how many; binary, continuous and categorical ones in turn.

  Returns:
    `records.Dataset` of the copy.
  """
  spec = source.spec
  parts = tuple(_KINDS[i % len(_KINDS)](f'part{i}') for i in range(num_parts))
  described = environment_file.Environment(
      name='Parts', reward=None, actions=environment_file.ActionParts(parts=parts),
      observation=environment_file.Observation(
          kind=spec.observation_kind, shape=tuple(spec.observation_shape),
          low=spec.observation_low, high=spec.observation_high))

  def episodes():
    for chunk in source.chunks(50):
      read = source.read(chunk)
      for i, length in enumerate(read.num_transitions.tolist()):
        frames = (read.fields[i]['observation'] if spec.observation_kind == 'image' else
                  read.frames(i, 0, length + 1))
        actions = action_fields.stored(
            described.actions.spec(), {part.name: np.zeros(length) for part in parts})
        yield writer.steps(frames, actions, is_labelled=np.zeros(length, bool))

  writer.write(directory, name='Parts', environment=described, episodes=episodes(), card={})
  return records.Dataset(directory, described.spec())


def measure(config, strides, num_turns, num_parts=0):
  """Returns what is printed."""
  _, specs = run_config.check_run(config)
  directory, *others = directories(config)
  if others:
    raise ValueError(f'runs is {config.runs}; expected one, whose data is labelled.')
  with tempfile.TemporaryDirectory() as parent:
    source = records.Dataset(directory, specs[0])
    if num_parts:
      source = copy_with_parts(source, os.path.join(parent, 'parts'), num_parts)
    return _measure(config, source, strides, num_turns)


def _measure(config, source, strides, num_turns):
  """Measures a `records.Dataset`."""
  spec, window = source.spec, config.window
  networks = learner.make_networks(config, spec)
  params = alpt.init_params(jax.random.key(0), networks, window=window)['idm']
  settings = labelled_dataset.Settings()
  mesh = sharding.make_mesh(num_devices=1)
  microbatch = program.microbatch(config, spec, mesh)
  vote_fn = votes.VoteFn(networks.idm, spec, mesh, microbatch=microbatch)
  lengths = np.concatenate([source.read(chunk).num_transitions for chunk in source.chunks(50)])
  bare = _Bare(networks.idm, params, spec, source.read(source.chunks(1)[0]), window,
               microbatch)
  result = {'transitions': int(lengths.sum()), 'strides': {}}
  for stride in strides:
    def predict(groups, stride=stride):
      return votes.predict_groups(vote_fn, params, groups, window=window, stride=stride)

    num_windows = sum(len(votes.windows_of(n, window, stride).start) for n in lengths.tolist())
    next(predict([(source.read(source.chunks(1)[0]), [0])]))  # Compiles.
    turns = []
    for _ in range(num_turns):
      with tempfile.TemporaryDirectory() as parent:
        output = os.path.join(parent, 'labelled')
        start = time.perf_counter()
        rlds.dataset_digest(source.directory)  # As experiments.label does.
        labelled_dataset.write(source, output, predict, settings, provenance={},
                               known=_nothing)
        seconds = time.perf_counter() - start
        shutil.rmtree(output)
      turns.append((seconds, bare.seconds(num_windows)))
    result['strides'][stride] = {
        'windows': num_windows, 'labelling_seconds': [round(a, 2) for a, _ in turns],
        'bare_seconds': [round(b, 2) for _, b in turns],
        'quotient': [round(a / b, 3) for a, b in turns]}
  result['max_memory_gb'] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
  return result


def main(config):
  """Measures; prints."""
  strides = []
  for text in _STRIDES.value:
    if not text.isdecimal() or not 1 <= int(text) <= config.window:
      raise ValueError(f'--strides has {text!r}; expected numbers in 1 to {config.window}, the '
                       'window.')
    strides.append(int(text))
  print(json.dumps(measure(config, strides, _LABELLINGS.value, _PARTS.value), indent=1))


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/atari.py')
