"""ALPT on Atari (paper sections 5.1 to 5.5, appendices A and B).

python -m experiments.train --config=experiments/configs/atari.py:desk,phase=pretrain \\
    --config.workdir=runs/atari/pretrained
python -m experiments.train --config=experiments/configs/atari.py:desk,phase=finetune \\
    --config.workdir=runs/atari/finetuned --config.init_from=runs/atari/pretrained

The argument is a preset and, after commas, what is learned from what:
  desk            2 cores: a small model, recorded data, one seed: how well IDMs label Breakout
                  with 300 labels, between floors and ceiling, and agents with 1,000. The default.
  trust           DT1-IDM with every way to trust the IDM's labels (`pseudo_labels`): Breakout,
                  1,000 labels, three seeds.
  study           as desk, but two targets, two budgets and five seeds for the labels.
  budget          how many labels are enough? As desk, but three seeds and one source; IDMs alone
                  and agents, in Breakout.
  paper           the values of the paper, and where it is silent those of Lee et al. (2022), on
                  RL Unplugged, for a pod. What differs from either: experiments/PAPER.md.
  tiny            seconds; for tests.
  setting=five      (section 5.3) target: one of five games, sources: the other four. The default.
  setting=alpt9     (section 5.4) nine sources; targets Pong, SpaceInvaders, StarGunner, MsPacman
                    and Alien, which share one pretraining.
  setting=alpt36    (section 5.4) 36 sources, the same targets.
  setting=disjoint  (section 5.5) Freeway is the only source.
  target=Breakout   any game that the setting knows as target.
  method=alpt       see alpt_jax/methods.py. cql (appendix C) has a group of its own, `config.cql`,
                    and its own numbers of updates.
  phase=finetune    pretrain, finetune, or joint (both at once, as the mazes do).

Appendix C says of CQL that "all implementation details are consistent with the original
implementation" of Kumar et al. (2020). Sources of the numbers:
  [release]         github.com/aviralkumar2907/CQL: README.md, and atari/batch_rl/fixed_replay/
                    configs/quantile.gin, multi_head/quantile_agent.py.
  [Dopamine]        github.com/google/dopamine, which it runs on: dopamine/agents/dqn/dqn_agent.py.
  [Mnih et al.]     Human-level control through deep reinforcement learning, Nature, 2015.
"""

from experiments.configs import base

FIVE = ('Asterix', 'Breakout', 'SpaceInvaders', 'Freeway', 'Seaquest')  # Section 5.3.
MANY_TARGETS = ('Pong', 'SpaceInvaders', 'StarGunner', 'MsPacman', 'Alien')  # Section 5.4.
NINE = ('Asterix', 'Breakout', 'Freeway', 'Seaquest', 'Atlantis', 'DemonAttack', 'Frostbite',
        'Gopher', 'TimePilot')  # Section 5.4.
# Section 5.4: "all 41 game datasets [...] minus the 5 target games". RL Unplugged has 46 games, and
# 41 are what is left without these targets, so the text does not say which 36. Ours leave out five
# of the 41: Carnival and Pooyan (no human score), Gravitar (49 checkpoints instead of 50), and
# Centipede and VideoPinball, of four whose run 1 lacks a checkpoint in the original bucket.
THIRTY_SIX = (
    'Amidar', 'Assault', 'Asterix', 'Atlantis', 'BankHeist', 'BattleZone', 'BeamRider', 'Boxing',
    'Breakout', 'ChopperCommand', 'CrazyClimber', 'DemonAttack', 'DoubleDunk', 'Enduro',
    'FishingDerby', 'Freeway', 'Frostbite', 'Gopher', 'Hero', 'IceHockey', 'Jamesbond', 'Kangaroo',
    'Krull', 'KungFuMaster', 'NameThisGame', 'Phoenix', 'Qbert', 'Riverraid', 'RoadRunner',
    'Robotank', 'Seaquest', 'TimePilot', 'UpNDown', 'WizardOfWor', 'YarsRevenge', 'Zaxxon')
