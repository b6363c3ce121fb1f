"""Seven studies, to be registered before their first run.

python -m experiments.register --registration=experiments/registrations/labels.json \\
    --config=experiments/configs/studies.py:labels          # Then commit that file by itself.
python -m experiments.reproduce --config=experiments/configs/studies.py:labels \\
    --config.study.registration=experiments/registrations/labels.json

  mazes         Figure 5: IDMs with 25 to 1,000 labels, without and with sources; agents at 250.
  labels        Hidden actions labelled right, with no, one and four sources, at 100 to 10,000
                labels; at 300 with more seeds, an IDM that sees the past only (a behaviour cloner),
                a DT as labeller, and sources whose actions are permuted in time.
  labels_again  No and four sources at 300 labels, on other recordings of the games.
  agents        Figures 2 and 6: every method, 64 games, where an agent with all actions plays well.
  sources       Figures 3 and 4: one, four and nine sources; sources that share only doing nothing
                with their target; and a near one whose actions have ids that the target lacks.
  cql           Table 4.
  trust         What the DT makes of the IDM's labels, at the number of labels of `labels`.
  ..,tiny       For tests.

A seed redraws labelled windows, initialisation, order and sources, and is shared by all arms. Sets
of sources are nested. All arms make the same updates, of as many rows; an arm without sources may
stop earlier, as tuned. Run files are in experiments/results/<study>/runs. Recordings with seed 1
(`collect.seed`) and those that agents are looked at on are made first, as gates.py says.

What permuted sources can tell: see alpt_jax/data/source_actions.py. They train the IDM on wrong
inverse dynamics, so they are expected to be below no sources, and being equal to none shows nothing
of what images contribute.

What was tuned or looked at before, and on which recording:

  mazes         Mazes 10 to 14, of which no result was committed before; settings are from others.
  labels, labels_again, sources
                `CONFIRMATORY`, of which claims are made: of the scripted games that were neither
                tuned on nor a source in tuning (`_SEEN`), the two whose ceiling is furthest above
                the majority; experiments/results/ceilings has those of all four, measured on these
                recordings before any IDM was trained on them. Recordings have seed 2, on which
                nothing was trained before; those of labels_again have seed 1. The games themselves
                are not all new: IDMs of older networks were trained with labels of Seaquest, on
                other recordings, and it is a source in `make atari`; agents of
                Table 4 were trained in it, and one agent in Pong.
                Breakout is shown beside them, without a claim: its network, optimizer and
                augmentation were chosen on seed 0, and IDMs with 10,000 labels were trained on
                seed 1. Asterix, a target of `sources`, was a target and a source before, and a
                source in tuning. Settings of both arms are from tuning: Gopher and StarGunner,
                seed 0, 300 labels.
  agents        Breakout and Gopher, seed 1. Numbers of updates were chosen on seed 0 of both, where
                agents with all actions were trained; on seed 1 such agents were looked at, but none
                was trained. Breakout's IDMs of the gate were trained on seed 1. So the games were
                seen, and the claim is about methods in games chosen because an agent can play them.
  cql           Breakout and Gopher, seed 0, on which agents were trained before. No claim.
  trust         Breakout, seed 0, on which ways to trust labels were compared before. No claim.

Deviations from what was planned:

  * From 1,000 labels on, a held-out fifth of the labels was to choose the checkpoint. There is none
    on Atari: numbers of updates are fixed, all labels train, and the last checkpoint is reported.
  * `labels` has a DT as labeller, which an agent's run needs, and an agent's run plays: two games,
    before and after training. Its score is no result. Its labels are told the return-to-go, and
    are judged on 20,000 hidden transitions, those of IDMs on 2,000 windows.
  * Rates and numbers of updates were tuned at 300 labels only. At others updates are set by hand
    (`UPDATES`), and from `MANY` labels on the arm without sources has the rate of the one with
    sources, as its own seemed too fast for 10,000 in one run with more updates (see
    results/tuning). Where there is a bend is not known, nor whether labels or updates make it: so
    IDMs of agents without sources, which make more updates than any of `labels`, have it, too.
  * Games of claims were to be ones of which no IDM had been trained. That left Atlantis and
    Frostbite. When the ceiling of Atlantis was seen to be 0.13 above the majority, not 0.25, games
    that only tuning has not seen were let in, on recordings of their own (Frostbite's is 0.16).
  * 30 runs of `mazes`, with 25 labels, could not start: five windows for eight shards.
  * The near source, with and without renamed actions, is of one game, Pong: a game that has every
    action leaves no ids.
  * Agents are trained on recordings with seed 1, and IDMs of `labels`, from which their number of
    labels is chosen, on those with seed 2.
  * The near source has its true actions at 300 labels only; renamed at 100, too.
"""

