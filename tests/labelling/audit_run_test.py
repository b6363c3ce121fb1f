"""Audits of real runs on recorded mazes: what is held out, what is found, what is refused."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import domains, progress, schema
from alpt_jax.data import environment_file, labels
from alpt_jax.domains.maze import env
from alpt_jax.labelling import audit_run, trained_idm, trained_run
from alpt_jax.learners import alpt
from alpt_jax.training import label_windows, sharding, train
from experiments.studies import labelling_schema
from tests import maze_data, own_runs
from tests.labelling.saying import Said, always_up, saying


def predictions_of_idm(trained, spec, stride):
  """What `votes` does with windows that tile an episode."""
  del stride
  legal, window = alpt.legal_actions([spec]), trained.config.window

  @jax.jit
  def predict(params, observations):
    logits = trained.idm.apply({'params': params}, observations)
    return jax.nn.softmax(jnp.where(legal[:, None], logits, -jnp.inf))

  def predict_fn(episodes, numbers):
    for number in numbers:
      length = episodes.num_transitions[number]
      _, start, is_counted = label_windows.tile(np.array([length]), window)
      rows = np.arange(24) % len(start)  # One shape for all; at most 100 transitions.
      cut = episodes.cut(np.full(24, number), start[rows], window)
      probabilities = np.asarray(predict(trained.params, cut.observations))
      yield Said(number, probabilities[:len(start)][is_counted])

  return predict_fn


def read_off(spec, stride):
  """Says what moved the agent from one cell to the next, with certainty; DOWN if nothing did."""
  del stride
  moves = {(1, 0): env.DOWN, (0, 1): env.RIGHT, (-1, 0): env.UP, (0, -1): env.LEFT,
           (0, 0): env.DOWN}

  def predict_fn(episodes, numbers):
    for number in numbers:
      length = episodes.num_transitions[number]
      grids = episodes.cut(np.array([number]), np.array([0]), length).observations[0]
      cells = np.argwhere(grids[..., env.AGENT_PLANE])[:, 1:]
      said = [moves[tuple(step)] for step in np.diff(cells, axis=0).tolist()]
      yield Said(number, np.eye(spec.num_actions)[said] * .96 + .01)

  return predict_fn


@contextlib.contextmanager
def shifted_data(shift):
  """All data is read with its actions `shift` transitions too late."""
  maze = domains.named('maze')
  read = maze.read

  def read_shifted(domain, name, **settings):
    episodes = read(domain, name, **settings)
    actions = episodes.actions.copy()
    for first, length in zip(episodes.first_step, episodes.num_transitions, strict=True):
      actions[first:first + length] = np.roll(actions[first:first + length], shift)
    return dataclasses.replace(episodes, actions=actions)

  with mock.patch.object(maze, 'read', read_shifted):
    yield


class AuditRunTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.config = maze_data.config(cls.root / 'run', train_dt=False)
    assert train.train(cls.config, cls.config.workdir) == 0
    cls.trained = trained_idm.restore(cls.config.workdir)
    cls.choice = labels.read_choice(cls.root / 'run' / 'labels.json')

  def audit(self, make_predict_fn=always_up, trained=None, **settings):
    return audit_run.audit_run(
        saying(trained or self.trained, make_predict_fn), **(dict(progress=False) | settings))

  def copy(self):
    """A copy of the run that may be damaged."""
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'run')
    shutil.copytree(self.root / 'run', directory)
    return directory

  def copy_of_config(self, **changes):
    """A run directory with nothing but a config."""
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    content = json.loads((self.root / 'run' / 'config.json').read_text())
    (directory / 'config.json').write_text(json.dumps(content | changes))
    return directory

  def test_config_comes_back_as_it_was(self):
    config, digests = trained_run.read_config(self.config.workdir)
    self.assertGreater(config.sharding.microbatch, 0)  # Decided when it was trained.
    expected = self.config.copy_and_resolve_references()
    expected.sharding.microbatch = config.sharding.microbatch
    self.assertEqual(config.to_json(), expected.to_json())
    self.assertEqual(config.sources, self.config.sources)
    self.assertEqual(set(digests), {self.config.target, *self.config.sources})

  def test_real_labels_are_counted_in_episodes_without_any_known_action(self):
    found = self.audit(lambda *args: predictions_of_idm(self.trained, *args), num_episodes=0,
                       stride=5)
    environment, = found['environments']
    episodes = domains.of(self.config).read(self.config.target)
    held_out = set(range(40)) - set(self.choice.windows[:, 0].tolist())
    # An independent count, by the labels that training writes.
    mesh = sharding.make_mesh(num_devices=1)
    said = label_windows.predict_actions(
        label_windows.make_label_fn(self.trained.idm, self.trained.spec, mesh), self.trained.params,
        episodes, window=5)
    is_counted = said.is_counted & np.isin(said.episode, sorted(held_out))[:, None]
    truth = episodes.cut(said.episode, said.start, 5).actions
    self.assertEqual(environment['num_episodes'], len(held_out))
    self.assertEqual(environment['num_transitions'], is_counted.sum())
    self.assertAlmostEqual(environment['accuracy']['value'],
                           np.mean((said.actions == truth)[is_counted]))
    self.assertEqual(environment['kind'], 'held out')
    self.assertEqual(
        [found['about'][key] for key in ('run', 'method', 'step', 'window')],
        [self.config.workdir, 'alpt', 6, 5])
    self.assertEqual(found['stride'], 5)

  def test_temperatures_are_of_all_votes_and_of_single_windows(self):
    temperatures = {1: 3., 5: 2.}  # By stride; labels sharpened by them are calibrated by them.
    rng = np.random.default_rng(0)
    episodes = domains.of(self.config).read(self.config.target)
    said = {}
    for number, length in enumerate(episodes.num_transitions):
      logits = rng.normal(size=(length, self.trained.spec.num_actions))
      actions, _ = episodes.actions_of(number)
      logits[np.arange(length), actions] += 1
      said[number] = logits
    asked = []

    def make_predict_fn(spec, stride):
      del spec
      def predict_fn(_, numbers):
        asked.append((stride, tuple(numbers)))
        for number in numbers:
          weights = np.exp(temperatures[stride] * said[number])
          yield Said(number, weights / weights.sum(axis=1, keepdims=True))
      return predict_fn

    found = self.audit(make_predict_fn, num_episodes=20)
    self.assertEqual([stride for stride, _ in asked], [1, 5])
    self.assertEqual(asked[0][1], asked[1][1])
    self.assertEqual(found['stride'], 1)
    of_votes, of_single = (
        found[key]['fitted'] for key in ('temperature_fit', 'training_temperature_fit'))
    self.assertAlmostEqual(of_votes / of_single, 3 / 2, places=4)
    alone = self.audit(make_predict_fn, num_episodes=20, stride=5)
    self.assertEqual([stride for stride, _ in asked], [1, 5, 5])  # No second pass.
    self.assertEqual(alone['temperature_fit'], found['training_temperature_fit'])
    self.assertEqual(alone['training_temperature_fit'], found['training_temperature_fit'])

  def test_examples_show_windows_of_the_episodes_that_were_counted(self):
    found = self.audit(always_up, num_episodes=0)
    environment, = found['environments']
    examples = environment['examples']
    self.assertLen(examples, 12)
    episodes = domains.of(self.config).read(self.config.target)
    held_out = set(range(40)) - set(self.choice.windows[:, 0].tolist())
    for example in examples:
      self.assertIn(example['episode'], held_out)
      self.assertLessEqual(example['start'] + 5, episodes.num_transitions[example['episode']])
      cut = episodes.cut(np.array([example['episode']]), np.array([example['start']]), 5)
      names = [environment['actions'][i] for i in example['true']]
      self.assertEqual(names, [env.ACTION_NAMES[a] for a in cut.actions[0]])
      self.assertEqual({environment['actions'][i] for i in example['predicted']}, {'UP'})
      np.testing.assert_allclose(example['confidence'], .7, atol=1e-4)
    schema.check(
        dict(run='r', method='alpt', label='ALPT', target='t', seed=0, step=6,
             num_hidden=environment['num_transitions'], actions=environment['actions'],
             confusion=environment['confusion'], examples=examples),
        labelling_schema.LABELLING, 'audit')

  def numbers(self, **settings):
    """The episodes that are predicted."""
    asked = []

    def make_predict_fn(spec, stride):
      predict_fn = always_up(spec, stride)
      return lambda episodes, numbers: asked.append(numbers) or predict_fn(episodes, numbers)

    self.audit(make_predict_fn, **settings)
    return asked

  def test_episodes_are_drawn_by_the_seed(self):
    first = self.numbers(num_episodes=5)
    again, other = self.numbers(num_episodes=5), self.numbers(num_episodes=5, seed=1)
    self.assertEqual(first, again)
    self.assertNotEqual(first, other)
    self.assertLen(set(first[0]) - set(self.choice.windows[:, 0].tolist()), 5)

  def test_a_source_was_trained_on_and_others_were_never_seen(self):
    source, other = self.config.sources[0], 'maze-8-tunnel-seed100'
    found = self.audit(environments=(source, self.config.target, other))
    self.assertEqual([(e['name'], e['kind']) for e in found['environments']], [
        (source, 'trained on'), (self.config.target, 'held out'), (other, 'never seen')])
    self.assertLen(found['headlines'], 2)
    self.assertFalse(any(source in line for line in found['headlines']))

  def test_sources_that_the_idm_did_not_use_were_not_trained_on(self):
    directory = self.copy_of_config(method='dt1_idm')
    source, = self.config.sources
    self.assertFalse(trained_run.known(directory, source).is_all)
    self.assertTrue(trained_run.known(self.config.workdir, source).is_all)

  def test_what_a_pretraining_knew_is_known(self):
    source, = self.config.sources
    directory = self.copy_of_config(phase='finetune', sources=[], init_from=self.config.workdir)
    self.assertTrue(trained_run.known(directory, source).is_all)
    shutil.copy(self.root / 'run' / 'labels.json', directory)
    known = trained_run.known(directory, self.config.target)
    self.assertEqual((known.is_all, known.path), (False, str(directory / 'labels.json')))
    gone = self.copy_of_config(phase='finetune', sources=[], init_from='/nowhere')
    with self.assertRaisesRegex(FileNotFoundError, '/nowhere/config.json: no such file'):
      trained_run.known(gone, source)

  def test_labels_of_a_second_target_are_in_a_file_of_their_own(self):
    directory = self.copy_of_config(phase='pretrain', other_targets=['maze-8-tunnel-seed100'])
    labels.write_choice(directory / 'labels-maze-8-tunnel-seed100.json', self.choice)
    known = trained_run.known(directory, 'maze-8-tunnel-seed100')
    self.assertEqual(known.choice.windows.tolist(), self.choice.windows.tolist())

  def test_hidden_transitions_of_known_episodes(self):
    found = self.audit(is_hidden=True, num_episodes=0)
    environment, = found['environments']
    self.assertEqual(environment['kind'], 'hidden')
    lengths = domains.of(self.config).read(self.config.target).num_transitions
    episodes = np.unique(self.choice.windows[:, 0])
    self.assertEqual(environment['num_transitions'], lengths[episodes].sum() - 50)

  def test_labels_of_shifted_data_are_found(self):
    self.assertNotIn('lag', [w['kind'] for w in self.audit(read_off)['warnings']])
    for shift, when in ((1, 'early'), (-1, 'late')):
      with shifted_data(shift):
        found = self.audit(read_off)
      warning, = (w for w in found['warnings'] if w['kind'] == 'lag')
      self.assertIn(f'labels come 1 transition too {when}', warning['text'])
      self.assertEqual(found['environments'][0]['lag']['best'], shift)

  def test_constant_labels_are_found(self):
    kinds = [w['kind'] for w in self.audit(always_up)['warnings']]
    self.assertIn('collapse', kinds)
    self.assertIn('majority', kinds)

  def test_an_idm_that_sees_the_past_only_is_a_floor(self):
    config = maze_data.config(self.root / 'causal', method='dt1_idm', sources=(), train_dt=False)
    config.model.idm_is_causal = True
    train.train(config, config.workdir)
    found, = self.audit(num_episodes=0, causal=config.workdir)['environments']
    past, truth = trained_idm.restore(config.workdir), domains.of(config).read(config.target)
    is_hit = []
    for e in np.setdiff1d(np.arange(truth.num_episodes), self.choice.windows[:, 0]):
      first, length = truth.first_step[e], truth.num_transitions[e]
      said = past.predict(truth.observations[first:first + length + 1]).argmax(axis=1)
      is_hit.append(said == truth.actions_of(e)[0])
    is_hit = np.concatenate(is_hit)
    floor = found['floors']['causal']
    self.assertAlmostEqual(floor['accuracy']['value'], np.mean(is_hit))
    self.assertEqual(floor['accuracy']['num_transitions'], found['num_transitions'])
    self.assertAlmostEqual(floor['margin']['value'], found['accuracy']['value'] - np.mean(is_hit))
    _, found = self.audit(environments=(self.config.target, 'maze-8-tunnel-seed100'),
                          num_episodes=2, causal=config.workdir)['environments']
    self.assertNotIn('causal', found['floors'])  # It knew no label of this one.

  def test_a_floor_that_sees_more_or_knew_other_data_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'idm_is_causal is False; expected True'):
      self.audit(causal=self.config.workdir)
    directory = self.copy()
    path = directory / 'config.json'
    content = json.loads(path.read_text())
    content['model']['idm_is_causal'] = True
    content['data_digests'][self.config.target] = 'another'
    path.write_text(json.dumps(content))
    with self.assertRaisesRegex(ValueError, 'on other data of maze-8-blocks:3-seed0'):
      self.audit(causal=str(directory))
    content['model']['num_layers'] = 2
    path.write_text(json.dumps(content))
    with self.assertRaisesRegex(ValueError, 'model has other settings .*num_layers: 1 -> 2'):
      self.audit(causal=str(directory))
    with self.assertRaisesRegex(ValueError, 'maze-8-tunnel-seed100; expected maze-8-blocks'):
      self.audit(causal=str(directory), environments=('maze-8-tunnel-seed100',))

  @parameterized.parameters(
      (dict(environments=('Pong',)), "environments: Unknown maze 'Pong'"),
      (dict(environments=('maze-20-tunnel-seed0',)),
       r'environments: maze-20-tunnel-seed0: observation_shape is \(20, 20, 3\), the IDM of .* '
       r'reads \(8, 8, 3\)'),
      (dict(environments=('maze-8-tunnel-seed100',) * 2), 'maze-8-tunnel-seed100 2 times'),
      (dict(stride=6), 'stride is 6; expected 1 to 5'), (dict(stride=0), 'stride is 0'),
      (dict(num_episodes=-1), 'num_episodes is -1; expected at least 1, or 0'))
  def test_settings_that_make_no_sense_are_refused(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      self.audit(**settings)

  @parameterized.parameters(
      (dict(space=('stay', 'left', 'up', 'right')), r"Other: actions.space is \['stay', 'left', "
       r"'up', .* that of .*/run is \['stay', 'left', 'right', 'up'\]. Use an IDM of this"),
      (dict(space=(*own_runs.ACTIONS, 'down')), 'Other: actions.space is .*down'),
      (dict(shape=(28, 28, 3)), 'Other: observation_shape is .*, the IDM of .*/run reads'),
      (dict(kind='grid'), 'Other: observation_kind is grid, the IDM of .*/run reads image'))
  def test_environments_that_the_idm_cannot_read_are_refused(self, changes, message):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    kind = changes.pop('kind', 'image')
    for name, described in (('Play', own_runs.environment()),
                            ('Other', own_runs.environment('Other', **changes))):
      (root / name).mkdir()
      environment_file.write(root / name / 'environment.json', described)
    path = root / 'Other' / 'environment.json'
    path.write_text(path.read_text().replace('"image"', f'"{kind}"'))
    config = own_runs.config(root, root / 'run')
    trained = dataclasses.replace(
        self.trained, directory=config.workdir, config=config,
        spec=domains.of(config).spec('Play'))
    with self.assertRaisesRegex(ValueError, f'environments: {message}'):
      self.audit(trained=trained, environments=('Other',))

  def test_data_that_is_not_there_is_named(self):
    with self.assertRaisesRegex((FileNotFoundError, ValueError), 'maze-8-tunnel-seed7'):
      self.audit(environments=('maze-8-tunnel-seed7',))

  def test_other_data_is_refused(self):
    trained = dataclasses.replace(self.trained, digests={self.config.target: 'another'})
    with self.assertRaisesRegex(ValueError, 'other data than .*run was trained on'):
      self.audit(trained=trained)

  def test_nan_of_a_broken_idm_is_named(self):
    def broken(spec, stride):
      return lambda episodes, numbers: (
          Said(n, np.full((episodes.num_transitions[n], spec.num_actions), np.nan))
          for n in numbers)

    with self.assertRaisesRegex(ValueError, r'predictions of maze-8.*probabilities\[0, 0\] is nan'):
      self.audit(broken)

  def test_damaged_labels_are_named(self):
    directory = self.copy()
    trained = dataclasses.replace(self.trained, directory=directory)
    path = directory / 'labels.json'
    for content, message in (
        ('{', 'labels.json: not JSON'),
        (json.dumps(dict(windows=[[99, 0]], budget=5, window=5, seed=0)),
         'labels.json: transitions 0 .. 4 of episode 99 are labelled, which the data does not'),
        (json.dumps(dict(windows=[[0, 500]], budget=5, window=5, seed=0)),
         'transitions 500 .. 504 of episode 0')):
      path.write_text(content)
      with self.assertRaisesRegex(ValueError, message):
        self.audit(trained=trained)
    path.unlink()
    with self.assertRaisesRegex(FileNotFoundError, 'labels.json: no such file'):
      self.audit(trained=trained)

  def test_episodes_that_are_all_known_are_not_taken_for_held_out(self):
    directory = self.copy()
    lengths = domains.of(self.config).read(self.config.target).num_transitions
    windows = [[e, s] for e, n in enumerate(lengths.tolist()) for s in range(n)]
    labels.write_choice(directory / 'labels.json', labels.Choice(windows, len(windows), 1, 0))
    trained = dataclasses.replace(self.trained, directory=directory)
    with self.assertRaisesRegex(ValueError, 'knew actions in each of the 40 episodes .*--hidden'):
      self.audit(trained=trained)
    with self.assertRaisesRegex(ValueError, 'none is hidden in them. Hold some of them out'):
      self.audit(trained=trained, is_hidden=True)

  def test_runs_that_have_no_idm_to_audit_are_refused(self):
    with self.assertRaisesRegex(ValueError, "method 'dt1' trains no IDM in phase 'joint'"):
      trained_idm.restore(self.copy_of_config(method='dt1', train_dt=True))
    with self.assertRaisesRegex(FileNotFoundError, 'checkpoints: no checkpoint here'):
      trained_idm.restore(self.copy_of_config())
    with self.assertRaisesRegex(FileNotFoundError, 'config.json: no such file; expected a run'):
      trained_idm.restore(self.root)

  @parameterized.parameters('', '[]', '{"experiment": "maze", "computation": 2}',
                            '{"data_digests": {}, "computation": 2}')
  def test_a_damaged_config_is_named(self, content):
    directory = self.copy_of_config()
    (directory / 'config.json').write_text(content)
    with self.assertRaisesRegex(ValueError, 'config.json: not the config of a run'):
      trained_idm.restore(directory)

  @parameterized.parameters(
      ('data_digests', 'data_digests'), ('target', 'target'), ('sources', 'sources'),
      ('model', 'model'), ('window', 'window'), ('optimizer', 'optimizer'))
  def test_a_config_that_lacks_something_is_named(self, key, missing):
    directory = self.copy_of_config()
    content = json.loads((directory / 'config.json').read_text())
    del content[key]
    (directory / 'config.json').write_text(json.dumps(content))
    with self.assertRaisesRegex(ValueError, f'config.json: not the config of a run .*{missing}'):
      trained_idm.restore(directory)

  def test_data_that_has_moved_is_found(self):
    moved = self.enterContext(tempfile.TemporaryDirectory())
    shutil.copytree(self.config.data_dir, os.path.join(moved, 'data'))
    trained = trained_idm.restore(self.config.workdir, data_dir=os.path.join(moved, 'data'))
    maze = domains.named('maze')
    with mock.patch.object(maze, 'read', autospec=True, side_effect=maze.read) as read:
      self.audit(trained=trained)
    self.assertTrue(read.call_args[0][0].config.data_dir.startswith(moved))

  def test_progress_counts_episodes(self):
    shown = []
    with mock.patch.object(progress.Progress, 'update', lambda _, done, **values:
                           shown.append((done, *values))):
      self.audit(num_episodes=3, progress=True)
    self.assertEqual(shown, [(i, 'transitions') for i in (1, 2, 3, 1, 2, 3)])


if __name__ == '__main__':
  absltest.main()
