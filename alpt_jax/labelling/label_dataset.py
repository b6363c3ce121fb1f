"""Labels a dataset with the IDM of a run: permission, provenance and the labelled copy."""

import contextlib
import functools
import hashlib
import json
import os
import sys

import jax
import numpy as np

from alpt_jax import domains
from alpt_jax import progress as progress_
from alpt_jax.data import (
    action_fields,
    environment_file,
    label_fields,
    labelled_dataset,
    records,
    rlds,
    time_scale,
)
from alpt_jax.files import versions
from alpt_jax.labelling import trained_idm, trained_run, votes

KNOWN = ('data', 'run')
_PLACES = ('workdir', 'data_dir', 'compilation_cache_dir', 'wandb_project')  # Of a config.


def label_run(trained, output, *, dataset='', environment='', stride=1, temperature=1., top_k=0,
              known='', episodes_per_file=50, share=(0, 1), allow_other_speed=False,
              progress=True):
  """Labels a dataset, or resumes doing so; see `labelled_dataset`.

  Args:
    trained: `trained_idm.TrainedIdm`.
    output: directory of the new dataset.
    dataset: directory of the one to label; '' for that of the run's target.
    environment: its name among those of the run's domain; '' for the run's target. A dataset with
      an environment.json says itself what it is.
    stride: transitions from one window to the next; 1: all windows vote.
    temperature: of the mean of the votes, as experiments.audit finds it for this stride.
    top_k: how many probabilities are written; 0 for all.
    known: which actions are true ones: 'data' for those that the data calls known, 'run' for those
      that training was given (the others are hidden from the IDM, and labelled); '' for 'data'
      where the data says which.
    episodes_per_file: at most.
    share: (i, n): which of n equal shares of the work to do.
    allow_other_speed: label data in which time passes otherwise than in that of training, see
      `time_scale`; the card says so.
    progress: whether to write progress to standard error.

  Returns:
    The dataset card; None if files of other shares are missing.

  Raises:
    FileNotFoundError, ValueError: for what cannot be labelled; nothing is written then.
  """
  config = trained.config
  _check_numbers(config.window, stride, temperature, episodes_per_file, share)
  name, spec, source, times = open_dataset(trained, dataset, environment,
                                           allow_other_speed=allow_other_speed)
  directory = source.directory
  label_fields.check_top_k(source.spec.actions, top_k)
  known = which_known(known, source)
  digest = rlds.dataset_digest(directory)
  predict = functools.partial(
      trained.predict_groups, spec=spec, stride=stride, temperature=temperature)
  mesh = trained.mesh
  with _Shown(f'labelling {spec.name}', trained, times, is_shown=progress) as shown:
    return labelled_dataset.write(
        source, output, predict, labelled_dataset.Settings(
            top_k=top_k, episodes_per_file=episodes_per_file),
        provenance={
            'run': os.path.basename(os.path.realpath(trained.directory)), 'step': trained.step,
            'idm_digest': params_digest(trained.params), 'config': _what_matters(config),
            'window': config.window, 'stride': stride, 'temperature': temperature, 'known': known,
            'source_digest': digest,
            # Another number of them, or of another kind, rounds otherwise.
            'devices': f'{mesh.size} x {mesh.devices.flat[0].device_kind}',
            'rows': trained.vote_fn(spec).rows},
        layout=spec.actions,
        notes={'versions': versions.current()} | ({'times': times} if times else {}),
        known=known_by_run(trained, name, directory, digest) if known == 'run' else None,
        share=share, progress=shown.update, inputs={'the run': trained.directory})


def _check_numbers(window, stride, temperature, episodes_per_file, share):
  """Refuses numbers that mean nothing."""
  if not (temperature > 0 and np.isfinite(temperature)):
    raise ValueError(f'temperature is {temperature}; expected a number above 0.')
  if not 0 <= share[0] < share[1]:
    raise ValueError(f'share is {share[0]} of {share[1]}; expected 0 to {share[1] - 1}.')
  if episodes_per_file < 1:
    raise ValueError(f'episodes_per_file is {episodes_per_file}; expected at least 1.')
  votes.windows_of(window, window, stride)  # Refuses a stride that is out of range.


class _Shown(contextlib.AbstractContextManager):
  """Progress whose total is known with its first update, after all checks.

  Warnings that the run of the IDM is unfinished, or of another speed, come before it.
  """

  def __init__(self, label, trained, times, *, is_shown):
    self._label, self._trained, self._times = label, trained, times
    self._is_shown, self._progress = is_shown, None

  def __exit__(self, *unused):
    if self._progress is not None:
      self._progress.close()

  def update(self, done, total):
    """Shows how many episodes are done."""
    if self._progress is None and self._is_shown:
      trained_idm.warn_if_unfinished(self._trained)
      sys.stderr.write(''.join(f'{line}\n' for line in trained_idm.time_lines(self._times)))
      self._progress = progress_.Progress(
          total, label=self._label, unit='episodes', start_step=done)
    if self._progress is not None:
      self._progress.update(done)