import copy

from experiments.configs import atari, gates, maze, tuning

STUDIES = ('mazes', 'labels', 'labels_again', 'agents', 'sources', 'cql', 'trust')

# The best trial of each arm of tuning.py.
_NONE, _FOUR = 'shift_faster', 'always_fast'
# The two games, not of _SEEN, with the largest gap in experiments/results/ceilings, as it was
# before an IDM was trained on these recordings; see the module's docstring.
CONFIRMATORY = ('Seaquest', 'Pong')
_AGENT_LABELS = 0  # To be filled in: of study `agents`; from seeds 0 to 4 of `labels`.

RECORDINGS, _RECORDING_SEED = 'runs/studies/recordings', 2  # Of `labels` and `sources`.
# Labels, and the rate at most from there on, and of agents, without sources.
MANY, _RATE_OF_MANY = 3000, 3e-3
_SEEN = (*tuning.GAMES, *tuning.SOURCES)
SCRIPTED = ('Asterix', 'Atlantis', 'Breakout', 'Freeway', 'Frostbite', 'Gopher', 'Pong', 'Seaquest',
            'SpaceInvaders', 'StarGunner')  # Sources are drawn from these, without the target.
PRIMARY = 300  # Labels.
# Updates in all, of both phases; at 300 labels those of tuning.
UPDATES = {100: 600, 300: 600, 1000: 600, 3000: 900, 10_000: 1500}
# Updates of an agent, in games where one with all actions has been seen to play; see gates.py.
AGENTS = dict(Breakout=2400, Gopher=4000)
_PRETRAINING = .4  # Share of an agent's updates, as in `desk`.
# Of the scripted games, whose actions are most like those of the target (share of their union), and
# few enough to be renamed; of targets not of _SEEN. Others have every action, and leave no ids.
NEAR = dict(Atlantis='Pong', Pong='SpaceInvaders')
_FEW = (100, 300)  # Labels with which disjoint and renamed sources are tried.


def get_config(argument=''):
  """Returns the ConfigDict of a study; see the module's docstring."""
  study, _, preset = argument.partition(',')
  if study not in STUDIES:
    raise ValueError(f'{study!r} is no study; expected one of {", ".join(STUDIES)}.')
  if preset not in ('', 'tiny'):
    raise ValueError(f'{preset!r}: unknown; expected {study} or {study},tiny.')
  if study == 'mazes':
    config = _mazes(preset)
  else:
    config = atari.get_config(preset or 'desk')
    config.study.rates = dict(
        source='one core of two, both busy', start=15., evaluation=20.,
        joint=dict(both=.125, idm=.06, dt=.065, q=.1), pretrain=dict(both=.125, idm=.06, dt=.065),
        finetune=dict(both=.125, idm=.06, dt=.065, q=.1))
    with config.unlocked():
      _ATARI[study](config)
      if preset == 'tiny':
        _tiny(config)
  config.workdir = f'runs/{"studies_tiny" if preset else "studies"}/{study}'
  config.study.results_dir = '' if preset else f'experiments/results/{study}'
  return config


