"""Mistakes that training refuses before it writes anything."""

import json
import pathlib
import shutil
import sys
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from alpt_jax import domains
from alpt_jax.training import (
    pretraining,
    run_directory,
    stopping,
    train,
)
from tests import maze_data


class BadInputTest(parameterized.TestCase):
  """Each mistake ends in one sentence that names it, before anything is written."""

  def new_directory(self):
    return self.enterContext(tempfile.TemporaryDirectory())

  def assert_refused(self, expected, error=ValueError, **changes):
    workdir = pathlib.Path(self.new_directory(), 'run')
    config = maze_data.config(workdir, **changes)
    with self.assertRaisesRegex(error, expected):
      train.train(config, config.workdir)
    self.assertFalse(workdir.exists())

  def test_sources_that_a_method_does_not_read_need_not_be_there(self):
    config = maze_data.config(pathlib.Path(self.new_directory(), 'run'), method='dt1',
                              sources=('maze-8-blocks:3-seed55',))
    self.assertEqual(train.train(config, config.workdir), 0)
    digests = json.loads(pathlib.Path(config.workdir, 'config.json').read_text())['data_digests']
    self.assertEqual(list(digests), [config.target])

  def test_no_sources_for_alpt(self):
    self.assert_refused("sources is empty, but method 'alpt'", sources=())

  def test_more_labels_than_data(self):
    self.assert_refused('num_labels of maze-8.*budget is 100000', num_labels=100_000)

  @parameterized.parameters((51, 50), (4, 5), (0, 5), (-5, 5))
  def test_labels_are_no_windows(self, num_labels, proposal):
    self.assert_refused(
        f'^num_labels is {num_labels}; expected a multiple of the window of 5 transitions, at '
        f'least one window. Try {proposal}.$', num_labels=num_labels)

  def test_missing_data(self):
    self.assert_refused('no such dataset directory', error=FileNotFoundError,
                        target='maze-8-blocks:3-seed77')

  def test_empty_data_directory(self):
    directory = pathlib.Path(self.new_directory())
    (directory / 'maze-8-blocks:3-seed0').mkdir()
    self.assert_refused('the directory is empty', data_dir=str(directory))

  def test_data_of_another_maze(self):
    directory = pathlib.Path(self.new_directory())
    shutil.copytree(pathlib.Path(maze_data.recorded(), 'maze-8-blocks:3-seed100'),
                    directory / 'maze-8-blocks:3-seed0')
    self.assert_refused('the data of another environment', data_dir=str(directory))

  def test_batch_that_the_shards_do_not_divide(self):
    self.assert_refused('batch_size is 13', batch_size=13)

  def test_target_among_the_sources(self):
    self.assert_refused('sources contain the target', sources=('maze-8-blocks:3-seed0',))

  def test_source_that_is_a_copy_of_the_target(self):
    with mock.patch.object(domains.named('maze'), 'digest', lambda self, name: 'ab'):
      self.assert_refused('maze-8-blocks:3-seed100 and the target maze-8-blocks:3-seed0 have the '
                          'same data')

  def test_finetuning_of_nothing(self):
    self.assert_refused('init_from is empty', phase='finetune')

  @parameterized.parameters(
      ('optimizer', 'dt_learning_rate', -1.), ('optimizer', 'idm_learning_rate', float('nan')),
      ('optimizer', 'max_grad_norm', float('inf')), ('optimizer', 'weight_decay', float('nan')),
      ('optimizer', 'tokenizer_scale', -1.), ('optimizer', 'final_fraction', 1.5),
      ('optimizer', 'final_fraction', float('nan')),
      ('model', 'dt_dropout', 1.5), ('model', 'idm_dropout', float('nan')),
      ('model', 'vector_bins', -1), ('sampling', 'num_threads', 0),
      ('sampling', 'labelled_share', 1.), ('sampling', 'labelled_share', float('nan')),
      ('sharding', 'accumulate', 0), ('sharding', 'microbatch', -1),
      ('pseudo_labels', 'temperature', -1.), ('pseudo_labels', 'threshold', 1.5))
  def test_nested_number_out_of_range(self, group, key, value):
    self.assert_refused(f'{group}.{key} is {value}; expected', **{group: {key: value}})

  @parameterized.parameters(('name', 'sgd'), ('schedule', 'linear'))
  def test_unknown_optimizer(self, key, value):
    self.assert_refused(f"optimizer.{key} is '{value}'; expected one of", optimizer={key: value})

  def test_cosine_within_the_warm_up(self):
    self.assert_refused("num_steps is 6; expected more than optimizer.warmup_steps 6 for schedule "
                        "'cosine'", optimizer=dict(schedule='cosine', warmup_steps=6))

  def test_damaged_config_of_a_run(self):
    workdir = self.new_directory()
    pathlib.Path(workdir, 'config.json').write_text('{"seed": ')
    with self.assertRaisesRegex(
        ValueError, 'config.json: not the config of a run .* choose another --config.workdir'):
      train.train(maze_data.config(workdir), workdir)

  @parameterized.parameters(
      ('num_labels', 25), ('label_seed', 3), ('method', 'oracle'), ('sources', ()),
      ('source_actions', 'permuted'))
  def test_what_decides_which_actions_were_seen_never_changes(self, key, value):
    workdir = self.new_directory()
    config = maze_data.config(workdir)
    pathlib.Path(workdir, 'config.json').write_text(
        json.dumps(run_directory.check_config(config, workdir, {'maze': 'abc'})))
    other = maze_data.config(workdir, allow_changed_config=True, **{key: value})
    with self.assertRaisesRegex(ValueError, f'{key} decides which actions a run has seen, and'):
      run_directory.check_config(other, workdir, {'maze': 'abc'})
    config.allow_changed_config = True
    with self.assertRaisesRegex(ValueError, 'data_digests.maze decides which actions'):
      run_directory.check_config(config, workdir, {'maze': 'other'})
    config.batch_size = 24
    self.assertEqual(run_directory.check_config(config, workdir, {'maze': 'abc'})['batch_size'], 24)

  @parameterized.parameters('idm_tokenizer', 'dt_tokenizer')
  def test_convolutions_are_for_images(self, key):
    self.assert_refused(
        f"^model.{key} is 'conv', which reads images; .* kind 'grid'. Use 'patch'",
        model={key: 'conv'})
    self.assert_refused(f"^model.{key} is 'cnn'; expected one of", model={key: 'cnn'})

  def test_missing_package_of_a_viewer(self):
    with mock.patch.dict(sys.modules, wandb=None):
      self.assert_refused(r'wandb_project: .* \(pip install wandb\)', wandb_project='mazes')

  def test_unknown_method(self):
    self.assert_refused("Unknown method 'bc'", method='bc')

  @parameterized.parameters(('window', 0), ('eval_every_steps', 0), ('log_every_steps', -1),
                            ('seed', -1), ('label_seed', -1), ('num_label_windows', -1))
  def test_number_out_of_range(self, key, value):
    self.assert_refused(f'{key} is {value}; expected at least', **{key: value})

  @parameterized.product(
      key=('reward_weight', 'return_weight', 'action_weight'), value=(-1., float('nan')))
  def test_weight_that_is_none(self, key, value):
    self.assert_refused(f'{key} is {value}; expected', **{key: value})

  def test_weights_that_leave_nothing_to_learn(self):
    self.assert_refused('reward_weight, return_weight and action_weight are 0',
                        return_weight=0., action_weight=0.)

  def test_unknown_mode_of_labels(self):
    self.assert_refused("pseudo_labels.mode is 'firm'; expected one of hard, soft",
                        pseudo_labels=dict(mode='firm'))

  @parameterized.parameters('dt1', 'dt5_ret', 'oracle', 'dt')
  def test_mode_of_labels_where_no_idm_labels(self, method):
    self.assert_refused(f"pseudo_labels.mode is 'soft', and no IDM labels .*'joint' .*'{method}'",
                        method=method, pseudo_labels=dict(mode='soft'))

  def test_source_of_another_size(self):
    self.assert_refused('sources has maze-9-.* expected mazes of one size',
                        sources=('maze-9-blocks:3-seed0',))

  def test_width_that_the_heads_do_not_divide(self):
    self.assert_refused('model.d_model is 17', model=dict(d_model=17))

  def test_more_shards_than_labelled_windows(self):
    self.assert_refused('num_shards is 2; there are only 1 segments', num_labels=5)

  def test_missing_pretraining(self):
    self.assert_refused('nowhere/config.json: no such file', error=FileNotFoundError,
                        phase='finetune', init_from='nowhere')

  def test_changed_config_of_a_run_names_the_keys(self):
    workdir = self.new_directory()
    config = maze_data.config(workdir, num_steps=1)
    train.train(config, workdir)
    before = sorted(p.stat().st_mtime_ns for p in pathlib.Path(workdir).rglob('*'))
    with self.assertRaisesRegex(ValueError, r'\(seed: 0 -> 1\). Choose another --config.workdir'):
      train.train(maze_data.config(workdir, num_steps=2, seed=1), workdir)
    self.assertEqual(sorted(p.stat().st_mtime_ns for p in pathlib.Path(workdir).rglob('*')), before)

  def test_lost_checkpoints_are_no_fresh_start(self):
    workdir = pathlib.Path(self.new_directory())
    config = maze_data.config(workdir, num_steps=5, checkpoint_every_steps=1, log_every_steps=1)
    train.train(config, config.workdir)
    shutil.rmtree(workdir / 'checkpoints')
    before = (workdir / 'metrics.jsonl').read_bytes()
    with self.assertRaisesRegex(ValueError, 'checkpoints: no checkpoint, but .*checkpoints-began '
                                'says that there were some. Restore them'):
      train.train(config, config.workdir)
    self.assertEqual((workdir / 'metrics.jsonl').read_bytes(), before)
    (workdir / 'checkpoints-began').unlink()
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)

  def test_damaged_note_of_an_evaluation(self):
    workdir = self.new_directory()
    pathlib.Path(workdir, 'unevaluated.json').write_text('[1]')
    with self.assertRaisesRegex(ValueError, 'unevaluated.json: the content is .* Delete it'):
      train.train(maze_data.config(workdir), workdir)

  def test_second_trainer_in_a_directory(self):
    workdir = self.new_directory()
    with run_directory.only_trainer(workdir), self.assertRaisesRegex(
        ValueError, 'another process is training here'):
      train.train(maze_data.config(workdir), workdir)

  def test_checkpoint_of_another_observation(self):
    before = maze_data.config(self.new_directory(), phase='pretrain', num_steps=1)
    train.train(before, before.workdir)
    finetuning = maze_data.config(self.new_directory(), phase='finetune',
                                  observation='xy', init_from=before.workdir)
    with self.assertRaisesRegex(ValueError, 'observation is grid, this run has xy'):
      train.train(finetuning, finetuning.workdir)
    with mock.patch.object(pretraining, 'check'), self.assertRaisesRegex(
        ValueError, 'another observation mode'):
      train.train(finetuning, finetuning.workdir)


if __name__ == '__main__':
  absltest.main()
