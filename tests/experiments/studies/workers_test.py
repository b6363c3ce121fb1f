"""Training runs side by side: what is stopped, has failed, or is another process's."""

import io
import os
import sys
import tempfile
from unittest import mock

from absl.testing import absltest

from alpt_jax.training import run_directory, stopping
from experiments import reproduce
from experiments.configs import atari, maze
from experiments.studies import run_files, runs, workers


class WorkersTest(absltest.TestCase):

  def test_a_run_stopped_before_it_listens_to_signals_has_not_failed(self):
    config = maze.get_config('tiny')
    config.workdir = self.enterContext(tempfile.TemporaryDirectory())
    config.study.num_workers = 1
    first, second, *_ = reproduce.plan(config)
    # The child itself tells its parent to stop, and ends as any process does that has no handler.
    program = f'import os, signal; os.kill({os.getpid()}, signal.SIGTERM); signal.pause()'
    with mock.patch.object(runs, 'command', return_value=['-c', program]):
      codes = workers.Workers(config, [first, second], mock.Mock()).train_all()
    self.assertEqual(codes, {first: stopping.PREEMPTED, second: None})

  def test_a_run_whose_pretraining_failed_has_a_file_that_says_so(self):
    config = atari.get_config('tiny')
    config.workdir = self.enterContext(tempfile.TemporaryDirectory())
    config.study.num_workers = 1
    after = next(run for run in reproduce.plan(config) if run.after)
    writer = run_files.Writer(config, 'abc')
    with mock.patch.object(runs, 'command', return_value=['-c', 'exit("error: it is broken")']):
      codes = workers.Workers(config, [after.after, after], writer).train_all()
    self.assertEqual(codes, {after.after: 1, after: None})
    for run_, code, error in ((after.after, 1, 'error: it is broken'),
                              (after, None, f'not started: {after.after.name} failed')):
      content = run_files.read(run_files.path_of(config, run_))
      self.assertEqual((content['status'], content['registration']), ('failed', 'abc'))
      self.assertEqual([(f['exit_code'], f['error']) for f in content['failures']],
                       [(code, error)])

  def test_a_run_that_another_process_trains_is_waited_for_and_named_once(self):
    config = maze.get_config('tiny')
    config.workdir = self.enterContext(tempfile.TemporaryDirectory())
    first, *_ = reproduce.plan(config)
    self.enterContext(mock.patch.object(run_directory, 'is_taken',
                                        side_effect=[True, True, True, False]))
    self.enterContext(mock.patch.object(runs, 'is_finished', return_value=True))
    self.enterContext(mock.patch.object(workers, '_POLL_SECONDS', 0.))
    said = self.enterContext(mock.patch.object(sys, 'stdout', io.StringIO()))
    trained = workers.Workers(config, [first], mock.Mock()).train_all()
    self.assertEqual(trained, {first: 0})
    self.assertEqual(said.getvalue().count(f'{first}: another process is training it; waiting'), 1)


if __name__ == '__main__':
  absltest.main()
