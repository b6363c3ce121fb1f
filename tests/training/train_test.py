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

from alpt_jax import domains, methods
from alpt_jax.data import labels, pipeline, rlds
from alpt_jax.learners import alpt, learner
from alpt_jax.training import (
    checkpoints,
    evaluation,
    inputs,
    metrics,
    pretraining,
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
    ours, theirs = (checkpoints.restore_params(f'{c.workdir}/checkpoints', wanted)
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
    after = checkpoints.restore_params(
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
    with self.assertRaisesRegex(ValueError, 'unevaluated.json: damaged .* Delete it'):
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
