"""The paper's figures and tables, each an experiment of `experiments.reproduce`.

python -m experiments.reproduce --config=experiments/configs/paper.py:figure=2,preset=desk

  figure=2         Section 5.3: ALPT and its baselines on five games.
  figure=3         Section 5.4: more source games; pretrained once for all targets.
  figure=4         Section 5.5: Freeway, whose actions the targets lack, is the only source.
  figure=5         Section 5.6: mazes.
  figure=6         Section 5.3, appendix A: the IDM alone is pretrained.
  figure=table4    Appendix C: conservative Q-learning on the labelled transitions.
  preset=desk      2 cores: fewer targets and steps, small models, recorded data. The default.
  preset=paper     As the paper has it, for a pod.
  preset=tiny      Minutes; for tests.

Figures of one preset share their `workdir`, and with it data and runs: the same method with the
same target, sources and seed is trained once. Results of figure N lie in workdir/figureN, and on
all of them in workdir/figures.html.
"""

from experiments.configs import atari, maze

FIGURES = ('2', '3', '4', '5', '6', 'table4')
PRESETS = ('tiny', 'desk', 'paper')

# The methods as the paper's legends call them. Names of runs have the keys, so figures that use the
# same key mean the same run.
_DT1 = dict(label='DT1', method='dt1', sources=())
_DT1_IDM = dict(label='DT1-IDM', method='dt1_idm', sources=())
_FIVE = dict(
    dt1=_DT1,
    dt1_idm=_DT1_IDM,
    dt5=dict(label='DT5', method='dt5', sources=atari.FIVE),
    dt5_ret=dict(label='DT5-RET', method='dt5_ret', sources=atari.FIVE),
    alpt=dict(label='ALPT', method='alpt', sources=atari.FIVE))
_FREEWAY = dict(label='ALPT, Freeway only', method='alpt', sources=('Freeway',))
_IDM_ONLY = dict(label='ALPT, DT not pretrained', method='alpt_idm_only', sources=atari.FIVE)
_CQL = dict(label='CQL', method='cql', sources=())

_VARIANTS = {
    '2': _FIVE,
    '3': dict(dt1_idm=_DT1_IDM,
              # `shared`: one pretraining for all targets.
              alpt9=dict(label='ALPT-9', method='alpt', sources=atari.NINE, shared=True),
              alpt36=dict(label='ALPT-36', method='alpt', sources=atari.THIRTY_SIX, shared=True)),
    '4': dict(dt1_idm=_DT1_IDM, alpt_freeway=_FREEWAY),
    '6': dict(dt1_idm=_DT1_IDM, alpt_idm_only=_IDM_ONLY),
    'table4': dict(cql=_CQL),
}
_TARGETS = {'2': atari.FIVE, '3': atari.MANY_TARGETS, '4': atari.DISJOINT_TARGETS, '6': atari.FIVE,
            'table4': atari.FIVE}


def get_config(argument=''):
  """Returns the ConfigDict of a figure at a preset; see the module's docstring."""
  figure, preset = _parse(argument)
  config = _maze(preset) if figure == '5' else _atari(figure, preset)
  config.workdir = f'runs/figures_{preset}'
  config.study.figure = figure
  return config


def _parse(argument):
  """'figure=2,preset=tiny' -> '2', 'tiny'."""
  options = {'preset': 'desk'}
  for part in filter(None, argument.split(',')):
    key, _, value = part.partition('=')
    if key not in ('figure', 'preset'):
      raise ValueError(f'{part!r}: unknown; expected figure=... or preset=...')
    options[key] = value
  for key, known in (('figure', FIGURES), ('preset', PRESETS)):
    if options.get(key) not in known:
      raise ValueError(f'{key} is {options.get(key, "")!r}; expected one of {", ".join(known)}.')
  return options['figure'], options['preset']


def _maze(preset):
  """Figure 5: three target mazes, each with a seed."""
  config = maze.get_config(preset)
  if preset == 'paper':
    config.study.num_workers = 1
    # python -m launch.preflight --config=experiments/configs/maze.py:paper --topology=v5e:2x4
    config.study.rates = dict(
        source="a v5e-8, by its compiler's estimate; evaluations not counted", start=0.,
        evaluation=0., joint=dict(both=.01025, idm=.01025, dt=.01025))
  if preset == 'desk':
    config.study.update(seeds=(0, 1, 2), targets=tuple(maze.target(i) for i in range(3)))
  config.data_dir = f'runs/figures_{preset}/mazes' if preset == 'tiny' else 'runs/maze/data'
  return config


