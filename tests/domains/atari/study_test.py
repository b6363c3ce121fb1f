"""Plans of Atari studies: sources that seeds draw, targets of a variant, numbers of updates."""

import collections
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.domains import study as studies
from experiments import reproduce
from experiments.configs import atari
from experiments.studies import estimates, runs

_POOL = ('Asterix', 'Breakout', 'Freeway', 'Pong', 'Seaquest')


def make_config(part='labels', **study):
  """A study of two games: one part of `desk`, with other fields."""
  config = atari.get_config('desk')
  config.study[{'labels': 'score', 'score': 'labels'}[part]].targets = ()
  config.study[part].targets = ('Breakout', 'Pong')
  with config.unlocked():
    for key, value in study.items():
      config.study[part][key] = value
  return config


def updates_of(config):
  """{(variant, target, labels, phase): updates}"""
  return {(run.variant, *(run.changes[key] for key in ('target', 'num_labels', 'phase'))):
          runs.run_config(config, run).num_steps for run in reproduce.plan(config)}


class DrawTest(absltest.TestCase):

  def test_sets_are_nested_and_redrawn_by_seeds(self):
    config = make_config(variants={
        f'alpt{n}': dict(label=str(n), method='alpt', sources=_POOL, draw=n) for n in (1, 2, 4)})
    config.study.seeds = tuple(range(20))
    firsts = collections.Counter()
    found = {(run.variant, run.changes['target'], run.changes['seed'], run.changes['phase']):
             run.changes['sources'] for run in reproduce.plan(config)}
    self.assertLen(found, 3 * 2 * 20 * 2)
    for (variant, target, seed, phase), sources in found.items():
      self.assertLen(set(sources), int(variant.removeprefix('alpt')))
      self.assertLessEqual(set(sources), set(_POOL) - {target})
      largest = found['alpt4', target, seed, phase]
      self.assertEqual(sources, largest[:len(sources)])
      self.assertEqual(sources, found[variant, target, seed, 'pretrain'])
      firsts[target, sources[0]] += variant == 'alpt1' and phase == 'pretrain'
    self.assertLen(firsts, 8)  # Every other game is some seed's first: 4 of each target.

  def test_more_than_there_are_is_refused(self):
    config = make_config(variants=dict(
        many=dict(label='many', method='alpt', sources=_POOL, draw=5)))
    with self.assertRaisesRegex(ValueError, "draw of variant 'many' is 5; expected at most 4"):
      reproduce.plan(config)


class TargetsTest(absltest.TestCase):

  def test_a_variant_may_have_some_of_the_targets(self):
    config = make_config()
    with config.unlocked():
      config.study.labels.variants.idm_causal.targets = ('Pong',)
    found = collections.Counter((variant, target) for variant, target, _, phase
                                in updates_of(config) if phase == 'finetune')
    self.assertEqual(found, {(variant, target): 1 for variant, target in (
        ('idm_target', 'Breakout'), ('idm_target', 'Pong'), ('idm_four', 'Breakout'),
        ('idm_four', 'Pong'), ('idm_causal', 'Pong'))})
    with config.unlocked():
      config.study.labels.variants.idm_causal.targets = ('Gopher',)
    with self.assertRaisesRegex(ValueError, "idm_causal.targets has 'Gopher'; expected some of"):
      reproduce.plan(config)


