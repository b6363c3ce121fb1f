"""Training runs of an experiment: directories, commands and progress."""

import hashlib
import json
import os
import pathlib
import re

from alpt_jax import configs, domains, methods
from alpt_jax.data import labels
from alpt_jax.domains import study as studies
from alpt_jax.files import atomic_files
from alpt_jax.labelling import part_scores, run_labels
from alpt_jax.training import inputs, run_directory
from experiments.studies import evaluations as evaluations_

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Where and how fast results are made, not what they are.
_PLACE_KEYS = ('workdir', 'data_dir', 'compilation_cache_dir', 'wandb_project')
_PLACES_OF_STUDY = ('num_workers', 'rates', 'results_dir', 'registration')
# Of a run's config, what does not decide its numbers: `data_digests` says what data it read.
_FREE_KEYS = (*_PLACE_KEYS, 'preset', 'study', 'collect', 'import_', 'distributed', 'init_from',
              'allow_changed_config', 'allow_other_speed', 'checkpoint_every_steps',
              'log_every_steps', 'sampling.num_threads', 'sharding.num_devices', 'sharding.fsdp',
              'sharding.optimizer', 'sharding.microbatch')
# What keys that came after the first committed results stand for where they are missing: at these
# values they leave digests and registered settings as they were.
LATER_KEYS = {'sharding.accumulate': 1, 'sharding.microbatch': 0,
              'model.compute_dtype': 'float32', 'model.idm_is_causal': False,
              'pseudo_labels.mode': 'hard', 'pseudo_labels.temperature': 1.,
              'pseudo_labels.threshold': .5, 'model.change_tokens': False,
              'model.idm_tokenizer': 'patch', 'model.dt_tokenizer': 'patch',
              'sampling.labelled_share': 0., 'optimizer.name': 'lamb',
              'optimizer.schedule': 'constant', 'optimizer.final_fraction': .05,
              'optimizer.tokenizer_scale': 1., 'return_weight': 1., 'action_weight': 1.,
              'evaluation.sharpened_temperature': 0., 'model.idm_places': True,
              'study.floors.exchanged_games': 0, 'study.floors.held_out_dir': '',
              'study.floors.voted_transitions': 0, 'study.floors.labeller_transitions': 0,
              'source_actions': 'true', 'allow_other_speed': False,
              'model.action_order': 'independent'}
_SCORES_FORMAT = 3  # Of label_scores.json.


def run_config(config, run):
  """Returns the config of one run of an experiment.

  `pseudo_labels.mode` of a whole study is for the runs in which an IDM labels.
  """
  result = config.copy_and_resolve_references()
  result.update(run.changes)
  is_labelled = methods.phase_of(result.method, result.phase).is_labelled_by_idm
  if not is_labelled and 'pseudo_labels' not in run.changes:  # Of a variant it is a mistake.
    result.pseudo_labels.mode = 'hard'
  result.workdir = os.path.join(config.workdir, run.name)
  if run.after is not None:
    result.init_from = os.path.join(config.workdir, run.after.name)
  return result


def identity(config, run):
  """Returns what tells a run of an experiment from others, in its results and its run file."""
  return studies.of(config).identity(run, run_config(config, run))


def figure_name(figure):
  """Formats e.g. 'Figure 2', 'Table 4' of 'table4'."""
  return f'Table {figure.removeprefix("table")}' if 'table' in figure else f'Figure {figure}'


def results_directory(config):
  """Returns the directory of results.json and the report of an experiment."""
  figure = config.study.get('figure', '')
  name = figure_name(figure).replace(' ', '').lower() if figure else ''
  return pathlib.Path(config.workdir, name)


def num_cores():
  """Counts the cores that this process may use."""
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1


def command(config, run):
  """Returns the command line that trains one run, as a list."""
  file = domains.of(config).config_file or f'{ROOT}/experiments/configs/{config.experiment}.py'
  path = f'{file}:{config.preset}'
  default = configs.flatten(configs.load(path))
  # The study describes all runs, and one run reads nothing of it.
  changes = {key: value for key, value in configs.flatten(run_config(config, run)).items()
             if value != default.get(key) and not key.startswith('study.')}
  return ['-m', 'experiments.train', f'--config={path}',
          *(f'--config.{key}={value}' for key, value in changes.items())]


def is_finished(config, run):
  """Returns whether a run has been trained and scored to its last step.

  Raises:
    ValueError: if it is of another config or other data.
  """
  own = run_config(config, run)
  phase = methods.phase_of(own.method, own.phase)
  digests = domains.digests(own, inputs.environments(own, phase))
  run_directory.check_config(own, own.workdir, digests)
  path = run_directory.evaluation_path(own.workdir, own.num_steps)
  return os.path.exists(os.path.join(own.workdir, 'finished.json')) and os.path.exists(path)


def is_trained(config, run):
  """Returns whether the directory of a run says that it was trained to its end."""
  return pathlib.Path(config.workdir, run.name, 'finished.json').exists()


def environments(planned):
  """Names of the environments whose data some runs read."""
  return sorted({name for run in planned for name in (
      run.changes['target'], *run.changes.get('other_targets', ()), *run.changes['sources'])})


