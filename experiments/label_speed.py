"""Measures what labelling a dataset takes beyond computing its windows.

python -m experiments.label_speed --config=experiments/configs/atari.py:desk --strides=1,5

Labels the target's data with an IDM that was not trained, which takes as long as any: reading,
decoding, embedding, voting, and writing the new dataset, as experiments.label does. Against it, the
bare forward pass: the same windows through the same IDM, as many at a time, from a batch that is in
memory. Both in turns, once compiled. Prints one JSON object: for each stride the windows, the
seconds of each turn, their quotient, and at most how much memory the process has had.
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

from alpt_jax import cli, domains
from alpt_jax.data import labelled_dataset, records, rlds
from alpt_jax.labelling import votes
from alpt_jax.learners import alpt, learner, microbatches
from alpt_jax.training import program, run_config, sharding

_STRIDES = flags.DEFINE_list('strides', ['1', '5'], 'Transitions from one window to the next.')
_LABELLINGS = flags.DEFINE_integer('labellings', 3, 'Turns.', lower_bound=1)


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


def directories(config):
  """Lists the directories of the target's data."""
  return domains.of(config).directories(config.target)


def measure(config, strides, num_turns):
  """Returns what is printed."""
  _, specs = run_config.check_run(config)
  spec, window = specs[0], config.window
  networks = learner.make_networks(config, spec)
  params = alpt.init_params(jax.random.key(0), networks, window=window)['idm']
  directory, *others = directories(config)
  if others:
    raise ValueError(f'runs is {config.runs}; expected one, whose data is labelled.')
  source = records.Dataset(directory, spec)
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
        rlds.dataset_digest(directory)  # As experiments.label does.
        labelled_dataset.write(source, output, predict, settings, provenance={},
                               known=lambda _, fields: np.zeros(len(fields['action']) - 1, bool))
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
  print(json.dumps(measure(config, strides, _LABELLINGS.value), indent=1))


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/atari.py')
