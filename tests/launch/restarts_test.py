"""Tests of restarts.py: which exit codes start a run again, how often, and after which pause."""

from absl.testing import absltest, parameterized

from alpt_jax.training import stopping
from launch import restarts


def supervise(codes, **budget):
  """Runs a program that ends with these codes; returns (exit code, number of starts, pauses)."""
  ends, pauses, said = iter(codes), [], []
  starts = []

  def attempt():
    starts.append(1)
    return next(ends)
  code = restarts.supervise(
      attempt, restarts.Budget(**({'max_restarts': 5, 'first_pause_seconds': 10.,
                                   'max_pause_seconds': 60.} | budget)),
      say=said.append, wait=pauses.append)
  return code, len(starts), pauses


class RestartsTest(parameterized.TestCase):

  def test_codes_are_those_of_training(self):
    self.assertEqual(restarts.PREEMPTED, stopping.PREEMPTED)
    self.assertEqual(restarts.DONE, 0)

  @parameterized.parameters((0,), (1,), (77,))
  def test_final_codes_are_not_started_again(self, code):
    self.assertEqual(supervise([code]), (code, 1, []))

  @parameterized.parameters((75,), (76,), (130,), (134,), (137,), (143,), (255,), (2,), (139,))
  def test_other_codes_are_started_again(self, code):
    self.assertEqual(supervise([code, 0])[:2], (0, 2))

  def test_pause_doubles_with_every_failure_up_to_the_longest(self):
    self.assertEqual(supervise([137] * 5 + [0]), (0, 6, [10., 20., 40., 60., 60.]))

  def test_preemption_waits_for_nothing_and_resets_the_pause(self):
    self.assertEqual(supervise([137, 137, 75, 137, 0]), (0, 5, [10., 20., 10.]))

  def test_budget_counts_preemptions_and_failures(self):
    self.assertEqual(supervise([75, 137, 255, 75], max_restarts=2)[:2], (255, 3))

  def test_without_a_budget_there_is_one_start(self):
    self.assertEqual(supervise([75, 0], max_restarts=0), (75, 1, []))

  def test_who_is_told_to_stop_is_not_started_again(self):
    told = []
    code = restarts.supervise(
        lambda: told.append(1) or 75, restarts.Budget(5, 1., 1.), say=lambda _: None,
        is_stopping=lambda: bool(told))
    self.assertEqual((code, len(told)), (75, 1))

  def test_first_to_fail_decides_what_a_run_of_several_ended_with(self):
    # The second was killed, and the others met its absence.
    self.assertEqual(restarts.first_failure([(3., 1), (1., 137), (2., 1), (.5, 0)]), 137)
    self.assertEqual(restarts.first_failure([(1., 0), (2., 0)]), 0)

  def test_others_may_save_after_a_preemption_but_not_wait_for_the_dead(self):
    self.assertEqual(restarts.patience_seconds(75, 120), 120)
    self.assertEqual(restarts.patience_seconds(137, 120), 10)
    self.assertEqual(restarts.patience_seconds(137, 3), 3)

  def test_code_of_a_killed_process_is_that_of_a_shell(self):
    self.assertEqual(restarts.shell_code(-9), 137)
    self.assertEqual(restarts.shell_code(75), 75)


if __name__ == '__main__':
  absltest.main()
