"""What the others do when one of the processes of a run is gone."""

import pathlib
import socket
import tempfile
import time

from absl.testing import absltest

from alpt_jax.training import checkpoints, stopping
from tests import processes
from tests.training import distributed_test


class LostProcessTest(absltest.TestCase):

  def test_killed_process_ends_the_other_which_names_it_and_both_can_go_on(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    config = distributed_test.make_config(
        root / 'run', num_steps=100_000, eval_every_steps=100_000, checkpoint_every_steps=4)
    arguments = distributed_test.arguments(
        config, '--config.distributed.heartbeat_timeout_seconds=10')
    both = processes.start(arguments)
    while (checkpoints.latest_step(root / 'run/checkpoints') or 0) < 4:
      self.assertIsNone(both[0].poll(), msg='ended before the other was killed')
      time.sleep(.1)
    both[1].kill()
    (code, _, err), _ = processes.finish(both)  # Comes to an end.
    # Neither done, nor stopped by a mistake or by numbers: launchers start such a run again.
    self.assertNotIn(code, (stopping.DONE, 1, stopping.POISONED))
    self.assertRegex(err, r'unhealthy \(stopped sending heartbeats\):\s+1\s')
    self.assertIn(f'1 on {socket.gethostname()}', err.splitlines()[0])
    saved_step = checkpoints.latest_step(root / 'run/checkpoints')
    config.num_steps = saved_step + 2
    for code, _, err in processes.finish(processes.start(distributed_test.arguments(config))):
      self.assertEqual(code, stopping.DONE, msg=err)
    self.assertEqual(distributed_test.metrics_of(root / 'run')[-1]['step'], saved_step + 2)


if __name__ == '__main__':
  absltest.main()
