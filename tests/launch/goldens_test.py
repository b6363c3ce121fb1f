"""Tests of what is rendered: equal to the goldens, and shell and YAML that tools accept."""

import os
import re
import subprocess
import tempfile
from unittest import mock

import yaml
from absl.testing import absltest, parameterized

from tests.launch import host_scripts_test, render

_FILES = re.compile(r"^cat > (\S+) <<'END_OF_FILE'\n(.*?)^END_OF_FILE$", re.MULTILINE | re.DOTALL)


def files(name, suffix):
  """Rendered files in a golden whose names end so."""
  return [content for path, content in _FILES.findall((render.DIRECTORY / name).read_text())
          if path.endswith(suffix)]


class GoldensTest(parameterized.TestCase):

  @parameterized.parameters(*render.CASES)
  def test_rendered_as_before(self, name):
    # If it is meant to change: python -m tests.launch.render
    self.enter_context(mock.patch.dict(os.environ))
    os.environ.pop('XLA_FLAGS', None)  # Of tests; a launcher hands it on.
    self.assertEqual(render.render(name), (render.DIRECTORY / name).read_text())

  def test_every_golden_is_tested(self):
    self.assertEqual({path.name for path in render.DIRECTORY.iterdir()}, set(render.CASES))

  @parameterized.parameters(*render.CASES)
  def test_dry_run_is_shell(self, name):
    subprocess.run(['bash', '-n', render.DIRECTORY / name], check=True)

  @parameterized.parameters('slurm.sh', 'slurm_nodes.sh')
  def test_batch_scripts_pass_shellcheck(self, name):
    self.assertNotEmpty(files(name, '.sbatch'))
    for text in files(name, '.sbatch'):
      with tempfile.NamedTemporaryFile('w', suffix='.sh') as f:
        f.write(text)
        f.flush()
        subprocess.run(['bash', '-n', f.name], check=True)
        done = subprocess.run([host_scripts_test.shellcheck(), '--exclude=SC1091', f.name],
                              capture_output=True, text=True)
      self.assertEqual(done.stdout, '')

  @parameterized.parameters('tpu_vm.sh', 'tpu_vm_spot.sh')
  def test_what_workers_are_told_passes_shellcheck(self, name):
    commands = re.findall(r"'--command=(.*)' --zone", (render.DIRECTORY / name).read_text())
    self.assertGreaterEqual(len(commands), 6)
    for command in commands:
      done = subprocess.run(
          [host_scripts_test.shellcheck(), '--shell=bash', '--exclude=SC2164', '-'],
          input=command.replace("'\"'\"'", "'"), capture_output=True, text=True)
      self.assertEqual(done.stdout, '')

  @parameterized.parameters('gke.sh', 'gke_spot.sh')
  def test_jobset_is_yaml_of_plain_data(self, name):
    text, = files(name, '.yaml')
    jobset = yaml.safe_load(text)
    self.assertEqual((jobset['apiVersion'], jobset['kind']),
                     ('jobset.x-k8s.io/v1alpha2', 'JobSet'))
    self.assertNotRegex(text, r'[&*]id\d')  # Anchors: another pod's list by accident.
    pod = jobset['spec']['replicatedJobs'][0]['template']['spec']['template']['spec']
    self.assertContainsSubset(
        {'cloud.google.com/gke-tpu-accelerator', 'cloud.google.com/gke-tpu-topology'},
        pod['nodeSelector'])
    script = pod['containers'][0]['command'][2]
    subprocess.run(['bash', '-n', '-c', script], check=True)
    self.assertIn('kueue.x-k8s.io/queue-name', jobset['metadata']['labels'])


if __name__ == '__main__':
  absltest.main()
