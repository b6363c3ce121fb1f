"""Loads a trained IDM from its run directory, and predicts actions with it.

  idm = trained_idm.restore('runs/own')
  probabilities = idm.predict(frames)  # [T, ..] frames -> [T - 1, A] probabilities.

Every window that holds a transition is computed, and their predictions are averaged; see `votes`.
"""

import dataclasses
import sys
from typing import Any

import jax
import ml_collections
import numpy as np

from alpt_jax.data import episodes as episodes_
from alpt_jax.data import label_fields, time_scale, values
from alpt_jax.labelling import trained_run, votes
from alpt_jax.training import data_times, program, run_config, sharding


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedIdm:
  """An IDM with its parameters.

  Attributes:
    directory: of the run.
    config: of the run, as it was trained.
    digests: {environment: digest of its data} of what was read in training.
    idm: the `InverseDynamicsModel`.
    spec: the `types.EnvironmentSpec` of the run's target: what frames look like, and the action
      space that predictions are over.
    params: of the IDM, on all devices of the mesh.
    step: updates after which they were saved.
    mesh: of the devices that share the windows.
    time_scales: {environment: `time_scale.TimeScale`} of the data of training; {} if the run does
      not say.
  """
  directory: str
  config: ml_collections.ConfigDict
  digests: dict[str, str]
  idm: Any
  spec: Any
  params: Any
  step: int
  mesh: Any
  time_scales: dict = dataclasses.field(default_factory=dict)
  _vote_fns: dict = dataclasses.field(default_factory=dict, init=False, repr=False)

  def predict(self, frames, *, stride=1, temperature=1.):
    """Predicts the actions between the consecutive frames of one clip.

    Args:
      frames: [T, ...], at least 2 observations of one episode in their order, shaped as
        `spec.observation_shape`: uint8 in [0, 255] for images and in [0, 1] for grids, numbers in
        [spec.observation_low, spec.observation_high] for vectors.
      stride, temperature: see `predict_episodes`.

    Returns:
      [T - 1, A] float32 probabilities: row t is of the action between frames t and t + 1, column a
      of the action `spec.actions.names[a]`. Rows sum to 1; actions that are not legal have exactly
      0. Actions of several parts have a distribution for each, side by side: see `values` and
      `quantiles`. A clip of fewer frames than a window, `config.window` + 1, is padded with its
      last frame, as in training; nothing is returned for the padding.

    Raises:
      ValueError: naming what of the frames, `stride` or `temperature` is not as said above.
    """
    frames = check_frames(frames, self.spec)
    nothing = np.zeros(len(frames))
    clip = episodes_.InMemory(
        frames, nothing.astype(np.int32), nothing.astype(np.float32), nothing.astype(bool),
        np.zeros(1, np.int64), np.array([len(frames) - 1], np.int64))
    found, = self.predict_episodes(clip, [0], stride=stride, temperature=temperature)
    return found.probabilities

  def values(self, probabilities, *, spec=None):
    """Reads predictions as actions, see `label_fields.values`.

    Args:
      probabilities: [L, A] float32, from `predict` and the like.
      spec: as given to `predict_episodes`.

    Returns:
      [L] int ids; {part: [L]} of actions of several parts.
    """
    return label_fields.values((spec or self.spec).actions, probabilities)

  def quantiles(self, probabilities, levels=label_fields.LEVELS, *, spec=None):
    """Reads quantiles of the parts that are numbers: {part: [L, q]}; see `label_fields`."""
    return label_fields.quantiles((spec or self.spec).actions, probabilities, levels)

  def predict_episodes(self, episodes, numbers, *, spec=None, stride=1, temperature=1.):
    """Predicts all actions of some episodes, which are read a few calls ahead.

    Args:
      episodes: `episodes.Episodes`, or anything else with its `frames` and `num_transitions`.
      numbers: which of them, each at most once.
      spec: the `types.EnvironmentSpec` of another environment that the IDM can read, as
        `check_environment` returns it; None for the run's target.
      stride: transitions from one window to the next, in [1, config.window]: 1 averages all
        windows, config.window takes those that do not overlap, as in the paper.
      temperature: of the mean, above 0; as experiments.audit finds it for this stride.

    Yields:
      `votes.Votes`: episode, [L, A] probabilities, [L] number of windows averaged; in the order of
      `numbers`.

    Raises:
      ValueError: if `stride` or `temperature` is out of range, or an episode is named twice.
    """
    return self.predict_groups(
        [(episodes, numbers)], spec=spec, stride=stride, temperature=temperature)

  def predict_groups(self, groups, *, spec=None, stride=1, temperature=1.):
    """Predicts as `predict_episodes`, for (episodes, numbers) one after the other."""
    return votes.predict_groups(
        self.vote_fn(spec or self.spec), self.params, groups, window=self.config.window,
        stride=stride, temperature=temperature)

  def vote_fn(self, spec):
    """Returns the `votes.VoteFn` of an environment, which is compiled once."""
    if spec not in self._vote_fns:
      self._vote_fns[spec] = votes.VoteFn(
          self.idm, spec, self.mesh, microbatch=program.microbatch(self.config, spec, self.mesh))
    return self._vote_fns[spec]


