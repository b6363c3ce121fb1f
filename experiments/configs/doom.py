"""ALPT on scenarios of Doom, played with keys and mouse.

python -m experiments.collect --config=experiments/configs/doom.py
python -m experiments.train --config=experiments/configs/doom.py

The argument is a preset and, after commas, what is learned from what:
  desk            2 cores: 30,000 steps of each scenario. The default.
  tiny            seconds; for tests.
  target=deadly_corridor   any scenario; the sources are the others.
  method=alpt     see alpt_jax/methods.py.
"""

from experiments.configs import base

SCENARIOS = ('deadly_corridor', 'deathmatch', 'defend_the_center', 'defend_the_line',
             'health_gathering', 'my_way_home')


def get_config(argument=''):
  """Returns the ConfigDict of a preset; see the module's docstring."""
  preset, options = base.parse(argument, ('target', 'method'), _PRESETS)
  config = base.get_config('doom', preset)
  config.method = options.get('method', 'alpt')
  # It has all keys, needs all of them, and its episodes are short.
  config.target = options.get('target', 'deadly_corridor')
  if config.target not in SCENARIOS:
    raise ValueError(f'target is {config.target!r}; expected one of {", ".join(SCENARIOS)}.')
  config.sources = tuple(name for name in SCENARIOS if name != config.target)
  config.other_targets = ()
  config.num_labels = 1_000
  config.collect = dict(  # See alpt_jax/domains/doom/record.py.
      num_steps=30_000, num_checkpoints=10, first_epsilon=.5, last_epsilon=.02,
      frame_skip=4, seed=0)  # Tics a step, of 35 a second.
  config.model.patch_size = 16
  _PRESETS[preset](config)
  base.share_equally(config)
  return config


def _desk(config):
  del config  # Has the values above.


def _tiny(config):
  # Its recordings have the names of those of `desk`.
  config.workdir, config.data_dir = 'runs/doom_tiny', 'runs/doom_tiny/data'
  config.sharding.num_devices = 1  # Its batches are too small for more.
  config.sources = config.sources[-2:]
  config.num_labels = 50
  config.collect.update(num_steps=100, num_checkpoints=2)
  config.model.update(num_layers=1, num_heads=2, d_model=16)
  config.sampling.update(num_shards=1, pool_size=64)
  config.batch_size = config.idm_batch_size = 12
  config.optimizer.warmup_steps = 1
  config.num_steps, config.eval_every_steps = 4, 2
  config.checkpoint_every_steps, config.log_every_steps = 2, 2
  config.num_label_windows = 8


_PRESETS = {'desk': _desk, 'tiny': _tiny}
