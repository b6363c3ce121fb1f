"""Tables of READMEs: made from run files, and equal to what is committed."""

import contextlib
import io
import json
import pathlib
import tempfile
from unittest import mock

from absl import flags
from absl.testing import absltest, flagsaver, parameterized

from alpt_jax.measures import confusions
from experiments import summarise
from experiments.studies import registration
from tests.domains.atari import report_floors_test
from tests.experiments.studies import registration_test

BEGIN, END = '<!-- run files: runs -->\n', '<!-- end of run files -->'
make_file = registration_test.make_file


class CommittedTest(absltest.TestCase):

  def test_readmes_are_what_run_files_say(self):
    found = summarise.readmes()
    self.assertTrue(any('<!-- run files:' in path.read_text(encoding='utf-8') for path in found))
    for path in found:
      text = path.read_text(encoding='utf-8')
      self.assertEqual(summarise.update(text, path.parent), text,
                       msg=f'{path} is not up to date: run python -m experiments.summarise')

  def test_committed_run_files_can_be_read_and_are_small(self):
    found = [*(summarise.runs.ROOT / 'experiments' / 'results').rglob('runs/*.json')]
    self.assertNotEmpty(found)
    for path in found:
      content = summarise.run_files.read(path)
      self.assertEqual(summarise.runs.digest(content['settings']), content['config_digest'],
                       msg=f'{path}: its settings have been changed')
      self.assertLess(path.stat().st_size, 30_000, msg=str(path))

  def test_committed_registrations_can_be_read(self):
    for path in registration.DIRECTORY.glob('*.json'):
      registration.load(path)


class UpdateTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.registrations = self.directory / 'registrations'
    self.registrations.mkdir()

  def update(self, files, text=f'Before.\n\n{BEGIN}old\n{END}\n\nAfter.\n'):
    (self.directory / 'runs').mkdir(exist_ok=True)
    for content in files:
      (self.directory / 'runs' / f'{content["run"]}.json').write_text(json.dumps(content))
    return summarise.update(text, self.directory, self.registrations)

  def register(self):
    path = self.registrations / 'tiny.json'
    path.write_text(json.dumps(registration_test.make_content()))
    return registration.load(path).digest

  def test_none_yet_is_said(self):
    self.assertEqual(self.update([]),
                     f'Before.\n\n{BEGIN}\nThere are no run files yet.\n\n{END}\n\nAfter.\n')

  def test_a_gate_is_judged_by_its_run_files(self):
    begin, end = '<!-- gate optimizers: runs -->\n', '<!-- end of table -->'
    text = self.update([make_file()], f'{begin}{end}')
    self.assertEqual(text, f'{begin}\n| asks for | found | reached |\n|---|---|---|\n'
                     '| maze-0: LAMB less AdamW, accuracy, the whole interval '
                     f'within 0.02 | no interval: n = 0, 0 seeds | **no** |\n\n{end}')
    with self.assertRaisesRegex(ValueError, "'gate speed' is no table; expected one of gate"):
      self.update([], '<!-- gate speed: runs -->\n<!-- end of table -->')

  @parameterized.named_parameters(
      ('seed twice', lambda c: c['identity'].update(seed=0, target='maze-0'),
       'are both of seed 0; expected one'),
      ('another rate', lambda c: c.update(
          settings={'rate': 9.}, config_digest=summarise.runs.digest({'rate': 9.})),
       'differ in rate; expected'),
      ('settings of another digest', lambda c: c.update(settings={'rate': 9.}),
       'seed1.json: not a run file: its config_digest is'),
      ('no seed', lambda c: c['identity'].pop('seed'), 'identity.seed is missing'),
      ('seconds', lambda c: c.update(seconds='60'), 'seconds is .60.; expected a number'),
      ('confusion', lambda c: c.update(confusion='?'), 'confusion is .\\?.; expected an obj'),
      ('counts', lambda c: c.update(confusion={'confusion': []}), 'by_episode is missing'),
      ('returns', lambda c: c.update(games={'sampled': {'returns': ['a']}}),
       'games.sampled.returns.0. is .a.; expected a number'))
  def test_run_files_that_do_not_fit_are_refused(self, damage, message):
    bad = make_file(seed=1)
    damage(bad)
    with self.assertRaisesRegex(ValueError, message):
      self.update([make_file(seed=0), bad])

  def test_what_is_up_to_date_stays(self):
    new = self.update([make_file(seed=seed) for seed in range(2)])
    self.assertEqual(self.update([], new), new)

  def test_text_without_markers_stays(self):
    self.assertEqual(self.update([], 'No table.'), 'No table.')

  def test_tables_that_are_old_are_named_with_their_file(self):
    gate = '<!-- gate optimizers: runs -->\n<!-- end of table -->\n'
    fresh = self.update([make_file()], f'{gate}\n{BEGIN}{END}\n\n<!-- tuning trials: none -->\n'
                        '<!-- end of table -->\n')
    self.assertEqual(summarise.changed(fresh, fresh), [])
    readme = self.directory / 'README.md'
    readme.write_text(fresh.replace('| maze-0: LAMB', '| maze-1: LAMB').replace('1 runs done',
                                                                             '2 runs done'))
    flags.FLAGS.mark_as_parsed()
    with mock.patch.object(summarise, 'readmes', return_value=[readme]), \
        flagsaver.flagsaver(check=True), contextlib.redirect_stdout(io.StringIO()) as out:
      self.assertEqual(summarise.main(['summarise']), 1)
      self.assertEqual(out.getvalue().splitlines(), [
          f'{readme}: <!-- {marker} -->: not up to date; run python -m experiments.summarise'
          for marker in ('gate optimizers: runs', 'run files: runs')])
      readme.write_text(fresh)
      self.assertEqual(summarise.main(['summarise']), 0)
      self.assertLen(out.getvalue().splitlines(), 2)

  @parameterized.parameters(
      BEGIN, END, END + BEGIN, BEGIN + BEGIN + END, '<!-- gate labels: runs -->\n',
      '<!-- end of table -->')
  def test_a_marker_without_its_partner_is_refused(self, text):
    with self.assertRaisesRegex(ValueError, 'a marker of run files has no partner'):
      self.update([], text)

  def test_labels_stand_between_floors_and_ceiling_and_agents_beside_blind_ones(self):
    files = []
    for run, row in zip(*(report_floors_test.make_results()[k] for k in ('runs', 'rows')),
                        strict=True):
      identity = {key: run[key] for key in ('run', 'method', 'target', 'sources', 'seed',
                                            'num_labels', 'phase', 'part')}
      floors = run['floors'] | ({'checkpoints': [{'mean_score': 101.}]}
                                if run['part'] == 'score' else {})
      own = {'experiment': 'atari'} | (
          {'model.idm_is_causal': True} if run['method'] == 'idm_causal' else {})
      files.append(make_file() | {
          'run': run['run'], 'identity': identity, 'floors': floors,
          'settings': own, 'config_digest': summarise.runs.digest(own),
          'curves': {key: [x] for key, x in row.items() if key not in identity}})
    text = self.update(files)
    for line in ('Breakout: label accuracy at 300 labels. Intervals: 95 %, within a run',
                 '| Linear map of the change (floor) | 0.440 [0.430, 0.450] | – | – | – | 1 |',
                 '| idm_causal (floor) | 0.500 [0.480, 0.520] | – | 0.450 NOOP |',
                 '| idm_four | 0.800 [0.780, 0.820] | 0.750 | 0.450 NOOP |',
                 '| oracle | 11.0 (s.e. 1) | 64 | 2.0 (Markov chain) | 101.0 | 0.10 |'):
      self.assertIn(line, text)
    del files[0]['floors']['labels']['accuracy']
    with self.assertRaisesRegex(ValueError, 'not a run file: floors.labels.accuracy is miss'):
      self.update(files)

  def test_tables_say_what_intervals_are_over(self):
    text = self.update([make_file(seed=seed, accuracy=(0., .1, .5 + .1 * seed))
                        for seed in range(3)])
    # .5, .6, .7: t for 2 degrees of freedom is 4.303, the standard error .1 / sqrt(3).
    self.assertIn('| grid | 50 | one a seed | alpt_blocked | 0.600 [0.352, 0.848] | 3 |', text)
    self.assertIn('over training seeds', text)
    self.assertIn('within a run, over its episodes', text)
    self.assertIn('Not registered: exploratory, no verdicts.', text)

  def test_a_target_that_several_seeds_have_is_named(self):
    files = [make_file(seed=seed) for seed in range(3)]
    for content in files:
      content['identity']['target'] = 'Breakout'
    self.assertIn('| grid | 50 | Breakout | alpt_blocked | 0.800', self.update(files))

  def test_labels_of_a_run_have_their_interval_over_episodes(self):
    content = make_file()
    counts = [[[5, 0], [0, 5]], [[0, 0], [10, 0]]]  # All right, all wrong.
    content['confusion'] = {
        'step': 20, 'num_hidden': 20, 'actions': ['a', 'b'], 'confusion': [[5, 0], [10, 5]],
        'by_episode': {'episodes': [0, 1], 'counts': confusions.pack(counts)}}
    content['games'] = {'sampled': {'returns': [1., 3.], 'lengths': [5, 5], 'num_cut': 0}}
    self.assertIn('| grid-50-alpt_blocked-seed0 | done | 0.500 [0.000, 1.000] | 2.0 [1.0, 3.0] | '
                  '60 |', self.update([content]))

  def test_a_registered_study_has_its_hypotheses_first(self):
    digest = self.register()
    files = [make_file(method, seed, accuracy, digest=digest) for seed in range(3)
             for method, accuracy in (('alpt_blocked', (.2, .7, .8)), ('dt1_idm', (.2, .3, .6)))]
    text = self.update(files + [make_file('oracle', 0, (.9, .9, .9), digest=digest)])
    self.assertIn(f'Registered as `tiny.json`, digest `{digest}`.', text)
    self.assertIn('| A source makes labels better. | alpt_blocked against dt1_idm | '
                  '0.200 [0.200, 0.200] | 3 | 1 | no verdict: 6 of 10 registered runs are in |',
                  text)
    self.assertIn('- Added after the registration, exploratory (1 runs): grid-50-oracle-seed0.',
                  text)

  def test_a_changed_registration_is_refused(self):
    self.register()
    with self.assertRaisesRegex(ValueError, 'carry the registration abc, which is not in .*: it '
                                            'has changed, or is missing'):
      self.update([make_file(digest='abc')])

  def test_failed_runs_are_listed(self):
    text = self.update([make_file(), make_file(seed=1, status='failed', failures=[
        {'exit_code': 1, 'error': 'a | b <c>', 'time': 0}])])
    self.assertIn('1 runs done, 1 failed', text)
    self.assertIn('- grid-50-alpt_blocked-seed1: failed with exit code 1: a \\| b &lt;c>.', text)

  def test_label_savings_are_between_methods(self):
    files = [make_file('dt1_idm', seed, (0., 0., value), num_labels=n) for seed in range(5)
             for n, value in ((10, .2), (100, .4), (1000, .8))]
    text = self.update(files + [make_file('alpt_blocked', seed, (0., 0., .6), num_labels=10)
                                for seed in range(5)])
    self.assertIn('| grid | one a seed | alpt_blocked | 10 | dt1_idm | 316 | 316 to 316 | 5 |  |',
                  text)


if __name__ == '__main__':
  absltest.main()
