"""ALPT on 20 x 20 mazes (paper section 5.6, Figure 5, appendix B).

python -m experiments.train --config=experiments/configs/maze.py:desk --config.method=alpt
python -m experiments.reproduce --config=experiments/configs/maze.py:study   # Figure 5(b).

The argument is a preset:
  desk   2 cores: one target, one seed, `grid` observations; about five minutes. The default.
  study  as desk, but both observations, five seeds, each with a target maze of its own, more
         numbers of labels, and a control: a second blocked source instead of the tunneled one.
  trust  ALPT with every way to trust the IDM's labels (`pseudo_labels`), three seeds.
  budget agents with 50 to 5,000 labels, three seeds, `grid` only.
  paper  the values of Table 3, for an accelerator; what differs: experiments/PAPER.md.
  tiny   seconds; for tests.
"""

from experiments.configs import base

BLOCKED_SOURCE = 'maze-20-blocks:10-seed100'
SECOND_BLOCKED_SOURCE = 'maze-20-blocks:10-seed101'
TUNNELED_SOURCE = 'maze-20-tunnel-seed100'


def target(seed):
  """Returns the target maze that goes with a seed."""
  return f'maze-20-blocks:10-seed{seed}'


def _with_idm():
  """The variants that have an IDM."""
  return dict(
      dt1_idm=dict(label='DT1-IDM', method='dt1_idm', sources=()),
      alpt_blocked=dict(label='ALPT-Blocked', method='alpt', sources=(BLOCKED_SOURCE,)),
      alpt_blocked_tunnel=dict(label='ALPT-Blocked+Tunneled', method='alpt',
                               sources=(BLOCKED_SOURCE, TUNNELED_SOURCE)))


def get_config(preset=''):
  """Returns the ConfigDict of a preset; see the module's docstring."""
  preset = preset or 'desk'
  if preset not in _PRESETS:
    raise ValueError(f'Unknown preset {preset!r}; expected one of {sorted(_PRESETS)}.')
  config = base.get_config('maze', preset)
  config.observation = 'grid'  # 'grid': planes walls, goal, agent; 'xy': the agent's cell only.
  config.target = target(0)
  config.sources = (BLOCKED_SOURCE,)
  config.num_labels = 250  # Section 5.6.

  # Recording. Section 5.6: 500 trajectories, at most 500 steps, epsilon-greedy with 0.5.
  config.collect = dict(num_episodes=500, epsilon=.5, horizon=500, seed=0)

  config.model.update(
      patch_size=0,  # One token per grid.
      idm_tokenizer='patch', dt_tokenizer='patch',
      vector_bins=32,  # Of `xy`; 32 tell 20 rows and columns apart.
      idm_places=False,
      dt_dropout=.1)  # Lee et al. (2022); the IDM's labels transfer sooner without.
  config.reward_weight = 0.  # The only reward ends the episode.
  config.return_weight = 1.
  # Table 3, but for rates. Of 4e-3, an IDM forgot at times what it had learned.
  config.optimizer.update(idm_learning_rate=2e-3, weight_decay=5e-5, name='lamb',
                          schedule='constant')
  config.batch_size, config.idm_batch_size = 64, 128
  config.num_steps = 1000
  config.eval_every_steps = config.checkpoint_every_steps = 250
  config.num_label_windows = 0
  config.sampling.num_shards = 8

  # The experiment, with every observation and seed; seed i has target i. Two parts: IDMs alone,
  # whose labels are scored often, and agents, which take a second to evaluate.
  config.study = base.study(
      labels=dict(
          variants=_with_idm(),
          budgets=(),  # Numbers of labels beside `num_labels`; a variant's own `budgets` win.
          num_steps=1000,
          eval_every_steps=20,
          num_label_windows=500),  # At an evaluation; standard error at 0.9: 0.006.
      variants=dict(  # Agents, with `num_labels`.
          dt1=dict(label='DT1', method='dt1', sources=()),
          oracle=dict(label='Oracle labels', method='oracle', sources=()),
          **_with_idm()),
      observations=('grid',),
      seeds=(0,),
      targets=(target(0),),
      # For the estimate before a study: seconds of an update, by networks that train; of an
      # evaluation; and from the start of a process to its first update.
      rates=dict(source='one core of an Intel Xeon, with a second run on the other', start=20.,
                 evaluation=1., joint=dict(both=.07, idm=.04, dt=.03)),
      thresholds=(.5, .75, .9),  # Of success, for "steps to reach"; exploratory.
  )
  _PRESETS[preset](config)
  return config


def _desk(config):
  del config  # Has the values above.


