"""Compares an IDM of several parts with the exact posterior of a simulated world, over seeds.

python -m experiments.camera_study --results_dir=experiments/results/camera \\
    --workdir=runs/camera_study

Trains IDMs on cameras (alpt_jax/domains/camera) in four ways: with every label of much data, which
shows how near the ceiling the network comes; and with 200 labels, alone and with a source of other
noise and one key less, both with the same updates, and alone with a tenth of them, as so few labels
are soon learned by heart. A seed draws everything anew: target, source, labels and initial values.
All are judged on the same episodes, which nothing trained on, beside the posterior, the true action
of the step before, and a linear map fitted on the same labels. The posterior's expectation is the
ceiling of R²; keys are said to be down where that has more than half of the probability, which is
the ceiling of each key's steps, and not of F1 or of both keys.
<results>/seeds/<way>-seed<n>.json says what came of a run, and one that is there is not run again.
"""

import pathlib

import numpy as np
from absl import flags

from alpt_jax import cli, domains
from alpt_jax import progress as progress_
from alpt_jax.domains.camera import domain, world
from alpt_jax.files import atomic_files, paths, versions
from alpt_jax.labelling import trained_idm, trained_run
from alpt_jax.measures import continuous, floors, timeline
from alpt_jax.training import train
from experiments.configs import camera
from experiments.studies import camera_results

_RESULTS = paths.define('results_dir', '', 'Directory of the files of runs.')
_WORKDIR = paths.define('workdir', 'runs/camera_study', 'Directory of runs.')
_SEEDS = flags.DEFINE_list('seeds', ['0', '1', '2', '3', '4'], 'Training seeds.')
_PRESET = flags.DEFINE_string('preset', 'desk', 'Of experiments/configs/camera.py.')

JUDGED = 'camera-seed1000'  # Nothing trains on it.
_NUM_JUDGED = {'desk': 300, 'tiny': 10}
# {way: what differs from each preset}.
WAYS = {
    'all': {
        'desk': {'num_labels': 400_000, 'collect.num_episodes': 10_000, 'num_steps': 10_000,
                 'idm_batch_size': 128, 'model.d_model': 96, 'optimizer.name': 'adamw'},
        'tiny': {'num_labels': 400, 'num_steps': 4}},
    'few': {'desk': {'num_steps': 3_000}, 'tiny': {'num_steps': 4}},
    'few_short': {'desk': {'num_steps': 300}, 'tiny': {'num_steps': 4}},
    'few_source': {'desk': {'collect.num_episodes': 10_000, 'num_steps': 3_000},
                   'tiny': {'num_steps': 4}},
}
_WITH_SOURCE = ('few_source',)


def config_of(way, seed, preset='desk'):
  """Makes the config of a run.

  Args:
    way: one of WAYS.
    seed: int of at least 0.
    preset: of experiments/configs/camera.py.
  """
  config = camera.get_config(preset)
  config.seed = config.label_seed = seed
  config.target, config.train_dt = f'camera-seed{seed}', False
  config.sources = (f'tripod-seed{seed}',) if way in _WITH_SOURCE else ()
  config.method = 'alpt' if way in _WITH_SOURCE else 'dt1_idm'
  config.update_from_flattened_dict(WAYS[way][preset])
  config.eval_every_steps = config.checkpoint_every_steps = config.num_steps
  return config


def measure(trained, num_episodes):
  """Judges the labels of an IDM, and what stands beside them, on `JUDGED`.

  Args:
    trained: `trained_idm.TrainedIdm`.
    num_episodes: to judge.

  Returns:
    {one of `camera_results.WHO`: {one of NUMBERS: float}}.
  """
  config = trained.config.copy_and_resolve_references()
  with config.unlocked():
    config.collect.num_episodes = num_episodes
  judged = domains.of(config)
  data, names = judged.read(JUDGED), trained.spec.actions.part_names
  order = [names.index(name) for name in ('turn', *world.KEYS)]
  said = np.concatenate([trained.spec.actions.predicted(found.probabilities)[:, order]
                         for found in trained.predict_episodes(data, range(num_episodes))])
  posterior = judged.posterior(JUDGED)
  best = np.concatenate([np.concatenate([found.turns[:, None], found.keys > .5], axis=1)
                         for found in posterior])
  truth = np.concatenate([data.actions_of(e)[0] for e in range(num_episodes)])
  places = timeline.Timeline(np.repeat(np.arange(num_episodes), domain.LENGTH),
                             np.tile(np.arange(domain.LENGTH), num_episodes))
  before, _ = places.before(truth, np.ones(truth.shape, bool))
  changes = np.concatenate([_changes(data.frames(e, 0, domain.LENGTH + 1))
                            for e in range(num_episodes)])
  return {who: camera_results.numbers(truth, values, places) for who, values in (
      ('idm', said), ('ceiling', best), ('persistence', before),
      ('linear', _linear(trained)(changes)))}


def _changes(frames):
  """[L, F] features of the changes between [L + 1, ...] frames."""
  return floors.change_features(frames[:-1], frames[1:])


def _linear(trained):
  """A map from changes to actions (turn, keys), fitted on the labels that an IDM was given."""
  config = trained.config
  choice = trained_run.known(trained.directory, config.target, data_dir='').choice
  episode, start = choice.windows.T
  cut = domains.of(config).read(config.target).cut(episode, start, choice.window)
  changes = np.concatenate([_changes(frames) for frames in cut.observations])
  actions = cut.actions.reshape(len(changes), -1)
  maps = [continuous.fit_linear(changes, values) for values in actions.T]
  limit = trained.spec.actions.parts[0].high

  def predict(others):
    found = np.stack([fitted(others) for fitted in maps], axis=1)
    turns = np.clip(found[:, :1], -limit, limit)  # As the IDM's are.
    return np.concatenate([turns, found[:, 1:] > .5], axis=1)

  return predict


def main():
  """Runs what is missing of `--seeds`."""
  seeds = [int(seed) for seed in _SEEDS.value]
  results, workdir = pathlib.Path(_RESULTS.value, 'seeds'), pathlib.Path(_WORKDIR.value)
  if not _RESULTS.value:
    raise ValueError("results_dir is ''; expected a directory for the files of runs.")
  planned = [(way, seed) for seed in seeds for way in WAYS]
  with progress_.Progress(len(planned), label='runs', unit='runs') as progress:
    for done, (way, seed) in enumerate(planned, 1):
      path = results / f'{way}-seed{seed}.json'
      if not path.exists():
        atomic_files.write_json(path, _run(way, seed, workdir))
      progress.update(done)
  header, rows = camera_results.table(results)
  for row in rows:
    print('; '.join(f'{name} {text}' for name, text in zip(header, row, strict=True) if text))


def _run(way, seed, workdir):
  """Trains and judges an IDM."""
  preset = _PRESET.value
  config = config_of(way, seed, preset)
  directory = str(workdir / f'{way}-seed{seed}')
  config.workdir = directory
  train.train(config, directory)
  trained = trained_idm.restore(directory)
  return {'format': camera_results.FORMAT, 'way': way, 'seed': seed, 'updates': trained.step,
          'preset': preset, 'labels': measure(trained, _NUM_JUDGED[preset]),
          'versions': versions.current()}


if __name__ == '__main__':
  cli.run_without_config(main)
