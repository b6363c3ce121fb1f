"""Fields that the configs of all domains share; a domain sets what differs and adds its own.

Values are those of two cores. What the paper has: experiments/PAPER.md.
"""

import ml_collections


def get_config(experiment, preset):
  """Returns a ConfigDict with the fields that all runs have.

  Args:
    experiment: the domain.
    preset: name of one of its presets.
  """
  config = ml_collections.ConfigDict()
  config.experiment = experiment
  config.preset = preset
  config.seed = 0  # Of initialisation, dropout and the order of the data.
  config.workdir = f'runs/{experiment}'  # A run of its own, or all runs of `reproduce`.
  config.data_dir = f'runs/{experiment}/data'  # TFDS directories, named after environments.
  config.compilation_cache_dir = 'runs/compilation_cache'  # '' to compile at every start.
  config.wandb_project = ''  # '' for none; else also logs to Weights & Biases (pip install wandb).

  # What is learned from what; see alpt_jax/methods.py.
  config.method = 'alpt'
  config.phase = 'joint'  # Section 5.6: no separate finetuning stage. Or 'pretrain', 'finetune'.
  config.train_dt = True  # False to train the IDM alone.
  config.init_from = ''  # Finetuning: the run directory of the pretraining.
  config.target, config.sources = '', ()
  # Controls: 'permuted' in time, 'renamed'; see alpt_jax/data/source_actions.py.
  config.source_actions = 'true'
  config.num_labels = 0  # Transitions of the target that keep their action.
  config.label_seed = 0

  # What the DT makes of the IDM's labels: 'hard' (the paper), 'soft', 'sampled', 'weighted' or
  # 'thresholded'; see alpt_jax/learners/pseudo_labels.py. A study's is for the runs in which an IDM
  # labels.
  config.pseudo_labels = dict(
      mode='hard',
      temperature=1.,  # Of the IDM's probabilities; not of 'hard'.
      threshold=.5)  # The smallest probability of a label that counts, if 'thresholded'.

  config.window = 5  # The paper's k, and the DT's context (Lee et al.: 4).
  config.model = dict(  # Of both networks. Table 3: 6 layers of 512, 8 heads.
      num_layers=1, num_heads=4, d_model=128,
      # Lee et al. (2022): 'patch', 36 of 14 x 14, and no changes. 'conv' reads images whose height
      # and width are multiples of 4. See alpt_jax/networks/tokens.py.
      idm_tokenizer='conv', dt_tokenizer='conv',
      patch_size=14,  # Of 'patch': divides height and width of images; 0 for whole grids.
      change_tokens=True,  # Embed how observations change, too.
      vector_bins=0,  # Of vectors.
      # Of vectors and grids: whether the IDM embeds every bin and cell, as the DT does. If so, it
      # learns few labelled windows by heart instead of what an action does.
      idm_places=True,
      return_tokens='current',  # Eq. 3. Lee et al.'s release: 'first'.
      compute_dtype='float32',  # 'bfloat16' for TPUs; parameters are float32.
      # Of actions of several parts, how the DT predicts them: each by itself, or, 'sequential',
      # each given those before it, as keys and a mouse go together.
      action_order='independent',
      idm_is_causal=False,  # True for a floor: the IDM sees the past only, and clones behaviour.
      # Lee et al.: 0.1 for the DT. So few updates of so small a network do not overfit.
      idm_dropout=0., dt_dropout=0.)
  # Of the DT's losses. Eq. 3 has 1 for returns and actions; Lee et al. predict rewards, too, and 0
  # leaves them out. A small network predicts actions better if the others weigh less.
  config.reward_weight = config.return_weight = .1
  config.action_weight = 1.
  config.augmentation = 'none'  # Or 'shift'.
  config.optimizer = dict(
      idm_learning_rate=1e-3, dt_learning_rate=1e-3,  # Table 3: 3e-4.
      warmup_steps=100,  # Table 3: 4000.
      weight_decay=0., max_grad_norm=1.,  # Table 3: 5e-5, 1.
      # Or 'lamb', Table 3; see alpt_jax/learners/optimizers.py. After 400 updates on 10,000 labels
      # LAMB's are 0.177 [0.155, 0.198] less accurate in Gopher; experiments/results/gates.
      name='adamw',
      schedule='cosine',  # After warm-up; ends at num_steps. Or 'constant'.
      final_fraction=.05,  # Of the learning rate, where a cosine ends.
      tokenizer_scale=1.)  # Factor on the learning rate of the tokenizers; 0 freezes them.
  config.batch_size = 60  # Windows the DT trains on in a step. Table 3: 256.
  config.idm_batch_size = 60  # Windows the IDM trains on. Table 3: 256.
  config.num_steps = 2000
  config.eval_every_steps = 500
  config.checkpoint_every_steps = 500
  config.log_every_steps = 50
  config.num_label_windows = 400  # Windows of the target labelled at each evaluation; 0 for all.
  config.allow_changed_config = False  # Resume a run directory of another config.
  # Train on data of different steps_per_second or frame_skip; see alpt_jax/data/time_scale.py.
  config.allow_other_speed = False

  _set_devices(config)
  return config


