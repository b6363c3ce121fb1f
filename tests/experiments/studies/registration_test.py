"""Registered studies: what is refused, and what their hypotheses are judged by."""

import copy
import json
import math
import pathlib
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.measures import intervals
from experiments.studies import registration, runs

HYPOTHESIS = {
    'name': 'better', 'claim': 'A source makes labels better.', 'method': 'alpt_blocked',
    'baseline': 'dt1_idm', 'where': {'num_labels': 50}, 'metric': 'label_accuracy',
    'effect': 'difference', 'sign': 'higher', 'smallest_effect': .02}
FASTER = HYPOTHESIS | {'name': 'faster', 'threshold': .5, 'effect': 'ratio', 'sign': 'lower',
                       'smallest_effect': 1.25}
METHODS = ['alpt_blocked', 'dt1_idm']
GRID = {'method': METHODS, 'num_labels': [50, 100], 'target': [f'maze-{seed}' for seed in range(5)],
        'seed': [0, 1, 2, 3, 4]}
GRID_OF_SIX = GRID | {'target': [f'maze-{seed}' for seed in range(6)], 'seed': list(range(6))}


def make_run_settings(**settings):
  """What `experiments.register` adds, for run files of `make_file` with these settings."""
  return {'collect': {'collect.seed': 0}, 'common': settings, 'variants': {
      method: {'common': {}, 'runs': {f'grid-{n}-{method}-seed{seed}': {}
                                      for n in (50, 100) for seed in range(6)}}
      for method in METHODS}}


def make_content(**changes):
  """A registration of the tiny mazes, as its file holds it."""
  return copy.deepcopy({
      'study': 'tiny', 'experiment': 'maze', 'about': 'Do sources help?',
      'hypotheses': [HYPOTHESIS, FASTER], 'grids': [GRID],
      'settings': {'num_steps': 6, 'model.d_model': 16},
      'tuning': {'targets': ['maze-8-blocks:3-seed9'], 'seeds': [9]},
      'run_settings': make_run_settings()} | changes)


def make_file(method='alpt_blocked', seed=0, accuracy=(.2, .4, .8), *, num_labels=50,
              status='done', failures=(), digest=None):
  """The content of a run file, as far as summaries read it."""
  name = f'grid-{num_labels}-{method}-seed{seed}'
  content = {
      'format': 1, 'run': name, 'status': status, 'registration': digest,
      'config_digest': runs.digest({}),
      'settings': {}, 'failures': list(failures),
      'identity': {'run': name, 'method': method, 'observation': 'grid', 'target': f'maze-{seed}',
                   'seed': seed, 'num_labels': num_labels,
                   'sources': ['source'] if 'alpt' in method else []}}
  if status == 'done':
    content |= {'data_digests': {}, 'versions': [], 'num_steps': 20, 'seconds': 60.,
                'commit': 'abc1234567', 'games': None, 'confusion': None,
                'curves': {'step': [0, 10, 20], 'label_accuracy': list(accuracy)}}
  return content


