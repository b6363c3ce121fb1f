"""Comparing IDMs with and without a source: what is paired, what is refused, what is concluded."""

import collections
import dataclasses
import functools
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import domains, methods
from alpt_jax.data import labels
from alpt_jax.domains.maze import env
from alpt_jax.labelling import audit_compare, compare_findings, paired_runs, trained_run
from alpt_jax.measures import floors
from alpt_jax.training import train
from tests import atari_runs, maze_data, own_runs
from tests.labelling.saying import saying

ROOT = pathlib.Path(__file__).resolve().parents[2]
Said = collections.namedtuple('Said', 'episode probabilities')  # As `votes.Votes`.


def says(wrong_fn):
  """A make_predict_fn of IDMs that are wrong where wrong_fn(trained, actions [L]) says so."""
  def make_predict_fn(trained, spec, stride):
    del stride

    def predict_fn(episodes, numbers):
      for number in numbers:
        actions, _ = episodes.actions_of(number)
        others = np.roll(np.array(spec.legal_actions), 1)
        place = np.searchsorted(spec.legal_actions, actions)
        said = np.where(wrong_fn(trained, actions), others[place], actions)
        yield Said(number, np.eye(spec.num_actions)[said])

    return predict_fn

  return make_predict_fn


def all_saying(pairs, make_predict_fn):
  """The same pairs, whose IDMs say what make_predict_fn(trained, spec, stride) does."""
  return [paired_runs.Pair(*(
      member._replace(trained=saying(
          member.trained, functools.partial(make_predict_fn, member.trained))) for member in pair))
          for pair in pairs]


def is_with(trained):
  return bool(methods.SOURCES in methods.phase_of(trained.config.method, trained.config.phase).idm)


def first_or_every_second(trained, actions):
  """With a source, the first transition of an episode is labelled wrong; without, every second."""
  place = np.arange(len(actions))
  return place == 0 if is_with(trained) else place % 2 == 1


class CompareTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    for name, changes in (('with', {}), ('without', dict(method='dt1_idm', sources=()))):
      config = maze_data.config(cls.root / name, train_dt=False, **changes)
      assert train.train(config, config.workdir) == 0
    cls.config = config
    cls.truth = domains.of(config).read(config.target)
    choice = labels.read_choice(cls.root / 'with' / 'labels.json')
    cls.held_out = sorted(set(range(40)) - set(choice.windows[:, 0].tolist()))

  def copy(self, name, **changes):
    """A copy of a run whose config says something else; keys have __ for dots."""
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), name)
    shutil.copytree(self.root / name, directory)
    path = directory / 'config.json'
    content = json.loads(path.read_text())
    for key, value in changes.items():
      *groups, last = key.split('__')
      tree = content
      for group in groups:
        tree = tree[group]
      tree[last] = value
    path.write_text(json.dumps(content))
    return directory

  def pairs(self, runs, baselines):
    return paired_runs.pair(*([paired_runs.restore(directory) for directory in directories]
                              for directories in (runs, baselines)))

  def compare(self, wrong_fn=first_or_every_second, pairs=None, **settings):
    pairs = pairs or self.pairs([self.root / 'with'], [self.root / 'without'])
    return audit_compare.compare(
        all_saying(pairs, says(wrong_fn)), **dict(num_episodes=0, progress=False) | settings)

  def test_a_pair_is_judged_on_the_same_held_out_transitions(self):
    found = self.compare()
    one, = found['pairs']
    lengths = self.truth.num_transitions[self.held_out]
    episode = np.repeat(self.held_out, lengths)
    place = np.concatenate([np.arange(n) for n in lengths])
    right, baseline = place != 0, place % 2 == 0
    self.assertEqual((one['num_episodes'], one['num_transitions'], one['kind']),
                     (len(self.held_out), lengths.sum(), 'held out'))
    self.assertAlmostEqual(one['run']['accuracy']['value'], np.mean(right))
    self.assertAlmostEqual(one['baseline']['accuracy']['value'], np.mean(baseline))
    # Right in one and wrong in the other: paired by transition.
    self.assertEqual(one['difference'],
                     floors.mean(right.astype(float) - baseline, episode)._asdict())
    result, = found['results']
    self.assertEqual(
        [result['difference'][key] for key in ('value', 'low', 'high', 'n', 'over')],
        [one['difference'][key] for key in ('value', 'low', 'high', 'num_episodes')] + ['episodes'])
    self.assertEqual((one['run']['sources'], one['baseline']['sources']),
                     (['maze-8-blocks:3-seed100'], []))

  def test_floors_are_those_of_the_labels_on_these_transitions(self):
    one, = self.compare()['pairs']
    known = labels.read_choice(self.root / 'with' / 'labels.json').windows
    actions = np.concatenate([
        self.truth.actions_of(e)[0][s:s + 5] for e, s in known.tolist()])
    frequent = np.bincount(actions).argmax()
    judged = np.concatenate([self.truth.actions_of(e)[0] for e in self.held_out])
    self.assertAlmostEqual(one['floors']['majority']['value'], np.mean(judged == frequent))
    self.assertEqual(one['floors']['num_labels'], 50)
    for name in ('run', 'baseline'):  # Paired, so the means subtract; each against the same floor.
      self.assertAlmostEqual(
          one[name]['margin']['value'],
          one[name]['accuracy']['value'] - one['floors'][one['floors']['best']]['value'])
    self.assertGreater(one['ceiling']['expected']['value'], one['floors']['table']['value'])

  def test_one_pair_has_no_verdict_whatever_its_interval(self):
    found = self.compare()
    self.assertEqual(found['results'][0]['verdict']['word'], 'cannot tell')
    self.assertIsNone(found['results'][0]['p_value'])
    self.assertGreater(found['pairs'][0]['difference']['low'], 0)
    self.assertIn('cannot tell, n = 1: a verdict needs 5 pairs', found['sentences'][-1])
    self.assertIn('the interval over episodes is above zero, +0.', found['sentences'][-1])
    swapped = self.compare(pairs=self.pairs([self.root / 'without'], [self.root / 'with']))
    self.assertIn('is below zero, -0.', swapped['sentences'][-1])

  def test_several_pairs_are_judged_over_seeds(self):
    seeds = range(5)
    runs, baselines = ([self.copy(name, seed=seed, label_seed=0) for seed in order]
                       for name, order in (('with', seeds), ('without', reversed(seeds))))
    pairs = self.pairs(runs, baselines)
    self.assertEqual([[x.trained.config.seed for x in pair] for pair in pairs],
                     [[seed, seed] for seed in seeds])
    # Without a source, every second to every sixth transition is wrong: another share each.
    found = self.compare(lambda trained, actions: np.arange(len(actions)) % (
        trained.config.seed + 2) == (-1 if is_with(trained) else 1), pairs)
    differences = np.array([one['difference']['value'] for one in found['pairs']])
    self.assertLen(set(differences.round(6)), 5)
    result, = found['results']
    half = 2.776445105 * differences.std(ddof=1) / 5 ** .5  # t, four degrees of freedom, 97.5 %.
    for key, expected in (('value', differences.mean()), ('low', differences.mean() - half),
                          ('high', differences.mean() + half)):
      self.assertAlmostEqual(result['difference'][key], expected, places=6)
    self.assertEqual((result['difference']['over'], result['verdict']['word']),
                     ('training seeds', 'better'))
    text = '\n'.join(found['sentences'])
    self.assertIn('difference over 5 training seeds (Student’s t): +0.', text)
    self.assertIn('All pairs have one label_seed', text)

  @parameterized.parameters(
      dict(label_seed=3), dict(num_labels=55), dict(optimizer__weight_decay=.1),
      dict(augmentation='shift'), dict(sampling__pool_size=128), dict(idm_batch_size=8),
      dict(data_digests={'maze-8-blocks:3-seed0': 'other'}))
  def test_what_must_not_differ_is_named(self, **changes):
    (key, value), = changes.items()
    name = 'num_steps x idm_batch_size' if key == 'idm_batch_size' else key.replace('__', '.')
    said = 48 if key == 'idm_batch_size' else 'other' if key == 'data_digests' else value
    with self.assertRaisesRegex(ValueError, (
        'without: cannot be compared with .*with, from which it differs in more than sources, '
        f'method and phase: .*{name}.* is {said}, there .*Train one of them again')):
      self.pairs([self.copy('without', **changes)], [self.root / 'with'])

  def test_what_the_idm_does_not_depend_on_may_differ(self):
    other = self.copy('without', batch_size=24, train_dt=True, eval_every_steps=1,
                      reward_weight=1., model__dt_dropout=.5, sharding__accumulate=2)
    pair, = self.pairs([self.root / 'with'], [other])
    self.assertEqual(pair.baseline.trained.directory, other)

  def test_updates_of_a_pretraining_count(self):
    pretrained = self.copy('with', phase='pretrain', num_steps=4)
    run = self.copy('with', phase='finetune', init_from=str(pretrained), sources=[])
    member, baseline = map(paired_runs.restore, (run, self.root / 'without'))
    self.assertEqual((member.sources, member.num_updates, member.num_windows),
                     (('maze-8-blocks:3-seed100',), 4 + 6, 10 * 12))
    with self.assertRaisesRegex(ValueError, 'updates of the IDM, .*, is 10, there 6'):
      paired_runs.pair([member], [baseline])
    member = member._replace(trained=dataclasses.replace(member.trained, step=2))
    pair, = paired_runs.pair([member], [baseline])
    self.assertEqual(pair.run.num_updates, 6)

  def test_settings_of_a_pretraining_that_only_one_run_has_are_listed(self):
    pretrained = self.copy('with', phase='pretrain', num_steps=4, augmentation='shift',
                           optimizer__idm_learning_rate=.5, seed=9, train_dt=True)
    run = self.copy('with', phase='finetune', init_from=str(pretrained), sources=[])
    member, baseline = map(paired_runs.restore, (run, self.root / 'without'))
    member = member._replace(trained=dataclasses.replace(member.trained, step=2))
    pair, = paired_runs.pair([member], [baseline])
    rate = self.config.optimizer.idm_learning_rate
    expected = ['augmentation is shift, then none',
                f'optimizer.idm_learning_rate is 0.5, then {rate}', 'seed is 9, then 0']
    self.assertEqual(paired_runs.unmatched(*pair), expected)
    self.assertEmpty(paired_runs.unmatched(pair.baseline, pair.run))
    self.assertEmpty(paired_runs.unmatched(pair.run, pair.run))  # Compared with each other.
    found = self.compare(pairs=[pair])
    one, = found['pairs']
    self.assertEqual((one['run']['pretraining_also'], one['baseline']['pretraining_also']),
                     (expected, []))
    self.assertIn(f'the pretraining of {run} also has: {"; ".join(expected)}. The other run has '
                  'none', '\n'.join(found['sentences']))

  def test_runs_without_a_partner_or_a_difference_are_refused(self):
    run, baseline = self.root / 'with', self.root / 'without'
    with self.assertRaisesRegex(ValueError, 'seed is 1, and no run that it is to be compared'):
      self.pairs([run, self.copy('with', seed=1)], [baseline])
    with self.assertRaisesRegex(ValueError, 'seed is 0, that of .*with, too; expected one run'):
      self.pairs([run, self.copy('with')], [baseline])
    with self.assertRaisesRegex(ValueError, 'differs in neither sources, method nor phase'):
      self.pairs([run], [self.copy('with')])

  def test_pairs_that_are_not_alike_are_refused(self):
    more = [self.copy(name, seed=1, optimizer__weight_decay=.1) for name in ('with', 'without')]
    with self.assertRaisesRegex(ValueError, 'more than seeds, target and which sources: '
                                            'optimizer.weight_decay is 5e-05, there 0.1'):
      self.pairs([self.root / 'with', more[0]], [self.root / 'without', more[1]])

  def test_other_labelled_windows_are_refused(self):
    other = self.copy('without')
    choice = labels.read_choice(other / 'labels.json')
    labels.write_choice(other / 'labels.json', choice._replace(
        windows=choice.windows[:-1], budget=choice.budget - 5))
    with self.assertRaisesRegex(ValueError, 'other labelled windows'):
      self.pairs([self.root / 'with'], [other])

  def test_an_environment_that_a_run_knew_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'maze-8-blocks:3-seed100 was a source of .*with'):
      self.compare(environments=('maze-8-blocks:3-seed100',))
    found = self.compare(environments=('maze-8-tunnel-seed100', self.config.target))
    self.assertEqual([(x['environment'], x['kind']) for x in found['pairs']], [
        ('maze-8-tunnel-seed100', 'never seen'), (self.config.target, 'held out')])
    self.assertLen(found['results'], 2)

  def test_constant_labels_and_those_below_a_floor_are_said_to_be(self):
    def make_predict_fn(trained, spec, stride):
      if is_with(trained):
        return says(lambda trained, actions: np.zeros(len(actions), bool))(trained, spec, stride)
      return lambda episodes, numbers: (
          Said(n, np.eye(spec.num_actions)[np.full(episodes.num_transitions[n], env.UP)])
          for n in numbers)

    pairs = self.pairs([self.root / 'with'], [self.root / 'without'])
    text = '\n'.join(audit_compare.compare(
        all_saying(pairs, make_predict_fn), progress=False)['sentences'])
    self.assertRegex(text, 'labels of .*without are constant: UP in 100 %')
    self.assertRegex(text, 'labels of .*without are no better than the floor table')
    self.assertNotRegex(text, 'labels of [^ ]*/with are')

  @parameterized.parameters(0., -1., float('nan'))
  def test_smallest_effect_is_a_difference(self, smallest_effect):
    with self.assertRaisesRegex(ValueError, 'smallest_effect is .*; expected a difference'):
      self.compare(smallest_effect=smallest_effect)


