"""Audits a run's IDM against recorded actions that training did not know.

What depends on the kind of actions is a `Kind`, which `kind_of` picks by the action space.
"""

import contextlib
import datetime
import functools
import os
import shlex
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from alpt_jax import action_space, domains
from alpt_jax import progress as progress_
from alpt_jax.data import source_files
from alpt_jax.files import versions
from alpt_jax.labelling import (
    audit,
    audit_findings,
    audit_report,
    part_audit,
    part_audit_report,
    part_floors,
    run_floors,
    trained_idm,
    trained_run,
)
from alpt_jax.labelling import examples as audit_examples

_PICTURE_BYTES = 600_000  # Of all environments, so that the page stays below a megabyte.


def audit_run(trained, *, environments=(), num_episodes=100, seed=0, stride=1,
              is_hidden=False, causal='', allow_other_speed=False, command='', progress=True):
  """Audits the IDM of a run.

  Args:
    trained: `trained_idm.TrainedIdm`.
    environments: names; () for the run's targets.
    num_episodes: of each environment at most, drawn at random; 0 for all.
    seed: of that, and of all resampling.
    stride: transitions from one window of the IDM to the next; 1: all windows vote, as when a
      dataset is labelled. If windows overlap, those that do not are predicted, too: see
      `single_windows` of `audit.audit`.
    is_hidden: of a target, audit the hidden transitions of episodes in which training knew others,
      instead of episodes in which it knew none.
    causal: directory of a run with `model.idm_is_causal` and the same labels, a floor; '' for none.
    allow_other_speed: audit data in which time passes otherwise than in that of training, see
      `time_scale`; a warning says so.
    command: to make it again, for the page.
    progress: whether to write progress to standard error.

  Returns:
    The dict that `audit` and `audit_report` describe.

  Raises:
    FileNotFoundError, ValueError: for data that is missing, changed, or cannot be audited.
  """
  config = trained.config
  names = tuple(environments) or domains.targets(config)
  check(config, names, num_episodes=num_episodes, stride=stride)
  specs = [spec_of(trained, name) for name in names]  # All, before hours are spent on the first.
  if causal and config.target not in names:
    raise ValueError(f'causal is {causal}, and environments are {", ".join(names)}; expected '
                     f'{config.target}, of which both runs knew the same labels, among them.')
  past = _restore_past(trained, causal) if causal else None
  times = {name: times_of(trained, name, is_allowed=allow_other_speed) for name in names}
  strides = sorted({stride, config.window})
  found = [_predict(trained, spec, strides, past, num_episodes=num_episodes, seed=seed,
                    is_hidden=is_hidden, progress=progress,
                    picture_bytes=_PICTURE_BYTES // len(specs))
           for spec in specs]
  predictions, single_windows = ([by_stride[s] for by_stride in found]
                                 for s in (stride, config.window))
  about = {
      'preset': config.preset, 'command': command, 'run': str(trained.directory),
      'created': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      'method': config.method, 'step': trained.step, 'window': config.window,
      'versions': versions.current(), 'times': times}
  found = kind_of(trained.spec.actions).audit(
      predictions, single_windows, stride=stride, seed=seed)
  return found | {
      'warnings': [*audit_findings.speed_warnings(times), *found['warnings']],
      'about': about | {'label_command': _label_command(trained, found)}}


def _label_command(trained, found):
  """The command that labels the run's target as the audit advises, to be pasted."""
  data_dir = trained.config.data_dir
  output = (os.path.join(data_dir, 'Labelled') if data_dir else
            os.path.join(trained.directory, 'labelled'))
  # Where no temperature could be fitted, the averages stay as they are, too.
  return shlex.join([
      'python', '-m', 'experiments.label', f'--run={trained.directory}', f'--output={output}',
      f'--stride={found["stride"]}', f'--temperature={found["temperature"] or 1:.4g}'])


def check(config, names, *, num_episodes, stride):
  """Refuses settings of an audit that make no sense.

  Args:
    config: of the run.
    names: of environments.
    num_episodes: see `audit_run`.
    stride: see `audit_run`.

  Raises:
    ValueError: naming the setting.
  """
  if not 1 <= stride <= config.window:
    raise ValueError(f'stride is {stride}; expected 1 to {config.window}, the window of the IDM.')
  if num_episodes < 0:
    raise ValueError(f'num_episodes is {num_episodes}; expected at least 1, or 0 for all.')
  for name in names:
    if names.count(name) > 1:
      raise ValueError(f'environments name {name} {names.count(name)} times; expected each once.')


def spec_of(trained, name):
  """Looks up an `types.EnvironmentSpec`; ValueError if the IDM cannot read its data."""
  try:
    spec = domains.of(trained.config).spec(name)
  except ValueError as error:
    raise ValueError(f'environments: {error}') from error
  return trained_idm.check_environment(trained, spec, where=f'environments: {name}')


def _restore_past(trained, causal):
  """Restores an IDM that sees the past only, and knows the same labels as `trained`."""
  config = trained.config
  choice = trained_run.known(trained.directory, config.target, data_dir=config.data_dir).choice
  run_floors.check_causal(causal, trained.directory, config, choice)
  past = trained_idm.restore(causal, data_dir=config.data_dir)
  if past.digests.get(config.target) != trained.digests.get(config.target):
    raise ValueError(f'{causal}: was trained on other data of {config.target} than '
                     f'{trained.directory}; expected the same.')
  if past.spec.actions != trained.spec.actions:
    raise ValueError(f'{causal}: its actions are laid out otherwise than those of '
                     f'{trained.directory}, as other sources or bins make them; expected the same.')
  trained_idm.warn_if_unfinished(past)
  return past


def times_of(trained, name, *, is_allowed):
  """What `trained_idm.check_time` says of an environment; ValueError if its speed is another."""
  return trained_idm.check_time(trained, name, domains.of(trained.config).time_scale(name),
                                where=name, is_own=name in trained.digests, is_allowed=is_allowed)


def _predict(trained, spec, strides, past, *, picture_bytes, seed, **settings):
  """Returns {stride: predictions} of an environment; of the smallest, with what is beside them."""
  episodes = read(trained, spec)
  found = gather(trained, spec, episodes, strides, seed=seed, **settings)
  said = None
  if past is not None and spec.name == trained.config.target:
    said = gather(past, spec, episodes, [min(found)], seed=seed, **settings)[min(found)]
  return found | {min(found): kind_of(spec.actions).complete(
      trained, spec, episodes, found[min(found)], said, picture_bytes=picture_bytes, seed=seed)}


def read(trained, spec):
  """Reads the environment of a `spec_of` with all its actions.

  Raises:
    FileNotFoundError, ValueError: for data that is missing, or is not what the run was trained on.
  """
  domain, name = domains.of(trained.config), spec.name
  episodes = domains.read(trained.config, name, [spec])
  if name in trained.digests and domain.digest(name) != trained.digests[name]:
    raise ValueError(f'{", ".join(map(str, domain.directories(name)))}: other data than '
                     f'{trained.directory} was trained on. Give the directory of that data with '
                     '--data_dir, or train again.')
  return episodes


def gather(trained, spec, episodes, strides, *, num_episodes, seed, is_hidden, progress):
  """Predicts transitions of an environment whose actions are recorded.

  Args:
    trained: `trained_idm.TrainedIdm`.
    spec: from `spec_of`.
    episodes: from `read`.
    strides: from one window to the next, in transitions; the IDM predicts with each of them.
    num_episodes: see `audit_run`, as for the others.
    seed: of the draw of episodes.
    is_hidden: whether to take hidden transitions of episodes in which training knew others.
    progress: whether to write progress to standard error.

  Returns:
    {stride: `audit.Predictions`, or those of `part_audit`}, without examples and floors.

  Raises:
    FileNotFoundError, ValueError: for data that cannot be audited.
  """
  name = spec.name
  numbers, kind, known = _candidates(trained, episodes, name, is_hidden)
  if num_episodes and num_episodes < len(numbers):
    rng = np.random.default_rng(seed)
    numbers = np.sort(rng.choice(numbers, num_episodes, replace=False))
  settings = dict(kind=kind, is_used_fn=(lambda number: ~known[number]) if known else None)
  found = {}
  for stride in strides:
    predict_fn = functools.partial(trained.predict_episodes, spec=spec, stride=stride)
    with contextlib.ExitStack() as stack:
      if progress:
        shown = stack.enter_context(progress_.Progress(
            len(numbers), label=f'audit {name}, stride {stride}', unit='episodes'))
        settings['progress_fn'] = lambda done, num_transitions, shown=shown: shown.update(
            done, transitions=num_transitions)
      found[stride] = kind_of(spec.actions).gather(
          spec, episodes, numbers.tolist(), predict_fn, **settings)
  return found


def floors_of(trained, spec, episodes, predictions, *, seed):
  """Puts predictions from `gather` between floors and ceiling; see `run_floors.of_audit`."""
  config = trained.config
  choice = trained_run.known(trained.directory, spec.name, data_dir=config.data_dir).choice
  return run_floors.of_audit(config, spec, episodes, choice, predictions, seed=seed)


def _candidates(trained, episodes, name, is_hidden):
  """Returns episodes to draw from, one of audit.KINDS, and {episode: [L] bool known} or None."""
  everything = np.flatnonzero(episodes.num_labelled)  # Of the others, there is no truth.
  known = trained_run.known(trained.directory, name, data_dir=trained.config.data_dir)
  if known.is_all:
    return everything, audit.TRAINED_ON, None
  if known.choice is None:
    return everything, audit.NEVER_SEEN, None
  is_known = trained_run.is_known(known.choice, episodes.num_transitions, known.path)
  if is_hidden:
    partly = [e for e in sorted(is_known) if not is_known[e].all()]
    if not partly:
      raise ValueError(f'{known.path}: training knew all actions of the episodes of {name} of '
                       'which it knew any; none is hidden in them. Hold some of them out '
                       '(--config.held_out of own.py) and train again, or label other episodes.')
    return np.array(partly), audit.HIDDEN, is_known
  held_out = np.setdiff1d(everything, sorted(is_known))
  if not len(held_out):
    raise ValueError(f'{known.path}: training knew actions in each of the {len(everything)} '
                     f'episodes of {name} whose actions are known, so none is held out. Hold some '
                     'out (--config.held_out of own.py) and train again, or audit the hidden '
                     'transitions of these episodes with --hidden, or label or record more '
                     'episodes.')
  return held_out, audit.HELD_OUT, None


def paths(directory, output=''):
  """Returns the paths of an audit: the JSON file and the page."""
  directory = output or os.path.join(directory, 'audit')
  return os.path.join(directory, 'audit.json'), os.path.join(directory, 'audit.html')


class Kind(NamedTuple):
  """What an audit does by the kind of actions.

  Attributes:
    gather: gather(spec, episodes, numbers, predict_fn, **settings) -> predictions.
    complete: complete(trained, spec, episodes, predictions, past, ..) -> the same with floors,
      ceiling and examples; `past` are those of an IDM that sees the past only, or None.
    audit: audit(predictions, single_windows, ..) -> a dict.
    page: page(that with `about`, comparison) -> HTML.
    is_comparable: whether `audit_compare` compares such runs.
  """
  gather: Callable
  complete: Callable
  audit: Callable
  page: Callable
  is_comparable: bool


@functools.singledispatch
def kind_of(space):
  """Returns the `Kind` of an action space."""
  raise NotImplementedError(space)


@kind_of.register
def _(space: action_space.Discrete):
  del space
  return Kind(_gather, _complete, audit.audit, audit_report.page, is_comparable=True)


@kind_of.register
def _(space: action_space.Parts):
  del space
  return Kind(part_audit.gather, _complete_parts, part_audit.audit, part_audit_report.page,
              is_comparable=False)


def _gather(spec, episodes, numbers, predict_fn, **settings):
  return audit.gather(spec.name, episodes, numbers, predict_fn, action_names=spec.actions.names,
                      legal_actions=spec.legal_actions, **settings)


def _complete(trained, spec, episodes, predictions, past, *, picture_bytes, seed):
  config, files = trained.config, None
  directories = domains.of(config).directories(spec.name)
  if len(directories) == 1:
    files = source_files.read(directories[0], episodes.num_episodes)
  examples = audit_examples.choose(
      predictions, episodes, spec, window=config.window, num_bytes=picture_bytes)
  if files:
    examples = [example | {'file': files[example['episode']].name} for example in examples]
  measured = floors_of(trained, spec, episodes, predictions, seed=seed)
  if past is not None:
    measured |= {'causal': run_floors.of_past(predictions, past, seed=seed)}
  return predictions._replace(examples=examples, floors=measured)


def _complete_parts(trained, spec, episodes, predictions, past, *, picture_bytes, seed):
  del picture_bytes, seed  # No window is shown, and nothing is drawn.
  config, name = trained.config, spec.name
  domain = domains.of(config)
  choice = trained_run.known(trained.directory, name, data_dir=config.data_dir).choice
  scale = domain.time_scale(name)
  known = spec.actions.part_names
  return predictions._replace(
      left_out=tuple(part for part in domain.spec(name).actions.parts if part.name not in known),
      references=part_floors.find(
          episodes, spec, choice, predictions, past=past, ceiling=domain.part_ceiling(
              name, np.unique(predictions.episodes).tolist())),
      step_seconds=1 / scale.steps_per_second if scale and scale.steps_per_second else None)
