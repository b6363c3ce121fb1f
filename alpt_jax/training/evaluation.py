"""Evaluates a run while it trains: scores of the agent, and the IDM's labels of the target."""

import io
import os

import jax
import numpy as np

from alpt_jax import domains
from alpt_jax.files import atomic_files
from alpt_jax.learners import acting
from alpt_jax.training import distributed, label_windows, program, run_directory, sharding

# In eval/, with the scores; no metrics.
_PROTOCOL = ('seed', 'max_steps', 'sticky', 'epsilon', 'temperature', 'most_frequent_action')


class Evaluation:
  """Scores the agent and lets the IDM label the target; writes both, returns scalars.

  With several processes, each does all of it for itself, on its own devices, and the first writes.
  """

  def __init__(self, config, learner, specs, data, workdir):
    self._agent = (domains.of(config).make_evaluation(learner)
                   if config.phase != 'pretrain' and config.train_dt else None)
    self._acts = learner.agent
    self._mesh = sharding.make_mesh(
        devices=jax.local_devices()[:config.sharding.num_devices or None])
    self._label = learner.phase.idm and label_windows.make_label_fn(
        learner.networks.idm, specs[0], self._mesh,
        microbatch=program.microbatch(config, specs[0], self._mesh))
    self._episodes = data.episodes[config.target]
    self._window, self._workdir = config.window, workdir
    self._num_windows = config.num_label_windows
    self._num_steps = config.num_steps

  def run(self, step, state):
    """Evaluates after `step` updates. Returns a flat dict."""
    networks = program.network_params(state)
    if self._label:
      params = jax.device_put(
          sharding.on_one_device(networks['idm']), sharding.replicated(self._mesh))
      labelled = label_windows.predict_actions(
          self._label, params, self._episodes, window=self._window, num_windows=self._num_windows)
      buffer = io.BytesIO()
      np.savez_compressed(buffer, **labelled._asdict())
      if distributed.is_main():
        atomic_files.write(
            os.path.join(self._workdir, 'labels', f'step_{step:07d}.npz'), buffer.getvalue())
    result = {'step': step}
    if self._agent is not None:
      result |= self._agent(
          sharding.on_one_device(networks[self._acts]), step == self._num_steps,
          short_path=(run_directory.episode_path(self._workdir, step)
                      if distributed.is_main() else ''))
    if distributed.is_main():
      atomic_files.write_json(run_directory.evaluation_path(self._workdir, step), result)
    return {f'eval/{mode}/{name}': value for mode in acting.MODES if mode in result
            for name, value in result[mode].items()
            if isinstance(value, int | float) and name not in _PROTOCOL}