def _study(config):
  config.workdir = 'runs/maze_study'
  config.study.update(observations=('grid', 'xy'), seeds=tuple(range(5)),
                      targets=tuple(map(target, range(5))))
  config.study.labels.budgets = (25, 50, 100, 250, 1000)
  # Tells whether it matters that sources differ, or only that there are two of them.
  config.study.labels.variants.alpt_two_blocked = dict(
      label='ALPT-Two blocked', method='alpt', budgets=(250,),
      sources=(BLOCKED_SOURCE, SECOND_BLOCKED_SOURCE))


def _trust(config):
  config.workdir = 'runs/maze_trust'
  del config.study.labels  # Agents only; the labels of their IDMs are scored, too.
  config.num_steps, config.eval_every_steps = 600, 100  # While labels are often wrong.
  # 4.66 is the mean of what experiments.audit fits to the runs with hard labels: 2.64, 5.33, 6.02.
  # It knows labels for that which ALPT is not given.
  modes = dict(soft=('Soft', {}), sampled=('Sampled', {}), weighted=('Weighted', {}),
               thresholded=('Above 0.9', dict(threshold=.9)))
  labels = dict(hard=('Hard labels', dict(mode='hard')))
  for mode, (label, own) in modes.items():
    labels[mode] = label, dict(mode=mode, **own)
    labels[f'{mode}_fitted'] = (f'{label}, temperature fitted',
                                dict(mode=mode, temperature=4.66, **own))
  config.study.variants = {
      name: dict(label=label, method='alpt', sources=(BLOCKED_SOURCE,), pseudo_labels=own)
      for name, (label, own) in labels.items()}
  config.study.update(baseline='hard', seeds=(0, 1, 2), targets=tuple(map(target, range(3))))


def _budget(config):
  config.workdir = 'runs/maze_budget'
  del config.study.labels
  # For many runs: half the windows of the DT.
  config.batch_size, config.num_steps, config.eval_every_steps = 32, 900, 450
  config.study.update(seeds=(0, 1, 2), targets=(target(0), target(1), target(2)))
  # With and without a source; the oracle, which labels are nothing to, once.
  for name in ('dt1', 'alpt_blocked_tunnel'):
    del config.study.variants[name]
  config.study.budgets = (50, 250, 1000, 5000)  # The smallest target's data has 11,000 actions.
  config.study.num_clips = 10  # To be labelled next; see alpt_jax/labelling/clips.py.


def _paper(config):  # Table 3; the number of steps is not stated.
  config.model.update(num_layers=6, num_heads=8, d_model=512, idm_dropout=.1,
                      change_tokens=False, idm_places=True)
  config.optimizer.update(idm_learning_rate=3e-4, dt_learning_rate=3e-4, warmup_steps=4000)
  config.batch_size = config.idm_batch_size = 256
  config.num_steps = 50_000
  # The union of all labels, as near as whole shards come: beside one source, 8 of 256 rows, 8,000
  # epochs of the 50 labelled windows.
  config.sampling.labelled_share = .001
  config.eval_every_steps = 1000
  config.checkpoint_every_steps = 5000
  config.study.labels.update(num_steps=50_000, eval_every_steps=500, num_label_windows=2000)
  config.study.update(observations=('grid', 'xy'), seeds=(0, 1, 2),
                      targets=(target(0), target(1), target(2)))


def _tiny(config):
  config.workdir, config.data_dir = 'runs/maze_tiny', 'runs/maze_tiny/data'
  config.sharding.num_devices = 1  # Its batches are too small for more.
  source, tunnel = 'maze-8-blocks:3-seed100', 'maze-8-tunnel-seed100'
  config.target, config.sources = 'maze-8-blocks:3-seed0', (source,)
  config.num_labels = 50
  config.collect.update(num_episodes=40, horizon=100)
  config.model.update(num_layers=1, num_heads=2, d_model=16)
  config.sampling.update(num_shards=2, pool_size=64)
  config.batch_size = config.idm_batch_size = 12
  config.num_steps, config.eval_every_steps = 6, 3
  config.checkpoint_every_steps, config.log_every_steps = 2, 2
  config.study.labels.update(num_steps=4, eval_every_steps=2, num_label_windows=20)
  config.study.labels.variants.alpt_blocked.sources = (source,)
  del config.study.labels.variants.alpt_blocked_tunnel
  config.study.variants.alpt_blocked.sources = (source,)
  config.study.variants.alpt_blocked_tunnel.sources = (source, tunnel)
  config.study.targets = (config.target,)


_PRESETS = {'desk': _desk, 'study': _study, 'trust': _trust, 'budget': _budget, 'paper': _paper,
            'tiny': _tiny}
