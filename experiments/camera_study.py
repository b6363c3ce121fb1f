"""Compares an IDM of several parts with the exact posterior of a simulated world, over seeds.

python -m experiments.camera_study --results_dir=experiments/results/camera \\
    --workdir=runs/camera_study

Trains IDMs on cameras (alpt_jax/domains/camera) in four ways: with every label of much data, which
shows how near the ceiling the network comes; and with 200 labels, alone and with a source of other
noise and one key less, both with the same updates, and alone with a tenth of them, as so few labels
are soon learned by heart. A seed draws everything anew: target, source, labels and initial values.
All are judged on the same episodes, which nothing trained on, beside the posterior, the true action
of the step before, and a linear map fitted on the same labels.
<results>/runs/<way>-seed<n>.json says what came of a run, and one that is there is not run again.
"""

import pathlib

import numpy as np
from absl import flags

from alpt_jax import cli, domains, schema
from alpt_jax import progress as progress_
from alpt_jax.domains.camera import domain, world
from alpt_jax.files import atomic_files, paths, versions
from alpt_jax.labelling import trained_idm, trained_run
from alpt_jax.measures import continuous, events, floors, intervals, timeline
from alpt_jax.training import train
from experiments.configs import camera

_RESULTS = paths.define('results_dir', '', 'Directory of the files of runs.')
_WORKDIR = paths.define('workdir', 'runs/camera_study', 'Directory of runs.')
_SEEDS = flags.DEFINE_list('seeds', ['0', '1', '2', '3', '4'], 'Training seeds.')
_PRESET = flags.DEFINE_string('preset', 'desk', 'Of experiments/configs/camera.py.')

FORMAT = 1
JUDGED = 'camera-seed1000'  # Nothing trains on it.
_NUM_JUDGED = {'desk': 300, 'tiny': 10}
_TOLERANCE = 5.  # Degrees; of `within`, which no table shows.
# {way: (title, what differs from the preset, in each preset)}.
WAYS = {
    'all': ('every label of the target', {
        'desk': {'num_labels': 400_000, 'collect.num_episodes': 10_000, 'num_steps': 10_000,
                 'idm_batch_size': 128, 'model.d_model': 96, 'optimizer.name': 'adamw'},
        'tiny': {'num_labels': 400, 'num_steps': 4}}),
    'few': ('200 labels of the target', {
        'desk': {'num_steps': 3_000}, 'tiny': {'num_steps': 4}}),
    'few_short': ('200 labels of the target, a tenth of the updates', {
        'desk': {'num_steps': 300}, 'tiny': {'num_steps': 4}}),
    'few_source': ('200 labels of the target, and a source', {
        'desk': {'collect.num_episodes': 10_000, 'num_steps': 3_000}, 'tiny': {'num_steps': 4}}),
}
_WITH_SOURCE = ('few_source',)
WHO = {'idm': 'IDM', 'ceiling': 'exact posterior', 'linear': 'linear map, same labels',
       'persistence': 'action of the step before'}
NUMBERS = {'r2': 'R² of turns', 'event_f1': 'F1 of onsets and releases, same step',
           'all_right': 'both keys right'}
HEADER = ('trained with', 'labels by', *NUMBERS.values(), 'seeds')
_FILE = {'format': schema.one_of([FORMAT]), 'way': schema.one_of(WAYS), 'seed': int,
         'updates': int, 'preset': str, 'labels': dict, 'versions': dict}


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
  config.update_from_flattened_dict(WAYS[way][1][preset])
  config.eval_every_steps = config.checkpoint_every_steps = config.num_steps
  return config


