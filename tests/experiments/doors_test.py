"""Programs as people call them: however a path is typed, and whenever they are stopped."""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image

from alpt_jax.data import environment_file, rlds
from alpt_jax.process import starting
from alpt_jax.training import train
from tests import own_runs

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Runs a program with a list of command lines, one after the other: it imports its libraries once.
AGAIN = '''
import json, sys
from absl import flags
from experiments import label
for arguments in json.loads(sys.argv[1]):
  flags.FLAGS.unparse_flags()
  flags.FLAGS(['label', *arguments])
  print(label.main(), flush=True)
'''
# An import that waits for ever when it writes its first episode.
WAITING = '''
import runpy, sys, time
from alpt_jax.process import starting
from alpt_jax.data import writer
starting.end()
def serialize(*unused, **settings):
  print('writing', flush=True)
  time.sleep(600)
writer.serialize = serialize
runpy.run_module('experiments.collect', run_name='__main__')
'''


def write_clips(directory, num=2):
  """Writes folders of images, their actions and environment.json."""
  rng, rows = np.random.default_rng(0), []
  for i in range(num):
    frames, actions, _ = own_runs.make_episode(rng, 8)
    folder = pathlib.Path(directory, f'clip{i}')
    folder.mkdir(parents=True)
    for t, frame in enumerate(frames):
      frame[0, 0] = (17 * t + 100 * i) % 256  # Frames without a move are not the same.
      Image.fromarray(frame.squeeze()).save(folder / f'{t:03d}.png')
    rows += [(folder.name, t, own_runs.ACTIONS[a]) for t, a in enumerate(actions)]
  with open(pathlib.Path(directory, 'actions.csv'), 'w', newline='') as f:
    csv.writer(f).writerows([('file', 'step', 'action'), *rows])
  environment_file.write(pathlib.Path(directory, 'environment.json'), own_runs.environment())


class ImportTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.home = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()
    write_clips(self.home / 'clips')
    (self.home / 'far').mkdir()
    (self.home / 'link').symlink_to('far/new')

  def start(self, *arguments, program=('-m', 'experiments.collect')):
    command = [sys.executable, *program, 'import', '--config.import_.kind=images', *arguments]
    return subprocess.Popen(
        command, cwd=self.home, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {'HOME': str(self.home), 'PYTHONPATH': str(ROOT)})

  @parameterized.parameters(
      ('~/clips/', '~/new/', 'new'), ('clips/../clips//', './new', 'new'),
      ('~/link/../../clips', '~/link/', 'far/new'))
  def test_any_spelling_of_places(self, source, output, expected):
    process = self.start(f'--config.import_.from_dir={source}', f'--config.import_.to_dir={output}')
    out, error = process.communicate(timeout=120)
    self.assertEqual(process.returncode, 0, error)
    self.assertEqual(rlds.read_card(self.home / expected)['num_labelled'], 16, out)
    self.assertCountEqual(os.listdir(self.home), {'clips', 'far', 'link', expected.split('/')[0]})
    self.assertTrue((self.home / 'link').is_symlink())
    self.assertEqual(os.listdir(self.home / 'far'), ['new'] * ('far' in expected))

  def test_a_full_disk_is_one_line_and_leaves_nothing(self):
    # No file beyond 1 kB.
    process = self.start(
        '--config.import_.from_dir=clips', '--config.import_.to_dir=above/new',
        program=('-c', 'import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (1024, '
                 '1024)); runpy.run_module("experiments.collect", run_name="__main__")'))
    _, error = process.communicate(timeout=60)
    self.assertEqual(process.returncode, 1)
    self.assertEqual(error.splitlines()[-1], f'error: {self.home}/above/new: File too large')
    self.assertNotIn('Traceback', error)
    self.assertCountEqual(os.listdir(self.home), ['clips', 'far', 'link'])

  @parameterized.parameters(
      (signal.SIGTERM, starting.TERMINATED, 'terminated'),
      (signal.SIGINT, starting.INTERRUPTED, 'interrupted'))
  def test_stopped_it_leaves_nothing(self, number, code, line):
    process = self.start('--config.import_.from_dir=clips', '--config.import_.to_dir=new',
                         program=('-c', WAITING))
    self.assertIn('writing\n', iter(process.stdout.readline, ''))
    self.assertLen(list(self.home.glob('new.unfinished-*/content')), 1)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    self.assertEqual((process.returncode, error.splitlines()[-1]), (code, line))
    self.assertNotIn('Traceback', error)
    self.assertCountEqual(os.listdir(self.home), ['clips', 'far', 'link'])


class LabelTest(absltest.TestCase):

  def test_any_spelling_of_the_output(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()
    own_runs.write(root / 'Play', (20, 30, 9), known=(1., 1., 0.))
    config = own_runs.config(root, root / 'run', train_dt=False, num_steps=2)
    train.train(config, config.workdir)
    (root / 'link').symlink_to('run')
    (root / 'here').mkdir()
    (root / 'out').symlink_to('far/out')
    outputs = ('slash/', '~/home//', 'here/.', './new/../dots', 'out', 'out/')
    places = ('slash', 'home', 'here', 'dots', 'far/out', 'far/out')
    runs = ('run', 'run/', '~/run', '~/link', 'link/', './link/../run/')
    lines = [[f'--run={run}', f'--output={output}'] for run, output in zip(
        runs, outputs, strict=True)]
    again = [lines[0], ['--run=link', '--output=slash']]  # The same: nothing is left to do.
    command = [sys.executable, '-c', AGAIN, str(lines + again).replace("'", '"')]
    done = subprocess.run(command, cwd=root, text=True, capture_output=True, check=False,
                          env=os.environ | {'HOME': str(root), 'PYTHONPATH': str(ROOT)})
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertEqual([line for line in done.stdout.splitlines() if line.isdecimal()], ['0'] * 8)
    self.assertLen({rlds.dataset_digest(root / place) for place in places}, 1)
    self.assertCountEqual(os.listdir(root), {'Play', 'run', 'link', 'out', 'far', 'here', 'runs',
                                             *places} - {'far/out'})
    self.assertEqual(os.listdir(root / 'far'), ['out'])


if __name__ == '__main__':
  absltest.main()