def made_up(difference, seed):
  about = lambda value: {'accuracy': {'value': value}}  # noqa: E731
  return {'environment': 'Play', 'seed': seed, 'run': about(.5 + difference), 'baseline': about(.5),
          'difference': {'value': difference, 'low': .01, 'high': .2, 'num_episodes': 7}}


class VerdictTest(parameterized.TestCase):

  @parameterized.parameters(
      ((.10, .12, .08, .11, .09), 'better'), ((-.10, -.12, -.08, -.11, -.09), 'worse'),
      ((.001, -.002, .003, .0, -.001), 'no difference'), ((.3, -.3, .2, -.1, .1), 'cannot tell'),
      ((.10, .12, .08, .11), 'cannot tell'))
  def test_verdicts(self, differences, word):
    group = [made_up(difference, seed) for seed, difference in enumerate(differences)]
    result = audit_compare.result_of(group, .03)
    self.assertEqual(result['verdict']['word'], word)
    self.assertEqual(result['difference']['n'], len(differences))
    self.assertStartsWith(compare_findings.verdict_of(result), word)

  def test_interval_worked_by_hand(self):
    # Mean 0.10, standard deviation 0.0158114; 2.776445 * 0.0158114 / sqrt(5) = 0.0196324.
    group = [made_up(difference, seed) for seed, difference in enumerate((.10, .12, .08, .11, .09))]
    difference = audit_compare.result_of(group, .03)['difference']
    self.assertAlmostEqual(difference['low'], .0803676, places=6)
    self.assertAlmostEqual(difference['high'], .1196324, places=6)

  def test_a_target_for_every_seed(self):
    group = [made_up(.1, seed) | {'environment': f'maze {seed}'} for seed in range(3)]
    self.assertEqual(audit_compare.result_of(group, .03)['environment'],
                     'a target of its own for every seed')


