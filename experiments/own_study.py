"""Repeats the way from videos to an agent over training seeds, on one film of a game.

python -m experiments.own_study --clips=runs/own/clips --results_dir=experiments/results/own/new \\
    --workdir=runs/own_study/new

Runs the commands of OWN_DATA.md (import once; then for each seed train an IDM, audit
it, label, train an agent on the labels, play 64 games), each a process of its own. A seed redraws
initialisation, order, and the clips that are held out. <results>/seeds/seed<n>.json says what came
of one, and one that is there is not run again; `own_results` makes tables of them. A workdir is of
one film: <workdir>/film.json says of which, and another one is refused. The film has no emulator in
the eyes of these programs: the ceiling of its labels is unknown.
"""

import hashlib
import json
import pathlib
import subprocess
import sys

import numpy as np
from absl import flags

from alpt_jax import cli, domains
from alpt_jax import progress as progress_
from alpt_jax.files import atomic_files, paths, versions
from experiments.configs import own
from experiments.studies import own_results

_CLIPS = paths.define('clips', '', 'Directory of videos and actions.csv.')
_RESULTS = paths.define('results_dir', '', 'Directory of the files of seeds.')
_WORKDIR = paths.define('workdir', 'runs/own_study', 'Directory of data and runs.')
_SEEDS = flags.DEFINE_list('seeds', ['0', '1', '2', '3', '4'], 'Training seeds.')
_PRESET = flags.DEFINE_string('preset', 'desk', 'Of experiments/configs/own.py.')
_CACHE = paths.define('compilation_cache_dir', 'runs/compilation_cache', 'Of all runs.')

GAME = 'Breakout'  # As in the README.
STEPS = {'idm': 800, 'agent': 1500}  # As in the README.
NUM_GAMES = 64
FILM = 'film.json'  # In the workdir, beside the data: which film it is of.


def main():
  """Runs what is missing of `--seeds`."""
  seeds = _check_flags()
  workdir, results = pathlib.Path(_WORKDIR.value), pathlib.Path(_RESULTS.value, 'seeds')
  missing = [seed for seed in seeds if not (results / f'seed{seed}.json').exists()]
  if missing:
    _import(pathlib.Path(_CLIPS.value), workdir)
    own_results.check_data(results.parent, _about(workdir)['digest'])
  with progress_.Progress(len(seeds), label='seeds', unit='seeds') as progress:
    for done, seed in enumerate(seeds, 1):
      if seed in missing:
        atomic_files.write_json(results / f'seed{seed}.json', _one(seed, workdir))
      progress.update(done)
  for row in own_results.table([_RESULTS.value]):
    for title, text in zip(own_results.HEADER, row, strict=True):
      print(f'{title}: {text}')


def files_of(directory):
  """Returns {relative path: [bytes, 16 hex digits of SHA-256]} of a directory's files."""
  found = {}
  for path in sorted(path for path in directory.rglob('*') if path.is_file()):
    with path.open('rb') as f:
      digest = hashlib.file_digest(f, 'sha256').hexdigest()[:16]
    found[path.relative_to(directory).as_posix()] = [path.stat().st_size, digest]
  return found


def _import(clips, workdir):
  """Imports a film once, and refuses a workdir that has another one.

  Raises:
    ValueError: naming a file of the film that differs, or if nothing says which film it is.
  """
  path, film = workdir / FILM, files_of(clips)
  if (workdir / 'data' / GAME).exists():
    if not path.exists():
      raise ValueError(f'--workdir: {workdir}/data has {GAME}, and no {FILM} says of which '
                       'film. Choose another --workdir.')
    before = json.loads(path.read_text())
    differing = sorted(name for name in film.keys() | before.keys()
                       if film.get(name) != before.get(name))
    if differing:
      raise ValueError(f'--workdir: {workdir} has the data of another film than --clips={clips} '
                       f'({len(differing)} files differ, e.g. {differing[0]}). Choose another '
                       '--workdir.')
    return
  workdir.mkdir(parents=True, exist_ok=True)
  atomic_files.write_json(path, film)
  _run('collect', 'import', '--config.import_.kind=videos', f'--config.import_.from_dir={clips}',
       f'--config.data_dir={workdir}/data')


def _name_of(idm):
  """Names an IDM by its checkpoints: labels and agents of another one are not taken for its own."""
  content = json.dumps(files_of(idm / 'checkpoints')).encode()
  return hashlib.sha256(content).hexdigest()[:8]


