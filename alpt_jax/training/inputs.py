"""Opens the data of a run, hides actions of its targets, and cuts it into streams of windows."""

from typing import NamedTuple

from alpt_jax import domains, methods
from alpt_jax.data import episodes, labels, pipeline, sampling, source_actions, transitions
from alpt_jax.learners import learner
from alpt_jax.training import shares


class Data(NamedTuple):
  """The data of a run.

  Attributes:
    episodes: {environment: its episodes}, in the order of the specs.
    choices: {target: `labels.Choice`}, the evaluated one first.
  """
  episodes: dict
  choices: dict


def environments(config, phase):
  """Names of the environments whose data a phase reads: targets first, then sources, if any."""
  sources = config.sources if methods.SOURCES in phase.idm + phase.agent else ()
  return (*domains.targets(config), *sources)


def read_data(config, phase):
  """Opens the data of a phase; the targets' hidden actions are removed on the way.

  Args:
    config: the run's config.
    phase: a `methods.Phase`.

  Returns:
    `Data`.

  Raises:
    ValueError, FileNotFoundError: for data that is missing, or does not fit the config.
  """
  if methods.SOURCES in phase.idm + phase.agent and not config.sources:
    raise ValueError(f'sources is empty, but method {config.method!r} learns from sources; give at '
                     'least one with --config.sources.')
  domain = domains.of(config)
  with_idm_labels = phase.unlabelled == methods.KNOWN_ACTIONS
  is_limited = methods.METHODS[config.method].is_action_limited
  targets = domains.targets(config)
  specs = domains.specs(config)
  read = {name: domains.read(config, name, specs, with_idm_labels=with_idm_labels)
          for name in environments(config, phase)}
  domain.check_data(read, targets)
  data = Data(source_actions.change(
      config.source_actions, read, specs, len(targets), seed=config.seed), {})
  for name, spec in zip(targets, specs, strict=False):  # Targets come first.
    if phase.unlabelled == methods.TRUE_ACTIONS:
      labels.check_all_known(config.method, spec, data.episodes[name])
    try:
      windows = domain.choose_labels(data.episodes[name])
    except ValueError as error:
      raise ValueError(f'num_labels of {name}: {error}') from error
    data.choices[name] = labels.Choice(
        windows, len(windows) * config.window, config.window, config.label_seed)
    if is_limited:
      data.episodes[name] = labels.hide_actions(data.episodes[name], windows, config.window)
  return data


def make_streams(config, phase, specs, data):
  """Decides which windows an update consumes.

  Args:
    config: the run's config.
    phase: a `methods.Phase`.
    specs: from `domains.specs`.
    data: from `read_data`.

  Returns:
    A list of `pipeline.Stream`.

  Raises:
    ValueError: for a batch size that cannot be shared.
  """
  streams, stack = [], learner.make(config, phase, specs).frame_stack
  for share in shares.of(config, phase, specs):
    name = specs[share.environment].name
    read = data.episodes[name]
    segments = sampling.whole_episodes(read.num_transitions)
    if stack:
      read = transitions.LabelledTransitions(
          read, data.choices[name].windows, config.window, stack=stack)
      segments = sampling.labelled_windows(read.places, 1)
    elif share.data == methods.LABELLED:
      windows = data.choices[name].windows
      read = episodes.HeldWindows(read, windows, config.window)
      segments = sampling.labelled_windows(windows, config.window)
    streams.append(pipeline.Stream(
        share.part, read, segments, share.environment, share.rows, share.data))
  return streams