class LoadTest(parameterized.TestCase):

  def write(self, content):
    path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'tiny.json')
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
    return path

  def test_digest_is_of_the_content(self):
    first = registration.load(self.write(make_content()))
    turned = dict(reversed(make_content().items()))
    self.assertEqual(registration.load(self.write(json.dumps(turned))).digest, first.digest)
    other = registration.load(self.write(make_content(about='Something else.')))
    self.assertNotEqual(other.digest, first.digest)

  @parameterized.parameters(
      ({'study': 'other'}, "study is 'other'; expected 'tiny', as its file"),
      ({'grids': []}, r'grids is \[\]; expected a list, not empty'),
      ({'grids': [GRID | {'target': GRID['target'][:3], 'seed': [0, 1, 2]}]},
       r'hypotheses\[0\]: alpt_blocked and dt1_idm have the seeds \[0, 1, 2\] in common; expected '
       'at least 5'),
      ({'grids': [GRID | {'seed': [0, 0, 1, 2, 3, 4]}]}, r'grids\[0\].seed is .* different values'),
      ({'hypotheses': []}, r'hypotheses is \[\]; expected a list, not empty'),
      ({'hypotheses': [HYPOTHESIS] * 2}, r"names \['better', 'better'\]"),
      ({'settings': {}}, 'settings is {}; expected an object, not empty'),
      *(({'grids': [GRID, {k: v for k, v in GRID.items() if k != name}]},
         rf'grids\[1\].{name} is missing') for name in ('method', 'target', 'seed')),
      ({'grids': [GRID | {'seed': [0, 1, 2, 3, 4, 5]}]},
       r'grids\[0\].target has 5 entries; expected one for each of the 6'),
      ({'hypotheses': [HYPOTHESIS | {'where': {}}]},
       r"hypotheses\[0\].where.num_labels is missing; expected one of \['100', '50'\]"),
      ({'run_settings': {'common': {}}}, 'run_settings.collect is missing; expected an object'),
      ({'run_settings': make_run_settings() | {'variants': {'dt1_idm': {'common': {}, 'runs': {
          'a': 1}}}}}, "run_settings.variants.dt1_idm.runs.a is 1; expected an object"),
      ({'hypotheses': [HYPOTHESIS | {'where': {'target': 'maze-1'}}]},
       r'hypotheses\[0\].where.target is .maze-1.; expected none, as a maze goes with one seed'),
      ({'experiment': 'atari', 'hypotheses': [FASTER]},
       r'hypotheses\[0\].where.target is missing; expected one of .*maze-0'),
      ({'more': 1}, 'more is an unknown key; expected study, '),
      ({'tuning': {'targets': ['maze-2', 'maze-4']}},
       r"grids\[0\].target has 'maze-2', 'maze-4', which tuning.targets has, too; expected data"),
      ({'tuning': {'seeds': [1, 7]}}, r'grids\[0\].seed has 1, which tuning.seeds has, too'),
      *(({'hypotheses': [HYPOTHESIS | change]}, rf'hypotheses\[0\].{message}') for change, message
        in (({'method': 'dt1'}, "method is 'dt1'; expected one of"),
            ({'where': {'num_labels': 7}},
             r'where.num_labels is 7; expected one of \[50, 100\], as in grids'),
            ({'sign': 'up'}, "sign is 'up'"), ({'effect': 'odds'}, "effect is 'odds'"),
            ({'threshold': .5}, "effect is 'difference'; expected ratio"),
            ({'smallest_effect': 0}, 'smallest_effect is 0; expected a number above 0'),
            ({'effect': 'ratio', 'smallest_effect': .8},
             'smallest_effect is 0.8; expected a number above 1'))))
  def test_bad_input_is_one_line(self, changes, message):
    path = self.write(make_content(**changes))
    with self.assertRaisesRegex(ValueError, f'^{path}: .*{message}') as caught:
      registration.load(path)
    self.assertLen(str(caught.exception).splitlines(), 1)

  def test_games_that_were_not_tuned_on_may_have_a_seed_of_tuning(self):
    path = self.write(make_content(experiment='atari', hypotheses=[HYPOTHESIS],
                                   tuning={'targets': ['Pong'], 'seeds': [0]}))
    self.assertEqual(registration.load(path).content['tuning']['seeds'], [0])

  def test_without_the_settings_of_its_runs_it_is_not_complete(self):
    content = make_content()
    del content['run_settings']
    path = self.write(content)
    self.assertEqual(registration.load(path, is_complete=False).content, content)
    with self.assertRaisesRegex(ValueError, f'^{path}: run_settings is missing; .* python -m '
                                            f'experiments.register --registration={path} '):
      registration.load(path)

  @parameterized.parameters('{', '[]', '{"study": 1}')
  def test_damage_is_one_line(self, text):
    path = self.write(text)
    with self.assertRaisesRegex(ValueError, f'^{path}: '):
      registration.load(path)

  def test_a_missing_file_is_named(self):
    with self.assertRaisesRegex(ValueError, '^/nowhere.json: no such file; expected a regist'):
      registration.load('/nowhere.json')


class PrimariesTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.registered = registration.Registration(pathlib.Path('tiny.json'), 'abc', make_content())

  def make_file(self, *args, **kwargs):
    return make_file(*args, **kwargs, digest=self.registered.digest)

  def files(self, num_seeds):
    return [self.make_file(method, seed, accuracy) for seed in range(num_seeds)
            for method, accuracy in (('alpt_blocked', (.2, .7, .8)),
                                     ('dt1_idm', (.2, .3, .6 + .01 * seed)))]

  def test_hypotheses_are_judged_together(self):
    better, faster = registration.primaries(self.registered, self.files(5))
    self.assertAlmostEqual(better.comparison.interval.value, .18)  # .8 - .62.
    self.assertEqual((better.verdict.word, faster.verdict.word), ('as expected',) * 2)
    # .2 to .7 in 10 steps: .5 at 6. .3 at 10, .6 + .01 s at 20: .5 at 10 + 2 / (.3 + .01 s).
    ratios = [6 / (10 + 2 / (.3 + .01 * seed)) for seed in range(5)]
    self.assertAlmostEqual(faster.comparison.interval.value,
                           math.exp(sum(map(math.log, ratios)) / 5))
    p_values = sorted((better.comparison.p_value, faster.comparison.p_value))
    self.assertAlmostEqual(min(better.p_value, faster.p_value), 2 * p_values[0])

  def test_there_is_no_verdict_before_all_registered_runs_are_in(self):
    better, _ = registration.primaries(self.registered, self.files(3))
    self.assertEqual(registration.in_words(better),
                     'no verdict: 6 of 10 registered runs are in')
    self.assertAlmostEqual(better.comparison.interval.value, .19)

  def test_no_runs_have_no_verdict(self):
    for primary in registration.primaries(self.registered, []):
      self.assertEqual(registration.in_words(primary),
                       'no verdict: 0 of 10 registered runs are in')

  def test_the_last_run_decides_whether_there_is_a_verdict(self):
    better, faster = registration.primaries(self.registered, self.files(5)[:-1])
    for primary in (better, faster):
      self.assertEqual(registration.in_words(primary), 'no verdict: 9 of 10 registered runs are in'
                       '; not counted, as one arm is not whole: seeds 4')
      self.assertEqual((primary.comparison.interval.n, primary.p_value), (4, 1))

  def test_a_run_that_failed_is_in_and_named(self):
    registered = self.registered._replace(content=make_content(
        grids=[GRID_OF_SIX], hypotheses=[HYPOTHESIS]))
    files = self.files(6)
    files[-1] = self.make_file('dt1_idm', 5, status='failed')
    primary, = registration.primaries(registered, files)
    self.assertEqual((primary.verdict.word, primary.comparison.interval.n), ('as expected', 5))
    self.assertEndsWith(registration.in_words(primary), '; grid-50-dt1_idm-seed5 failed; not '
                        'counted, as one arm is not whole: seeds 5')

  def test_one_of_five_that_failed_leaves_no_verdict(self):
    files = self.files(5)
    files[-1] = self.make_file('dt1_idm', 4, status='failed')
    better, _ = registration.primaries(self.registered, files)
    self.assertEqual(registration.in_words(better), 'no verdict: 4 of 5 seeds; '
                     'grid-50-dt1_idm-seed4 failed; not counted, as one arm is not whole: seeds 4')

  def test_a_hypothesis_counts_the_seeds_that_both_arms_have(self):
    further = GRID | {'num_labels': [50], 'target': ['maze-5'], 'seed': [5]}
    for methods, n in ((METHODS, 6), (METHODS[:1], 5)):
      registered = self.registered._replace(content=make_content(
          grids=[GRID, further | {'method': methods}], hypotheses=[HYPOTHESIS]))
      files = self.files(6)[:10 + len(methods)]
      primary, = registration.primaries(registered, files)
      self.assertEqual((primary.comparison.interval.n, primary.verdict.word), (n, 'as expected'))
      self.assertEqual(primary.remarks, ())
      if n == 6:
        primary, = registration.primaries(registered, files[:11])
        self.assertStartsWith(registration.in_words(primary),
                              'no verdict: 11 of 12 registered runs are in')

  def test_a_run_file_with_other_settings_is_refused(self):
    registered = self.registered._replace(content=make_content(
        run_settings=make_run_settings(num_steps=6)))
    files = self.files(5)
    for content in files:
      content['settings'] = {'num_steps': 6}
    registration.primaries(registered, files)
    files[3]['settings'] = {'num_steps': 7}
    with self.assertRaisesRegex(ValueError, 'tiny.json: the run file of grid-50-dt1_idm-seed1 has '
                                            r'other settings than registered \(num_steps: 6 -> 7'):
      registration.primaries(registered, files)

  def games(self, effect, values, seeds=range(5)):
    """Five seeds on two games; `values` are the method's and the baseline's: (seed, game)."""
    registered = self.registered._replace(content=make_content(
        experiment='atari', hypotheses=[HYPOTHESIS | {'effect': effect, 'smallest_effect': 1.1}],
        grids=[GRID | {'target': ['A', 'B']}]))
    files = []
    for seed in seeds:
      for game in range(2):
        for method, value in zip(('alpt_blocked', 'dt1_idm'), values(seed, game), strict=True):
          content = self.make_file(method, seed, (0., 0., value))
          content['identity']['target'] = 'AB'[game]
          files.append(content)
    return registration.primaries(registered, files)[0]

  def test_games_of_a_seed_are_averaged_and_seeds_are_counted(self):
    # Of seed i: i + 1 on one game and i + 3 on the other, so i + 2.
    found = self.games('difference', lambda seed, game: (10. + seed + 1 + 2 * game, 10.))
    self.assertEqual(found.comparison.interval.n, 5)
    self.assertAlmostEqual(found.comparison.interval.value, 4)
    self.assertAlmostEqual(found.comparison.std, 2.5 ** .5)
    # 2 on one game and 8 on the other: 4.
    found = self.games('ratio', lambda seed, game: ((6., 24.)[game], 3.))
    self.assertEqual(found.comparison.interval.n, 5)
    self.assertAlmostEqual(found.comparison.interval.value, 4)

  def test_many_games_of_one_seed_are_one_pair(self):
    found = self.games('difference', lambda seed, game: (2. + game, 1.), seeds=[0])
    self.assertEqual(found.comparison.interval.n, 1)
    self.assertEqual(registration.in_words(found), 'no verdict: 4 of 20 registered runs are in')

  def test_a_seed_that_lacks_a_game_does_not_count(self):
    found = self.games(
        'difference', lambda seed, game: (None if (seed, game) == (2, 1) else 2., 1.))
    self.assertEqual(found.comparison.interval.n, 4)
    self.assertEqual(registration.in_words(found), 'no verdict: 4 of 5 seeds; '
                     'grid-50-alpt_blocked-seed2 has no label_accuracy; not counted, as one arm is '
                     'not whole: seeds 2')

  def test_a_ratio_of_what_is_not_positive_is_refused(self):
    with self.assertRaisesRegex(ValueError, r"'better': seed 0 has the values \[1.0, 0.0\]"):
      self.games('ratio', lambda seed, game: (1. - game, 1.))

  def test_seeds_and_budgets_that_were_added_later_do_not_count(self):
    more = [self.make_file(method, seed, (0., 0., 0.), num_labels=n) for method in (
        'alpt_blocked', 'dt1_idm') for seed, n in ((9, 50), (0, 100), (0, 70))]
    one = registration.primaries(self.registered, self.files(5))
    two = registration.primaries(self.registered, self.files(5) + more)
    self.assertEqual(one[0].comparison, two[0].comparison)
    note, = registration.notes(self.registered, self.files(5) + more)
    self.assertIn('exploratory (4 runs): grid-50-alpt_blocked-seed9, grid-70-', note)

  def test_runs_of_no_or_another_registration_do_not_count(self):
    files = self.files(5)
    files[0]['registration'], files[2]['registration'] = None, 'def'
    better, _ = registration.primaries(self.registered, files)
    self.assertStartsWith(registration.in_words(better),
                          'no verdict: 8 of 10 registered runs are in')
    self.assertEqual(registration.notes(self.registered, files), [
        'Not run under the registration, exploratory (2 runs): grid-50-alpt_blocked-seed0, '
        'grid-50-alpt_blocked-seed1.'])

  def test_a_level_that_is_never_reached_is_censored(self):
    self.assertEqual(
        registration.measure(make_file(accuracy=(.1, .2, .3)), 'label_accuracy', .5),
        intervals.AtLeast(20.))
    self.assertIsNone(
        registration.measure(make_file(accuracy=(.6, .2, .3)), 'label_accuracy', .5))

  def test_a_level_at_step_0_is_said(self):
    files = self.files(5)
    files[2] = self.make_file('alpt_blocked', 1, (.6, .7, .8))
    _, faster = registration.primaries(self.registered, files)
    self.assertEqual(registration.in_words(faster), 'no verdict: 4 of 5 seeds; '
                     'grid-50-alpt_blocked-seed1 has 0.5 at step 0, to which there is no ratio; '
                     'not counted, as one arm is not whole: seeds 1')

  def test_failures_are_noted(self):
    failure = {'exit_code': 77, 'error': 'the loss is not finite.', 'time': 0}
    notes = registration.notes(None, [
        make_file(seed=1, status='failed', failures=[failure]),
        make_file(seed=2, failures=[failure | {'exit_code': -9, 'error': ''}]),
        make_file(seed=3, status='failed', failures=[
            failure | {'exit_code': None, 'error': 'not started: pretrain failed'}])])
    self.assertEqual(notes, [
        'grid-50-alpt_blocked-seed1: failed with exit code 77: the loss is not finite.',
        'grid-50-alpt_blocked-seed2: failed with exit code -9, done later.',
        'grid-50-alpt_blocked-seed3: not started: pretrain failed.'])

  def test_two_runs_for_one_seed_are_refused(self):
    with self.assertRaisesRegex(ValueError, "hypothesis 'better': more than one run of .* expected "
                                            'one'):
      registration.primaries(self.registered, self.files(5) * 2)


if __name__ == '__main__':
  absltest.main()
