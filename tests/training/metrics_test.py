"""Tests of what is written about a run, to disk and to the screen."""

import json
import math
import pathlib
import resource
import tempfile

import numpy as np
from absl.testing import absltest

from alpt_jax.training import metrics


class MetricsWriterTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'run/metrics.jsonl'

  def write(self, *steps, resume_step=0):
    with metrics.MetricsWriter(self.path, resume_step=resume_step) as writer:
      for step in steps:
        writer.write(step, {'idm/loss': step / 8})

  def test_one_object_a_line(self):
    with metrics.MetricsWriter(self.path, resume_step=0) as writer:
      writer.write(np.int32(1), {'idm/loss': np.float32(.5), 'n': 3})
      writer.write(2, {'idm/loss': .25})
    self.assertEqual(self.path.read_text(),
                     '{"step": 1, "idm/loss": 0.5, "n": 3.0}\n{"step": 2, "idm/loss": 0.25}\n')

  def test_what_is_not_finite_is_null(self):
    with metrics.MetricsWriter(self.path, resume_step=0) as writer:
      writer.write(1, {'a': math.nan, 'b': -math.inf})
    self.assertEqual(json.loads(self.path.read_text()), {'step': 1, 'a': None, 'b': None})

  def test_lines_can_be_read_while_the_run_goes_on(self):
    with metrics.MetricsWriter(self.path, resume_step=0) as writer:
      writer.write(1, {'a': 1.})
      self.assertEqual(self.path.read_text(), '{"step": 1, "a": 1.0}\n')

  def test_resumed_file_equals_the_unbroken_one(self):
    self.write(10, 20, 30, 40)
    unbroken = self.path.read_bytes()
    for length in range(len(unbroken) + 1):  # A kill after any byte, with the checkpoint of step 10
      self.path.write_bytes(unbroken[:length])  # if its line is there, else none.
      resume_step = 10 if unbroken[:length].count(b'\n') else 0
      steps = (20, 30, 40) if resume_step else (10, 20, 30, 40)
      self.write(*steps, resume_step=resume_step)
      self.assertEqual(self.path.read_bytes(), unbroken)

  def test_full_disk_names_the_file_and_leaves_the_lines_before(self):
    self.write(1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with metrics.MetricsWriter(self.path, resume_step=1) as writer:
      resource.setrlimit(resource.RLIMIT_FSIZE, (self.path.stat().st_size + 5, limits[1]))
      self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
      with self.assertRaisesRegex(OSError, f'File too large: .*{self.path.name}'):
        writer.write(2, {'idm/loss': .25})
      resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    self.assertEqual(self.path.read_text(), '{"step": 1, "idm/loss": 0.125}\n{"ste')
    self.write(2, resume_step=1)
    self.assertEqual(self.path.read_text().count('\n'), 2)
    self.assertEndsWith(self.path.read_text(), '{"step": 2, "idm/loss": 0.25}\n')

  def test_resuming_at_the_last_line_keeps_all(self):
    self.write(10, 20)
    before = self.path.read_bytes()
    self.write(resume_step=20)
    self.assertEqual(self.path.read_bytes(), before)

  def test_foreign_line_is_an_error(self):
    self.path.parent.mkdir()
    for line in ('nonsense\n', '[1]\n', '{"loss": 1}\n'):
      self.path.write_text('{"step": 1}\n' + line)
      with self.assertRaisesRegex(ValueError, r'metrics.jsonl:2: .* is no line of metrics'):
        self.write(2, resume_step=1)


if __name__ == '__main__':
  absltest.main()
