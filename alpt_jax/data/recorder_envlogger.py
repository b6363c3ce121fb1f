"""Adapts envlogger's TFDS backend, which imports TensorFlow, to recordings made here."""

import os

# TensorFlow greets with the features of the CPU.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')

import numpy as np
from envlogger.backends import tfds_backend_writer

from alpt_jax.data import records, rlds


class Writer(tfds_backend_writer.TFDSBackendWriter):
  """The TFDS backend of envlogger, closed by its owner only; the same files in every process."""

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self._sequential_writer._serializer = records.ExampleSerializer(
        self._ds_info.features.get_serialized_info())

  def _rlds_episode(self):
    """The current episode; marks are moved from the step after an action to the action's."""
    episode = self._current_episode.get_rlds_episode()
    steps = episode['steps']
    if rlds.RANDOM in steps[0]:
      marks = [step[rlds.RANDOM] for step in steps[1:]]
      for step, mark in zip(steps, [*marks, np.bool_(False)], strict=True):
        step[rlds.RANDOM] = mark
    return episode

  def _write_and_reset_episode(self):
    if self._current_episode is not None:
      self._sequential_writer.add_examples({self._split_name: [self._rlds_episode()]})
      self._current_episode = None

  def __del__(self):
    # The base class closes a second time, which would write into a directory that is gone by then,
    # and prints an AttributeError when the interpreter exits first.
    pass


def mark_step(policy):
  """Returns the `step_fn` of envlogger that keeps whether a policy's last action was random."""
  return lambda timestep, action, env: {
      rlds.RANDOM: np.bool_(action is not None and policy.is_random)}