def _atari(figure, preset):
  config = atari.get_config(preset + (',method=cql' if figure == 'table4' else ''))
  config.study.labels.targets = ()  # Agents only; the labels of their IDMs are scored, too.
  config.study.score.variants = _VARIANTS[figure]
  config.study.score.targets = _TARGETS[figure]
  config.study.score_seeds = (0, 1, 2)
  _PRESETS[preset](config, figure)
  if figure == 'table4':
    config.study.score.update(num_steps=config.num_steps, eval_every_steps=config.eval_every_steps)
  return config


def _desk(config, figure):
  config.data_dir = 'runs/atari/data'  # What `make atari` records.
  config.num_labels = 10_000  # Section 5.1, as Table 4; though of 100,000 that is a tenth.
  config.study.score.update(pretrain_steps=300, num_steps=600, eval_every_steps=300)
  if figure in ('2', '6'):
    config.study.score.targets = ('Breakout',)  # In Freeway, always going up scores 21.
  elif figure == '3':
    config.study.score.targets = ('SpaceInvaders', 'Pong')
    config.study.score.variants.alpt36.update(label='ALPT-4', sources=atari.NINE[:4])
  elif figure == '4':
    config.study.score.targets = ('Breakout',)


def _paper(config, figure):
  config.study.score.update(
      pretrain_steps=config.num_steps,
      num_steps=100_000 if figure == '6' else 1_000_000,  # As the figures show.
      eval_every_steps=20_000)
  # Every part of every batch is a multiple of 64 rows, for slices of up to 64 chips, or 8 with
  # `sharding.accumulate` of up to 8. As many windows are mixed as by 16 shards of 1024.
  config.sampling.update(num_shards=64, pool_size=256)
  if figure == 'table4':  # They cut 32 transitions, and are a multiple of the hosts of a slice.
    config.sampling.num_shards = 8
  config.study.num_workers = 1  # A slice.
  # launch/README.md, a v5e-8 with --config.sharding.accumulate=4. The update of both networks on
  # 2080 windows, of which 416 are labelled. ALPT-36 trains on 2624, the others on fewer; Figure 4
  # labels 1024. Q-learning: launch.preflight with this file's figure=table4,preset=paper and
  # --config.method=cql. Starting and playing were not measured there.
  config.study.rates = dict(
      source="a v5e-8, by its compiler's estimate; evaluations not counted",
      start=0., evaluation=0.,
      pretrain=dict(both=.1757, idm=.1757, dt=.1757),
      finetune=dict(both=.0201, idm=.0201, dt=.0201, q=.00144))
  # What a phase has of its own, e.g. its batch.
  config.study.phases = {
      phase: _differences(atari.get_config('paper'), atari.get_config(f'paper,phase={phase}'))
      for phase in ('pretrain', 'finetune')}


def _tiny(config, figure):
  config.data_dir = 'runs/figures_tiny/data'
  score = config.study.score
  score.update(pretrain_steps=2, num_steps=2, eval_every_steps=2)
  config.study.floors.update(of_runs=False, ceiling_steps=0, score_games=0)
  config.study.score_seeds = (0,)
  few = ('Freeway', 'Asterix')
  for name, variant in score.variants.items():
    if len(variant.sources) > 1:
      variant.sources = few[:1] if name == 'alpt9' else few
  score.targets = ('Breakout', 'SpaceInvaders') if figure == '3' else ('Breakout',)


_PRESETS = {'tiny': _tiny, 'desk': _desk, 'paper': _paper}


def _differences(config, other):
  """What `other` has otherwise, nested as they are; but for what a run sets itself."""
  found = {}
  for key, value in other.items():
    if key in ('study', 'phase', 'num_steps', 'eval_every_steps') or value == config[key]:
      continue
    found[key] = _differences(config[key], value) if hasattr(value, 'items') else value
  return found
