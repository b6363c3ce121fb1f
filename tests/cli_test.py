"""Tests of the binaries' door: what a user's mistake looks like from outside."""

import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

ROOT = pathlib.Path(__file__).resolve().parents[1]

CONFIG = '''
import ml_collections

def get_config(arg=''):
  if arg not in ('', 'wide'):
    raise ValueError(f'{arg!r} is no preset')
  config = ml_collections.ConfigDict()
  config.batch_size = 32
  config.learning_rate = 1e-3
  config.sizes = (20, 30)
  config.init_from = ml_collections.config_dict.placeholder(str)
  config.model = dict(num_layers=2, width=16 if arg == 'wide' else 8)
  return config
'''

BINARY = '''
import os, signal, sys, time
from absl import flags
from alpt_jax import cli

WORKDIR = flags.DEFINE_string('workdir', '', 'Decides what happens.')

def main(config):
  if WORKDIR.value == 'user':
    raise ValueError('field: is 3;\\n  expected 4')
  if WORKDIR.value == 'bug':
    int('three')
  if WORKDIR.value == 'path':
    open('/nowhere/file')
  if WORKDIR.value == 'tensorflow':
    sys.modules['tensorflow'] = None
    import tensorflow
  if WORKDIR.value == 'interrupt':
    raise KeyboardInterrupt
  if WORKDIR.value.startswith('wrapped'):  # By whoever cleans up, or a compiled module.
    try:
      try:
        os.kill(os.getpid(), getattr(signal, WORKDIR.value.removeprefix('wrapped ')))
        time.sleep(60)
      finally:
        print('cleaned', flush=True)
        {}['nothing']
    except KeyError as error:
      raise RuntimeError('of a library') from error
  if WORKDIR.value == 'own cause':
    try:
      raise OSError('gone')
    except OSError as error:
      raise error from error
  if WORKDIR.value == 'string':  # Python itself ends by a signal if one came in such code.
    exec('raise KeyboardInterrupt')
  if WORKDIR.value == 'memory':
    bytes(1 << 60)
  if WORKDIR.value == 'device memory':
    import jax
    jax.numpy.zeros(1 << 50, 'uint8')
  if WORKDIR.value == 'sold out':
    raise ValueError('RESOURCE_EXHAUSTED: no more capacity in the zone')
  if WORKDIR.value == 'full':
    raise OSError(28, 'No space left on device', '/full/file')
  if WORKDIR.value == 'code':
    return 77
  print(config.batch_size, config.learning_rate, config.sizes, config.init_from,
        config.model.num_layers, config.model.width, config.is_locked,
        {'jax', 'tensorflow'} & set(sys.modules))

def count(config):
  print('counted', config.batch_size, flags.FLAGS.debug)

if __name__ == '__main__':
  cli.run(main, %r, verbs={'count': (count, 'config.py:wide')})
'''


REMEDY = ('Free some, or ask for less at a time: in training, with '
          '--config.sharding.accumulate=2, or a smaller batch_size.')


class CliTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    (cls.directory / 'config.py').write_text(CONFIG)
    (cls.directory / 'binary.py').write_text(BINARY % str(cls.directory / 'config.py'))

  def run_binary(self, *args):
    return subprocess.run([sys.executable, 'binary.py', *args], cwd=self.directory, text=True,
                          capture_output=True, check=False, timeout=120,
                          env=os.environ | {'PYTHONPATH': str(ROOT)})

  def test_default_config(self):
    result = self.run_binary()
    self.assertEqual(result.stdout, '32 0.001 (20, 30) None 2 8 True set()\n')
    self.assertEqual((result.returncode, result.stderr), (0, ''))

  def test_a_first_word_runs_something_else(self):
    result = self.run_binary('count', '--debug', '--config=config.py', '--config.batch_size=3')
    self.assertEqual((result.stdout, result.stderr), ('counted 3 True\n', ''))
    result = self.run_binary('--debug', 'count')
    self.assertEqual(result.returncode, 1)
    self.assertEqual(result.stderr, 'error: count: unexpected argument; goes before all flags\n')

  def test_overrides(self):
    result = self.run_binary('--config=config.py:wide', '--config.batch_size=3',
                             '--config.learning_rate', '1', '--config.sizes=(7, 8, 9)',
                             '--config.init_from=x', '--config.model.num_layers=5')
    self.assertEqual(result.stdout, '3 1.0 (7, 8, 9) x 5 16 True set()\n')

  @parameterized.parameters(
      ('--config.bach_size=3',
       '--config.bach_size: unknown key; did you mean --config.batch_size?'),
      ('--config.model.num_layer=3',
       '--config.model.num_layer: unknown key; did you mean --config.model.num_layers?'),
      ('--config.modle.num_layers=3',
       '--config.modle.num_layers: unknown key; did you mean --config.model.num_layers?'),
      ('--config.width=3', '--config.width: unknown key; did you mean --config.model.width?'),
      ('--config.zzz=3', '--config.zzz: unknown key; expected one of --config.batch_size or '
       '--config.init_from or --config.learning_rate or --config.model.num_layers or '
       '--config.model.width or --config.sizes'),
      ('--config.model=3', '--config.model: a group of keys; set one of '
       '--config.model.num_layers or --config.model.width'),
      ('--config.batch_size=abc', '--config.batch_size=abc: expected int'),
      ('--config.learning_rate=a: b', '--config.learning_rate=a: b: expected float'),
      ('--config.sizes=(7, 8.5)',
       '--config.sizes=(7, 8.5): expected a tuple of int, e.g. "(20, 30)"'),
      ('--config=nowhere.py',
       '--config=nowhere.py: no such file; expected e.g. experiments/configs/maze.py'),
      ('--config=config.py:tall', "--config=config.py:tall: 'tall' is no preset"),
      ('stray', 'stray: unexpected argument; flags are written --name=value'),
      ('--workdir=user', 'field: is 3; expected 4'),
      ('--workdir=path', '/nowhere/file: No such file or directory'),
      ('--workdir=full', '/full/file: No space left on device'),
      ('--workdir=own cause', 'gone'),
      ('--workdir=memory', f'out of memory. {REMEDY}'),
      ('--workdir=device memory', 'out of memory (RESOURCE_EXHAUSTED: Out of memory allocating '
       f'{1 << 50} bytes.). {REMEDY}'),
      ('--workdir=sold out', 'RESOURCE_EXHAUSTED: no more capacity in the zone'),
      ('--flagfile=nowhere.txt', "Unable to open flagfile: [Errno 2] No such file or directory: "
       "'nowhere.txt'"),
      ('--config=~nil/x.py', "~nil/x.py: no user is called 'nil'; expected ~/.. for your "
       'home directory, or ./~nil/x.py for what has this name.'),
  )
  def test_mistake_is_one_line(self, arg, message):
    result = self.run_binary(arg)
    self.assertEqual(result.stderr, f'error: {message}\n')
    self.assertEqual((result.returncode, result.stdout), (1, ''))

  def test_unknown_flag_keeps_the_message_of_absl(self):
    result = self.run_binary('--workdri=x')
    self.assertIn("Unknown command line flag 'workdri'. Did you mean: workdir", result.stderr)
    self.assertEqual(result.returncode, 1)

  @parameterized.parameters((('--workdir=user', '--debug'),), (('--workdir=bug',),))
  def test_traceback_of_bugs_and_if_asked_for(self, args):
    result = self.run_binary(*args)
    self.assertIn('Traceback (most recent call last)', result.stderr)
    self.assertIn('in main', result.stderr)
    self.assertEqual(result.returncode, 1)

  def test_help_lists_the_keys_of_the_config(self):
    text = ' '.join(self.run_binary('--help', '--config=config.py:wide').stdout.split())
    self.assertIn('model.num_layers=2, model.width=16', text)

  def test_missing_package_names_the_extra(self):
    result = self.run_binary('--workdir=tensorflow')
    self.assertEqual(result.returncode, 1)
    self.assertRegex(result.stderr, r'^error: .*tensorflow.*; TFRecord files need pip install '
                                    r'"\.\[tensorflow\]"\n$')

  @parameterized.parameters(
      ('interrupt', '', 130, 'interrupted\n'), ('string', '', 130, 'interrupted\n'),
      ('wrapped SIGINT', 'cleaned\n', 130, 'interrupted\n'),
      ('wrapped SIGTERM', 'cleaned\n', 143, 'terminated\n'))
  def test_a_signal_is_one_line(self, workdir, out, code, error):
    result = self.run_binary(f'--workdir={workdir}')
    self.assertEqual((result.stdout, result.returncode, result.stderr), (out, code, error))

  @parameterized.parameters(
      (('--flagfile=flags.txt', '--config=config.py:wide'),),
      (('--flagfile=flags.txt', '--config', 'config.py:wide'),),
      (('--config=config.py:wide', '--flagfile', '~/flags.txt'),),
      (('--config=config.py', '--config=./config.py:wide', '--config.batch_size=3'),),
      (('--config.batch_size=3', '--config=~//config.py:wide'),))
  def test_config_counts_wherever_it_stands(self, args):
    (self.directory / 'flags.txt').write_text('--config.batch_size=3\n')
    with mock.patch.dict(os.environ, HOME=str(self.directory)):
      result = self.run_binary(*args)
    self.assertEqual(result.stdout, '3 0.001 (20, 30) None 2 16 True set()\n', result.stderr)

  def test_paths_of_the_config_are_spelled_in_one_way(self):
    with mock.patch.dict(os.environ, HOME=str(self.directory)):
      result = self.run_binary('--config.init_from=~/x/')
    self.assertIn(f' {self.directory}/x ', result.stdout)

  def test_exit_code_of_main_is_passed_on(self):
    self.assertEqual(self.run_binary('--workdir=code').returncode, 77)


if __name__ == '__main__':
  absltest.main()
