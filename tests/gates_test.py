"""The gates of studies: what they run."""

from absl.testing import absltest, parameterized

from experiments import reproduce, runs
from experiments.configs import gates, tuning


class GatesTest(parameterized.TestCase):

  def test_labels_and_agents_have_five_seeds_of_breakout(self):
    for gate, budget, method in (('labels', 10_000, 'dt1_idm'), ('agents', 1_000, 'oracle')):
      config = gates.get_config(gate)
      planned = [runs.run_config(config, run) for run in reproduce.plan(config)]
      self.assertEqual([own.seed for own in planned], list(range(5)), msg=gate)
      self.assertEqual({(own.target, own.num_labels, own.method) for own in planned},
                       {('Breakout', budget, method)})
    self.assertEqual(config.evaluation.num_episodes, 64)
    # As many: the games with exchanged images are compared with those of the evaluation.
    self.assertEqual(config.study.floors.exchanged_games, 64)

  def test_optimizers_differ_in_nothing_but_name_and_rate(self):
    config = gates.get_config('optimizers')
    planned = reproduce.plan(config)
    self.assertLen(planned, 2 * 2 * 5)
    found = {run.variant: runs.run_config(config, run).optimizer.to_dict() for run in planned}
    self.assertEqual((found['lamb'].pop('name'), found['adamw'].pop('name')), ('lamb', 'adamw'))
    rates = found['lamb'].pop('idm_learning_rate'), found['adamw'].pop('idm_learning_rate')
    self.assertEqual(found['lamb'], found['adamw'])
    variants = {run.variant for run in reproduce.plan(gates.get_config('rates'))}
    self.assertLen(variants, 6)  # As many rates of each; the best are among them.
    self.assertContainsSubset(
        {f'{name}_{rate:g}'.replace('.', '_') for name, rate in zip(found, rates, strict=True)},
        variants)
    self.assertEqual({run.changes['target'] for run in planned}, set(tuning.GAMES))

  def test_unknown_gate_is_refused(self):
    with self.assertRaisesRegex(ValueError, "'label' is no gate; expected one of labels, agents"):
      gates.get_config('label')


if __name__ == '__main__':
  absltest.main()