def _set_devices(config):
  """Sets how batches are drawn and laid out, and what runs of several processes wait for."""
  config.sampling = dict(  # Decides the batches; the number of hosts does not.
      num_shards=4, pool_size=1024,
      # Of the rows that a network trains on, what the target's labelled windows get beside
      # sources, in whole shards; 0: as much as a source. See alpt_jax/training/shares.py.
      labelled_share=0.,
      # That read streams side by side. Images with PNG's line filters are decoded outside of
      # Python's lock, and more threads help; those of our recordings are read fastest by one.
      num_threads=1)
  # Over devices; see alpt_jax/training/sharding.py. Batches stay what they are.
  config.sharding = dict(
      num_devices=0,  # 0: all.
      fsdp=1,  # Shards of the parameters.
      optimizer=False,  # Shard the optimizer's state over the replicas.
      accumulate=1,  # Microbatches, at least, to need less memory.
      # On CPUs: windows of a microbatch; 0: as many as fit a core's cache, see
      # alpt_jax/learners/microbatches.py. A run writes the number into its config.json.
      microbatch=0)
  config.distributed = dict(  # Runs of several processes; see alpt_jax/training/distributed.py.
      init_timeout_seconds=300, heartbeat_timeout_seconds=100,
      hang_timeout_seconds=1800)  # Without a step; longer than an evaluation.


def evaluation(**fields):
  """Returns the group `evaluation` of what is played as an Atari game."""
  return dict(  # Section 5.3: 16 episodes of 2500 steps, following Lee et al.
      num_episodes=16, max_steps=2500, sticky=0.,
      rule='paper',  # Or 'release', or 'imitate' without rewards; see alpt_jax/learners/acting.py.
      acting_mode='sampled',
      # Above 0 (1/3: probabilities to the third power), the last evaluation plays as many games
      # again, with this temperature of the actions; it takes twice as long.
      sharpened_temperature=0.) | fields


def study(**fields):
  """Returns the group `study` of a domain's experiment."""
  return dict(
      registration='',  # Its file, see experiments/studies/registration.py; '': not registered.
      results_dir='',  # Of run files, to be committed; '' for run_files/ in `workdir`.
      num_workers=0) | fields  # Runs side by side; 0: one per core.


def parse(argument, options, presets):
  """Parses a config's argument, e.g. 'desk,target=Pong' to ('desk', {'target': 'Pong'}).

  Args:
    argument: a preset, 'desk' if there is none, then option=value.
    options: names that there are.
    presets: names that there are.

  Returns:
    The preset, and {option: value}.

  Raises:
    ValueError: naming the first part that is neither.
  """
  preset, found = 'desk', {}
  for i, part in enumerate(p for p in argument.split(',') if p):
    key, is_option, value = part.partition('=')
    if not is_option:
      if i:
        raise ValueError(f'{part!r}: the preset comes first.')
      preset = part
    elif key not in options:
      raise ValueError(f'{key!r}: unknown; expected one of {", ".join(options)}.')
    else:
      found[key] = value
  if preset not in presets:
    raise ValueError(f'Unknown preset {preset!r}; expected one of {sorted(presets)}.')
  return preset, found


def share_equally(config):
  """Rounds batches to whole shards with as many rows for every environment."""
  num = 1 + len(config.sources) + len(config.other_targets)
  unit = config.sampling.num_shards * (1 if config.phase == 'finetune' else num)
  for name in ('batch_size', 'idm_batch_size'):
    config[name] = max(round(config[name] / unit), 1) * unit