# Section 5.5: Freeway has up and down. These have neither; all games share doing nothing.
DISJOINT_TARGETS = ('Breakout', 'SpaceInvaders', 'Pong', 'DemonAttack', 'Atlantis', 'NameThisGame',
                    'Carnival')

SETTINGS = {  # Name: targets, sources.
    'five': (FIVE, FIVE),
    'alpt9': (MANY_TARGETS, NINE),
    'alpt36': (MANY_TARGETS, THIRTY_SIX),
    'disjoint': (DISJOINT_TARGETS, ('Freeway',)),
}
_PHASES = ('joint', 'pretrain', 'finetune')
_OPTIONS = ('setting', 'target', 'method', 'phase')


def get_config(argument=''):
  """Returns the ConfigDict of a preset and a setting; see the module's docstring."""
  preset, options = base.parse(argument, _OPTIONS, _PRESETS)
  setting = options.get('setting', 'five')
  if setting not in SETTINGS:
    raise ValueError(f'setting is {setting!r}; expected one of {sorted(SETTINGS)}.')
  targets, sources = SETTINGS[setting]
  target = options.get('target', 'Breakout' if 'Breakout' in targets else targets[0])
  if target not in targets:
    raise ValueError(f'target is {target!r}; setting {setting!r} has {", ".join(targets)}.')
  phase = options.get('phase', 'joint')
  if phase not in _PHASES:
    raise ValueError(f'phase is {phase!r}; expected one of {", ".join(_PHASES)}.')

  config = base.get_config('atari', preset)
  # The data: data_dir/dataset/<Game>_run_<n>/<version>, as RL Unplugged has it.
  config.dataset = 'rlu_atari_checkpoints_ordered'
  config.runs = (1,)  # Paper: 100M steps a game, which are two of the five runs.
  config.allow_damaged = False  # Take official data that is known to be damaged.

  config.method = options.get('method', 'alpt')
  config.phase = phase
  config.target = target
  # Pretraining is shared by all targets of section 5.4; each has few labels.
  config.other_targets = (tuple(t for t in targets if t != target)
                          if setting in ('alpt9', 'alpt36') else ())
  config.sources = tuple(s for s in sources if s != target)
  # 10,000 in section 5.1, of 100 million. Of 100,000 that would be a tenth.
  config.num_labels = 1_000

  # Recording (collect.py): see alpt_jax/domains/atari/record.py.
  config.collect = dict(
      origin='play',  # Or 'convert', 'prepare': official data, from `from_dir`.
      from_dir='',
      behaviour='auto', num_steps=100_000, num_checkpoints=10,
      first_epsilon=.5, last_epsilon=.02,  # More random actions leave little to imitate.
      max_episode_steps=2500, sticky=.25, seed=0)

  config.cql = dict(  # Method cql, appendix C. Sources: see the module's docstring.
      batch_size=32,  # Transitions; [release].
      stack=4,  # Frames; [Dopamine].
      num_quantiles=200,  # [release]
      hidden=512,  # [Mnih et al.]
      kappa=1.,  # [release]
      discount=.99,  # [release]
      # [release] "For 1% data, use minq_weight=4.0 and for 10% data, use minq_weight=1.0": 10,000
      # transitions are fewer still.
      min_q_weight=4.,
      learning_rate=5e-5, adam_epsilon=.0003125,  # [release]
      target_update_steps=2000,  # [release] Every 8000 agent steps, of which 4 make an update.
      epsilon=.001)  # Of random actions when playing; [release].

  # 16 games have a standard error of a fifth to a whole point in Breakout.
  config.evaluation = base.evaluation(num_episodes=64)

  config.study = _experiment(target)
  _PRESETS[preset](config)
  if config.method == 'cql':
    _CQL_PRESETS[preset](config)
  base.share_equally(config)
  return config