def restore(directory, *, data_dir=''):
  """Restores the IDM of a run at its newest checkpoint, on all devices of this process.

  Args:
    directory: of the run.
    data_dir: where data is now; '' for where it was in training.

  Returns:
    `TrainedIdm`.

  Raises:
    FileNotFoundError: if there is no run or no checkpoint.
    ValueError: if the run has no IDM, or is damaged.
  """
  config, digests = trained_run.read_config(directory, data_dir=data_dir)
  phase, specs = run_config.check_run(config)
  if not phase.idm:
    raise ValueError(f'{directory}: method {config.method!r} trains no IDM in phase '
                     f'{config.phase!r}, so nothing labels. Choose a run with one, e.g. of method '
                     "'alpt'.")
  mesh = sharding.make_mesh(devices=jax.local_devices())
  run = trained_run.restore(directory, config, phase, specs, names=('idm',), mesh=mesh)
  return TrainedIdm(directory, config, digests, run.learner.networks.idm, specs[0],
                    run.params['idm'], run.step, mesh, data_times.read(directory))


def check_frames(frames, spec):
  """Refuses an array that is no clip of an environment.

  Args:
    frames: see `TrainedIdm.predict`.
    spec: `types.EnvironmentSpec`.

  Returns:
    The same as uint8, or float32 of vectors.

  Raises:
    ValueError: naming what was expected.
  """
  frames = np.asarray(frames)
  is_vector, shape = spec.observation_kind == 'vector', tuple(spec.observation_shape)
  expected = (f'{"numbers" if is_vector else "uint8"} [T, {", ".join(map(str, shape))}], T at '
              'least 2 frames of one episode')
  if frames.dtype.kind not in 'fiu' if is_vector else frames.dtype != np.uint8:
    raise ValueError(f'frames are {frames.dtype}; expected {expected}.')
  if frames.shape[1:] != shape or len(frames) < 2:
    raise ValueError(f'frames have shape {list(frames.shape)}; expected {expected}.')
  problem = values.observation_problem(frames, spec)
  if problem:
    raise ValueError(f'frames: {problem}.')
  return frames.astype(spec.observation_dtype, copy=False)


def warn_if_unfinished(trained):
  """Says, in a line on standard error, that a run has not made all of its updates.

  Args:
    trained: `TrainedIdm`.
  """
  if trained.step < trained.config.num_steps:
    print(f'warning: {trained.directory} stopped at update {trained.step} of '
          f'{trained.config.num_steps}; its IDM is as good as it was then.', file=sys.stderr)


def check_environment(trained, spec, *, where):
  """Refuses an environment that an IDM cannot read, or whose actions it has other names for.

  Args:
    trained: `TrainedIdm`.
    spec: the `types.EnvironmentSpec` of the environment.
    where: what to call it in the message: the path of its data, or its name.

  Returns:
    The same with its actions laid out as those of the IDM, see `action_space.Parts.within`: what it
    predicts of them. Parts that the IDM does not know are left out.

  Raises:
    ValueError: naming what differs.
  """
  try:
    space = spec.actions.within(trained.spec.actions, (str(trained.directory), spec.name))
  except ValueError as error:
    raise ValueError(f'{where}: {error} Use an IDM of this action space, or data with the space of '
                     'the IDM.') from error
  for field in ('observation_kind', 'observation_shape', 'observation_low', 'observation_high'):
    found, wanted = getattr(spec, field), getattr(trained.spec, field)
    if found != wanted:
      raise ValueError(f'{where}: {field} is {found}, the IDM of {trained.directory} reads '
                       f'{wanted}. Use another IDM, or other data.')
  return dataclasses.replace(spec, actions=space)


def check_time(trained, name, found, *, where, is_own, is_allowed):
  """Refuses data in which time passes otherwise than in what an IDM was trained on.

  Args:
    trained: `TrainedIdm`.
    name: of the environment; if training read one of this name, it is compared with that, else with
      the run's target.
    found: `time_scale.TimeScale` of the data; None if time means nothing there.
    where: what to call the data in messages.
    is_own: whether it is the data of training itself, whose speed need not be known.
    is_allowed: whether to go on in spite of differences.

  Returns:
    What shall be written down with all that is made of it, a dict that JSON can hold: time scales
    'data' and 'idm', 'differences' (allowed ones) and 'unknown', lists of sentences; {} if time
    means nothing.

  Raises:
    ValueError: naming both values of what differs, unless `is_allowed`.
  """
  if found is None:
    return {}
  learned = trained.time_scales.get(name) or trained.time_scales.get(trained.config.target)
  differences, unknown = time_scale.compare(
      found, learned, where=where, of=f'the IDM of {trained.directory}')
  time_scale.refuse(differences, is_allowed=is_allowed, remedy=(
      'take data of its speed (frame_skip of an import thins it), or another IDM, or go on with '
      '--allow_other_speed, which is written down with what is made'))
  if is_own and learned in (found, None):
    unknown = []
  return {'data': found._asdict(), 'idm': learned and learned._asdict(),
          'differences': differences, 'unknown': unknown}


def time_lines(times):
  """Says what `check_time` allowed or could not compare, in lines of what it returned."""
  return [*(f'warning: {text}: allowed by --allow_other_speed.'
            for text in times.get('differences', ())), *times.get('unknown', ())]