def _mazes(preset):
  config = maze.get_config(preset or 'study')
  if not preset:
    config.study.update(seeds=tuple(range(10, 15)), targets=tuple(map(maze.target, range(10, 15))))
  return config


def _confirmatory():
  """The games of which claims are made."""
  if not CONFIRMATORY:
    raise ValueError('CONFIRMATORY of experiments/configs/studies.py is (); expected the games '
                     'chosen by their ceilings, e.g. (\'Pong\', \'Seaquest\').')
  for game in CONFIRMATORY:
    if game in _SEEN or game not in SCRIPTED:
      raise ValueError(f'CONFIRMATORY of experiments/configs/studies.py has {game!r}; expected '
                       f'scripted games other than {", ".join(_SEEN)}, which tuning has seen.')
  return CONFIRMATORY


def _trial(name, arm, trials):
  """The settings of a trial of tuning.py."""
  if name not in trials:
    raise ValueError(f'{arm} of experiments/configs/studies.py is {name!r}; expected a trial of '
                     f'tuning.py: {", ".join(trials)}.')
  return {key: dict(value) if isinstance(value, dict) else value
          for key, value in trials[name].items()}


def _none(budgets, *, of_agents=False):
  """What a variant without sources has, as tuned; its share of the updates."""
  changes = _trial(_NONE, '_NONE', tuning.NONE)
  share = changes.pop('num_steps', tuning.UPDATES) / tuning.UPDATES
  is_faster = changes.get('optimizer', {}).get('idm_learning_rate', 0.) > _RATE_OF_MANY
  of_many = {str(n): dict(optimizer=dict(idm_learning_rate=_RATE_OF_MANY))
             for n in budgets if is_faster and (n >= MANY or of_agents)}
  return dict(method='dt1_idm', sources=(), changes=changes, changes_of=of_many), share


def _with_sources():
  """What a variant with sources has, as tuned, without `draw`; the share of pretraining."""
  settings = _trial(_FOUR, '_FOUR', tuning.FOUR)
  if 'sources' in settings:  # Its settings were not tried with four.
    raise ValueError(f'_FOUR of experiments/configs/studies.py is {_FOUR!r}, whose sources are '
                     f'{settings["sources"]}; expected a trial with all of {tuning.SOURCES}.')
  share = settings.get('pretrain', {}).pop('num_steps', tuning.UPDATES - tuning.FINETUNING)
  settings.get('finetune', {}).pop('num_steps', None)
  return dict(method='alpt', sources=SCRIPTED) | settings, share / tuning.UPDATES


def _also(variant, **changes):
  """A variant with more `changes`."""
  return variant | dict(changes=variant.get('changes', {}) | changes)


def _apart(**variants):
  """Variants that share no group of settings, so that a flag changes one of them."""
  return {name: copy.deepcopy(variant) for name, variant in variants.items()}


def _steps(total, share):
  """Updates of a pretraining with its share of a total, and of what follows."""
  pretraining = round(share * total)
  return dict(pretrain_steps=pretraining, num_steps=total - pretraining)


def _idms(config, budgets):
  """Makes it a study of IDMs alone; returns variants without and with sources, as tuned."""
  config.study.score.targets = ()
  config.num_label_windows = 2000  # Of 20,000; standard error of a share of 0.5: 0.005.
  config.sampling.num_shards = 2  # So that 60 rows are shared equally by 1, 2, 5 and 10 games.
  config.data_dir, config.collect.seed = RECORDINGS, _RECORDING_SEED
  (none, share_of_all), (some, share) = _none(budgets), _with_sources()
  first = _steps(UPDATES[PRIMARY], share)
  config.study.labels.update(budgets=budgets, eval_every_steps=100, **first)
  config.study.labels.steps_of = {str(n): _steps(UPDATES[n], share) for n in budgets}
  if share_of_all < 1:
    none['steps_of'] = {str(n): dict(pretrain_steps=0, num_steps=round(share_of_all * UPDATES[n]))
                        for n in budgets}
  return none, some