def _experiment(target):
  """What `reproduce` runs: for each part, every variant with every target and seed.

  A target is left out of its own sources. A variant may have other `budgets` and `more` seeds, see
  alpt_jax/domains/atari/study.py.
  """
  return base.study(
      # The IDM alone: how well does it label the target's hidden actions? At a few hundred labels
      # sources may help; variants without them make as many updates in all, 600.
      labels=dict(
          variants=dict(
              idm_target=dict(label='Target only', method='dt1_idm', sources=()),
              idm_four=dict(label='4 games', method='alpt', sources=FIVE),
              idm_causal=dict(  # What the past tells of an action: no inverse dynamics.
                  label='Past only (floor)', method='dt1_idm', sources=(),
                  changes=dict(model=dict(idm_is_causal=True)))),
          targets=(target,), budgets=(300,), pretrain_steps=400, num_steps=200,
          eval_every_steps=50),
      # Agents: the score of the game, before and after they are trained.
      score=dict(
          variants=dict(
              # All actions are known: whether an agent of this size learns to look, at all. After
              # 1200 updates it still gets better.
              oracle=dict(label='Oracle labels', method='oracle', sources=(),
                          changes=dict(num_steps=2400, eval_every_steps=2400)),
              dt1=dict(label='DT1', method='dt1', sources=()),
              dt1_idm=dict(label='DT1-IDM', method='dt1_idm', sources=()),
              alpt=dict(label='ALPT', method='alpt', sources=FIVE)),
          # 64 games take as long as hundreds of updates, so only the last agent plays them.
          targets=(target,), pretrain_steps=800, num_steps=1200, eval_every_steps=1200),
      # What runs are compared with; see experiments/studies/floors.py.
      floors=dict(
          of_runs=True,  # Each run with floors on its own labels; whether its agent looks.
          # Hidden transitions to label with all windows voting, as experiments.label does; 0: none.
          voted_transitions=0,
          # Hidden transitions that agents of runs without an IDM label, from the past and the
          # recorded return-to-go, i.e. rewards to come: a floor for IDMs, judged on the transitions
          # of as many `voted_transitions`; 0: none.
          labeller_transitions=0,
          # A data_dir with other recordings of the targets, to see there whether agents look; '':
          # on episodes in which training knew no action, and those of an oracle on its own.
          held_out_dir='',
          ceiling_steps=600,  # Steps at which all actions are tried in the emulator; 0: none.
          score_games=100,  # Of each agent that looks at nothing; 0: none, else up to 50 or 50 n.
          # Of each trained agent, with exchanged images; 0: none, and its score does not say
          # whether it looks. They take as long as the last evaluation.
          exchanged_games=64),
      seeds=(0,), score_seeds=(0,),
      # For the estimate before a study: seconds of an update, by phase and networks that train; of
      # an evaluation; and from the start of a process to its first update.
      rates=dict(
          source='one core of an Intel Xeon, with a second run on the other',
          start=30., evaluation=25., joint=dict(both=.35, idm=.2, dt=.2, q=.1),
          pretrain=dict(both=.35, idm=.2, dt=.2), finetune=dict(both=.35, idm=.2, dt=.2, q=.1)))


def _desk(config):
  # Of trials that both arms have had, the best; see experiments/results/tuning.
  for variant in config.study.labels.variants.values():
    with config.unlocked():
      variant.changes = dict(
          variant.get('changes', {}), augmentation='shift', optimizer=dict(idm_learning_rate=3e-3))


def _study(config):
  _desk(config)
  config.workdir = 'runs/atari_study'
  config.data_dir = 'runs/atari/data'  # What desk records.
  config.study.seeds = (0, 1, 2, 3, 4)  # Fewer give no verdict.
  config.study.score_seeds = (0,)  # Agents take long.
  config.study.labels.update(targets=('Breakout', 'SpaceInvaders'), budgets=(300, 10_000))
  config.study.score.targets = ('Breakout', 'SpaceInvaders')


