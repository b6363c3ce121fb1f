"""ALPT on data of your own: which data, what is learned from what, and how much of it.

python -m experiments.collect import --config.import_.kind=videos \\
    --config.import_.from_dir=clips --config.import_.environment=play.json
python -m experiments.train --config=experiments/configs/own.py:desk,target=Play

Takes preset,option=value,..; presets:

  desk    one layer of 128: minutes to an hour on 2 cores.
  paper   the network of Table 3 of the paper, for TPUs.
  tiny    seconds, for tests.

Options:

  target=Play       a directory of `data_dir`, as experiments.collect import makes them.
  sources=A+B       labelled cousins of it, if there are any.
  method=alpt       see alpt_jax/methods.py: 'alpt' with sources, 'dt1_idm' without; 'dt' on what
                    experiments.label has written.

Observations, actions and rewards of an environment stand in its environment.json. Numbers are those
of configs/base.py, but for what says otherwise.
"""

from experiments.configs import base

_OPTIONS = ('target', 'sources', 'method')


def get_config(argument=''):
  """Returns the ConfigDict of a preset; see the module's docstring."""
  preset, options = base.parse(argument, _OPTIONS, _PRESETS)
  config = base.get_config('own', preset)

  # What experiments.collect import brings in; it needs nothing else of this config.
  config.import_ = dict(
      # Or 'minari', 'dopamine', 'videos', 'images'; see alpt_jax/data/importers/.
      kind='rlds',
      from_dir='',  # What is to be brought in.
      environment='',  # The file that describes it; '': environment.json in from_dir.
      to_dir='',  # '': data_dir/<name of the environment>.
      frame_skip=1,  # Of videos and images, every how manyth is kept.
      window=5,  # Episodes with fewer transitions are left out.
      max_blank=.5,  # Episodes with a larger share of images of one colour are left out.
      on_problem='error')  # 'skip' leaves out what is damaged, and lists it on the dataset card.

  config.sources = tuple(s for s in options.get('sources', '').split('+') if s)
  config.method = options.get('method', 'alpt' if config.sources else 'dt1_idm')
  config.target = options.get('target', 'Play')
  config.other_targets = ()
  config.num_labels = 0  # A multiple of the window; 0: all that are not held out.
  # Share of the target's labelled episodes that training does not use, for experiments.audit.
  config.held_out = .2
  config.reward_weight = 0.  # Above 0, the sign of rewards is predicted, too.
  # An Atari game, e.g. 'Breakout', to play the target; '' to play nothing.
  config.evaluation = base.evaluation(game='')
  _PRESETS[preset](config)
  base.share_equally(config)
  return config


def _desk(config):
  del config  # Has the values above.


def _paper(config):
  config.return_weight = 1.
  config.model.update(num_layers=6, num_heads=8, d_model=512, idm_dropout=.1, dt_dropout=.1,
                      idm_tokenizer='patch', dt_tokenizer='patch', change_tokens=False,
                      compute_dtype='bfloat16')
  config.optimizer.update(name='lamb', schedule='constant', idm_learning_rate=3e-4,
                          dt_learning_rate=3e-4, warmup_steps=4000)
  config.sampling.num_shards = 16
  config.sharding.optimizer = True
  config.batch_size = config.idm_batch_size = 256  # Table 3.
  config.num_steps = 100_000
  config.log_every_steps, config.eval_every_steps = 500, 10_000
  config.checkpoint_every_steps = 10_000


def _tiny(config):
  config.sharding.num_devices = 1  # Its batches are too small for more.
  config.return_weight = 1.
  config.optimizer.update(name='lamb', schedule='constant', idm_learning_rate=3e-3,
                          dt_learning_rate=3e-3)
  config.model.update(num_layers=1, num_heads=2, d_model=16,
                      idm_tokenizer='patch', dt_tokenizer='patch', dt_dropout=.1)
  config.sampling.update(num_shards=1, pool_size=64)
  config.batch_size = config.idm_batch_size = 10
  config.num_steps, config.eval_every_steps = 4, 2
  config.checkpoint_every_steps, config.log_every_steps = 2, 2
  config.num_label_windows = 8
  config.evaluation.update(num_episodes=2, max_steps=20)


_PRESETS = {'desk': _desk, 'paper': _paper, 'tiny': _tiny}
PRESETS = tuple(_PRESETS)
