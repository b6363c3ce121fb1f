"""Training on Atari: real ALE play on disk, pretraining and finetuning through real checkpoints."""

import json
import math
import pathlib
import shutil
import tempfile
from unittest import mock

import jax
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import domains, methods, types
from alpt_jax.data import episode_files, labels, pipeline
from alpt_jax.labelling import run_labels
from alpt_jax.measures import confusions
from alpt_jax.training import (
    checkpoints,
    inputs,
    pretraining,
    program,
    run_config,
    run_directory,
    sharding,
    shares,
    train,
)
from experiments.configs import atari
from experiments.studies import evaluations
from tests import atari_runs
from tests.data import atari_data


def lower(config):
  """Traces the update of a config as `train` makes it."""
  phase, specs = run_config.check_run(config)
  mesh = sharding.make_mesh(num_devices=1)
  made = program.make_program(config, phase, specs, mesh)
  return made.update.lower(
      made.state, program.abstract_batches(config, phase, specs, mesh), jax.random.key(0))


SETTINGS = [(setting, target) for setting, (targets, _) in atari.SETTINGS.items()
            for target in targets]


class ConfigTest(parameterized.TestCase):

  @parameterized.parameters(SETTINGS)
  def test_settings_name_the_paper_s_games(self, setting, target):
    config = atari.get_config(f'tiny,setting={setting},target={target}')
    specs = domains.specs(config)
    self.assertEqual(specs[0].name, target)
    self.assertLen(config.sources, {'five': 4, 'alpt9': 9, 'alpt36': 36, 'disjoint': 1}[setting])
    if setting.startswith('alpt'):  # One pretraining for all five targets.
      self.assertLen(config.other_targets, 4)
    if setting == 'disjoint':
      shared = set(specs[0].legal_actions) & set(specs[1].legal_actions)
      self.assertEqual(shared, {0})

  @parameterized.parameters(*methods.METHODS)
  def test_every_method_compiles_in_each_of_its_phases(self, method):
    for phase in methods.PHASES:
      if getattr(methods.METHODS[method], phase) is None:
        continue
      config = atari.get_config(f'tiny,method={method},phase={phase}')
      config.init_from = 'somewhere'
      self.assertGreater(lower(config).compile().cost_analysis()['flops'], 0)

  @parameterized.parameters(*atari.SETTINGS)
  def test_every_setting_compiles(self, setting):
    self.assertIsNotNone(lower(atari.get_config(f'tiny,setting={setting}')).compile())

  @parameterized.product(preset=('tiny', 'desk', 'paper'), setting=tuple(atari.SETTINGS),
                         phase=('joint', 'pretrain', 'finetune'))
  def test_batches_can_be_shared_equally(self, preset, setting, phase):
    config = atari.get_config(f'{preset},setting={setting},phase={phase}')
    num_games = 1 if phase == 'finetune' else (
        len(config.sources) + 1 + len(config.other_targets))
    for name in ('batch_size', 'idm_batch_size'):
      rows = shares.split_rows(config[name], num_games, config.sampling.num_shards)
      self.assertLen(set(rows), 1)
      self.assertLen(rows, num_games)

  @parameterized.parameters('pretrain', 'finetune')
  def test_paper_preset_has_the_paper_s_numbers(self, phase):
    config = atari.get_config(f'paper,phase={phase}')
    config.init_from = 'somewhere'
    self.assertEqual((config.model.num_layers, config.model.d_model, config.model.num_heads,
                      config.model.patch_size, config.window), (6, 512, 8, 14, 5))
    self.assertEqual((config.model.idm_tokenizer, config.model.dt_tokenizer,
                      config.model.change_tokens), ('patch', 'patch', False))
    # 2048, as equal shares of five games allow.
    self.assertEqual(config.batch_size, {'pretrain': 2080, 'finetune': 256}[phase])
    lowered = lower(config)
    state = jax.tree.leaves(lowered.args_info)
    self.assertGreater(len(state), 100)

  @parameterized.parameters(
      ('desk,target=Brakout', "target is 'Brakout'; setting 'five' has Asterix, Breakout"),
      ('desk,setting=six', "setting is 'six'; expected one of"),
      ('huge', "Unknown preset 'huge'"),
      ('desk,phase=both', "phase is 'both'; expected one of joint, pretrain, finetune"),
      ('desk,games=2', "'games': unknown; expected one of setting, target"),
  )
  def test_mistakes_in_the_argument(self, argument, message):
    with self.assertRaisesRegex(ValueError, message):
      atari.get_config(argument)


class TrainAtariTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.pretraining = atari_runs.config(cls.root / 'pretrain', phase='pretrain')
    assert train.train(cls.pretraining, cls.pretraining.workdir) == 0

  def config(self, name, **changes):
    return atari_runs.config(self.root / name, **changes)

  def finetuning(self, name, **changes):
    return self.config(name, phase='finetune', init_from=self.pretraining.workdir, **changes)

  def test_one_pretraining_starts_any_finetuning(self):
    config = self.finetuning('finetune', num_steps=2)
    self.assertEqual(train.train(config, config.workdir), 0)
    scores = json.loads(pathlib.Path(run_directory.evaluation_path(config.workdir, 2)).read_text())
    self.assertLen(scores['sampled']['scores'], 2)
    self.assertEqual(scores['sampled']['acting_rule'], 'paper')
    # Step 0 labels as the pretrained IDM did at its end.
    with np.load(pathlib.Path(config.workdir, 'labels', 'step_0000000.npz')) as first, np.load(
        pathlib.Path(self.pretraining.workdir, 'labels', 'step_0000004.npz')) as last:
      np.testing.assert_array_equal(first['actions'], last['actions'])

  def test_convolutions_of_frames_and_changes_learn_label_and_play(self):
    config = self.config('conv', method='dt1_idm', sources=(), num_steps=2)
    config.model.update(idm_tokenizer='conv', dt_tokenizer='conv', change_tokens=True)
    self.assertEqual(train.train(config, config.workdir), 0)
    scores = json.loads(pathlib.Path(run_directory.evaluation_path(config.workdir, 2)).read_text())
    self.assertLen(scores['sampled']['scores'], 2)

  def test_last_evaluation_plays_sharpened_games_too_and_sampled_ones_as_ever(self):
    plain, config = (self.finetuning(name, num_steps=2, eval_every_steps=1)
                     for name in ('plain', 'sharpened'))
    config.evaluation.sharpened_temperature = 1 / 3
    for own in (plain, config):
      self.assertEqual(train.train(own, own.workdir), 0)
    expected, last = (
        json.loads(pathlib.Path(run_directory.evaluation_path(own.workdir, 2)).read_text())
        for own in (plain, config))
    sharpened = last.pop('sharpened')
    self.assertEqual({**last, 'episode': None}, {**expected, 'episode': None})
    self.assertLen(sharpened['scores'], 2)
    self.assertEqual((sharpened['temperature'], sharpened['seed']), (1 / 3, config.seed))
    self.assertNotIn('sharpened', json.loads(pathlib.Path(
        run_directory.evaluation_path(config.workdir, 1)).read_text()))
    evaluations.check(last | {'sharpened': sharpened}, 2, config)
    with self.assertRaisesRegex(ValueError, 'sharpened is missing; expected an object'):
      evaluations.check(last, 2, config)

  @parameterized.parameters(
      ('sharpened_temperature', -1., 'sharpened_temperature is -1.0; expected a finite number'),
      ('sharpened_temperature', math.nan, 'sharpened_temperature is nan; expected a finite'),
      ('acting_mode', 'sharpened', "acting_mode is 'sharpened'; expected one of"))
  def test_ways_to_act_that_are_refused(self, key, value, message):
    config = self.finetuning('refused')
    config.evaluation[key] = value
    with self.assertRaisesRegex(ValueError, message):
      train.train(config, config.workdir)

  def test_pretraining_plays_no_games(self):
    scores = json.loads(pathlib.Path(
        run_directory.evaluation_path(self.pretraining.workdir, 4)).read_text())
    self.assertEqual(scores, {'step': 4})

  def test_checkpoint_of_another_architecture_names_the_first_parameter(self):
    config = self.finetuning('wide')
    config.model.d_model = 24
    with self.assertRaisesRegex(ValueError, 'model.d_model is 16, this run has 24'):
      train.train(config, config.workdir)
    # And without the config of the pretraining, by the checkpoint itself.
    with mock.patch.object(pretraining, 'check'), self.assertRaisesRegex(
        ValueError, r'params/\S+ is float32\[.*16.*\] in the checkpoint and float32\[.*24'):
      train.train(config, config.workdir)

  @parameterized.parameters(
      (dict(num_labels=40), 'num_labels is 50, this run has 40'),
      (dict(label_seed=1), 'label_seed is 0, this run has 1'),
      (dict(target='Freeway', sources=()), 'sources contain Freeway, the target of this run'),
      (dict(heads=1), 'model.num_heads is 2, this run has 1'),
  )
  def test_pretraining_that_knew_more_or_is_another_model_is_refused(self, changes, message):
    config = self.finetuning('other')
    config.model.num_heads = changes.pop('heads', 2)
    config.update(changes)
    with self.assertRaisesRegex(ValueError, message):
      train.train(config, config.workdir)

  def test_damaged_config_of_a_pretraining_is_named(self):
    directory = self.root / 'damaged'
    directory.mkdir()
    for content in ('{"target"', '[]', '{"target": "Breakout", "computation": 2}'):
      (directory / 'config.json').write_text(content)
      config = self.config('start', phase='finetune', init_from=str(directory))
      with self.assertRaisesRegex(ValueError, 'config.json: not the config of a run.*damaged'):
        train.train(config, config.workdir)

  def test_hidden_actions_do_not_matter_to_a_single_bit(self):
    read = episode_files._read_record
    choice = labels.read_choice(pathlib.Path(self.pretraining.workdir, 'labels.json'))
    data = domains.of(self.pretraining).read('Breakout')
    places = {(str(data._splits[s].filepaths[0]), p): e for e, (s, p) in enumerate(
        zip(data._index.split.tolist(), data._index.place.tolist(), strict=True))}
    num_changed = []

    def read_garbage(source, place, split):
      fields = read(source, place, split)
      where = str(split.filepaths[0]), place
      if where in places:
        kept = np.zeros(len(fields['action']), bool)
        for episode, start in choice.windows.tolist():
          if episode == places[where]:
            kept[start:start + 5] = True
        garbage = (fields['action'] + 1) % 4
        num_changed.append((~kept).sum())
        fields['action'] = np.where(kept, fields['action'], garbage)
      return fields

    config = self.config('garbage', phase='pretrain')
    with mock.patch.object(episode_files, '_read_record', read_garbage):
      train.train(config, config.workdir)
    self.assertGreater(sum(num_changed), 100)
    self.assert_same_params(config, self.pretraining)

  def test_marks_of_random_actions_do_not_matter_to_a_single_bit(self):
    config = self.config('unmarked', phase='pretrain')
    config.data_dir = str(self.root / 'garbled')
    shutil.copytree(self.pretraining.data_dir, config.data_dir)
    num_changed = 0
    for path in pathlib.Path(config.data_dir).glob('*/*/*/*.array_record-*'):
      num_changed += atari_data.garble_marks(path)
    self.assertGreater(num_changed, 500)
    train.train(config, config.workdir)
    self.assert_same_params(config, self.pretraining)
    self.assertEqual([name for name in types.Batch._fields if 'random' in name], [])

  def assert_same_params(self, *configs):
    params = []
    for config in configs:
      phase, specs = run_config.check_run(config)
      abstract = program.make_program(
          config, phase, specs, sharding.make_mesh(num_devices=1)).state
      params.append(checkpoints.restore_params(
          pathlib.Path(config.workdir, 'checkpoints'),
          {'idm': abstract.idm.params, 'dt': abstract.dt.params})[1])
    for a, b in zip(*map(jax.tree.leaves, params), strict=True):
      np.testing.assert_array_equal(a, b)

  def test_stopped_run_goes_on_bit_for_bit(self):
    stopped = self.config('stopped', num_steps=2)
    train.train(stopped, stopped.workdir)
    stopped.num_steps = 4
    train.train(stopped, stopped.workdir)
    unbroken = self.config('unbroken')
    train.train(unbroken, unbroken.workdir)
    self.assert_same_params(stopped, unbroken)

  def test_several_targets_share_a_pretraining(self):
    config = self.config('targets', phase='joint', sources=(), method='dt1_idm', target='Freeway',
                         other_targets=('Breakout',), num_steps=2)
    self.assertEqual(train.train(config, config.workdir), 0)
    for name, file in (('Freeway', 'labels.json'), ('Breakout', 'labels-Breakout.json')):
      choice = labels.read_choice(pathlib.Path(config.workdir, file))
      self.assertEqual(choice.budget, 50, msg=name)

  def test_labels_are_scored_against_the_truth(self):
    truth = domains.of(self.pretraining).read('Breakout')
    accuracy = run_labels.score_labels(
        run_labels.files(self.pretraining.workdir), truth)
    self.assertEqual(sorted(accuracy), [0, 2, 4])
    described = run_labels.describe(
        run_labels.files(self.pretraining.workdir)[-1], truth,
        domains.of(self.pretraining).spec('Breakout'))
    self.assertEqual(described['actions'], ['NOOP', 'FIRE', 'RIGHT', 'LEFT'])
    confusion = np.array(described['confusion'])
    self.assertAlmostEqual(np.trace(confusion) / described['num_hidden'], accuracy[4])
    baselines = confusions.baselines(confusion)
    self.assertEqual(baselines.chance_accuracy, .25)
    with np.load(pathlib.Path(self.pretraining.workdir, 'labels', 'step_0000004.npz')) as saved:
      counts = np.zeros(18)
      for e, s, counted, known in zip(saved['episode'], saved['start'], saved['is_counted'],
                                      saved['was_labelled'], strict=True):
        for t in np.flatnonzero(counted & ~known):
          counts[truth.cut(np.array([e]), np.array([s + t]), 1).actions[0, 0]] += 1
    self.assertAlmostEqual(baselines.majority_accuracy, counts.max() / counts.sum())

  def test_environments_have_equal_weight(self):
    config = self.config('weights')
    phase, specs = run_config.check_run(config)
    streams = inputs.make_streams(config, phase, specs, inputs.read_data(config, phase))
    self.assertEqual([(s.part, s.environment, s.rows) for s in streams],
                     [('idm', 1, 5), ('idm', 0, 5), ('dt', 1, 5), ('limited', 0, 5)])
    batches = pipeline.Pipeline(streams, window=5, seed=0, num_shards=1, pool_size=8, start_step=0)
    self.addCleanup(batches.close)
    idm = next(batches).idm
    legal = {0: {0, 1, 3, 4}, 1: {0, 2, 5}}
    for environment, actions in zip(idm.environment, idm.actions, strict=True):
      self.assertLessEqual(set(actions.tolist()), legal[environment])

  @parameterized.parameters(
      (dict(target='Brekout'), "Brekout.*Breakout"),
      (dict(num_labels=0), 'num_labels is 0; expected a multiple of the window of 5'),
      (dict(dataset='atari'), "'atari'"),
      (dict(runs=()), r'runs is \(\); expected'),
      (dict(sources=('Breakout',)), 'sources contain the target Breakout'),
      (dict(sources=('Freeway', 'Freeway')), 'Freeway is named 2 times'),
      (dict(method='oracle', train_dt=False), 'train_dt is False'),
      (dict(augmentation='flip'), "augmentation is 'flip'"),
  )
  def test_mistakes_in_a_config(self, changes, message):
    config = self.config('mistake', **changes)
    with self.assertRaisesRegex(ValueError, message):
      train.train(config, config.workdir)

  def test_mistake_in_the_evaluation_is_found_before_the_directory_is_bound(self):
    config = self.config('rule')
    config.evaluation.rule = 'release2'
    with self.assertRaisesRegex(ValueError, "evaluation.rule is 'release2'; expected one of"):
      train.train(config, config.workdir)
    self.assertFalse(pathlib.Path(config.workdir).exists())

  def test_missing_data_says_how_to_get_it(self):
    config = self.config('missing', runs=(2,))
    with self.assertRaisesRegex(FileNotFoundError, 'Breakout, run 2.*experiments.collect'):
      train.train(config, config.workdir)


if __name__ == '__main__':
  absltest.main()