def measure(trained, num_episodes):
  """Judges the labels of an IDM, and what stands beside them, on `JUDGED`.

  Args:
    trained: `trained_idm.TrainedIdm`.
    num_episodes: to judge.

  Returns:
    {one of WHO: {one of NUMBERS: float}}.
  """
  config = trained.config.copy_and_resolve_references()
  with config.unlocked():
    config.collect.num_episodes = num_episodes
  judged = domains.of(config)
  data, names = judged.read(JUDGED), trained.spec.actions.part_names
  order = [names.index(name) for name in ('turn', *world.KEYS)]
  own = judged.spec(JUDGED).actions
  spec = trained.spec if own == trained.spec.actions else None
  said = np.concatenate([trained.spec.actions.predicted(found.probabilities)[:, order]
                         for found in trained.predict_episodes(
                             data, range(num_episodes), spec=spec)])
  posterior = judged.posterior(JUDGED)
  best = np.concatenate([np.concatenate([found.turns[:, None], found.keys > .5], axis=1)
                         for found in posterior])
  truth = np.concatenate([data.actions_of(e)[0] for e in range(num_episodes)])
  places = timeline.Timeline(np.repeat(np.arange(num_episodes), domain.LENGTH),
                             np.tile(np.arange(domain.LENGTH), num_episodes))
  before, _ = places.before(truth, np.ones(truth.shape, bool))
  changes = np.concatenate([_changes(data.frames(e, 0, domain.LENGTH + 1))
                            for e in range(num_episodes)])
  return {who: _numbers(truth, values, places) for who, values in (
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

  def predict(others):
    found = np.stack([fitted(others) for fitted in maps], axis=1)
    return np.concatenate([found[:, :1], found[:, 1:] > .5], axis=1)

  return predict


def _numbers(truth, said, places):
  """{one of NUMBERS: float} of actions [M, 3]: turn, keys."""
  is_known = np.ones(truth.shape, bool)
  turns = continuous.sums(truth[:, 0], said[:, 0], is_known[:, 0], places, tolerance=_TOLERANCE)
  keys, others = truth[:, 1:], said[:, 1:] > .5
  found = [events.find(x, is_known[:, 1:], places) for x in (keys, others)]
  counts = events.count(*found, is_known[:, 1:], places, collar=0).sum(axis=(0, 1, 2))
  joint = events.count_joint(keys, others, is_known[:, 1:], places).sum(axis=0)
  return {'r2': float(continuous.r2(turns.sum(axis=0))), 'event_f1': float(events.f1(counts)),
          'all_right': float(events.share(joint))}


def read(path):
  """Reads the file of a run; ValueError naming the file and the field if it is none."""
  return schema.read(path, _FILE)


def table(directory):
  """Tabulates run files: a header, and rows of texts, with intervals over seeds."""
  files = [read(path) for path in sorted(pathlib.Path(directory).glob('*.json'))]
  rows = []
  for way, (title, _) in WAYS.items():
    own = [file for file in files if file['way'] == way]
    for who, name in WHO.items() if own else ():
      rows.append([title if who == 'idm' else '', name, *(
          intervals.mean([file['labels'][who][number] for file in own]).text()
          for number in NUMBERS), str(len(own))])
  return HEADER, rows + _differences(files)


def _differences(files):
  """Rows of the differences that the study is about, paired by seed."""
  labels = {way: {file['seed']: file['labels'] for file in files if file['way'] == way}
            for way in WAYS}
  wanted = [
      ('exact posterior minus IDM, every label', 'all', 'ceiling', 'all', 'idm'),
      ('with a source minus without, 200 labels', 'few_source', 'idm', 'few', 'idm'),
      ('with a source minus a tenth of the updates without', 'few_source', 'idm', 'few_short',
       'idm'),
      ('with a source minus the linear map', 'few_source', 'idm', 'few_source', 'linear')]
  rows = []
  for title, way, who, other_way, other in wanted:
    pairs = [({seed: found[who][number] for seed, found in labels[way].items()},
              {seed: found[other][number] for seed, found in labels[other_way].items()})
             for number in NUMBERS]
    num = len(labels[way].keys() & labels[other_way].keys())
    if num > 1:
      rows.append([title, '', *(intervals.difference(*pair).interval.text() for pair in pairs),
                   str(num)])
  return rows


def main():
  """Runs what is missing of `--seeds`."""
  seeds = [int(seed) for seed in _SEEDS.value]
  results, workdir = pathlib.Path(_RESULTS.value, 'runs'), pathlib.Path(_WORKDIR.value)
  if not _RESULTS.value:
    raise ValueError("results_dir is ''; expected a directory for the files of runs.")
  planned = [(way, seed) for seed in seeds for way in WAYS]
  with progress_.Progress(len(planned), label='runs', unit='runs') as progress:
    for done, (way, seed) in enumerate(planned, 1):
      path = results / f'{way}-seed{seed}.json'
      if not path.exists():
        atomic_files.write_json(path, _run(way, seed, workdir))
      progress.update(done)
  header, rows = table(results)
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
  return {'format': FORMAT, 'way': way, 'seed': seed, 'updates': trained.step, 'preset': preset,
          'labels': measure(trained, _NUM_JUDGED[preset]), 'versions': versions.current()}


if __name__ == '__main__':
  cli.run_without_config(main)
