"""The tuning of IDMs: its trials, and the list that is made of their run files."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.training import run_config
from experiments import reproduce, tuning
from experiments.configs import tuning as config_of_tuning
from experiments.studies import runs

_ROOT = pathlib.Path(__file__).parents[2]


def run_file(trial, game, seed, accuracy, *, rate, phase='finetune', status='done', floor=None):
  return {'run': f'{trial}-{game}-{seed}', 'status': status,
          'identity': {'method': trial, 'target': game, 'seed': seed, 'phase': phase},
          'settings': {'target': game, 'seed': seed, 'optimizer.idm_learning_rate': rate,
                       'window': 5},
          'curves': {'step': [0, 10], 'label_accuracy': [.1, accuracy]},
          'floors': floor and {'labels': {'floors': {'linear': {'value': floor}}}}}


class PlanTest(parameterized.TestCase):

  @parameterized.parameters('none', 'four')
  def test_every_arm_has_as_many_trials_and_one_total_of_updates_at_most(self, arm):
    config = config_of_tuning.get_config(f'arm={arm}')
    planned = reproduce.plan(config)
    last = [run for run in planned if run.changes['phase'] != 'pretrain']
    self.assertLen({run.variant for run in last}, 12 + 3 + 3)
    self.assertLen(last, (12 + 3 + 3) * 2)
    for run in last:
      chain = [runs.run_config(config, r) for r in (run.after, run) if r]
      for own in chain:
        run_config.check_run(own)  # E.g. a finetuning that is shorter than its warm-up.
      self.assertLessEqual(sum(own.num_steps for own in chain), 600, msg=run.name)
      self.assertEqual(chain[-1].num_labels, 300)
      if arm == 'four':
        self.assertEqual(sum(own.num_steps for own in chain), 600, msg=run.name)

  def test_trials_differ_in_what_they_say(self):
    config = config_of_tuning.get_config('arm=four')
    planned = {run.variant: run for run in reproduce.plan(config)
               if run.changes['phase'] != 'pretrain' and run.changes['target'] == 'Gopher'}
    frozen, plain, joint, near = (
        runs.run_config(config, planned[f'four_{name}'])
        for name in ('shift_frozen', 'plain', 'joint', 'near'))
    self.assertEqual((frozen.optimizer.tokenizer_scale, frozen.augmentation), (0., 'shift'))
    self.assertEqual((plain.optimizer.tokenizer_scale, plain.augmentation), (1., 'none'))
    self.assertEqual((joint.phase, near.sources), ('joint', ('SpaceInvaders',)))
    self.assertIs(planned['four_plain'].after, planned['four_shift_frozen'].after)
    self.assertIsNot(planned['four_plain'].after, planned['four_shift_always'].after)

  @parameterized.parameters(('arm=five', "arm is 'five'"), ('games=1', "'games=1': unknown"))
  def test_unknown_options_are_refused(self, argument, message):
    with self.assertRaisesRegex(ValueError, message):
      config_of_tuning.get_config(argument)


class TrialsTest(absltest.TestCase):

  def test_best_mean_of_games_first_and_what_has_none_last(self):
    listed = tuning.trials([
        run_file('slow', 'Gopher', 0, .5, rate=.1), run_file('slow', 'Gopher', 1, .7, rate=.1),
        run_file('slow', 'StarGunner', 0, .2, rate=.1),
        run_file('fast', 'Gopher', 0, .6, rate=.9, floor=.55),
        run_file('fast', 'StarGunner', 0, .4, rate=.9),
        run_file('half', 'Gopher', 0, .99, rate=.3),
        run_file('lost', 'Gopher', 0, .99, rate=.4),
        run_file('mute', 'Gopher', 0, None, rate=.6),
        run_file('lost', 'StarGunner', 0, .99, rate=.4, status='failed'),
        run_file('before', 'Gopher', 0, .99, rate=.5, phase='pretrain')])
    self.assertEqual([t['trial'] for t in listed], ['fast', 'slow', 'half', 'lost', 'mute'])
    self.assertEqual([t['mean'] for t in listed], [.5, .4, None, None, None])  # (.6 + .2) / 2.
    self.assertEqual(listed[0]['linear_floor'], {'Gopher': {'0': .55}})
    self.assertEqual(listed[4]['failed'], ['mute-Gopher-0'])
    self.assertEqual(listed[0]['settings'], {'optimizer.idm_learning_rate': .9})
    self.assertEqual(listed[1]['accuracy'], {'Gopher': {'0': .5, '1': .7}, 'StarGunner': {'0': .2}})
    self.assertEqual(listed[3]['failed'], ['lost-StarGunner-0'])
    self.assertEqual(tuning.table(listed), (
        ('trial', 'Gopher', 'StarGunner', 'mean', 'failed'),
        [['fast', '0.600', '0.400', '0.500', ''], ['slow', '0.600', '0.200', '0.400', ''],
         ['half', '0.990', '–', '–', ''],
         ['lost', '0.990', '–', '–', 'lost-StarGunner-0'], ['mute', '–', '–', '–', 'mute-Gopher-0'],
         ['Linear map of the change (floor)', '0.550', '–', '', '']]))

  def test_a_game_that_no_trial_has_leaves_no_mean(self):
    listed = tuning.trials([run_file('slow', 'Gopher', 0, .5, rate=.1),
                            run_file('fast', 'Gopher', 0, .6, rate=.9)])
    self.assertEqual([(t['trial'], t['mean']) for t in listed], [('fast', None), ('slow', None)])

  def test_no_trials_are_an_error_in_one_line(self):
    directory = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, directory)
    done = subprocess.run([sys.executable, '-m', 'experiments.tuning', f'--results={directory}'],
                          cwd=_ROOT, capture_output=True, text=True, check=False)
    self.assertEqual(done.returncode, 1)
    self.assertIn('has no <arm>/runs', done.stderr + done.stdout)

  def test_committed_list_is_that_of_the_committed_run_files(self):
    directory = _ROOT / 'experiments' / 'results' / 'tuning'
    if not (directory / 'tuning.json').exists():
      self.assertFalse(list(directory.glob('*/runs/*.json')))
      return
    listed = json.loads((directory / 'tuning.json').read_text())
    for arm, found in listed.items():
      paths = sorted(directory.glob(f'{arm}/runs/*.json'))
      files = [json.loads(path.read_text()) for path in paths]
      self.assertEqual(found, tuning.trials(files))


if __name__ == '__main__':
  absltest.main()