def num_steps(config, run):
  """Returns the number of updates of a run."""
  return run.changes.get('num_steps', config.num_steps)


def digest(content):
  """Names what JSON can hold: 12 hex digits, whatever the order of keys and the spaces."""
  text = json.dumps(content, sort_keys=True, separators=(',', ':'))
  return hashlib.sha256(text.encode()).hexdigest()[:12]


def config_digest(config):
  """Names the content of an experiment's config, without places: 12 hex digits.

  Keys of `LATER_KEYS` at their defaults do not count, so that a new key changes nothing.
  """
  return digest(_without_defaults(configs.flatten(_without_places(json.loads(config.to_json())))))


def _without_defaults(flat):
  return {key: value for key, value in flat.items()
          if key not in LATER_KEYS or LATER_KEYS[key] != value}


def settings(config, run):
  """Returns what decides the numbers of a run, beside its data, as {flat key: value}.

  Keys of `LATER_KEYS` at their defaults are left out, as in `config_digest`. A run that
  starts from another one has the digest of that one's settings as `init_from`.
  """
  own = run_config(config, run)
  is_q = methods.METHODS[own.method].learner == 'cql'
  free = _FREE_KEYS if is_q else (*_FREE_KEYS, 'cql')
  flat = {key: value for key, value in configs.flatten(json.loads(own.to_json())).items()
          if not {key, key.split('.')[0]} & set(free)}
  if run.after is not None:
    flat['init_from'] = digest(settings(config, run.after))
  return _without_defaults(flat)


def _without_places(content):
  """A config's content without where and how fast results are made."""
  content = {key: value for key, value in content.items() if key not in _PLACE_KEYS}
  study = content.get('study', {})
  return content | {'study': {key: value for key, value in study.items()
                              if key not in _PLACES_OF_STUDY}}


def config_changes(before, config):
  """Says in which fields an experiment's config differs from an earlier one.

  Args:
    before: the `config` of a results.json.
    config: of the experiment.

  Returns:
    As `configs.changes`.
  """
  return configs.changes(*(_without_defaults(configs.flatten(_without_places(content)))
                           for content in (before, json.loads(config.to_json()))))


def seconds(config, run):
  """Returns the seconds that a run has taken so far, all its sessions together."""
  path = pathlib.Path(config.workdir, run.name, 'seconds.json')
  if not path.exists():
    return 0.
  try:
    return float(json.loads(path.read_text()))
  except (ValueError, TypeError) as error:
    raise ValueError(f'{path}: not a number of seconds; the file is damaged. Delete it: nothing '
                     'but the time that the run took is forgotten.') from error


def last_step(config, run):
  """Returns the step of the last complete line of a run's metrics; 0 if there is none."""
  try:
    with open(os.path.join(config.workdir, run.name, 'metrics.jsonl'), 'rb') as f:
      f.seek(max(0, f.seek(0, os.SEEK_END) - 4096))
      lines = f.read().split(b'\n')
    return json.loads(lines[-2])['step'] if len(lines) > 1 else 0
  except (FileNotFoundError, ValueError, IndexError):
    return 0


def evaluations(config, run):
  """Returns {step: content of eval/step_*.json} of a run, up to its last step.

  Files that cannot be believed are left out; `damaged` names them.
  """
  return _read_evaluations(config, run)[0]


def damaged(config, run):
  """Says which evaluations of a run are missing or cannot be believed, e.g. as half-written.

  Returns:
    A list, e.g. of 'eval/step_0000003.json is missing'.
  """
  own = run_config(config, run)
  found, refused = _read_evaluations(config, run)
  missing = [step for step in evaluations_.promised_steps(own, _reached(config, run))
             if step not in found and step not in refused]
  problems = refused | {step: 'is missing' for step in missing}
  return [f'eval/step_{step:07d}.json {problems[step]}' for step in sorted(problems)]


def _reached(config, run):
  """The last step that a run has left a trace of; 0 if there is none."""
  return max([last_step(config, run), *(step for step, _ in _evaluation_files(config, run))])


def _evaluation_files(config, run):
  """(step, path) of a run's evaluations up to its last step; later ones are of a longer run."""
  found = [(int(re.search(r'\d+', path.stem).group()), path) for path in sorted(
      pathlib.Path(config.workdir, run.name, 'eval').glob('step_*.json'))]
  return [(step, path) for step, path in found if step <= num_steps(config, run)]


def _read_evaluations(config, run):
  """({step: content}, {step: why it is not counted})."""
  found, refused, own = {}, {}, run_config(config, run)
  for step, path in _evaluation_files(config, run):
    try:
      content = json.loads(path.read_text())
      evaluations_.check(content, step, own)
      found[step] = content
    except ValueError as error:  # Of JSON and UTF-8, too.
      refused[step] = f'is damaged ({error})'
  return found, refused


