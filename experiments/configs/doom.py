"""ALPT on scenarios of Doom, played with keys and mouse.

python -m experiments.reproduce --config=experiments/configs/doom.py    # Collects, trains, reports.
python -m experiments.train --config=experiments/configs/doom.py        # One run.

The argument is a preset and, after commas, what is learned from what:
  desk            2 cores: 12,000 steps of each scenario, one seed, one number of labels. The
                  default.
  study           30,000 steps, five seeds, three numbers of labels.
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
      num_steps=12_000, num_checkpoints=10, first_epsilon=.5, last_epsilon=.02,
      frame_skip=4, seed=0)  # Tics a step, of 35 a second.
  config.num_steps, config.eval_every_steps = 1500, 1500
  config.num_label_windows = 2000
  config.evaluation = dict(
      num_episodes=16,  # Games, all held open; played with samples and with the arg max.
      rule='paper')  # Or 'release', or 'imitate'; see alpt_jax/learners/acting.py.
  config.model.patch_size = 16

  target_only = dict(sources=())
  config.study = base.study(
      variants=dict(
          dt1=dict(label='DT1', method='dt1', **target_only),
          dt1_idm=dict(label='DT1-IDM', method='dt1_idm', **target_only),
          alpt=dict(label='ALPT', method='alpt', sources=config.sources),
          oracle=dict(label='Oracle labels', method='oracle', **target_only)),
      budgets=(config.num_labels,),
      seeds=(0,),
      # Of each agent that looks at nothing, and of the script that made the recording; 0: none.
      # There is nothing else to measure: see alpt_jax/domains/doom/measures.py.
      floors=dict(score_games=50, ceiling_steps=0, of_runs=False, voted_transitions=0,
                  labeller_transitions=0, held_out_dir='', exchanged_games=0),
      # For the estimate before a study: seconds of an update, by networks that train; of an
      # evaluation; and from the start of a process to its first update.
      rates=dict(source='one core of an Intel Xeon, with a second run on the other', start=40.,
                 evaluation=25., joint=dict(both=.2, idm=.1, dt=.1)))
  _PRESETS[preset](config)
  base.share_equally(config)
  return config


def _desk(config):
  del config  # Has the values above.


def _study(config):
  # Recordings of its own, which nothing was tried on.
  config.workdir, config.data_dir = 'runs/doom_study', 'runs/doom_study/data'
  config.collect.update(num_steps=30_000, seed=1)
  config.evaluation.num_episodes = 32
  config.study.update(budgets=(250, 1_000, 4_000), seeds=tuple(range(5)))


def _tiny(config):
  # Its recordings have the names of those of `desk`.
  config.workdir, config.data_dir = 'runs/doom_tiny', 'runs/doom_tiny/data'
  config.sharding.num_devices = 1  # Its batches are too small for more.
  quick = 'defend_the_center', 'my_way_home', 'deadly_corridor'  # Episodes are short.
  config.sources = tuple(name for name in quick if name != config.target)[:2]
  config.num_labels = 50
  config.collect.update(num_steps=100, num_checkpoints=2)
  config.model.update(num_layers=1, num_heads=2, d_model=16)
  config.sampling.update(num_shards=1, pool_size=64)
  config.batch_size = config.idm_batch_size = 12
  config.optimizer.warmup_steps = 1
  config.num_steps, config.eval_every_steps = 4, 2
  config.checkpoint_every_steps, config.log_every_steps = 2, 2
  config.num_label_windows = 8
  config.evaluation.num_episodes = 2
  config.study.variants.alpt.sources = config.sources
  config.study.update(budgets=(50,))
  config.study.floors.score_games = 2


_PRESETS = {'desk': _desk, 'study': _study, 'tiny': _tiny}
