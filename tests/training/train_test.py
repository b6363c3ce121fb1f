"""Runs of the tiny preset on recorded mazes, as a user would start them."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from unittest import mock

import jax
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import methods
from alpt_jax.data import labels, pipeline, rlds
from alpt_jax.learners import alpt, learner
from alpt_jax.training import (
    checkpoints,
    evaluation,
    inputs,
    metrics,
    program,
    run_config,
    run_directory,
    sharding,
    stopping,
    train,
)
from tests import maze_data
from tests.training import events_test, wandb_run_test


def abstract_state(config):
  """Shapes of a run's state, on one device."""
  phase, specs = run_config.check_run(config)
  return program.make_program(config, phase, specs, sharding.make_mesh(num_devices=1)).state


def final_params(config):
  """All parameters of a run's last checkpoint, as one list of numpy arrays."""
  with checkpoints.Checkpoints(f'{config.workdir}/checkpoints', save_every_steps=1) as saved:
    state = saved.restore_latest(abstract_state(config))
  return [np.asarray(x) for x in jax.tree.leaves(state)]


def metrics_lines(config):
  """The lines of metrics.jsonl without the times, which no two runs share."""
  lines = pathlib.Path(config.workdir, 'metrics.jsonl').read_text().splitlines()
  return [{k: v for k, v in json.loads(line).items() if not k.startswith(('time/', 'data/'))}
          for line in lines]


class TrainTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.unbroken = maze_data.config(cls.root / 'unbroken')
    assert train.train(cls.unbroken, cls.unbroken.workdir) == 0

  def config(self, name, **changes):
    return maze_data.config(self.root / name, **changes)

  def test_run_directory_holds_what_the_report_needs(self):
    workdir = pathlib.Path(self.unbroken.workdir)
    self.assertEqual([line['step'] for line in metrics_lines(self.unbroken)], [2, 3, 4, 6])
    choice = labels.read_choice(workdir / 'labels.json')
    self.assertEqual(choice.windows.shape, (10, 2))
    scores = json.loads((workdir / 'eval' / 'step_0000006.json').read_text())
    self.assertEqual(scores['argmax']['num_episodes'], scores['sampled']['num_episodes'])
    self.assertLen(scores['paths']['argmax'], 6)
    with np.load(workdir / 'labels' / 'step_0000006.npz') as saved:
      self.assertEqual(saved['was_labelled'][saved['is_counted']].sum(), 50)

  def test_stopped_run_goes_on_bit_for_bit(self):
    config = self.config('stopped', num_steps=4)
    train.train(config, config.workdir)
    config = self.config('stopped')
    train.train(config, config.workdir)
    for a, b in zip(final_params(config), final_params(self.unbroken), strict=True):
      np.testing.assert_array_equal(a, b)
    self.assertEqual(events_test.read(f'{config.workdir}/events')[0],
                     events_test.expected(f'{config.workdir}/metrics.jsonl'))
    # The stopped run took step 4 for its last and also scored it by sampling.
    kept = [{k: v for k, v in line.items() if not k.startswith('eval/')}
            for line in metrics_lines(config)]
    self.assertEqual(kept, [{k: v for k, v in line.items() if not k.startswith('eval/')}
                            for line in metrics_lines(self.unbroken)])

  @parameterized.parameters((0, signal.SIGTERM), (3, signal.SIGINT), (6, signal.SIGTERM))
  def test_run_told_to_stop_while_it_evaluates_goes_on_there_bit_for_bit(self, stop_step, number):
    config = self.config(f'signalled_{stop_step}', checkpoint_every_steps=100)
    evaluate, done = evaluation.Evaluation.run, []

    def evaluate_and_stop(evaluation, step, state):
      if step == stop_step:
        os.kill(os.getpid(), number)
      done.append(step)
      return evaluate(evaluation, step, state)

    for _ in range(2):  # Being told once more, before anything is done, loses nothing.
      with mock.patch.object(evaluation.Evaluation, 'run', evaluate_and_stop):
        self.assertEqual(train.train(config, config.workdir), stopping.PREEMPTED)
      self.assertNotIn(stop_step, done)  # An evaluation can take longer than one is given.
      saved = checkpoints.latest_step(f'{config.workdir}/checkpoints')
      self.assertEqual(saved, stop_step or None)
    self.assertEqual(train.train(config, config.workdir), 0)
    for a, b in zip(final_params(config), final_params(self.unbroken), strict=True):
      np.testing.assert_array_equal(a, b)
    self.assertEqual(metrics_lines(config), metrics_lines(self.unbroken))

  @parameterized.parameters(
      dict(name='adamw', schedule='cosine'), dict(schedule='cosine', tokenizer_scale=0.))
  def test_run_with_a_cosine_goes_on_bit_for_bit_to_the_same_end_only(self, **optimizer):
    optimizer |= dict(warmup_steps=2)
    unbroken, stopped = (self.config(f'{name}_{sorted(optimizer)[0]}', optimizer=optimizer)
                         for name in ('cosine', 'stopped_cosine'))
    train.train(unbroken, unbroken.workdir)
    write = metrics.MetricsWriter.write

    def write_and_stop(writer, step, scalars):
      write(writer, step, scalars)
      if step == 2:
        os.kill(os.getpid(), signal.SIGTERM)

    with mock.patch.object(metrics.MetricsWriter, 'write', write_and_stop):
      self.assertEqual(train.train(stopped, stopped.workdir), stopping.PREEMPTED)
    longer = stopped.copy_and_resolve_references()
    longer.num_steps = 7
    with self.assertRaisesRegex(ValueError, r'has another config \(num_steps: 6 -> 7\)'):
      train.train(longer, longer.workdir)
    self.assertEqual(train.train(stopped, stopped.workdir), 0)
    for a, b in zip(final_params(stopped), final_params(unbroken), strict=True):
      np.testing.assert_array_equal(a, b)

  def test_second_interrupt_stops_at_once(self):
    config = self.config('interrupted')
    write = metrics.MetricsWriter.write

    def write_and_interrupt(writer, step, scalars):
      write(writer, step, scalars)
      if step == 3:
        os.kill(os.getpid(), signal.SIGINT)  # Remembered.
        os.kill(os.getpid(), signal.SIGINT)
        self.fail('still there')

    with mock.patch.object(metrics.MetricsWriter, 'write', write_and_interrupt):
      with self.assertRaises(KeyboardInterrupt):
        train.train(config, config.workdir)
    self.assertEqual(checkpoints.latest_step(f'{config.workdir}/checkpoints'), 2)
    self.assertEqual(train.train(config, config.workdir), 0)
    self.assertEqual(metrics_lines(config), metrics_lines(self.unbroken))

  def test_finished_run_is_left_alone(self):
    before = pathlib.Path(self.unbroken.workdir, 'metrics.jsonl').read_bytes()
    self.assertEqual(train.train(self.unbroken, self.unbroken.workdir), 0)
    self.assertEqual(pathlib.Path(self.unbroken.workdir, 'metrics.jsonl').read_bytes(), before)

  def test_run_of_before_there_were_viewers_goes_on_with_them(self):
    config = self.config('before', num_steps=4)
    train.train(config, config.workdir)
    workdir = pathlib.Path(config.workdir)
    content = json.loads((workdir / 'config.json').read_text())
    del content['wandb_project']
    (workdir / 'config.json').write_text(json.dumps(content))
    shutil.rmtree(workdir / 'events')
    config = self.config('before', wandb_project='mazes')
    stand_in = wandb_run_test.StandIn()
    with mock.patch.dict(sys.modules, wandb=stand_in):
      self.assertEqual(train.train(config, config.workdir), 0)
    expected = events_test.expected(workdir / 'metrics.jsonl')
    self.assertEqual([line['step'] for line in expected], [2, 3, 4, 6])
    self.assertEqual(events_test.read(workdir / 'events')[0], expected)
    rows, = stand_in.rows.values()
    self.assertEqual(list(rows), [2, 3, 4, 6])
    self.assertEqual([sorted(row) for row in rows.values()],
                     [sorted({*line} - {'step'}) for line in expected])

  def test_run_keeps_its_microbatches(self):
    config = self.config('pieces', num_steps=2)
    train.train(config, config.workdir)
    path = pathlib.Path(config.workdir, 'config.json')
    content = json.loads(path.read_text())
    phase, specs = run_config.check_run(config)
    self.assertEqual(
        content['sharding']['microbatch'], learner.make(config, phase, specs).microbatch)
    # As if another version had decided.
    content['sharding']['microbatch'] = 3
    path.write_text(json.dumps(content))
    config = self.config('pieces')
    with mock.patch.object(alpt, 'make_update', wraps=alpt.make_update) as make_update:
      self.assertEqual(train.train(config, config.workdir), 0)
    self.assertEqual(make_update.call_args.kwargs['microbatch'], 3)
    self.assertEqual(json.loads(path.read_text())['sharding']['microbatch'], 3)
    self.assertEqual(config.sharding.microbatch, 0)
    one, other = metrics_lines(config)[-1], metrics_lines(self.unbroken)[-1]
    for name in ('idm/loss', 'dt/loss', 'idm/grad_norm', 'dt/grad_norm'):
      np.testing.assert_allclose(one[name], other[name], rtol=1e-4, err_msg=name)
    config.sharding.microbatch = 2  # Changes rounding only.
    self.assertEqual(run_directory.check_config(config, config.workdir, content['data_digests'])[
        'sharding']['microbatch'], 2)

  @parameterized.parameters('soft', 'sampled', 'weighted', 'thresholded')
  def test_every_mode_of_labels_trains(self, mode):
    config = self.config(f'labels_{mode}', num_steps=2, pseudo_labels=dict(mode=mode))
    self.assertEqual(train.train(config, config.workdir), 0)
    last = metrics_lines(config)[-1]
    self.assertBetween(last['dt/label_confidence'], .25, 1.)
    self.assertNotIn('dt/label_confidence', metrics_lines(self.unbroken)[-1])

  def test_training_imports_no_viewer_and_no_tensorflow(self):
    config = self.config('imports')
    program = ('import sys; from alpt_jax.training import train; '
               'from experiments.configs import maze; '
               f'config = maze.get_config("tiny"); config.data_dir = {config.data_dir!r}; '
               f'train.train(config, {config.workdir!r}); '
               'print({"tensorflow", "tensorboard", "wandb"} & set(sys.modules))')
    result = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=False,
        env=os.environ | {'JAX_NUM_CPU_DEVICES': '8'})  # As in conftest.py: nothing is compiled.
    self.assertEqual((result.stdout.strip(), result.returncode), ('set()', 0), msg=result.stderr)
    self.assertTrue(events_test.read(f'{config.workdir}/events')[0])

  @parameterized.parameters('alpt', 'dt5_ret')
  def test_hidden_actions_do_not_matter_to_a_single_bit(self, method):
    clean = self.unbroken
    if method != clean.method:
      clean = self.config(f'clean_{method}', method=method)
      train.train(clean, clean.workdir)
    config = self.config(f'garbage_{method}', method=method)
    choice = labels.read_choice(pathlib.Path(clean.workdir, 'labels.json'))
    read = rlds.read_episodes
    num_changed = []

    def read_garbage(directory, spec, **kwargs):
      episodes = read(directory, spec, **kwargs)
      if spec.name != config.target:
        return episodes
      known = labels.hide_actions(episodes, choice.windows, choice.window).is_labelled
      garbage = np.random.default_rng(0).integers(4, size=len(known), dtype=np.int32)
      actions = np.where(known | ~episodes.is_labelled, episodes.actions, garbage)
      num_changed.append(np.sum(actions != episodes.actions))
      return dataclasses.replace(episodes, actions=actions)

    with mock.patch.object(rlds, 'read_episodes', read_garbage):
      train.train(config, config.workdir)
    self.assertGreater(num_changed[0], 100)
    for a, b in zip(final_params(config), final_params(clean), strict=True):
      np.testing.assert_array_equal(a, b)
    self.assertEqual(metrics_lines(config), metrics_lines(clean))

  def test_labels_of_dt5_ret_have_rows_of_their_own(self):
    config = self.config('rows', method='dt5_ret')
    phase, specs = run_config.check_run(config)
    data = inputs.read_data(config, phase)
    # 12 rows for source, labelled windows and target.
    streams = inputs.make_streams(config, phase, specs, data)
    self.assertEqual([(s.part, s.environment, s.rows) for s in streams],
                     [('dt', 1, 4), ('dt', 0, 4), ('limited', 0, 4)])
    with contextlib.closing(pipeline.Pipeline(
        streams, window=5, seed=0, start_step=0, num_shards=2, pool_size=64)) as batches:
      batch = next(batches)
    of_target = batch.dt.environment == 0
    self.assertEqual(of_target.sum(), 4)
    self.assertTrue(batch.dt.is_labelled[of_target].all())
    self.assertEqual(data.episodes[config.target].is_labelled.sum(), 50)

  def test_pretrained_parameters_start_the_finetuning(self):
    before = self.config('pretraining', phase='pretrain', num_steps=2)
    train.train(before, before.workdir)
    finetuning = self.config('finetuning', phase='finetune', num_steps=2,
                             init_from=before.workdir)
    # A learning rate of 0 leaves the parameters as they came.
    finetuning.optimizer.update(idm_learning_rate=0., dt_learning_rate=0.)
    train.train(finetuning, finetuning.workdir)
    abstract = abstract_state(before)
    wanted = {'idm': abstract.idm.params, 'dt': abstract.dt.params}
    ours, theirs = (checkpoints.restore_params(f'{c.workdir}/checkpoints', wanted)[1]
                     for c in (before, finetuning))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)

  def test_weights_and_factors_of_a_config_reach_its_updates(self):
    config = self.config(
        'weighted', num_steps=2, return_weight=0.,
        optimizer=dict(name='adamw', warmup_steps=0, weight_decay=0., tokenizer_scale=0.))
    train.train(config, config.workdir)
    phase, specs = run_config.check_run(config)
    made = program.make_program(config, phase, specs, sharding.make_mesh(num_devices=1))
    init_key, _ = jax.random.split(jax.random.key(config.seed))
    before = program.network_params(made.init(init_key))
    _, after = checkpoints.restore_params(
        f'{config.workdir}/checkpoints', program.network_params(made.state))
    is_same = {network: {part: all(jax.tree.leaves(jax.tree.map(
        np.array_equal, before[network][part], after[network][part]))) for part in before[network]}
               for network in before}
    still = ('tokenizer', 'return_head')
    for network in ('idm', 'dt'):
      for part in ('tokenizer', 'return_head', 'action_head', 'transformer'):
        if part in is_same[network]:
          self.assertEqual(is_same[network][part], part in still, msg=f'{network}/{part}')
    self.assertIn('return_head', is_same['dt'])

  @parameterized.parameters('dt1', 'dt5', 'dt1_idm', 'dt5_ret', 'alpt_idm_only', 'oracle')
  def test_every_method_trains(self, method):
    config = self.config(f'method_{method}', method=method, num_steps=1, eval_every_steps=1)
    self.assertEqual(train.train(config, config.workdir), 0)
    with_idm = bool(methods.phase_of(method, 'joint').idm)
    self.assertEqual(pathlib.Path(config.workdir, 'labels').exists(), with_idm)

  def test_xy_observation_trains(self):
    config = self.config('xy', observation='xy', num_steps=1)
    self.assertEqual(train.train(config, config.workdir), 0)


if __name__ == '__main__':
  absltest.main()
