"""ALPT on simulated cameras with keys: actions of several parts, and labels whose ceiling is known.

python -m experiments.train --config=experiments/configs/camera.py --config.train_dt=False

The argument is a preset:
  desk   2 cores: minutes. The default.
  tiny   seconds; for tests.
"""

from experiments.configs import base


def get_config(preset=''):
  """Returns the ConfigDict of a preset; see the module's docstring."""
  preset = preset or 'desk'
  if preset not in _PRESETS:
    raise ValueError(f'Unknown preset {preset!r}; expected one of {sorted(_PRESETS)}.')
  config = base.get_config('camera', preset)
  config.target, config.sources = 'camera-seed0', ('tripod-seed0',)
  config.num_labels = 200
  config.collect = dict(num_episodes=500)  # Simulated whenever they are read: 20,000 steps.
  config.model.update(patch_size=0, idm_tokenizer='patch', dt_tokenizer='patch',
                      idm_places=False, num_layers=2, d_model=64)
  config.reward_weight = 0.  # There are no rewards.
  config.batch_size = config.idm_batch_size = 64
  config.num_steps, config.eval_every_steps, config.checkpoint_every_steps = 2000, 2000, 500
  config.optimizer.update(idm_learning_rate=2e-3)
  config.sampling.num_shards = 4
  _PRESETS[preset](config)
  return config


def _desk(config):
  del config  # Has the values above.


def _tiny(config):
  config.workdir = 'runs/camera_tiny'
  config.sharding.num_devices = 1  # Its batches are too small for more.
  config.num_labels, config.collect.num_episodes = 50, 10
  config.model.update(num_layers=1, num_heads=2, d_model=16)
  config.sampling.update(num_shards=2, pool_size=64)
  config.batch_size = config.idm_batch_size = 12
  config.optimizer.warmup_steps = 1
  config.num_steps, config.eval_every_steps = 6, 3
  config.checkpoint_every_steps, config.log_every_steps = 2, 2


_PRESETS = {'desk': _desk, 'tiny': _tiny}