def _labels(config):
  none, some = _idms(config, tuple(UPDATES))
  more = dict(more=dict(seeds=tuple(range(5, 10)), budgets=(PRIMARY,)))
  few = dict(budgets=(PRIMARY,))
  config.study.update(seeds=tuple(range(5)))
  config.study.labels.targets = ('Breakout', *_confirmatory())
  _labellers(config, none)
  config.study.labels.variants = _apart(
      none=dict(label='Target only') | none | more,
      one=dict(label='1 source', draw=1) | some,
      four=dict(label='4 sources', draw=4) | some | more,
      past=dict(label='Past only (floor)') | few | _also(
          none, model=none['changes'].get('model', {}) | dict(idm_is_causal=True)),
      permuted=dict(label='4 sources, actions permuted', draw=4) | few | _also(
          some, source_actions='permuted'))


def _labellers(config, none):
  """Adds DTs that label, as floors of the IDMs with PRIMARY labels; their scores are no result."""
  config.num_labels = PRIMARY
  config.evaluation.num_episodes = 2  # An agent's run has to play.
  config.study.floors.update(labeller_transitions=20_000, score_games=0, exchanged_games=0)
  config.study.score_seeds = config.study.seeds
  config.study.score.variants = dict(
      dt1=dict(label='DT1', method='dt1', sources=(), changes=_of_dt(none['changes'])))
  config.study.score.update(targets=config.study.labels.targets, pretrain_steps=0,
                            num_steps=UPDATES[PRIMARY], eval_every_steps=UPDATES[PRIMARY])


def _labels_again(config):
  none, some = _idms(config, (PRIMARY,))
  config.data_dir, config.collect.seed = gates.FRESH, 1
  config.study.update(seeds=tuple(range(10)))
  config.study.labels.targets = _confirmatory()
  config.study.labels.variants = _apart(
      none=dict(label='Target only') | none, four=dict(label='4 sources', draw=4) | some)


def _sources(config):
  none, some = _idms(config, _FEW)
  primary, games = dict(budgets=(PRIMARY,)), _confirmatory()
  near = [game for game in games if game in NEAR]
  if not near:
    raise ValueError(f'NEAR of experiments/configs/studies.py has no source for '
                     f'{" or ".join(games)}; expected one, whose actions can be renamed.')
  config.study.update(seeds=tuple(range(5)))
  config.study.labels.targets = tuple(dict.fromkeys((*games, 'Breakout', 'Asterix')))
  variants = dict(
      none=dict(label='Target only') | none,
      **{name: dict(label=f'{n} source{"s" * (n > 1)}', draw=n, targets=games) | some | primary
         for name, n in (('one', 1), ('four', 4), ('nine', 9))})
  for name, source, target in (('freeway', 'Freeway', 'Breakout'),
                               ('atlantis', 'Atlantis', 'Asterix')):
    variants[name] = some | dict(label=f'{source} only', sources=(source,), targets=(target,))
  for game in near:
    only = dict(sources=(NEAR[game],), targets=(game,))
    variants[f'near_{game}'] = some | primary | only | dict(label=f'{NEAR[game]} only')
    variants[f'renamed_{game}'] = _also(some, source_actions='renamed') | only | dict(
        label=f'{NEAR[game]} only, actions renamed')
  config.study.labels.variants = _apart(**variants)


def _of_dt(changes):
  """What of some changes matters to a DT."""
  found = {key: _of_dt(value) if isinstance(value, dict) else value
           for key, value in changes.items() if not key.startswith('idm_')}
  return {key: value for key, value in found.items() if value != {}}