def _check_flags():
  """Refuses flags and results that can't be used, before anything is done; makes the directories.

  Returns:
    The seeds.

  Raises:
    ValueError, OSError: naming the flag, or the file or directory.
  """
  for name, value in (('clips', _CLIPS.value), ('results_dir', _RESULTS.value),
                      ('workdir', _WORKDIR.value)):
    if not value:
      raise ValueError(f'--{name} is empty; expected a directory.')
  if _PRESET.value not in own.PRESETS:
    raise ValueError(f'--preset is {_PRESET.value!r}; expected one of {own.PRESETS}.')
  seeds, results = _seeds(), pathlib.Path(_RESULTS.value, 'seeds')
  own_results.check_data(results.parent)
  if not all((results / f'seed{seed}.json').exists() for seed in seeds):
    if not pathlib.Path(_CLIPS.value).is_dir():
      raise ValueError(f'--clips is {_CLIPS.value}; expected a directory of videos.')
    for directory in (results, pathlib.Path(_WORKDIR.value)):
      directory.mkdir(parents=True, exist_ok=True)
  return seeds


def _seeds():
  try:
    seeds = [int(seed) for seed in _SEEDS.value]
  except ValueError as error:
    raise ValueError(f'--seeds is {",".join(_SEEDS.value)}; expected whole numbers.') from error
  if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
    raise ValueError(f'--seeds is {",".join(_SEEDS.value)}; expected different ones, at least 0.')
  return seeds


def _run(program, *args):
  """Runs a program of the README; what it prints is shown if it fails.

  Raises:
    ValueError: if it does.
  """
  done = subprocess.run([sys.executable, '-m', f'experiments.{program}', *args],
                        capture_output=True, text=True, check=False)
  if done.returncode:
    raise ValueError(f'experiments.{program} {" ".join(args)} failed:\n{done.stdout[-2000:]}'
                     f'{done.stderr[-2000:]}')


def _one(seed, workdir):
  """Trains, audits, labels and plays with one seed; returns the content of its file."""
  idm = workdir / f'idm-seed{seed}'
  config = '--config=experiments/configs/own.py:' + _PRESET.value
  shared = (f'--config.data_dir={workdir}/data', f'--config.seed={seed}',
            f'--config.compilation_cache_dir={_CACHE.value}')
  steps = STEPS if _PRESET.value != 'tiny' else dict.fromkeys(STEPS, 4)
  _run('train', f'{config},target={GAME}', f'--config.workdir={idm}', *shared,
       f'--config.label_seed={seed}', '--config.train_dt=False',
       f'--config.num_steps={steps["idm"]}')
  _run('audit', f'--run={idm}')
  name = _name_of(idm)
  labelled, agent = f'Labelled{seed}-{name}', workdir / f'agent-seed{seed}-{name}'
  if not (workdir / 'data' / labelled).exists():
    _run('label', f'--run={idm}', f'--output={workdir}/data/{labelled}')
  num_games = NUM_GAMES if _PRESET.value != 'tiny' else 2
  _run('train', f'{config},target={labelled},method=dt', f'--config.workdir={agent}', *shared,
       f'--config.evaluation.game={GAME}', f'--config.evaluation.num_episodes={num_games}',
       f'--config.num_steps={steps["agent"]}')
  found, = json.loads((idm / 'audit' / 'audit.json').read_text())['environments']
  last = agent / 'eval' / f'step_{steps["agent"]:07d}.json'
  play = json.loads(last.read_text())['sampled']
  floors = found['floors']['floors']
  return {
      'format': own_results.FORMAT, 'seed': seed, 'data': _about(workdir),
      'labels': {
          'accuracy': found['accuracy']['value'], 'low': found['accuracy']['low'],
          'high': found['accuracy']['high'], 'num_transitions': found['num_transitions'],
          'num_episodes': found['num_episodes'], 'linear': floors['linear']['value'],
          'majority': floors['majority']['value'],
          'most_frequent_share': found['labels']['share']},
      'returns': play['scores'],
      'play': {key: play[key] for key in (
          'most_frequent_share', 'longest_run', 'num_cut', 'max_steps', 'sticky')},
      'versions': versions.current()}


def _about(workdir):
  """Size and digest of the imported film."""
  config = own.get_config(f'{_PRESET.value},target={GAME}')
  config.data_dir = str(workdir / 'data')
  domain = domains.of(config)
  episodes = domain.read(GAME)
  return {'digest': domain.digest(GAME),
          'num_transitions': int(episodes.num_transitions.sum()),
          'num_labelled': int(np.sum(episodes.num_labelled)),
          'num_episodes': int(episodes.num_episodes)}


if __name__ == '__main__':
  cli.run_without_config(main)
