"""Tuning of IDMs with few labels: as many trials for every arm that is compared, each listed.

python -m experiments.reproduce --config=experiments/configs/tuning.py:arm=none
python -m experiments.reproduce --config=experiments/configs/tuning.py:arm=four
python -m experiments.tuning    # experiments/results/tuning/tuning.json, from all run files.

The arm without sources is tuned first and by itself; the arm with four sources gets as many trials:
twelve, and twice three more each, as each time the fastest rate that had been tried was the best
without sources, and had not been tried with them.
Games: Gopher and StarGunner, of which no claim is made. 300 labels, one seed, 600 updates in all.

  arm=none    The target's labels alone.
  arm=four    Four sources, then the target; or both at once; or one near source.
  preset=tiny For tests.
"""

from experiments.configs import atari

GAMES = ('Gopher', 'StarGunner')
SOURCES = ('Breakout', 'SpaceInvaders', 'Freeway', 'Asterix')
_ARMS = ('none', 'four')
UPDATES, FINETUNING = 600, 200  # In all; of them after pretraining.

_SHIFT = dict(augmentation='shift')


def _rate(learning_rate):
  return dict(optimizer=dict(idm_learning_rate=learning_rate))


# Trial: what differs from the arm's first one, which has the settings of `desk`.
NONE = dict(
    plain={},
    shift=_SHIFT,
    shift_slow=_SHIFT | _rate(3e-4),
    shift_fast=_SHIFT | _rate(3e-3),
    shift_short=_SHIFT | dict(num_steps=200),
    shift_half=_SHIFT | dict(num_steps=300),
    shift_dropout=_SHIFT | dict(model=dict(idm_dropout=.1)),
    shift_decay=_SHIFT | dict(optimizer=dict(weight_decay=.1)),
    shift_patch=_SHIFT | dict(model=dict(idm_tokenizer='patch')),
    shift_lamb=_SHIFT | dict(optimizer=dict(name='lamb', idm_learning_rate=3e-3)),
    dropout=dict(model=dict(idm_dropout=.2)),
    short=dict(num_steps=200),
    # The second round.
    shift_faster=_SHIFT | _rate(1e-2),
    shift_fast_dropout=_SHIFT | _rate(3e-3) | dict(model=dict(idm_dropout=.1)),
    shift_fast_half=_SHIFT | _rate(3e-3) | dict(num_steps=300),
    # The third.
    shift_fastest=_SHIFT | _rate(3e-2),
    shift_faster_dropout=_SHIFT | _rate(1e-2) | dict(model=dict(idm_dropout=.1)),
    shift_faster_half=_SHIFT | _rate(1e-2) | dict(num_steps=300),
)
FOUR = dict(
    plain={},
    shift=dict(finetune=_SHIFT),
    shift_slow=dict(finetune=_SHIFT | _rate(3e-4)),
    shift_frozen=dict(finetune=_SHIFT | dict(optimizer=dict(tokenizer_scale=0.))),
    shift_tenth=dict(finetune=_SHIFT | dict(optimizer=dict(tokenizer_scale=.1))),
    shift_dropout=dict(finetune=_SHIFT | dict(model=dict(idm_dropout=.1))),
    shift_last=dict(pretrain=dict(num_steps=450), finetune=_SHIFT | dict(num_steps=150)),
    shift_always=dict(changes=_SHIFT),
    labels_first=dict(pretrain=dict(sampling=dict(labelled_share=.5)), finetune=_SHIFT),
    joint=dict(phase='joint', changes=_SHIFT),
    joint_labels=dict(phase='joint', changes=_SHIFT | dict(sampling=dict(labelled_share=.5))),
    near=dict(sources=('SpaceInvaders',), finetune=_SHIFT),
    # The second round.
    always_fast=dict(changes=_SHIFT | _rate(3e-3)),
    joint_fast=dict(phase='joint', changes=_SHIFT | _rate(3e-3)),
    joint_fast_dropout=dict(
        phase='joint', changes=_SHIFT | _rate(3e-3) | dict(model=dict(idm_dropout=.1))),
    # The third.
    always_faster=dict(changes=_SHIFT | _rate(1e-2)),
    joint_faster=dict(phase='joint', changes=_SHIFT | _rate(1e-2)),
    joint_fastest=dict(phase='joint', changes=_SHIFT | _rate(3e-2)),
)
# They differ in finetuning only, and start from the first trial's pretraining.
_SHARED = ('shift', 'shift_slow', 'shift_frozen', 'shift_tenth', 'shift_dropout')


def get_config(argument=''):
  """Returns the ConfigDict of an arm's trials; see the module's docstring."""
  options = {'arm': 'none', 'preset': 'desk'}
  for part in filter(None, argument.split(',')):
    key, _, value = part.partition('=')
    if key not in options:
      raise ValueError(f'{part!r}: unknown; expected arm=... or preset=...')
    options[key] = value
  for key, known in (('arm', _ARMS), ('preset', ('desk', 'tiny'))):
    if options[key] not in known:
      raise ValueError(f'{key} is {options[key]!r}; expected one of {", ".join(known)}.')
  config = atari.get_config(options['preset'])
  with config.unlocked():
    config.study.labels.variants = _none() if options['arm'] == 'none' else _four()
  config.workdir = f'runs/atari_tuning/{options["arm"]}'
  config.study.results_dir = f'experiments/results/tuning/{options["arm"]}'
  config.study.update(seeds=(0,), score_seeds=(0,))
  config.study.score.targets = ()
  config.study.labels.update(targets=GAMES, budgets=(300,), pretrain_steps=UPDATES - FINETUNING,
                             num_steps=FINETUNING, eval_every_steps=100)
  config.optimizer.update(name='adamw', schedule='cosine', idm_learning_rate=1e-3)
  config.num_label_windows = 2000  # Of 20,000; standard error of a share of 0.5: 0.005.
  if options['preset'] == 'tiny':
    config.workdir = f'runs/atari_tiny/tuning/{options["arm"]}'
    config.study.results_dir = ''
    config.num_label_windows = 8
  return config


def _none():
  # `num_steps` is of finetuning; without pretraining it would be lengthened, see study_atari.
  return {f'none_{name}': dict(label=name, method='dt1_idm', sources=(), changes=changes)
          for name, changes in NONE.items()}


def _four():
  variants = {}
  for name, changes in FOUR.items():
    variants[f'four_{name}'] = dict(label=name, method='alpt', sources=SOURCES) | changes
    if name in _SHARED:
      variants[f'four_{name}']['pretraining'] = 'four_plain'
  return variants
