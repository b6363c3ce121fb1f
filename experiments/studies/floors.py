"""Floors and ceilings of a study of games: measured before its runs train, and looked up after.

What belongs to a recording, the ceiling of label accuracy and the scores of agents that look at
nothing, is measured once and kept beside the data. What belongs to a run (`run_floors`) is measured
when it is done and kept in its directory, floors.json, until data, labels or checkpoints change.
"""

import json
import os
import pathlib

from alpt_jax import domains, methods
from alpt_jax.data import episode_files, rlds
from alpt_jax.files import atomic_files, versions
from alpt_jax.labelling import run_floors, run_labels
from experiments.studies import runs

_DIGITS = 6  # Significant ones of what a run keeps.


def check(config):
  """Refuses numbers in `study.floors` that cannot be measured.

  Raises:
    ValueError: naming the field.
  """
  floors = config.study.floors
  for name in ('ceiling_steps', 'voted_transitions', 'labeller_transitions', 'exchanged_games'):
    if floors[name] < 0:
      raise ValueError(f'study.floors.{name} is {floors[name]}; expected at least 0.')
  found = domains.of(config).module('measures')
  if found is None:
    raise ValueError(f'study.floors is in the config, and nothing measures floors and ceilings of '
                     f'experiment {config.experiment!r}; expected none.')
  found.check(config)


def missing(config, planned):
  """Lists what is still to be measured of recordings before runs are compared with it.

  Args:
    config: of the experiment; its data may be missing.
    planned: list of `study.Run`.

  Returns:
    {game: list of 'ceiling', 'score floors'}, without games of which nothing is.
  """
  path_of = domains.of(config).module('measures').path_of
  found = {game: [part for part in parts if not os.path.exists(path_of(part, directory))]
           for game, directory, parts in _wanted(config, planned)}
  return {game: parts for game, parts in found.items() if parts}


def _wanted(config, planned):
  """Game, dataset directory and what its runs are compared with, of every target."""
  floors, found = config.study.floors, {}
  for run in planned:
    own = runs.run_config(config, run)
    if own.phase == 'pretrain':
      continue
    parts = found.setdefault(own.target, set())
    if floors.ceiling_steps and methods.phase_of(own.method, own.phase).idm:
      parts.add('ceiling')
    if floors.score_games and own.train_dt:
      parts.add('score floors')
  for game, parts in found.items():
    directory, *others = domains.of(config).directories(game)
    if not others:  # Of several recordings there is neither.
      yield game, directory, sorted(parts)


def measure(config, planned):
  """Measures what is `missing` of recordings; their data is there.

  Args:
    config: of the experiment.
    planned: list of `study.Run`.

  Raises:
    ValueError: if a file beside the data is of other data or of another protocol.
  """
  domain = domains.of(config)
  for game, directory, parts in _wanted(config, planned):
    episodes = domain.read(game) if parts else None
    for part in parts:
      domain.module('measures').measure(part, config, game, directory, episodes)


def of_run(config, run):
  """Puts a run that is done between floors and ceiling, and says whether its agent looks.

  Args:
    config: of the experiment.
    run: a `study.Run`, whose labels and evaluations are whole.

  Returns:
    The `labels`, `agent`, `scores` and, if there is one, `as_labeller` of `run_floors.measure`,
    without what belongs to other runs (`causal`, `above_floor`), and of agents `checkpoints`, see
    `floors_schema`; None if it is not done, is a pretraining, or nothing is to be measured.
  """
  settings = config.study.get('floors')
  own = runs.run_config(config, run)
  if not settings or not settings.of_runs or own.phase == 'pretrain' or (
      not runs.is_trained(config, run)):
    return None
  path, key = pathlib.Path(own.workdir, 'floors.json'), _key(own, settings)
  try:
    kept = json.loads(path.read_text())
  except (FileNotFoundError, ValueError):  # None yet; or it can be made again.
    kept = {}
  if kept.get('key') != key:
    kept = run_floors.measure(
        own.workdir, data_dir=own.data_dir,
        # Of what is trained on all episodes, others have to be shown.
        held_out_dir=settings.held_out_dir if own.train_dt else '',
        voted_transitions=settings.voted_transitions,
        labeller_transitions=settings.labeller_transitions,
        games=settings.exchanged_games) | {'key': key, 'versions': versions.current()}
    if own.train_dt and settings.held_out_dir and kept['agent']:
      elsewhere = _held_out(own, settings)
      kept['agent']['data_digest'] = domains.of(elsewhere).digest(own.target)
    atomic_files.write_json(path, kept)
  labels = kept['labels'] and {name: value for name, value in kept['labels'].items()
                               if name not in ('causal', 'above_floor')}
  found = {'labels': labels, 'agent': kept['agent'], 'scores': kept['scores']}
  if kept.get('as_labeller'):  # Older ones have none.
    found['as_labeller'] = kept['as_labeller']
  if kept.get('versions'):
    found['versions'] = kept['versions']
  if kept['scores']:
    found['checkpoints'] = _best_checkpoint(own)
  return _rounded(found)


def _best_checkpoint(own):
  """The checkpoint of the target's recording with the highest score, in a list; [] if unknown."""
  directory, *_ = domains.of(own).directories(own.target)
  card = rlds.read_card(directory) or {}
  scored = [checkpoint for checkpoint in card.get('checkpoints', [])
            if checkpoint.get('mean_score') is not None]
  if not scored:
    return []
  best = max(scored, key=lambda checkpoint: checkpoint['mean_score'])
  metadata = card.get('metadata') or {}
  found = {key: best.get(key) for key in ('mean_score', 'std_score', 'num_episodes')} | {
      'sticky': metadata.get('sticky'), 'max_steps': metadata.get('max_episode_steps')}
  return [{key: value for key, value in found.items() if value is not None}]


def _held_out(own, settings):
  """The config of a run, on the other recording of its target."""
  elsewhere = own.copy_and_resolve_references()
  with elsewhere.unlocked():
    elsewhere.data_dir = settings.held_out_dir
  return elsewhere


def _key(own, settings):
  """What the floors of a run depend on; they are measured again if it changes."""
  directory, *_ = domains.of(own).directories(own.target)
  # Of the recording and of what was measured beside it.
  paths = [*sorted(pathlib.Path(directory).glob('*')), *run_labels.files(own.workdir),
           pathlib.Path(own.workdir, 'finished.json')]
  if own.train_dt and settings.held_out_dir:
    elsewhere = _held_out(own, settings)
    directory, *_ = domains.of(elsewhere).directories(own.target)
    paths += [path for path in sorted(pathlib.Path(directory).glob('*'))
              if path.name != episode_files.INDEX]  # Written when it is first read.
  asked = [settings.held_out_dir, settings.voted_transitions, settings.exchanged_games]
  # What was measured before there was such a number stays.
  asked += [settings.labeller_transitions] if settings.labeller_transitions else []
  return {'format': run_floors.FORMAT, 'settings': asked, 'files': [
      [path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths]}


def _rounded(tree):
  if isinstance(tree, dict):
    return {key: _rounded(value) for key, value in tree.items()}
  if isinstance(tree, list):
    return list(map(_rounded, tree))
  return float(f'{tree:.{_DIGITS}g}') if isinstance(tree, float) else tree