def params_digest(params):
  """Names parameters: 16 hex digits of SHA-256 over their names, shapes and values."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    leaf = np.asarray(leaf)
    digest.update(f'{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}'.encode())
    digest.update(leaf.tobytes())
  return digest.hexdigest()[:16]


def _what_matters(config):
  """The config as JSON knows it, without places: the same wherever the run and its data lie."""
  content = json.loads(config.to_json())
  return {key: value for key, value in content.items() if key not in _PLACES}


def _directory_of(config, name):
  directories = domains.of(config).directories(name)
  if len(directories) > 1:
    raise ValueError(f'{name} is {len(directories)} datasets, {", ".join(map(str, directories))}; '
                     'expected one at a time. Name it with --dataset.')
  return directories[0]


def open_dataset(trained, dataset, environment, *, allow_other_speed=False):
  """Opens a dataset whose actions the IDM of a run can say.

  Args:
    trained: `trained_idm.TrainedIdm`.
    dataset: its directory; '' for that of the run's target.
    environment: its name among those of the run's domain; '' for the run's target. A dataset with
      an environment.json says itself what it is.
    allow_other_speed: see `label_run`.

  Returns:
    The name; the `types.EnvironmentSpec` as the IDM predicts it, see
    `trained_idm.check_environment`; a `records.Dataset`, whose `spec` is as the data says it; what
    `trained_idm.check_time` says.

  Raises:
    FileNotFoundError, ValueError: if there is no such dataset, or the IDM cannot read it.
  """
  name = environment or trained.config.target
  directory = dataset or _directory_of(trained.config, name)
  spec, expected_name, scale, where = _spec(trained, directory, name)
  predicted = trained_idm.check_environment(trained, spec, where=where)
  source = records.Dataset(directory, spec, expected_name=expected_name)
  times = trained_idm.check_time(trained, name, scale, where=str(directory), is_own=not dataset,
                                 is_allowed=allow_other_speed)
  return name, predicted, source, times


def _spec(trained, directory, name):
  """The `types.EnvironmentSpec` of a dataset; its name; its time scale; where that stands."""
  domain, path = domains.of(trained.config), os.path.join(directory, environment_file.FILE)
  if os.path.exists(path):
    environment = environment_file.read(path)
    spec, expected_name = environment.spec(), environment.name
    where, scale = path, time_scale.of_dataset(directory, environment)
  else:
    spec, expected_name, where = domain.spec(name), name, directory
    scale = domain.time_scale(name)
  return spec, expected_name, scale, where


def which_known(known, source):
  """Says whose word on known actions counts.

  Args:
    known: as of `label_run`.
    source: `records.Dataset`.

  Returns:
    'data' or 'run'.

  Raises:
    ValueError: for another word, or if the data does not say.
  """
  if known and known not in KNOWN:
    raise ValueError(f'known is {known!r}; expected one of {KNOWN}.')
  says = bool({rlds.LABELLED, rlds.SOURCE} & source.step_features.keys())
  if known != 'run' and not says:
    raise ValueError(f'{source.directory}: has no step field {rlds.LABELLED}, so all its actions '
                     'are known and none is to be labelled. If training was given some of them '
                     'only, label the others with --known=run.')
  return known or 'data'


def known_by_run(trained, name, directory, digest):
  """Makes a function that says which actions training was given.

  Args:
    trained: `trained_idm.TrainedIdm`.
    name: of the environment, a target of the run.
    directory: of the dataset.
    digest: of it, see `rlds.dataset_digest`.

  Returns:
    known(number, fields) -> [L] bool, or {part: [L] bool}, see `labelled_dataset.write`.

  Raises:
    ValueError: if it is no target, or not the data that training read.
  """
  config, domain = trained.config, domains.of(trained.config)
  found = trained_run.known(trained.directory, name, data_dir=config.data_dir)
  if found.choice is None:
    raise ValueError(f'known is run, but {name} is no target of {trained.directory}, which was '
                     'given all of its actions or none. Use --known=data, or another '
                     '--environment.')
  own = _directory_of(config, name)
  is_same = os.path.realpath(own) == os.path.realpath(directory) or (
      rlds.dataset_digest(own) == digest)
  if not is_same or domain.digest(name) != trained.digests.get(name):
    raise ValueError(f'{directory}: other data than {trained.directory} was trained on, so its '
                     f'{os.path.basename(found.path)} says nothing about it. Use --known=data.')
  # Read as training did, so that a list of other windows is refused before anything is written.
  marked = trained_run.is_known(
      found.choice, domain.read(name).num_transitions, found.path)

  def known(number, fields):
    return action_fields.each(lambda known: known[:-1] & marked.get(number, False),
                              rlds.labelled(fields))

  return known


def lines_of_parts(parts, num_transitions):
  """Says of each part of actions whose its values are.

  Args:
    parts: {part: {'num_true', 'num_idm'}}, of a card.
    num_transitions: of the dataset.

  Yields:
    A line for each part.
  """
  for name, of in parts.items():
    unknown = num_transitions - of['num_true'] - of['num_idm']
    rest = f', {unknown} not known: the IDM has not learned this part' if unknown else ''
    yield f"  {name}: {of['num_true']} true, {of['num_idm']} labelled{rest}"
