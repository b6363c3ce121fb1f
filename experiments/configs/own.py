"""ALPT on data of your own: what comes in, what is learned from what, and how much of it.

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
of configs/atari.py, which names their sources, but for what says otherwise.
"""

import ml_collections

_OPTIONS = ('target', 'sources', 'method')


def get_config(argument=''):
  """Returns the ConfigDict of a preset; see the module's docstring."""
  preset, options = _parse(argument)
  config = ml_collections.ConfigDict()
  config.experiment = 'own'
  config.preset = preset
  config.seed = 0  # Of initialisation, dropout and the order of the data.
  config.workdir = 'runs/own'
  config.compilation_cache_dir = 'runs/compilation_cache'  # '' to compile at every start.
  config.wandb_project = ''  # '' for none; else also logs to Weights & Biases (pip install wandb).
  config.data_dir = 'runs/own/data'  # One TFDS directory per environment, named after it.

  # What experiments.collect import brings in; it needs nothing else of this config.
  config.import_ = dict(
      kind='rlds',  # 'rlds', 'minari', 'dopamine', 'videos', 'images'; see alpt_jax/data/import_*.
      from_dir='',  # What is to be brought in.
      environment='',  # The file that describes it; '': environment.json in from_dir.
      to_dir='',  # '': data_dir/<name of the environment>.
      frame_skip=1,  # Of videos and images, every how manyth is kept.
      window=5,  # Episodes with fewer transitions are left out.
      max_blank=.5,  # Episodes with a larger share of images of one colour are left out.
      on_problem='error')  # 'skip' leaves out what is damaged, and lists it on the dataset card.

  # What is learned from what; see alpt_jax/methods.py.
  config.sources = tuple(s for s in options.get('sources', '').split('+') if s)
  # Controls: 'permuted' in time, 'renamed'; see alpt_jax/data/source_actions.py.
  config.source_actions = 'true'
  config.method = options.get('method', 'alpt' if config.sources else 'dt1_idm')
  config.phase = 'joint'
  config.train_dt = True  # False to train the IDM alone.
  config.init_from = ''  # Finetuning: the run directory of the pretraining.
  config.target = options.get('target', 'Play')
  config.other_targets = ()
  config.num_labels = 0  # Of the target, a multiple of the window; 0: all that are not held out.
  config.label_seed = 0
  # Share of the target's labelled episodes that training does not use, for experiments.audit.
  config.held_out = .2

  config.window = 5  # The paper's k, and the DT's context.
  config.model = dict(
      num_layers=1, num_heads=4, d_model=128,
      # See alpt_jax/networks/tokens.py. 'conv' reads images whose height and width are multiples of
      # 4; for other observations, 'patch'.
      idm_tokenizer='conv', dt_tokenizer='conv',
      patch_size=14,  # Of 'patch': divides height and width of images; 0 for whole grids.
      change_tokens=True,  # Embed how observations change, too.
      vector_bins=0,
      idm_places=True,  # Of vectors and grids; see configs/maze.py.
      return_tokens='current', compute_dtype='float32',
      idm_is_causal=False,  # True for a floor: the IDM sees the past only, and clones behaviour.
      idm_dropout=0., dt_dropout=0.)  # So few updates of so small a network do not overfit.
  # How far the DT trusts the IDM's labels; see alpt_jax/learners/pseudo_labels.py.
  config.pseudo_labels = dict(mode='hard', temperature=1., threshold=.5)
  config.reward_weight = 0.  # Eq. 3. Above 0, the sign of rewards is predicted, too.
  config.return_weight, config.action_weight = .1, 1.  # Of the DT's other losses; eq. 3: 1, 1.
  config.augmentation = 'none'  # Or 'shift'.
  config.optimizer = dict(
      idm_learning_rate=1e-3, dt_learning_rate=1e-3, warmup_steps=100, weight_decay=0.,
      max_grad_norm=1.,
      name='adamw',  # As configs/atari.py. Or 'lamb', Table 3; see alpt_jax/learners/optimizers.py.
      schedule='cosine',  # After warm-up; ends at num_steps. Or 'constant'.
      final_fraction=.05,  # Of the learning rate, where a cosine ends.
      tokenizer_scale=1.)  # Factor on the learning rate of the tokenizers; 0 freezes them.
  config.batch_size = 60  # Windows the DT trains on in a step.
  config.idm_batch_size = 60  # Windows the IDM trains on.
  config.num_steps = 2000
  config.eval_every_steps = 500
  config.checkpoint_every_steps = 500
  config.log_every_steps = 50
  config.allow_changed_config = False  # Go on with a run directory of another config.
  config.num_label_windows = 400  # Of the target, that the IDM labels at evaluations; 0: all.

  config.evaluation = dict(
      game='',  # An Atari game, e.g. 'Breakout', to play the target; '' to play nothing.
      num_episodes=16, max_steps=2500, sticky=0.,
      rule='paper',  # 'imitate' where there are no rewards; see alpt_jax/learners/acting.py.
      acting_mode='sampled',
      # Above 0 (1/3: probabilities to the third power), the last evaluation plays as many games
      # again, with this temperature of the actions; it takes twice as long.
      sharpened_temperature=0.)
  config.sampling = dict(num_shards=4, pool_size=1024, labelled_share=0., num_threads=1)
  config.sharding = dict(num_devices=0, fsdp=1, optimizer=False, accumulate=1, microbatch=0)
  config.distributed = dict(
      init_timeout_seconds=300, heartbeat_timeout_seconds=100, hang_timeout_seconds=1800)
  _PRESETS[preset](config)
  _share_equally(config)
  return config


def _share_equally(config):
  """Rounds batches to whole shards with as many rows for every environment."""
  unit = config.sampling.num_shards * (len(config.sources) + 1)
  for name in ('batch_size', 'idm_batch_size'):
    config[name] = max(round(config[name] / unit), 1) * unit


def _parse(argument):
  """'desk,target=Play' -> 'desk', {'target': 'Play'}."""
  preset, options = 'desk', {}
  for i, part in enumerate(p for p in argument.split(',') if p):
    key, is_option, value = part.partition('=')
    if not is_option:
      if i:
        raise ValueError(f'{part!r}: the preset comes first.')
      preset = part
    elif key not in _OPTIONS:
      raise ValueError(f'{key!r}: unknown; expected one of {", ".join(_OPTIONS)}.')
    else:
      options[key] = value
  if preset not in _PRESETS:
    raise ValueError(f'Unknown preset {preset!r}; expected one of {sorted(_PRESETS)}.')
  return preset, options


def _desk(config):
  del config  # The values above.


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
