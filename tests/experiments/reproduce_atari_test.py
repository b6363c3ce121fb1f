"""The Atari experiment at the tiny size, through the binaries, as `make atari` runs it."""

import collections
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import jax
from absl.testing import absltest, parameterized

from alpt_jax.domains import study as studies
from alpt_jax.learners import pseudo_labels
from experiments import reproduce
from experiments.configs import atari
from experiments.studies import runs

_ROOT = pathlib.Path(__file__).parents[2]


class PlanTest(parameterized.TestCase):

  def test_pretrainings_come_before_what_starts_from_them(self):
    config = atari.get_config('study')
    planned = reproduce.plan(config)
    self.assertLen({run.name for run in planned}, len(planned))
    for i, run in enumerate(planned):
      own = runs.run_config(config, run)
      self.assertEqual(run.after is not None, own.method == 'alpt' and own.phase == 'finetune')
      if run.after is not None:
        self.assertIn(run.after, planned[:i])
        before = runs.run_config(config, run.after)
        self.assertEqual(before.phase, 'pretrain')
        self.assertEqual(own.init_from, before.workdir)
        for key in ('target', 'sources', 'seed', 'label_seed', 'num_labels', 'train_dt'):
          self.assertEqual(own[key], before[key], msg=key)
      self.assertNotIn(own.target, own.sources)

  def test_study_is_every_label_variant_with_every_target_budget_and_seed(self):
    config = atari.get_config('study')
    found = collections.Counter(
        (run.variant, run.changes['target'], run.changes['num_labels'], run.changes['seed'])
        for run in reproduce.plan(config)
        if run.part == 'labels' and run.changes['phase'] == 'finetune')
    self.assertEqual(found, {
        (variant, target, budget, seed): 1
        for variant in ('idm_target', 'idm_four', 'idm_causal')
        for target in ('Breakout', 'SpaceInvaders') for budget in (300, 10_000)
        for seed in range(5)})

  def test_variants_may_have_more_seeds_at_one_budget_and_budgets_of_their_own(self):
    config = atari.get_config('study')
    config.study.seeds, config.study.score.targets = (0, 1), ()
    variants = config.study.labels.variants
    with config.unlocked():
      for name in ('idm_target', 'idm_four'):
        variants[name].more = dict(seeds=(7, 8), budgets=(300,))
      variants.idm_causal.budgets = (300,)
    found = collections.defaultdict(list)
    for run in reproduce.plan(config):
      if run.changes['phase'] == 'finetune' and run.changes['target'] == 'Breakout':
        found[run.variant].append((run.changes['num_labels'], run.changes['seed']))
        self.assertEqual(run.changes['label_seed'], run.changes['seed'])
        if run.after:
          self.assertEqual(run.after.changes['seed'], run.changes['seed'])
    of_study = [(300, 0), (10_000, 0), (300, 1), (10_000, 1)]
    self.assertEqual(found, {'idm_target': [*of_study, (300, 7), (300, 8)],
                             'idm_four': [*of_study, (300, 7), (300, 8)],
                             'idm_causal': [(300, 0), (300, 1)]})

  @parameterized.parameters({'steps': 1}, {'seeds': (5,)}, {'seeds': (5,), 'budgets': ()},
                            {'seeds': (5,), 'budgets': (300,), 'targets': ('Pong',)})
  def test_more_runs_have_seeds_and_budgets(self, **more):
    config = atari.get_config('study')
    with config.unlocked():
      config.study.labels.variants.idm_four.more = more
    with self.assertRaisesRegex(ValueError, 'study.labels.variants.idm_four.more is .*expected se'):
      reproduce.plan(config)

  def test_desk_asks_at_few_labels_and_scores_the_last_agent_on_64_games(self):
    config = atari.get_config('desk')
    steps = collections.defaultdict(set)
    for run in reproduce.plan(config):
      own = runs.run_config(config, run)
      steps[run.part].add((own.num_labels, own.seed, own.target))
      is_causal = run.variant == 'idm_causal'
      self.assertEqual(own.model.idm_is_causal, is_causal, msg=run.name)
      if run.part == 'score' and own.phase == 'finetune':
        self.assertEqual((own.eval_every_steps, own.evaluation.num_episodes),
                         (own.num_steps, 64), msg=run.name)
        self.assertEqual(own.num_steps, 2400 if run.variant == 'oracle' else 1200)
    self.assertEqual(dict(steps), {'labels': {(300, 0, 'Breakout')},
                                   'score': {(1000, 0, 'Breakout')}})

  def test_floor_is_the_variant_whose_idm_sees_the_past_only(self):
    described = studies.describe(atari.get_config('desk').study.labels.variants)
    self.assertEqual({name: about['is_floor'] for name, about in described.items()},
                     {'idm_target': False, 'idm_four': False, 'idm_causal': True})

  def test_control_is_the_variant_whose_sources_were_changed(self):
    variants = atari.get_config('desk').study.labels.variants
    four = variants.idm_four.to_dict()
    with variants.unlocked():
      variants.everywhere = four | dict(changes=dict(source_actions='renamed'))
      variants.before = four | dict(pretrain=dict(source_actions='permuted'))
    self.assertEqual({name for name, about in studies.describe(variants).items()
                      if about['is_control']}, {'everywhere', 'before'})

  @parameterized.parameters(
      ({'ceiling_steps': -1}, 'study.floors.ceiling_steps is -1; expected at least 0'),
      ({'labeller_transitions': -1}, 'study.floors.labeller_transitions is -1; expected at least'),
      ({'exchanged_games': -1}, 'study.floors.exchanged_games is -1; expected at least 0'),
      ({'score_games': 60}, 'study.floors.score_games is 60; expected 1 to 50, or a multiple'))
  def test_floors_that_cannot_be_measured_are_refused(self, changes, message):
    config = atari.get_config('desk')
    config.study.floors.update(changes)
    with self.assertRaisesRegex(ValueError, message):
      reproduce.plan(config)

  def test_runs_of_the_ablation_of_trust_differ_in_their_labels_only(self):
    config = atari.get_config('trust')
    planned = reproduce.plan(config)
    self.assertLen(planned, 5 * 3)
    others = [{key: value for key, value in run.changes.items() if key != 'pseudo_labels'}
              for run in planned]
    for seed in range(3):
      alike = [changes for changes in others if changes['seed'] == seed]
      self.assertEqual(alike, alike[:1] * 5)
    self.assertEqual(
        collections.Counter(runs.run_config(config, run).pseudo_labels.mode for run in planned),
        dict.fromkeys(pseudo_labels.MODES, 3))

  def test_variant_changes_fields_of_its_runs_and_may_share_a_pretraining(self):
    config = atari.get_config('desk')
    config.study.labels.budgets = (50,)
    with config.unlocked():
      config.study.labels.variants = dict(
          four=dict(label='4 games', method='alpt', sources=atari.FIVE,
                    changes=dict(model=dict(idm_dropout=.5)), pretrain=dict(num_steps=9)),
          slow=dict(label='slow', method='alpt', sources=atari.FIVE, pretraining='four',
                    finetune=dict(num_steps=7, optimizer=dict(idm_learning_rate=.25))),
          joint=dict(label='joint', method='alpt', sources=('Pong',), phase='joint'))
    planned = {run.variant: run for run in reproduce.plan(config)
               if run.part == 'labels' and run.changes['phase'] != 'pretrain'}
    four, slow, joint = (runs.run_config(config, planned[n]) for n in ('four', 'slow', 'joint'))
    self.assertIs(planned['four'].after, planned['slow'].after)
    before = runs.run_config(config, planned['four'].after)
    self.assertEqual((before.num_steps, before.model.idm_dropout), (9, .5))
    self.assertEqual((four.num_steps, four.model.idm_dropout, four.optimizer.idm_learning_rate),
                     (200, .5, config.optimizer.idm_learning_rate))
    self.assertEqual((slow.num_steps, slow.model.idm_dropout, slow.optimizer.idm_learning_rate),
                     (7, config.model.idm_dropout, .25))
    self.assertEqual((joint.phase, joint.num_steps, joint.sources), ('joint', 600, ('Pong',)))
    self.assertIsNone(planned['joint'].after)

  def test_pretraining_of_an_unknown_variant_is_refused(self):
    config = atari.get_config('desk')
    with config.unlocked():
      config.study.labels.variants.idm_four.pretraining = 'fuor'
    with self.assertRaisesRegex(ValueError, "idm_four.pretraining is 'fuor'; expected the name of"):
      reproduce.plan(config)

  def test_who_is_not_pretrained_labels_after_as_many_steps_in_all(self):
    config = atari.get_config('desk')
    steps = {}
    for run in reproduce.plan(config):
      if run.part == 'labels':
        chain = (run.after, run) if run.after else (run,)
        steps[run.name] = sum(r.changes['num_steps'] for r in chain)
        if run.changes['phase'] == 'finetune':
          self.assertEqual(steps[run.name], 600, msg=run.name)


  @parameterized.parameters(
      ({'seeds': (0, 0)}, 'study.seeds is .0, 0., with 0 more than once'),
      ({'score_seeds': (1, 2, 1)}, 'study.score_seeds is .* with 1 more than once'),
      ({'score': {'targets': ('Breakout', 'Breakout')}}, "study.score.targets .* with 'Breakout'"),
      ({'labels': {'targets': ('Breakout', 'Breakout')}},
       "study.labels.targets .* with 'Breakout'"),
      ({'labels': {'budgets': (50, 50)}}, 'study.labels.budgets .* with 50'),
      ({'labels': {'targets': ()}, 'score': {'targets': ()}},
       'study plans no run; .*--config.study.score.targets='))
  def test_repeated_or_no_entries_are_refused(self, changes, message):
    config = atari.get_config('desk')
    config.study.update(changes)
    with self.assertRaisesRegex(ValueError, message):
      reproduce.plan(config)


class ReproduceAtariTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.workdir = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.workdir, ignore_errors=True)
    cls.first = cls.run_binary()
    assert cls.first.returncode == 0, cls.first.stdout + cls.first.stderr

  @classmethod
  def run_binary(cls, *arguments):
    return subprocess.run(
        [sys.executable, '-m', 'experiments.reproduce',
         f'--config={_ROOT}/experiments/configs/atari.py:tiny', f'--config.workdir={cls.workdir}',
         f'--config.data_dir={cls.workdir}/data',
         f'--config.compilation_cache_dir={jax.config.jax_compilation_cache_dir}',
         *arguments],
        cwd=_ROOT, capture_output=True, text=True, check=False)

  def test_labels_and_scores_are_there(self):
    results = json.loads((self.workdir / 'results.json').read_text())
    self.assertEqual({run['status'] for run in results['runs']}, {'done'})
    self.assertEqual(set(results['games']), set(atari.FIVE))
    breakout = results['games']['Breakout']
    self.assertEqual((breakout['role'], breakout['random'], breakout['human']),
                     ('target', 1.7, 30.5))
    self.assertEqual(breakout['chance_accuracy'], .25)
    self.assertIn('NOT DQN replay', breakout['notice'])
    for row in results['rows']:
      has_labels = row['method'] not in ('dt1', 'oracle')
      self.assertEqual(row['label_accuracy'] is not None, has_labels, msg=row)
      plays = row['part'] == 'score' and row['phase'] == 'finetune'
      self.assertEqual(row['sampled/score'] is not None, plays, msg=row)

  def test_report_names_what_was_not_measured(self):
    self.assertIn('labels right', self.first.stdout)
    self.assertIn('NOT DQN replay', (self.workdir / 'report.html').read_text())
    self.assertTrue((self.workdir / 'figure.png').exists())

  def test_runs_stand_between_floors_and_ceiling(self):
    results = json.loads((self.workdir / 'results.json').read_text())
    games = set()
    for run in results['runs']:
      files = self.workdir / 'run_files' / f'{run["run"]}.json'
      self.assertEqual(json.loads(files.read_text())['floors'], run['floors'], msg=run['run'])
      if run['phase'] == 'pretrain':
        self.assertIsNone(run['floors'])
        continue
      labels, agent, scores = (run['floors'][key] for key in ('labels', 'agent', 'scores'))
      self.assertEqual(labels is not None, run['method'] not in ('dt1', 'oracle'))
      self.assertEqual((agent is not None, scores is not None), 2 * (run['part'] == 'score',))
      if labels and not labels['is_constant']:
        self.assertEqual(labels['ceiling']['expected']['num_transitions'], 5)
        self.assertEqual(labels['floors']['num_labels'], 50)
      if scores:
        games.add(scores['agents']['random']['num_episodes'])
        self.assertEqual(scores['protocol']['max_steps'], 20)
    self.assertEqual(games, {2})
    self.assertIn('measured before training: ceiling and score floors of Breakout',
                  self.first.stdout)
    self.assertIn('looks? ', self.first.stdout)

  def test_second_call_trains_and_measures_nothing(self):
    before = {path: path.stat().st_mtime_ns for path in self.workdir.rglob('*')
              if path.name in ('floors.json', 'ceiling.json', 'score_floors.json')}
    self.assertLen(before, 7 + 2)
    second = self.run_binary()
    self.assertEqual(second.returncode, 0, second.stderr)
    self.assertIn('9 runs, 9 finished before', second.stdout)
    self.assertNotIn('measured before training', second.stdout)
    self.assertEqual({path: path.stat().st_mtime_ns for path in before}, before)

  def test_floors_of_another_protocol_are_refused_before_training(self):
    result = self.run_binary('--config.evaluation.max_steps=30',
                             f'--config.workdir={self.workdir}/other')
    self.assertEqual(result.returncode, 1)
    self.assertIn('protocol max_steps is 20; expected 30', result.stderr)
    self.assertFalse((self.workdir / 'other').exists())


if __name__ == '__main__':
  absltest.main()