def _trust(config):
  config.workdir = 'runs/atari_trust'
  config.num_labels = 1_000  # Few, so that labels are wrong often enough to matter.
  labels = dict(
      hard=('Hard labels', dict(mode='hard')),
      soft=('Soft', dict(mode='soft')),
      sampled=('Sampled', dict(mode='sampled')),
      weighted=('Weighted', dict(mode='weighted')),
      thresholded=('Above 0.9', dict(mode='thresholded', threshold=.9)))
  config.study.score.variants = {
      name: dict(label=label, method='dt1_idm', sources=(), pseudo_labels=own)
      for name, (label, own) in labels.items()}
  # Not Freeway: whoever always says UP scores more there than agents with true actions.
  config.study.score.targets = ('Breakout',)
  config.study.score_seeds = (0, 1, 2)
  config.study.labels.targets = ()  # Agents only; the labels of their IDMs are scored, too.


def _budget(config):
  config.workdir = 'runs/atari_budget'
  config.data_dir = 'runs/atari/data'  # What desk records.
  config.study.labels.variants = dict(
      idm_target=dict(label='IDM, target only', method='dt1_idm', sources=()),
      idm_space_invaders=dict(  # It shares all actions of Breakout.
          label='IDM, SpaceInvaders too', method='alpt', sources=('SpaceInvaders',)))
  config.study.labels.update(
      targets=('Breakout',), budgets=(300, 1000, 3000, 10_000), pretrain_steps=400,
      num_steps=200, eval_every_steps=200)
  del config.study.score.variants['dt1'], config.study.score.variants['alpt']
  config.study.score.targets = ('Breakout',)
  config.study.score.budgets = (100, 1000, 10_000)
  config.study.update(seeds=(0, 1, 2), score_seeds=(0, 1, 2))
  config.study.num_clips = 10  # To be labelled next; see alpt_jax/labelling/clips.py.


def _paper(config):
  config.workdir, config.data_dir = 'runs/atari_paper', 'data'
  config.num_labels = 10_000  # Section 5.1.
  config.reward_weight = config.return_weight = 1.
  config.optimizer.update(name='lamb', schedule='constant')
  config.evaluation.num_episodes = 16
  # No emulator can play RL Unplugged again, and its floors are measured run by run, with
  # experiments.floors and experiments.score_floors.
  config.study.floors.update(of_runs=False, ceiling_steps=0, score_games=0,
                             exchanged_games=0)
  config.study.labels.budgets = (10_000,)
  config.study.score.variants.oracle.changes = {}
  config.runs = (1, 2)  # Section 5.1: 100M steps.
  if 'Asterix' in (config.target, *config.sources):
    config.runs = (2, 3)  # Asterix run 1 is suspected to be damaged (google-research/batch_rl#28).
  config.model.update(num_layers=6, num_heads=8, d_model=512,  # Table 3.
                      idm_dropout=.1, dt_dropout=.1,
                      idm_tokenizer='patch', dt_tokenizer='patch', change_tokens=False,
                      compute_dtype='bfloat16')
  # The paper trains on the union of all labels, in which the target's 10,000 are 0.00003 of 400M.
  # This is as near as whole shards come while sources are equal: for five games, 32 of 2,080 rows,
  # which in 1M updates are 16,000 epochs of the labels, and 26 of every source (equal shares:
  # 208,000 and 21). Finetuning, on 256 rows of the labels alone, is 12,800 epochs.
  config.sampling.update(num_shards=16, labelled_share=.001)
  config.sharding.optimizer = True
  config.augmentation = 'shift'  # Lee et al. augment; what of it this is: experiments/PAPER.md.
  config.collect.origin = 'prepare'
  config.log_every_steps, config.eval_every_steps = 500, 10_000
  config.checkpoint_every_steps = 10_000
  if config.phase == 'finetune':  # Lee et al., finetuning; the paper does not say.
    config.optimizer.update(idm_learning_rate=1e-4, dt_learning_rate=1e-4, warmup_steps=4000,
                            weight_decay=1e-2)
    config.batch_size = config.idm_batch_size = 256
    config.num_steps = 100_000  # Lee et al. and appendix A; the main text's curves go to 1M.
  else:  # Lee et al., pretraining: section 5.1 leaves it unchanged on Atari.
    config.optimizer.update(idm_learning_rate=3e-4, dt_learning_rate=3e-4, warmup_steps=4000,
                            weight_decay=0.)
    config.batch_size = config.idm_batch_size = 2048  # As whole shards, see base.share_equally.
    # Section 5.1 says "1M frames", 800 updates of 256 windows of 5; its figures count steps.
    config.num_steps = 1_000_000