class UpdatesTest(parameterized.TestCase):

  def test_depend_on_target_and_number_of_labels(self):
    config = make_config(
        budgets=(300, 1000), pretrain_steps=40, num_steps=20,
        steps_of={'1000': dict(pretrain_steps=80), 'Pong': dict(num_steps=25)})
    with config.unlocked():
      config.study.labels.variants.idm_target.steps_of = {'300': dict(pretrain_steps=0)}
    found = updates_of(config)
    self.assertEqual(
        [found['idm_four', target, budget, phase] for target in ('Breakout', 'Pong')
         for budget in (300, 1000) for phase in ('pretrain', 'finetune')],
        [40, 20, 80, 20, 40, 25, 80, 25])
    self.assertEqual([found['idm_causal', target, budget, 'finetune']
                      for target in ('Breakout', 'Pong') for budget in (300, 1000)],
                     [60, 100, 65, 105])
    self.assertEqual([found['idm_target', 'Breakout', budget, 'finetune']
                      for budget in (300, 1000)], [20, 100])

  def test_what_a_variant_changes_may_depend_on_the_number_of_labels(self):
    config = make_config(budgets=(300, 1000))
    with config.unlocked():
      config.study.labels.variants.idm_four.update(
          changes=dict(optimizer=dict(weight_decay=.5)), finetune=dict(model=dict(idm_dropout=.1)),
          changes_of={'1000': dict(optimizer=dict(weight_decay=.25, warmup_steps=5))})
    config.lock()  # As that of programs is.
    self.assertEqual([run.changes['optimizer'] for run in reproduce.plan(config)
                      if run.variant == 'idm_four' and run.changes['num_labels'] == 1000],
                     [dict(idm_learning_rate=3e-3, weight_decay=.25, warmup_steps=5)] * 4)
    self.assertIn('With 1,000 labels: optimizer.warmup_steps 5, optimizer.weight_decay 0.25.',
                  studies.describe(config.study.labels.variants)['idm_four']['description'])
    found = {(run.changes['num_labels'], run.changes['phase']): (
        own.optimizer.weight_decay, own.model.idm_dropout) for run in reproduce.plan(config)
             if run.variant == 'idm_four' for own in [runs.run_config(config, run)]}
    self.assertEqual(found, {(300, 'pretrain'): (.5, 0.), (300, 'finetune'): (.5, .1),
                             (1000, 'pretrain'): (.25, 0.), (1000, 'finetune'): (.25, .1)})
    with config.unlocked():
      config.study.labels.variants.idm_four.changes_of = {'400': {}}
    with self.assertRaisesRegex(ValueError, r"idm_four.changes_of has '400'; expected one of"):
      reproduce.plan(config)

  def test_agents_may_make_as_many_with_pretraining_as_without(self):
    for is_equal, expected in ((False, 20), (True, 60)):
      config = make_config('score', pretrain_steps=40, num_steps=20, eval_every_steps=20,
                           equal_updates=is_equal)
      found = updates_of(config)
      self.assertEqual(found['dt1', 'Pong', 1000, 'finetune'], expected)
      self.assertEqual(found['alpt', 'Pong', 1000, 'finetune'], 20)

  @parameterized.parameters(({'301': dict(num_steps=1)},), ({'Gopher': dict(num_steps=1)},),
                            ({'300': dict(steps=1)},))
  def test_those_that_no_run_makes_are_refused(self, steps_of):
    with self.assertRaisesRegex(ValueError, r'study.labels.steps_of has .*; expected one of'):
      reproduce.plan(make_config(steps_of=steps_of))

  def test_estimates_tell_runs_of_other_lengths_apart(self):
    config = make_config(budgets=(300, 1000), pretrain_steps=0, num_steps=10,
                         steps_of={'1000': dict(num_steps=30)})
    config.workdir = self.enterContext(tempfile.TemporaryDirectory())
    config.study.rates = dict(source='', start=5., evaluation=0., finetune=dict(idm=1.),
                              pretrain=dict(idm=1.))
    works, _, _ = estimates.plan(config, reproduce.plan(config), [])
    self.assertEqual(sorted((work.num_steps, work.num_runs, work.seconds) for work in works
                            if work.label == 'Target only'), [(10, 2, 30.), (30, 2, 70.)])

  def test_an_agent_that_is_only_evaluated_last_plays_twice(self):
    config = make_config('score', num_steps=20, eval_every_steps=1000, targets=('Pong',))
    config.workdir = self.enterContext(tempfile.TemporaryDirectory())
    config.study.rates = dict(source='', start=5., evaluation=7., finetune=dict(both=1., dt=1.),
                              pretrain=dict(both=1.))
    works, _, _ = estimates.plan(config, reproduce.plan(config), [])
    self.assertEqual({work.seconds for work in works if work.label == 'DT1'}, {5. + 20 + 2 * 7})


if __name__ == '__main__':
  absltest.main()