class AtariTest(absltest.TestCase):

  def test_hidden_transitions_of_a_game(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    for name, changes in (('with', dict(method='alpt')), ('without', dict(
        method='dt1_idm', sources=()))):
      config = atari_runs.config(root / name, 'tiny,setting=disjoint', train_dt=False, num_steps=2,
                                 idm_batch_size=10, **changes)
      self.assertEqual(train.train(config, config.workdir), 0)
    pairs = paired_runs.pair([paired_runs.restore(root / 'with')],
                             [paired_runs.restore(root / 'without')])
    found = audit_compare.compare(all_saying(pairs, says(first_or_every_second)), is_hidden=True,
                                  num_episodes=0, progress=False)
    one, = found['pairs']
    truth = domains.of(config).read(config.target)
    known = labels.read_choice(root / 'with' / 'labels.json')
    is_known = trained_run.is_known(known, truth.num_transitions, '')
    self.assertEqual((one['kind'], one['run']['sources']), ('hidden', ['Freeway']))
    self.assertEqual(one['num_transitions'], sum((~x).sum() for x in is_known.values()))
    self.assertIsNotNone(one['floors']['linear'])


class BinaryTest(absltest.TestCase):

  def run_binary(self, *args):
    return subprocess.run([sys.executable, '-m', 'experiments.audit', *args], cwd=ROOT,
                          capture_output=True, text=True, check=False)

  def test_own_data_with_and_without_a_source(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    own_runs.write(root / 'Play', (20, 31, 25, 18, 40, 22))
    own_runs.write(root / 'Cousin', (30, 30), seed=1, described=own_runs.environment('Cousin'))
    for name, sources in (('with', ('Cousin',)), ('without', ())):
      config = own_runs.config(root, root / name, train_dt=False, held_out=.5, sources=sources,
                               method='alpt' if sources else 'dt1_idm')
      self.assertEqual(train.train(config, config.workdir), 0)
    done = self.run_binary(f'--run={root}/with', f'--compare={root}/without')
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    found = json.loads((root / 'with' / 'audit' / 'compare.json').read_text())
    one, = found['pairs']
    self.assertEqual((one['num_episodes'], one['kind']), (3, 'held out'))
    audit = json.loads((root / 'with' / 'audit' / 'audit.json').read_text())
    self.assertAlmostEqual(  # Of the same votes on the same episodes.
        one['run']['accuracy']['value'], audit['environments'][0]['accuracy']['value'])
    self.assertIn('\n'.join(found['sentences']), done.stdout)
    self.assertIn('Cousin (alpt)', found['sentences'][0])
    self.assertIn('no source (dt1_idm)', (root / 'with' / 'audit' / 'audit.html').read_text())
    refused = self.run_binary(f'--run={root}/with', f'--compare={root}/without',
                              '--smallest_effect=3', f'--output={root}/again')
    self.assertEqual(refused.returncode, 1)
    self.assertRegex(refused.stderr, '^error: smallest_effect is 3.0; .*\n$')  # No progress.

  def test_several_runs_need_others_to_compare_with(self):
    done = self.run_binary('--run=a,b')
    self.assertEqual(done.returncode, 1)
    self.assertIn('error: --run is a,b; expected one run directory, or as many', done.stderr)


if __name__ == '__main__':
  absltest.main()