def _tiny(config):
  # Its recordings have the names of those of `desk`.
  config.workdir, config.data_dir = 'runs/atari_tiny', 'runs/atari_tiny/data'
  config.sharding.num_devices = 1  # Its batches are too small for more.
  config.num_labels = 50
  config.reward_weight = config.return_weight = 1.
  config.optimizer.update(name='lamb', schedule='constant', idm_learning_rate=3e-3,
                          dt_learning_rate=3e-3)
  config.collect.update(num_steps=400, num_checkpoints=2, max_episode_steps=100)
  config.model.update(num_layers=1, num_heads=2, d_model=16, patch_size=42,
                      idm_tokenizer='patch', dt_tokenizer='patch', dt_dropout=.1)
  config.sampling.update(num_shards=1, pool_size=64)
  config.batch_size = config.idm_batch_size = 10
  config.num_steps, config.eval_every_steps = 4, 2
  config.checkpoint_every_steps, config.log_every_steps = 2, 2
  config.num_label_windows = 8
  config.evaluation.update(num_episodes=2, max_steps=20)
  config.study.labels.update(budgets=(50,), pretrain_steps=2, num_steps=2, eval_every_steps=2)
  config.study.score.update(pretrain_steps=2, num_steps=4, eval_every_steps=2)
  config.study.score.variants.oracle.changes = dict(num_steps=6, eval_every_steps=6)
  config.study.floors.update(ceiling_steps=5, score_games=2, exchanged_games=2)


_PRESETS = {'desk': _desk, 'study': _study, 'trust': _trust, 'budget': _budget, 'paper': _paper,
            'tiny': _tiny}


def _cql_desk(config):
  config.num_labels = 10_000  # As Table 4.
  # 100 iterations as in appendix C, but of 16 updates instead of 62,500, a 3,900th: about 5 times
  # over the data, where an agent still prefers an action more than it looks at the image. So few
  # updates need larger steps and an earlier target; the last hidden layer is narrower to be quick.
  # The settings of the loss are those of the paper.
  config.num_steps = config.eval_every_steps = 100 * 16
  config.checkpoint_every_steps, config.log_every_steps = 400, 16
  config.cql.update(hidden=128, learning_rate=3e-4, target_update_steps=100)


def _cql_paper(config):
  # An iteration is 250,000 agent steps of which 4 make an update [release]; 100 in appendix C.
  config.eval_every_steps = config.checkpoint_every_steps = 250_000 // 4
  config.num_steps = 100 * config.eval_every_steps
  config.augmentation = 'none'
  # [release] Dopamine's environment: sticky actions, games of 108,000 frames.
  config.evaluation.update(max_steps=27_000, sticky=.25)


def _cql_tiny(config):
  config.cql.update(batch_size=4, num_quantiles=5, hidden=8, learning_rate=1e-3,
                    target_update_steps=2)


_CQL_PRESETS = {'desk': _cql_desk, 'study': _cql_desk, 'trust': _cql_desk, 'budget': _cql_desk,
                'paper': _cql_paper, 'tiny': _cql_tiny}
