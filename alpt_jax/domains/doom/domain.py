"""Scenarios of Doom as a domain: specs and data."""

from alpt_jax.data import copies, episode_files, time_scale
from alpt_jax.domains import base
from alpt_jax.domains.doom import scenarios


class Domain(base.Domain):
  """Scenarios of Doom, played with keys and mouse."""

  @property
  def frames_per_step(self):
    """Tics in one transition; the game has 35 a second."""
    return self.config.collect.frame_skip

  def spec(self, name):
    """Returns the `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    return self._environment(name).spec()

  def read(self, name, *, with_idm_labels=False):
    """Returns the episodes of an environment, with all their actions; see `rlds.labelled`."""
    directory, = self.directories(name)
    data = episode_files.EpisodeFiles([directory], self.spec(name), expected_name=name,
                                      with_idm_labels=with_idm_labels)
    base.reserve(self.config, data)
    return data

  def time_scale(self, name):
    """Returns the `time_scale.TimeScale` of a scenario."""
    rate = self._environment(name).steps_per_second
    return time_scale.TimeScale('image', rate, self.frames_per_step, True)

  def check_data(self, episodes, hidden):
    """Refuses {environment: episodes} with an episode twice, or as `copies` of `hidden` ones."""
    episode_files.check_no_duplicates(episodes)
    copies.check(episodes, hidden)

  def collect(self, names):
    """Records what is missing of some scenarios."""
    from alpt_jax.domains.doom import collect  # The game.
    collect.main(self.config, names)

  def _environment(self, name):
    return scenarios.environment(name, frame_skip=self.frames_per_step)
