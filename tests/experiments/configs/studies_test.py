"""The seven studies: their runs counted by hand, and what all arms share."""

import collections
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from alpt_jax import methods
from alpt_jax.data import source_actions
from alpt_jax.domains.atari import action_sets, policies
from alpt_jax.training import run_config, shares
from experiments import reproduce, summarise
from experiments.configs import atari, gates, maze, studies, tuning
from experiments.studies import ceiling_table, estimates, runs

_ROOT = pathlib.Path(__file__).parents[3]
_SET = dict(_NONE='shift', _FOUR='shift', CONFIRMATORY=('Atlantis', 'Frostbite'),
            _AGENT_LABELS=500)
_OF_GAMES = tuple(study for study in studies.STUDIES if study != 'mazes')


class StudiesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.enterContext(mock.patch.multiple(studies, **_SET))

  def planned(self, study):
    """A study's config, its runs, and of each that is last {field: value} of what it is."""
    config = studies.get_config(study)
    planned = reproduce.plan(config)
    last = [(run, run.changes) for run in planned if run.changes.get('phase') != 'pretrain']
    return config, planned, last

  def cells(self, last):
    """{(variant, target, labels): seeds}"""
    found = collections.defaultdict(list)
    for run, changes in last:
      self.assertEqual(changes['seed'], changes['label_seed'])
      found[run.variant, changes['target'], changes['num_labels']].append(changes['seed'])
    return dict(found)

  def updates(self, config, run):
    return sum(runs.run_config(config, r).num_steps for r in (run.after, run) if r)

  @parameterized.parameters(
      # IDMs: 3 arms of 5 numbers of labels, and one of one; 5 agents. 2 observations, 5 seeds.
      ('mazes', (3 * 5 + 1 + 5) * 2 * 5, 0),
      # 3 games: 3 arms, 5 numbers of labels, 5 seeds; 5 more of 2 arms; 2 controls of 5 seeds.
      # A DT of each game and seed, as labeller.
      ('labels', 3 * (3 * 5 * 5 + 2 * 5 + 2 * 5 + 5), 3 * (2 * 5 * 5 + 5 + 5)),
      ('labels_again', 2 * 2 * 10, 2 * 10),
      ('agents', 7 * 2 * 5, 4 * 2 * 5),
      # No source: 4 games, 2 numbers of labels. 1, 4, 9 sources: 2 games. 2 disjoint sources and a
      # renamed one, 2 numbers of labels; a near one. 5 seeds.
      ('sources', (4 * 2 + 3 * 2 + 2 * 2 + 2 + 1) * 5, (3 * 2 + 2 * 2 + 2 + 1) * 5),
      ('cql', 2 * 5, 0), ('trust', 3 * 5, 0))
  def test_number_of_runs(self, study, num_last, num_pretrainings):
    _, planned, last = self.planned(study)
    self.assertLen({run.name for run in planned}, len(planned))
    self.assertEqual((len(last), len(planned) - len(last)), (num_last, num_pretrainings))

  def test_primary_arms_share_ten_seeds_at_300_labels_and_five_elsewhere(self):
    cells = self.cells(self.planned('labels')[2])
    for game in ('Breakout', 'Atlantis', 'Frostbite'):
      for variant in ('none', 'one', 'four'):
        for num_labels in (100, 300, 1000, 3000, 10_000):
          is_more = num_labels == 300 and variant != 'one'
          self.assertCountEqual(cells.pop((variant, game, num_labels)),
                                range(10 if is_more else 5))
      for variant in ('past', 'permuted', 'dt1'):
        self.assertCountEqual(cells.pop((variant, game, 300)), range(5))
    self.assertEmpty(cells)

  def test_agents_have_other_seeds_than_those_that_chose_their_number_of_labels(self):
    cells = self.cells(self.planned('agents')[2])
    self.assertLen(cells, 7 * 2)
    for (variant, _, num_labels), seeds in cells.items():
      self.assertCountEqual(seeds, range(5, 10), msg=variant)
      self.assertEqual(num_labels, 500)
    with mock.patch.object(studies, 'AGENTS', {'Breakout': 2400}):
      self.assertCountEqual(self.cells(self.planned('agents')[2])['alpt', 'Breakout', 500],
                            range(5, 15))

  @parameterized.parameters('labels', 'labels_again', 'agents', 'sources', 'trust')
  def test_all_arms_make_the_same_updates(self, study):
    for best in ('shift', 'shift_last', 'joint', 'joint_labels', 'shift_always', 'always_fast',
                 'joint_fast'):
      with mock.patch.object(studies, '_FOUR', best):
        config, planned, last = self.planned(study)
        totals = collections.defaultdict(set)
        for run, changes in last:
          totals[changes['target'], changes['num_labels']].add(self.updates(config, run))
        for (target, num_labels), found in totals.items():
          self.assertEqual(found, {
              {'Breakout': 2400, 'Gopher': 4000}[target] if study in ('agents', 'trust') else
              {100: 600, 300: 600, 1000: 600, 3000: 900, 10_000: 1500}[num_labels]}, msg=best)
        phases = {run.changes['phase'] for run in planned if run.changes['sources']}
        if study != 'trust':
          self.assertEqual(phases, {'joint'} if 'joint' in best else {'pretrain', 'finetune'})

  def test_the_best_may_be_of_the_second_round(self):
    with mock.patch.multiple(studies, _NONE='shift_fast_dropout', _FOUR='joint_fast'):
      config, _, last = self.planned('labels')
    rates, dropouts = collections.defaultdict(set), collections.defaultdict(set)
    for run, _ in last:
      own = runs.run_config(config, run)
      rates[run.variant].add(own.optimizer.idm_learning_rate)
      dropouts[run.variant].add(own.model.idm_dropout)
    self.assertEqual({name: found for name, found in rates.items() if name != 'dt1'},
                     {name: {3e-3} for name in ('none', 'one', 'four', 'past', 'permuted')})
    self.assertEqual((dropouts['none'], dropouts['past'], dropouts['four']), ({.1}, {.1}, {0.}))

  def test_many_labels_have_one_rate_with_sources_and_without(self):
    with mock.patch.multiple(studies, _NONE='shift_faster', _FOUR='always_fast'):
      config, planned, _ = self.planned('labels')
    rates = collections.defaultdict(set)
    for run in planned:
      if run.part == 'labels':
        rates[run.variant, run.changes['num_labels']].add(
            runs.run_config(config, run).optimizer.idm_learning_rate)
    for num_labels in (100, 300, 1000, 3000, 10_000):
      self.assertEqual(rates['four', num_labels], {3e-3})
      self.assertEqual(rates['none', num_labels], {1e-2 if num_labels < 3000 else 3e-3})
    self.assertEqual(rates['past', 300], {1e-2})

  def test_idms_of_agents_have_the_rate_of_many_labels(self):
    with mock.patch.multiple(studies, _NONE='shift_faster', _FOUR='always_fast'):
      for study in ('agents', 'trust'):
        config, _, last = self.planned(study)
        self.assertEqual({runs.run_config(config, run).optimizer.idm_learning_rate
                          for run, _ in last if run.changes['method'] == 'dt1_idm'}, {3e-3})

  def test_dts_that_label_are_judged_on_twenty_thousand_transitions_and_hardly_play(self):
    config, planned, last = self.planned('labels')
    self.assertEqual({run.part for run in planned if run.variant != 'dt1'}, {'labels'})
    found = [runs.run_config(config, run) for run, _ in last if run.variant == 'dt1']
    self.assertEqual({(own.method, own.phase, own.train_dt, own.num_labels, own.num_steps,
                       own.eval_every_steps, own.evaluation.num_episodes) for own in found},
                     {('dt1', 'finetune', True, 300, 600, 600, 2)})
    floors = config.study.floors
    self.assertEqual((floors.labeller_transitions, floors.score_games, floors.exchanged_games),
                     (20_000, 0, 0))

  def test_agents_are_trained_on_recordings_on_which_no_updates_were_chosen(self):
    config = studies.get_config('agents')
    self.assertEqual((config.collect.seed, config.data_dir), (1, gates.FRESH))
    self.assertEqual(config.study.floors.held_out_dir, gates.get_config('gopher').data_dir)

  def test_only_an_arm_without_sources_may_stop_earlier(self):
    with mock.patch.object(studies, '_NONE', 'short'):  # 200 of 600.
      config, _, last = self.planned('labels')
    found = {(run.variant, changes['num_labels']): self.updates(config, run)
             for run, changes in last}
    self.assertEqual([found[variant, 300] for variant in ('none', 'past', 'one', 'four')],
                     [200, 200, 600, 600])
    self.assertEqual([found[variant, 3000] for variant in ('none', 'one', 'four')],
                     [300, 900, 900])

  @parameterized.parameters(*_OF_GAMES)
  def test_every_run_can_be_made_and_has_as_many_rows_an_update(self, study):
    config, planned, _ = self.planned(study)
    first = min(run.changes['seed'] for run in planned)
    for run in planned:
      if run.changes['seed'] != first:
        continue
      own = runs.run_config(config, run)
      phase, specs = run_config.check_run(own)
      rows = collections.Counter()
      for share in shares.of(own, phase, specs):
        rows[{'limited': 'dt'}.get(share.part, share.part)] += share.rows
        if share.data == methods.SOURCES and own.method == 'alpt':
          self.assertEqual(share.rows, 60 // (1 + len(own.sources)), msg=run.name)
      self.assertEqual(set(rows.values()), {32 if study == 'cql' else 60}, msg=run.name)

  def test_sets_of_sources_are_nested_and_the_control_has_the_same(self):
    of = collections.defaultdict(dict)
    for study in ('labels', 'sources'):
      for run, changes in self.planned(study)[2]:
        if run.variant in ('one', 'four', 'nine', 'permuted'):
          cell = changes['target'], changes['seed']
          before = of[cell].setdefault(run.variant, changes['sources'])
          self.assertEqual(changes['sources'], before)
    self.assertLen(of, 3 * 10)
    self.assertGreater(len({sources['four'] for sources in of.values()}), 20)
    for (target, seed), sources in of.items():
      if seed < 5:
        self.assertEqual(sources['permuted'], sources['four'])
        self.assertEqual(sources['one'], sources['four'][:1])
        if target != 'Breakout':
          self.assertEqual(sources['four'], sources['nine'][:4])
          self.assertEqual({target, *sources['nine']}, set(studies.SCRIPTED))

  def test_controls_differ_from_their_arms_in_one_setting(self):
    config, planned, _ = self.planned('labels')
    own = {(run.variant, run.changes['phase']): runs.settings(config, run) for run in planned
           if (run.changes['target'], run.changes['num_labels'], run.changes['seed'])
           == ('Atlantis', 300, 0)}
    for control, arm, key in (('past', 'none', 'model.idm_is_causal'),
                              ('permuted', 'four', 'source_actions')):
      first = {'past': 'finetune', 'permuted': 'pretrain'}[control]
      differs = {k for k in {**own[control, first], **own[arm, first]}
                 if own[control, first].get(k) != own[arm, first].get(k)}
      self.assertEqual(differs, {key})
    self.assertEqual(own['none', 'finetune']['augmentation'], 'shift')
    self.assertEqual(own['four', 'pretrain'].get('augmentation'), 'none')
    self.assertEqual(own['four', 'finetune']['augmentation'], 'shift')

  def test_disjoint_and_renamed_sources(self):
    config, _, last = self.planned('sources')
    found = collections.defaultdict(set)
    for run, _ in last:
      own = runs.run_config(config, run)
      found[run.variant].add((own.target, own.sources, own.num_labels, own.source_actions))
    self.assertEqual(found['freeway'], {('Breakout', ('Freeway',), n, 'true') for n in (100, 300)})
    self.assertEqual(found['atlantis'], {('Asterix', ('Atlantis',), n, 'true') for n in (100, 300)})
    self.assertEqual(found['renamed_Atlantis'], {
        ('Atlantis', ('Pong',), n, 'renamed') for n in (100, 300)})
    self.assertEqual(found['near_Atlantis'], {('Atlantis', ('Pong',), 300, 'true')})

  def test_dts_of_all_arms_but_the_oracle_are_trained_alike(self):
    with mock.patch.multiple(studies, _NONE='shift_slow', _FOUR='shift_slow'):
      config, _, last = self.planned('agents')
    rates = {}
    for run, _ in last:
      own = runs.run_config(config, run)
      self.assertEqual(own.augmentation, 'none' if run.variant == 'oracle' else 'shift')
      rates[run.variant] = own.optimizer.idm_learning_rate, own.optimizer.dt_learning_rate
    tuned, plain = (3e-4, 1e-3), (1e-3, 1e-3)
    self.assertEqual(rates, dict(dt1=plain, dt5=plain, dt5_ret=plain, oracle=plain, dt1_idm=tuned,
                                 alpt=tuned, alpt_idm_only=tuned))

  def test_q_learning_has_thirty_targets_and_three_scores_in_its_last_third(self):
    config, _, last = self.planned('cql')
    for run, _ in last:
      own = runs.run_config(config, run)
      self.assertEqual(own.num_steps / own.cql.target_update_steps, 30)
      self.assertEqual([step for step in range(0, own.num_steps + 1, own.eval_every_steps)
                        if step >= own.num_steps * 2 / 3], [2000, 2500, 3000])
      self.assertEqual(own.num_labels, 10_000)

  def test_ways_to_trust_labels_are_the_only_difference(self):
    config, _, last = self.planned('trust')
    own = {run.variant: runs.settings(config, run) for run, changes in last
           if changes['seed'] == 0}
    self.assertLen(own, 3)
    for name in ('soft', 'thresholded'):
      differs = {key for key in own[name] if own[name][key] != own['hard'].get(key)}
      self.assertTrue(all(key.startswith('pseudo_labels.') for key in differs), msg=str(differs))
    self.assertEqual(own['hard']['num_labels'], 300)

  def test_mazes_are_those_that_nobody_has_tuned_on(self):
    config, _, last = self.planned('mazes')
    self.assertEqual({(run.changes['seed'], run.changes['target']) for run, _ in last},
                     {(seed, maze.target(seed)) for seed in range(10, 15)})
    self.assertEqual({run.changes['eval_every_steps'] for run, _ in last if run.part == 'labels'},
                     {20})
    self.assertEqual(config.study.results_dir, 'experiments/results/mazes')

  @parameterized.parameters(*studies.STUDIES)
  def test_tiny_has_the_same_arms_and_an_estimate(self, study):
    config, planned, _ = self.planned(f'{study},tiny')
    self.assertEqual(config.study.results_dir, '')
    if study != 'mazes':  # Its tiny preset has fewer sources.
      self.assertEqual({run.variant for run in planned},
                       {run.variant for run in self.planned(study)[1]})
    for run in planned:
      own = runs.run_config(config, run)
      self.assertLessEqual(own.num_steps, 6)
      run_config.check_run(own)
    config.workdir = self.enterContext(tempfile.TemporaryDirectory())
    *_, line = estimates.lines(config, planned, [], [])
    self.assertRegex(line, 'Estimate: .* hours')

  @parameterized.parameters(
      ('labels', dict(CONFIRMATORY=()), r'CONFIRMATORY of .* is \(\); expected the games'),
      ('labels', dict(CONFIRMATORY=('Gopher',)), "has 'Gopher'; expected scripted games other"),
      ('labels', dict(CONFIRMATORY=('Alien',)), "has 'Alien'; expected scripted games other"),
      ('labels', dict(CONFIRMATORY=('SpaceInvaders',)), "has 'SpaceInvaders'; expected scripted"),
      ('labels', dict(CONFIRMATORY=('Asterix',)), "has 'Asterix'; .* which tuning has seen"),
      ('labels', dict(_NONE=''), "_NONE of .* is ''; expected a trial of tuning.py: plain, shift"),
      ('labels', dict(_FOUR='best'), "_FOUR of .* is 'best'; expected a trial"),
      ('labels', dict(_FOUR='near'), "_FOUR of .* is 'near', whose sources are .'SpaceInvaders',.; "
                                     'expected a trial with all of'),
      ('agents', dict(_AGENT_LABELS=0), '_AGENT_LABELS of .* is 0; expected the number of labels'),
      ('sources', dict(CONFIRMATORY=('Frostbite',)), 'NEAR of .* has no source for Frostbite'),
      ('figures', _SET, "'figures' is no study; expected one of mazes, labels"),
      ('labels,desk', _SET, "'desk': unknown; expected labels or labels,tiny"))
  def test_what_is_not_filled_in_is_refused(self, study, changes, message):
    with mock.patch.multiple(studies, **changes):
      with self.assertRaisesRegex(ValueError, message):
        studies.get_config(study)


class ConstantsTest(absltest.TestCase):

  def test_claims_are_of_scripted_games_that_tuning_has_not_seen(self):
    trained = {*tuning.GAMES, *tuning.SOURCES}
    self.assertEqual({*studies.SCRIPTED} - trained, {'Atlantis', 'Frostbite', 'Pong', 'Seaquest'})
    self.assertEqual(trained, {*studies._SEEN})
    self.assertEmpty({*studies.CONFIRMATORY} & trained)

  def test_they_are_the_two_games_with_the_largest_gap_on_recordings_of_their_own(self):
    gaps = {row[0]: (float(row[-2]), row[-1])
            for row in ceiling_table.rows(_ROOT / 'experiments' / 'results' / 'ceilings')}
    self.assertEqual({*gaps}, {*studies.SCRIPTED} - {*studies._SEEN})
    self.assertEqual(studies.CONFIRMATORY, tuple(sorted(gaps, key=gaps.get, reverse=True)[:2]))
    self.assertEqual({gaps[game][1] for game in studies.CONFIRMATORY}, {'yes'})
    for study, expected in (
        ('labels', 2), ('sources', 2), ('labels_again', 1)):
      config = studies.get_config(study)
      self.assertEqual(config.collect.seed, expected)
      self.assertEqual(config.data_dir, {2: studies.RECORDINGS, 1: gates.FRESH}[expected])
      reproduce.plan(config)
    self.assertNotIn(studies.RECORDINGS, (gates.FRESH, atari.get_config('desk').data_dir))

  def test_trials_are_the_best_of_tuning(self):
    for arm, name in (('none', studies._NONE), ('four', studies._FOUR)):
      _, rows = summarise._TABLES['tuning trials'](
          _ROOT / 'experiments' / 'results' / 'tuning' / arm / 'runs')
      self.assertEqual(rows[0][0], f'{arm}_{name}')
      self.assertEqual(max(float(row[3]) for row in rows if row[3]), float(rows[0][3]))

  def test_sources_are_the_games_with_a_script(self):
    self.assertEqual(studies.SCRIPTED, policies.SCRIPTED)

  def test_near_sources_have_the_most_similar_actions_that_can_be_renamed(self):
    for game in studies.SCRIPTED:
      actions = {other: set(action_sets.MINIMAL_ACTIONS[other]) for other in studies.SCRIPTED}
      own = actions.pop(game)
      if game not in studies.NEAR:
        self.assertTrue(len(own) == 18 or game in studies._SEEN, msg=game)
        continue
      fitting = {other: ids for other, ids in actions.items() if len(ids) <= 18 - len(own)}
      nearest = max(fitting, key=lambda x: len(own & fitting[x]) / len(own | fitting[x]))  # noqa: B023
      self.assertEqual(studies.NEAR[game], nearest)
      target, source = source_actions.of_specs(
          'renamed', [action_sets.spec(game), action_sets.spec(nearest)], 1)
      self.assertFalse(set(target.legal_actions) & set(source.legal_actions))

  def test_dry_run_says_how_long_it_takes(self):
    workdir = self.enterContext(tempfile.TemporaryDirectory())
    done = subprocess.run(
        [sys.executable, '-m', 'experiments.reproduce', '--dry_run',
         '--config=experiments/configs/studies.py:mazes', f'--config.workdir={workdir}/runs',
         '--config.study.results_dir='],  # None of those that are committed.
        cwd=_ROOT, capture_output=True, text=True, check=False)
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    self.assertIn('210 runs, 0 finished before', done.stdout)
    self.assertRegex(done.stdout, 'Estimate: .* hours')


if __name__ == '__main__':
  absltest.main()
