"""Environments whose time passes otherwise do not train together unless somebody allows it."""

import contextlib
import dataclasses
import io
import json
import pathlib
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax import domains
from alpt_jax.data import environment_file
from alpt_jax.training import data_times, run_directory, stopping, train
from experiments.configs import atari
from experiments.studies import runs
from tests import maze_data, own_runs

SLOW, FAST = 15., 60.


class DataTimesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def write(self, name, rate, frame_skip=None, seed=0):
    described = dataclasses.replace(own_runs.environment(name), steps_per_second=rate)
    own_runs.write(self.root / name, (20, 30, 25), seed=seed, described=described)
    self.change_card(name, frame_skip)

  def change_card(self, name, frame_skip):
    path = self.root / name / 'dataset_card.json'
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {'metadata': {'frame_skip': frame_skip}}))

  def config(self, workdir='run', **changes):
    return own_runs.config(self.root, self.root / workdir, 'tiny', **{
        'train_dt': False, 'num_steps': 2} | changes)

  def check(self, config, names=('Play', 'Cousin')):
    return data_times.check(config, names, config.workdir)

  def train(self, config):
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
      self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    return error.getvalue()

  @parameterized.parameters('sources', 'other_targets')
  def test_another_speed_is_refused_before_anything_is_written(self, key):
    self.write('Play', SLOW)
    self.write('Cousin', FAST, seed=1)
    config = self.config(**{key: ('Cousin',)}, method='alpt' if key == 'sources' else 'dt1_idm')
    with self.assertRaisesRegex(ValueError, 'steps_per_second of Cousin is 60, that of Play is 15'
                                '.* --config.allow_other_speed=True'):
      train.train(config, config.workdir)
    self.assertFalse((self.root / 'run').exists())

  def test_allowed_it_is_said_and_kept_in_the_config_of_the_run(self):
    self.write('Play', SLOW, 1)
    self.write('Cousin', FAST, 1, seed=1)
    config = self.config(sources=('Cousin',), method='alpt', allow_other_speed=True)
    said = 'steps_per_second of Cousin is 60, that of Play is 15'
    self.assertIn(f'warning: {said}: allowed by allow_other_speed.\n', self.train(config))
    content = json.loads((self.root / 'run' / 'config.json').read_text())
    self.assertTrue(content['allow_other_speed'])
    self.assertEqual(content['data_times']['differences'], [said])
    self.assertEqual(data_times.read(config.workdir), {
        'Play': ('image', SLOW, 1, False), 'Cousin': ('image', FAST, 1, False)})

  def test_an_unknown_speed_is_said_and_not_refused(self):
    self.write('Play', SLOW)
    self.write('Cousin', None, seed=1)
    config = self.config(sources=('Cousin',), method='alpt')
    found = self.check(config)
    said = 'steps_per_second of Cousin is not known, so whether Cousin and Play have one speed was'
    self.assertEqual(found['data_times']['differences'], [])
    self.assertIn(said, found['data_times']['unknown'][0])
    self.assertEqual(data_times.lines(found), found['data_times']['unknown'])

  def test_frames_that_are_farther_apart(self):
    self.write('Play', SLOW, 1)
    self.write('Cousin', SLOW, 4, seed=1)
    config = self.config(sources=('Cousin',), method='alpt')
    with self.assertRaisesRegex(ValueError, 'frame_skip of Cousin is 4, that of Play is 1'):
      self.check(config)
    self.change_card('Cousin', 1)
    self.assertEqual(data_times.lines(self.check(config)), [])

  def test_a_run_goes_on_with_the_speed_that_it_began_with(self):
    self.write('Play', SLOW)
    config = self.config()
    self.train(config)
    self.assertEqual(data_times.lines(self.check(config, ['Play'])), [])
    path = self.root / 'Play' / 'environment.json'
    environment_file.write(path, dataclasses.replace(
        environment_file.read(path), steps_per_second=FAST))
    config.num_steps = 3
    with self.assertRaisesRegex(ValueError, 'of Play is 60, that of Play when .*run was trained '
                                'is 15'):
      train.train(config, config.workdir)
    config.allow_other_speed = True  # Nor is this another config.
    self.train(config)

  def test_a_finetuning_is_compared_with_its_pretraining(self):
    self.write('Play', SLOW)
    self.write('Cousin', SLOW, seed=1)
    before = dict(sources=('Cousin',), method='alpt', phase='pretrain')
    self.train(self.config('before', **before))
    config = self.config('after', method='alpt', phase='finetune',
                         init_from=str(self.root / 'before'))
    self.assertEqual(data_times.lines(self.check(config, ['Play'])), [])
    content = json.loads((self.root / 'before' / 'config.json').read_text())
    content['data_times']['scales']['Play']['steps_per_second'] = FAST
    (self.root / 'before' / 'config.json').write_text(json.dumps(content))
    with self.assertRaisesRegex(ValueError, 'of Play is 15, that of Play when .*before was '
                                'trained is 60'):
      train.train(config, config.workdir)
    del content['data_times']  # As of earlier code.
    (self.root / 'before' / 'config.json').write_text(json.dumps(content))
    line, = data_times.lines(self.check(config, ['Play']))
    self.assertRegex(line, 'steps_per_second of Play when .*before was trained is not known')

  def test_damaged_values_are_named(self):
    self.write('Play', SLOW)
    config = self.config()
    self.train(config)
    path = self.root / 'run' / 'config.json'
    content = json.loads(path.read_text())
    content['data_times'] = {'scales': {'Play': {'speed': 3}}}
    path.write_text(json.dumps(content))
    with self.assertRaisesRegex(ValueError, 'config.json: data_times are not those of a run'):
      data_times.read(config.workdir)

  def test_mazes_have_no_time_and_games_have_one(self):
    config = maze_data.config(self.root / 'maze')
    self.assertEqual(data_times.check(config, [config.target, *config.sources], config.workdir), {})
    config = atari.get_config('tiny')
    config.workdir = str(self.root / 'atari')
    found = data_times.check(config, [config.target, *config.sources], config.workdir)
    self.assertEqual(data_times.lines(found), [])
    self.assertEqual(domains.of(config).time_scale('Pong'), ('image', 15., 4, True))

  def test_settings_and_digests_of_studies_do_not_know_of_it(self):
    config = atari.get_config('tiny')
    digest = runs.config_digest(config)
    with config.unlocked():
      del config.allow_other_speed
    self.assertEqual(runs.config_digest(config), digest)
    self.assertContainsSubset({'allow_other_speed', 'data_times'}, run_directory._FREE_KEYS)
    self.assertIn('allow_other_speed', runs._FREE_KEYS)


if __name__ == '__main__':
  absltest.main()