def _agents(config):
  if not _AGENT_LABELS:
    raise ValueError('_AGENT_LABELS of experiments/configs/studies.py is 0; expected the number of '
                     'labels for agents, chosen by seeds 0 to 4 of study labels.')
  (none, _), (some, _) = _none((_AGENT_LABELS,), of_agents=True), _with_sources()
  # What was tuned is for IDMs; what of it DTs feel, e.g. shifts, all DTs do, but for the oracle's.
  plain = dict(changes=_of_dt(none['changes']))
  others = _of_dt({key: some[key] for key in ('phase', 'changes', 'pretrain', 'finetune')
                   if key in some})
  drawn = dict(sources=SCRIPTED, draw=4)
  config.num_labels = _AGENT_LABELS
  # Numbers of updates were chosen on recordings with seed 0, which agents are looked at on.
  config.study.floors.held_out_dir = config.data_dir
  config.data_dir, config.collect.seed = gates.FRESH, 1
  config.study.labels.targets = ()
  config.study.score.variants = _apart(
      dt1=dict(label='DT1', method='dt1', sources=()) | plain,
      dt5=dict(label='DT5', method='dt5') | drawn | others,
      dt5_ret=dict(label='DT5-RET', method='dt5_ret') | drawn | others,
      dt1_idm=dict(label='DT1-IDM') | none,
      alpt_idm_only=some | drawn | dict(label='ALPT, DT not pretrained', method='alpt_idm_only'),
      alpt=some | drawn | dict(label='ALPT'),
      oracle=dict(label='Oracle labels', method='oracle', sources=()))
  _agents_play(config, tuple(AGENTS))
  # New draws: seeds 0 to 4 of `labels` have chosen the number of labels. One game, twice the seeds.
  config.study.update(score_seeds=tuple(range(5, 10 if len(AGENTS) > 1 else 15)))


def _agents_play(config, games):
  """Gives agents the updates of their games; they play before the first and after the last."""
  config.study.score.update(
      targets=games, equal_updates=True, eval_every_steps=max(AGENTS.values()),
      **_steps(AGENTS[games[0]], _PRETRAINING))
  config.study.score.steps_of = {game: _steps(AGENTS[game], _PRETRAINING) for game in games}


def _cql(config):
  with_cql = atari.get_config(f'{config.preset},method=cql')
  config.update(num_labels=10_000, cql=with_cql.cql)  # As Table 4.
  config.study.labels.targets = ()
  config.study.score.variants = dict(cql=dict(label='CQL', method='cql', sources=()))
  config.study.update(score_seeds=tuple(range(5)))
  # 30 updates of the target network, and three scores in the last third.
  config.study.score.update(targets=tuple(AGENTS), num_steps=3000, eval_every_steps=500)


def _trust(config):
  none, _ = _none((PRIMARY,), of_agents=True)
  ways = atari.get_config('trust').study.score.variants
  config.num_labels = PRIMARY
  config.study.labels.targets = ()
  config.study.score.variants = _apart(**{
      name: none | dict(label=ways[name].label, pseudo_labels=ways[name].pseudo_labels.to_dict())
      for name in ('hard', 'soft', 'thresholded')})
  _agents_play(config, ('Breakout',))
  config.study.update(score_seeds=tuple(range(5)))


_ATARI = dict(labels=_labels, labels_again=_labels_again, agents=_agents, sources=_sources,
              cql=_cql, trust=_trust)


def _tiny(config):
  """One seed, 50 labels, two updates a phase, and one small source."""
  config.data_dir, config.num_labels, config.num_label_windows = 'runs/atari_tiny/data', 50, 8
  config.sampling.num_shards, config.collect.seed = 1, 0
  config.study.update(seeds=(0,), score_seeds=(0,))
  config.study.labels.budgets, config.study.floors.held_out_dir = (50,), ''
  for part in (config.study.labels, config.study.score):
    part.update(pretrain_steps=2, num_steps=2, eval_every_steps=2)
    part.steps_of = {}
    for variant in part.variants.values():
      for key in ('steps_of', 'changes_of', 'budgets', 'more'):
        if key in variant:
          del variant[key]
      if 'draw' in variant:
        variant.update(sources=('Freeway', 'Gopher'), draw=1)