class Truths:
  """The data of an experiment's targets with all its actions, each read when first asked for."""

  def __init__(self, config):
    self._config, self._read, self._digests = config, {}, {}

  def __getitem__(self, target):
    if target not in self._read:
      self._read[target] = domains.of(self._config).read(target)
    return self._read[target]

  def digest(self, target):
    """Names the content of a target's data."""
    if target not in self._digests:
      self._digests[target] = domains.of(self._config).digest(target)
    return self._digests[target]


def label_scores(config, run, truths):
  """Says what the labels of a run's IDM are worth, and which ones to ask for next.

  Reading the truth takes long, so what was found is kept in the run's directory until labels or
  data change.

  Args:
    config: of the experiment.
    run: a `study.Run`.
    truths: `Truths`.

  Returns:
    A dict: `accuracy`, {step: share of the hidden actions}; `parts`, {step: what
    `part_scores.score` says}; `labelling`, see `run_labels.describe`, None if the run has not
    labelled anything or actions have several parts; with `clips` from
    `run_labels.worth_labelling`, as many as `study.num_clips`, and without `by_episode`, which
    stands beside it; `problems`, a list of what is missing, cannot be read or is of other data, and
    is not counted.
  """
  own = run_config(config, run)
  files = run_labels.files(own.workdir, last_step=own.num_steps)
  problems = _missing_labels(config, run, files)
  if not files:
    return {'accuracy': {}, 'parts': {}, 'labelling': None, 'by_episode': None,
            'problems': problems}
  key = {'format': _SCORES_FORMAT, 'data': truths.digest(own.target),
         'labels': [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files]}
  num_clips = config.study.get('num_clips', 0)
  if num_clips:
    key['num_clips'] = num_clips
  path = pathlib.Path(own.workdir, 'label_scores.json')
  try:
    kept = json.loads(path.read_text())
  except (FileNotFoundError, ValueError):  # None yet; or it can be made again.
    kept = {}
  if kept.get('key') != key:
    spec, *_ = specs = domains.specs(own)
    truth = domains.laid_out(own, truths[own.target], own.target, specs)
    refused = run_labels.refused(files, truth)
    good = [f for f in files if f not in refused]
    labelling = by_episode = None
    if files[-1] in good and not spec.actions.shape:  # Of several parts, each has mistakes.
      labelling = run_labels.describe(files[-1], truth, spec)
      by_episode = labelling.pop('by_episode')
      if num_clips:
        labelling['clips'] = run_labels.worth_labelling(files[-1], truth, spec, num_clips)
    kept = {'key': key, 'labelling': labelling, 'by_episode': by_episode,
            'accuracy': list(
                run_labels.score_labels(good, truth, spec.actions.is_right).items()),
            'parts': [[run_labels.step_of(f), part_scores.score(spec.actions, f, truth)]
                      for f in good]}
    if refused:
      problems += refused.values()
    else:
      atomic_files.write_json(path, kept)
  return {'accuracy': dict(kept['accuracy']), 'parts': dict(kept.get('parts', ())),
          'labelling': kept['labelling'], 'by_episode': kept['by_episode'], 'problems': problems}


def rows(config, run, label_scores):
  """Returns the rows of a run for the results, one an evaluation.

  Args:
    config: of the experiment.
    run: a `study.Run`.
    label_scores: from `label_scores`.
  """
  study, own = studies.of(config), run_config(config, run)
  num_frames = own.cql.batch_size if own.method == 'cql' else own.batch_size * own.window
  return [identity(config, run) | {'step': step, 'frames': step * num_frames,
                                   'label_accuracy': label_scores['accuracy'].get(step)}
          | label_scores['parts'].get(step, {}) | study.scores(own, evaluation)
          for step, evaluation in evaluations(config, run).items()]


def table_floor(config, run, truths):
  """Measures the table of the change, fitted to the labels of a run, where its IDM is scored.

  Args:
    config: of the experiment.
    run: a `study.Run`.
    truths: `Truths` of its data.

  Returns:
    Its entry in the `floors` of results.json; None for an agent, whose labels are an IDM's, too,
    and where there is no such table.

  Raises:
    OSError, ValueError: if its labels cannot be read.
  """
  own, names = run_config(config, run), studies.of(config).FLOOR_OF
  if own.train_dt or not names:
    return None
  spec = domains.of(own).spec(own.target)
  choice = labels.read_choice(os.path.join(own.workdir, 'labels.json'))
  path = run_labels.files(own.workdir, last_step=own.num_steps)[-1]
  return {name: own[name] for name in names} | run_labels.table_floor(
      path, truths[own.target], choice, spec)


def _missing_labels(config, run, files):
  """Says which labels a run should have written by now, and has not."""
  own = run_config(config, run)
  if not methods.phase_of(own.method, own.phase).idm:
    return []
  names = {file.name for file in files}
  expected = [f'step_{step:07d}.npz'
              for step in evaluations_.promised_steps(own, _reached(config, run))]
  return [f'labels/{name} is missing' for name in expected if name not in names]


def status(config, run, failed):
  """Returns 'done', 'failed' or 'unfinished', for the results."""
  is_done = max(evaluations(config, run), default=-1) >= num_steps(config, run)
  return 'done' if is_done else 'failed' if run in failed else 'unfinished'
