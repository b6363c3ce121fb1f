"""Atari data is brought in once, side by side, and never mixed up."""

import contextlib
import io
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from unittest import mock

import ml_collections
from absl.testing import absltest, parameterized

from experiments import collect
from tests.data import atari_data


def _config(data_dir, **changes):
  config = ml_collections.ConfigDict(dict(
      experiment='atari', target='Breakout', sources=('Freeway',),
      study=dict(targets=('Breakout',), variants=dict(alpt=dict(sources=('Freeway',)))),
      dataset='rlu_atari_checkpoints_ordered', runs=(1,), data_dir=data_dir, allow_damaged=False,
      collect=dict(origin='play', from_dir='', behaviour='auto', num_steps=60, num_checkpoints=2,
                   first_epsilon=1., last_epsilon=.05, max_episode_steps=20, sticky=.25, seed=0)))
  config.update_from_flattened_dict(changes)
  return config


def _run(config):
  """Returns what is printed, without what goes to standard error."""
  with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
    collect.main(config)
  return out.getvalue().splitlines()


class CollectAtariTest(parameterized.TestCase):

  def _directory(self):
    return self.enterContext(tempfile.TemporaryDirectory())

  def test_games_are_recorded_once(self):
    config = _config(self._directory())
    first, *lines = _run(config)
    # 60 steps of 1.5 kB for each.
    self.assertRegex(first, '^recording 2 datasets takes about 0.18 MB; .* [GM]B are free at /')
    self.assertLen(lines, 2)
    for line, game in zip(lines, ('Breakout', 'Freeway'), strict=True):
      # 30 steps a checkpoint, in episodes of 20.
      self.assertStartsWith(line, f'collected {game} run 1: 3 episodes, 60 transitions, scripted')
    self.assertEqual(_run(config), [line.replace('collected', 'found') for line in lines])
    with self.assertRaisesRegex(ValueError, 'was recorded with seed 0, the config has collect.seed '
                                '3. Choose another data_dir, or delete'):
      _run(_config(config.data_dir, **{'collect.seed': 3}))
    with self.assertRaisesRegex(ValueError, 'scripted, the config has collect.behaviour random'):
      _run(_config(config.data_dir, **{'collect.behaviour': 'random'}))

  def test_what_does_not_fit_on_the_disk_is_not_begun(self):
    config = _config(self._directory())
    usage = mock.Mock(return_value=mock.Mock(free=10_000))
    with mock.patch('shutil.disk_usage', usage), self.assertRaisesRegex(
        OSError, 'recording 2 datasets takes about 0.18 MB, and 0.01 MB are free on that disk'):
      _run(config)
    self.assertEmpty(os.listdir(config.data_dir))

  def test_error_in_a_worker_names_the_game(self):
    config = _config(self._directory(), target='Zaxxon', **{
        'collect.behaviour': 'scripted', 'study.targets': ('Zaxxon',)})
    with self.assertRaisesRegex(ValueError, 'Zaxxon, run 1: .*no script for Zaxxon'):
      _run(config)

  def test_published_data_is_prepared_and_converted(self):
    _, recorded, card, checkpoints = atari_data.recorded()
    published, prepared, converted = self._directory(), self._directory(), self._directory()
    atari_data.write_published(published, checkpoints)
    alone = {'sources': (), 'study.variants.alpt.sources': ()}
    expected = f"Breakout run 1: {card['num_episodes']} episodes in 3 splits"
    self.assertEqual(_run(_config(prepared, **alone, **{
        'collect.origin': 'prepare', 'collect.from_dir': published})), [f'collected {expected}'])
    name = 'rlu_atari_checkpoints_ordered/Breakout_run_1/1.1.0'
    source = self._directory()
    atari_data.write_tfrecord(os.path.join(prepared, name), os.path.join(source, name))
    config = _config(converted, **alone, **{'collect.origin': 'convert',
                                            'collect.from_dir': source})
    with self.assertRaisesRegex(ValueError, 'published with 50 checkpoints; 47'):
      _run(config)
    config.allow_damaged = True
    self.assertEqual(_run(config), [f'collected {expected}'])
    self.assertEqual(_run(config), [f'found {expected}'])
    self.assertTrue(atari_data.records(os.path.join(converted, name)) ==
                    atari_data.records(os.path.join(prepared, name)))

  def test_data_that_was_not_recorded_is_not_taken_for_it(self):
    data_dir = self._directory()
    config = _config(data_dir, **{'allow_damaged': True})
    name = 'rlu_atari_checkpoints_ordered/Breakout_run_1/1.1.0'
    atari_data.write_tfrecord(atari_data.recorded()[1], os.path.join(data_dir, name))
    with self.assertRaisesRegex(ValueError, 'has no dataset_card.json: it was not recorded here'):
      _run(config)

  @parameterized.parameters(
      ({'collect.origin': 'steal'}, r"collect\.origin is 'steal'; expected one of \['convert', "),
      ({'collect.origin': 'convert'}, r'collect\.from_dir is empty'),
      ({'collect.origin': 'prepare', 'dataset': 'rlu_atari'}, 'without Apache Beam'),
      ({'collect.first_epsilon': 2.}, r'first_epsilon is 2\.0'),
      ({'target': 'Breakot'}, 'Breakout'),
      ({'runs': (0,)}, 'run is 0'))
  def test_config_is_checked_before_anything_is_recorded(self, changes, message):
    data_dir = self._directory()
    with self.assertRaisesRegex(ValueError, message):
      _run(_config(data_dir, **changes))
    self.assertEqual(os.listdir(data_dir), [])

  @parameterized.parameters((signal.SIGINT, 130), (signal.SIGTERM, 143))
  def test_signal_ends_all_processes_and_leaves_no_half(self, number, code):
    data_dir = self._directory()
    config = _config(data_dir, **{'collect.num_steps': 10**7})
    path = pathlib.Path(self._directory(), 'config.py')
    path.write_text('import ml_collections\ndef get_config():\n'
                    f'  return ml_collections.ConfigDict({config.to_dict()})\n')
    process = subprocess.Popen(
        [sys.executable, '-m', 'experiments.collect', f'--config={path}'], text=True,
        stderr=subprocess.PIPE)
    line = process.stderr.readline()  # Comes with the first steps.
    process.send_signal(number)
    rest = process.communicate()[1]  # Ends when the last process does, which share the pipe.
    self.assertRegex(line, r'^recording 0% \d+/20000000, .*ETA .*finished 0/2, running ')
    self.assertEqual(process.returncode, code, msg=rest)
    self.assertNotIn('Traceback', rest)
    self.assertEqual(list(pathlib.Path(data_dir).glob('*/*/*')), [])

  @parameterized.parameters('convert', 'prepare')
  def test_known_damage_is_refused_before_it_is_copied(self, origin):
    config = _config(self._directory(), target='Asterix', **{
        'collect.origin': origin, 'collect.from_dir': 'nowhere', 'study.targets': ()})
    with self.assertRaisesRegex(ValueError, 'Run 1 of Asterix is suspected to be corrupt'):
      _run(config)

  def test_damage_is_noticed_in_what_was_recorded(self):
    config = _config(self._directory(), sources=(), **{'study.variants.alpt.sources': ()})
    _run(config)
    path, = pathlib.Path(config.data_dir).glob('*/*/*/*checkpoint_01*')
    path.unlink()
    with self.assertRaisesRegex(ValueError, f'{path.name}.*delete'):
      _run(config)


if __name__ == '__main__':
  absltest.main()
