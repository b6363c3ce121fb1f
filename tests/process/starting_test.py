"""A signal while a program starts ends it in one line, whatever it is at."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.process import starting

ROOT = pathlib.Path(__file__).resolve().parents[2]
# In place of a library: says that it is being imported, waits, and makes an error of its own of the
# interrupt, as compiled modules do.
LIBRARY = '''
import sys, time
print('importing', flush=True)
try:
  time.sleep(600)
except KeyboardInterrupt as error:
  raise ImportError('initialization failed') from error
'''
EXPECTED = {signal.SIGINT: (starting.INTERRUPTED, 'interrupted\n'),
            signal.SIGTERM: (starting.TERMINATED, 'terminated\n')}
PROGRAMS = ('experiments.train', 'experiments.film', 'experiments.report', 'launch.preflight')


class StartingTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def start(self, *command, path=None):
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {'PYTHONPATH': str(path or self.directory)})
    self.addCleanup(process.communicate)
    self.addCleanup(process.kill)
    return process

  def interrupt(self, process, number=signal.SIGINT):
    """Interrupts a process that has said where it is; returns exit code and standard error."""
    self.assertEqual(process.stdout.readline(), 'importing\n')
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    return process.returncode, error

  @parameterized.product(program=PROGRAMS, number=(signal.SIGINT, signal.SIGTERM))
  def test_while_a_library_is_imported(self, program, number):
    (self.directory / 'numpy.py').write_text(LIBRARY)  # In place of the real one.
    (self.directory / 'jax.py').write_text(LIBRARY)
    self.assertEqual(self.interrupt(self.start('-m', program), number), EXPECTED[number])

  def test_while_the_config_is_loaded(self):
    config = self.directory / 'config.py'
    config.write_text(LIBRARY)
    code, error = self.interrupt(self.start('-m', 'experiments.collect', f'--config={config}'))
    self.assertEqual((code, error), (starting.INTERRUPTED, 'interrupted\n'))

  @parameterized.parameters(signal.SIGINT, signal.SIGTERM)
  def test_while_the_program_itself_imports_something(self, number):
    (self.directory / 'late.py').write_text(LIBRARY)
    (self.directory / 'program.py').write_text(
        'from alpt_jax import cli\ndef main():\n  import late\ncli.run_without_config(main)\n')
    process = self.start('-m', 'program', path=f'{self.directory}{os.pathsep}{ROOT}')
    self.assertEqual(self.interrupt(process, number), EXPECTED[number])

  def test_who_imports_the_programs_keeps_interrupts(self):
    code = ('import signal, experiments, launch; from alpt_jax import cli; '
            'print(signal.getsignal(signal.SIGINT) is signal.default_int_handler and '
            'signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    self.assertEqual(done.stdout, 'True\n')

  def test_interrupts_that_are_ignored_stay_ignored(self):
    done = subprocess.run(
        ['sh', '-c', "trap '' INT; exec \"$@\"", 'sh', sys.executable, '-c',
         'import signal, sys; sys.argv = ["-m"]; import experiments; '
         'print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)'],
        cwd=ROOT, capture_output=True, text=True, check=True)
    self.assertEqual(done.stdout, 'True\n')


if __name__ == '__main__':
  absltest.main()
