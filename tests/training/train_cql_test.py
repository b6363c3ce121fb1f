"""CQL through the whole loop: real ALE play, checkpoints, resuming, several devices, scores."""

import json
import pathlib
import shutil
import tempfile
from unittest import mock

import jax
import numpy as np
from absl import flags
from absl.testing import absltest, parameterized

from alpt_jax import domains
from alpt_jax.data import episode_files, labels, pipeline
from alpt_jax.learners import learner
from alpt_jax.networks import flops
from alpt_jax.training import (
    checkpoints,
    inputs,
    program,
    run_config,
    run_directory,
    sharding,
    shares,
    stopping,
    train,
)
from experiments import evaluate as evaluate_binary
from experiments.configs import atari, maze
from tests import atari_runs

_RTOL = 1e-5  # Float32 sums in another order.


def restored(config):
  """Parameters, target parameters and optimizer state of a run's newest checkpoint."""
  phase, specs = run_config.check_run(config)
  abstract = program.make_program(config, phase, specs, sharding.make_mesh(num_devices=1)).state
  with checkpoints.Checkpoints(
      pathlib.Path(config.workdir, 'checkpoints'), save_every_steps=1) as saved:
    return saved.restore_latest(abstract)


class TrainCqlTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.unbroken = atari_runs.config(cls.root / 'unbroken', 'tiny,setting=disjoint,method=cql')
    assert train.train(cls.unbroken, cls.unbroken.workdir) == stopping.DONE

  def config(self, name, **changes):
    return atari_runs.config(
        self.root / name, 'tiny,setting=disjoint,method=cql', **changes)

  def assert_same(self, *configs):
    for a, b in zip(*(jax.tree.leaves(restored(config)) for config in configs), strict=True):
      np.testing.assert_array_equal(a, b)

  def metrics(self, config):
    return [json.loads(line) for line in pathlib.Path(
        config.workdir, 'metrics.jsonl').read_text().splitlines()]

  def test_run_learns_and_is_scored(self):
    state = restored(self.unbroken)
    self.assertEqual(int(state.step), 4)
    moved = jax.tree.map(lambda a, b: np.any(a != b), state.q.params, train_start(self.unbroken))
    self.assertTrue(all(jax.tree.leaves(moved)))
    last = self.metrics(self.unbroken)[-1]
    self.assertContainsSubset({'q/loss', 'q/conservative_loss', 'eval/sampled/score'}, last)
    scores = json.loads(pathlib.Path(
        run_directory.evaluation_path(self.unbroken.workdir, 4)).read_text())['sampled']
    self.assertLen(scores['scores'], 2)
    self.assertEqual((scores['acting_rule'], scores['epsilon']), ('epsilon-greedy', .001))
    # Again, by the binary, from the checkpoint.
    evaluate_binary._VIDEO.present or flags.FLAGS(['evaluate'])
    evaluate_binary.main(self.unbroken)
    final = json.loads(pathlib.Path(self.unbroken.workdir, 'eval', 'final.json').read_text())
    self.assertEqual(final, {'step': 4, 'sampled': scores})

  def test_labels_are_those_of_the_other_methods(self):
    config = self.config('dt1')
    config.method = 'dt1'
    phase, _ = run_config.check_run(config)
    ours = labels.read_choice(pathlib.Path(self.unbroken.workdir, 'labels.json'))
    theirs = inputs.read_data(config, phase).choices['Breakout']
    np.testing.assert_array_equal(ours.windows, theirs.windows)
    self.assertEqual(ours[1:], theirs[1:])

  def test_every_labelled_transition_is_learned_from_and_no_other(self):
    phase, specs = run_config.check_run(self.unbroken)
    data = inputs.read_data(self.unbroken, phase)
    streams = inputs.make_streams(self.unbroken, phase, specs, data)
    self.assertEqual([(s.part, s.rows) for s in streams], [('q', 4)])
    batches = pipeline.Pipeline(
        streams, window=learner.make(self.unbroken, phase, specs).window, seed=0, num_shards=1,
        pool_size=64, start_step=0)
    self.addCleanup(batches.close)
    seen = {(row['episode'], row['start']) for step in range(13)
            for row in batches.describe(step)['q']}  # 52 of 50.
    choice = labels.read_choice(pathlib.Path(self.unbroken.workdir, 'labels.json'))
    self.assertEqual(seen, {(e, s + i) for e, s in choice.windows.tolist() for i in range(5)})

  def test_stopped_run_goes_on_bit_for_bit(self):
    stopped = self.config('stopped', num_steps=2)
    train.train(stopped, stopped.workdir)
    stopped.num_steps = 4
    self.assertEqual(train.train(stopped, stopped.workdir), stopping.DONE)
    self.assert_same(stopped, self.unbroken)

  def test_run_is_the_same_on_two_devices(self):
    config = self.config('devices')
    config.sharding.update(num_devices=2, fsdp=2, optimizer=True)
    train.train(config, config.workdir)
    for here, there in zip(self.metrics(config), self.metrics(self.unbroken), strict=True):
      self.assertEqual(here.keys(), there.keys())
      for name in there.keys() - {'time/steps_per_second', 'data/wait_fraction'}:
        np.testing.assert_allclose(here[name], there[name], rtol=_RTOL, atol=1e-7, err_msg=name)

  def test_large_tensors_are_cut_as_those_of_other_methods(self):
    config = self.config('cut')
    config.cql.hidden = 64
    phase, specs = run_config.check_run(config)
    state = program.make_program(config, phase, specs, sharding.make_mesh(fsdp=2)).state
    for params in (state.q.params, state.target_params):
      self.assertIn('fsdp', params['hidden']['kernel'].sharding.spec)

  def test_hidden_actions_do_not_matter_to_a_single_bit(self):
    read = episode_files._read_record
    choice = labels.read_choice(pathlib.Path(self.unbroken.workdir, 'labels.json'))
    data = domains.of(self.unbroken).read('Breakout')
    episode_at = {(str(data._splits[s].filepaths[0]), p): e for e, (s, p) in enumerate(
        zip(data._index.split.tolist(), data._index.place.tolist(), strict=True))}
    num_changed = []

    def read_garbage(source, place, split):
      fields = read(source, place, split)
      is_kept = np.zeros(len(fields['action']), bool)
      for episode, start in choice.windows.tolist():
        if episode == episode_at[str(split.filepaths[0]), place]:
          is_kept[start:start + 5] = True
      num_changed.append((~is_kept).sum())
      fields['action'] = np.where(is_kept, fields['action'], (fields['action'] + 1) % 4)
      return fields

    config = self.config('garbage')
    with mock.patch.object(episode_files, '_read_record', read_garbage):
      train.train(config, config.workdir)
    self.assertGreater(sum(num_changed), 100)
    self.assert_same(config, self.unbroken)

  def test_data_that_does_not_tell_ends_from_cuts_is_refused(self):
    read = episode_files._read_record

    def read_less(*args):
      fields = read(*args)
      del fields['is_terminal']
      return fields

    config = self.config('cuts')
    with mock.patch.object(episode_files, '_read_record', read_less), self.assertRaisesRegex(
        ValueError, "the data of Breakout has no step field 'is_terminal'"):
      train.train(config, config.workdir)

  def test_other_group_of_values_is_another_run_but_not_to_other_methods(self):
    config = self.config('unbroken')
    config.cql.discount = .9
    with self.assertRaisesRegex(ValueError, r'cql.discount: 0.99 -> 0.9'):
      train.train(config, config.workdir)
    config = self.config('dt', num_steps=2)
    config.method = 'dt1'
    train.train(config, config.workdir)
    config.cql.discount = .9
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)

  @parameterized.parameters(
      (dict(batch_size=0), {}, 'cql.batch_size is 0; expected at least 1'),
      (dict(batch_size=3), dict(num_devices=2), 'cql.batch_size is 3.* Use 4'),
      (dict(discount=1.5), {}, r'cql.discount is 1.5; expected it in \[0, 1\]'),
      (dict(min_q_weight=-1.), {}, 'cql.min_q_weight is -1.0; expected a number'),
      ({}, dict(accumulate=2), 'sharding.accumulate is 2; .*Use 1'),
      ({}, dict(microbatch=2), 'sharding.microbatch is 2; .*Use 0'),
  )
  def test_mistakes_in_a_config(self, settings, devices, message):
    config = self.config('mistake')
    config.cql.update(settings)
    config.sharding.update(devices)
    with self.assertRaisesRegex(ValueError, message):
      train.train(config, config.workdir)

  def test_what_it_has_not_is_refused(self):
    with self.assertRaisesRegex(ValueError, "'cql' has no phase 'pretrain'"):
      run_config.check_run(self.config('phase', phase='pretrain'))
    with self.assertRaisesRegex(ValueError, 'init_from is there; .*Leave it empty'):
      train.train(self.config('start', init_from='there'), str(self.root / 'start'))
    with self.assertRaisesRegex(ValueError, "augmentation is 'shift'; method 'cql' has none"):
      run_config.check_run(self.config('shift', augmentation='shift'))
    maze_config = maze.get_config('tiny')
    maze_config.method = 'cql'
    with self.assertRaisesRegex(ValueError, "method is 'cql', which experiment 'maze' does not"):
      run_config.check_run(maze_config)

  def test_work_of_an_update(self):
    config = self.config('flops')
    phase, specs = run_config.check_run(config)
    made = learner.make(config, phase, specs)
    work = made.flops(shares.part_rows(config, phase, specs))
    one = flops.q(made.networks.q)
    self.assertEqual(work, {'q': config.cql.batch_size * one.training,
                            'target': config.cql.batch_size * one.forward})


def train_start(config):
  """The parameters that a run starts from."""
  phase, specs = run_config.check_run(config)
  made = program.make_program(config, phase, specs, sharding.make_mesh(num_devices=1))
  return made.init(jax.random.split(jax.random.key(config.seed))[0]).q.params


class ConfigTest(absltest.TestCase):

  def test_paper_preset_has_the_release_s_numbers(self):
    for target in atari.FIVE:
      config = atari.get_config(f'paper,method=cql,phase=finetune,target={target}')
      self.assertEqual((config.num_labels, config.num_steps), (10_000, 100 * 62_500))
      phase, specs = run_config.check_run(config)
      shares.check_rows(config, phase, specs, sharding.make_mesh())
      self.assertEqual(shares.part_rows(config, phase, specs), {'q': 32})


if __name__ == '__main__':
  absltest.main()
