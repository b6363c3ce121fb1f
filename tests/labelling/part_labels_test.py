"""Labels of actions of several parts, from training to a DT that learns from them."""

import dataclasses
import pathlib
import re
import shutil
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, domains
from alpt_jax.data import environment_file, labels, records, rlds, writer
from alpt_jax.domains.camera import world
from alpt_jax.labelling import clips_run, label_dataset, trained_idm, voted_labels
from alpt_jax.training import inputs, run_config, stopping, train
from tests import own_runs

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORLD = world.World()
TURN = action_parts.Continuous('turn', -160., 160., unit='degrees', mode='delta', num_bins=9)
LIGHT, JUMP, SHOOT = map(action_parts.Binary, ('light', 'jump', 'shoot'))
MODE = action_parts.Categorical('mode', ('walk', 'fly', 'swim'), ('walk', 'swim'))


def environment(name, *parts):
  return environment_file.Environment(
      name=name, reward=None, actions=environment_file.ActionParts(parts=parts),
      observation=environment_file.Observation(kind='vector', shape=(10,), low=-1., high=1.))


def write(directory, described, known, *, seed=0, length=12):
  """Writes episodes of a camera; `known`: a share of steps of each part, or of each and episode."""
  rng, episodes, truth = np.random.default_rng(seed), [], []
  for i in range(6):
    drawn = world.simulate(WORLD, length, rng)
    whole = {'turn': np.clip(drawn.turns, -99, 99), 'light': drawn.keys[:, 0],
             'jump': drawn.keys[:, 1], 'shoot': rng.random(length) < .5,
             'mode': rng.choice([0, 2], length)}
    actions = {part.name: whole[part.name] for part in described.actions.parts}
    shares = {part: np.broadcast_to(known[part], 6)[i] for part in actions}
    episodes.append(writer.steps(
        drawn.observations, actions,
        is_labelled={part: np.arange(length) < share * length for part, share in shares.items()}))
    truth.append(actions)
  writer.write(directory, name=described.name, environment=described, episodes=iter(episodes),
               card={})
  return truth


def steps_of(directory, spec):
  """{field: L + 1 values, or {part: L + 1 values}} of every episode, as TFDS reads them."""
  read = []
  for episode in rlds.open_builder(directory).as_data_source('train'):
    steps = list(episode['steps'])
    read.append({name: ({part: np.array([s[name][part] for s in steps]) for part in value}
                        if isinstance(value, dict) else np.array([s[name] for s in steps]))
                 for name, value in steps[0].items()})
  assert records.Dataset(directory, spec)  # Which opens it, too.
  return read


class PartLabelsTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    write(cls.root / 'Play', environment('Play', TURN, LIGHT, MODE),
          {'turn': (1, 1, 1, 1, .5, 0), 'light': 1., 'mode': (1, 1, 1, 1, 0, 0)})
    write(cls.root / 'Cousin', environment('Cousin', JUMP, dataclasses.replace(TURN, low=-170.)),
          {'turn': 1., 'jump': 1.}, seed=1)
    cls.config = own_runs.config(cls.root, cls.root / 'run', 'tiny,target=Play,sources=Cousin',
                                 train_dt=False)
    cls.config.model.patch_size = 0
    assert train.train(cls.config, cls.config.workdir) == stopping.DONE
    cls.idm = trained_idm.restore(cls.config.workdir)

  def label(self, name, **settings):
    return label_dataset.label_run(self.idm, self.root / name, progress=False, **settings)

  def test_labels_of_the_target_and_a_dt_that_trains_on_them(self):
    card = self.label('Labelled', temperature=1.5)
    self.assertEqual(card['labels']['parts'], {
        'turn': {'num_true': 54, 'num_idm': 18}, 'light': {'num_true': 72, 'num_idm': 0},
        'mode': {'num_true': 48, 'num_idm': 24}})
    self.assertEqual((card['num_transitions'], card['num_labelled']), (72, 72))
    spec = environment_file.read(self.root / 'Labelled').spec()
    before = rlds.read_episodes(self.root / 'Play', spec)
    after = rlds.read_episodes(self.root / 'Labelled', spec)
    np.testing.assert_array_equal(after.is_labelled, before.is_labelled)
    np.testing.assert_array_equal(after.actions, before.actions)
    everything = rlds.read_episodes(self.root / 'Labelled', spec, with_idm_labels=True)
    is_last = np.zeros(len(everything.actions), bool)
    is_last[everything.first_step + everything.num_transitions] = True
    np.testing.assert_array_equal(everything.is_labelled, np.repeat(~is_last[:, None], 3, axis=1))
    for number, steps in enumerate(steps_of(self.root / 'Labelled', spec)):
      frames = everything.frames(number, 0, 13)
      probabilities = self.idm.predict(frames, temperature=1.5)
      said, quantiles = self.idm.values(probabilities), self.idm.quantiles(probabilities)
      self.assertEqual(set(said), {'turn', 'light', 'mode'})
      for part, values in said.items():
        is_label = steps['action_source'][part][:-1] == 2
        self.assertEqual(values.dtype, steps['action'][part].dtype)
        np.testing.assert_allclose(
            values[is_label], steps['action'][part][:-1][is_label], rtol=1e-4, atol=1e-3)
      np.testing.assert_allclose(
          quantiles['turn'], steps['action_quantiles']['turn'][:-1], rtol=1e-3, atol=.02)
      self.assertFalse(steps['action_probabilities']['mode'][:, 1].any())  # Nobody flies here.
      np.testing.assert_allclose(
          steps['action_probabilities']['mode'][:-1].sum(axis=1), 1, atol=1e-6)
    config = own_runs.config(self.root, self.root / 'dt', 'tiny,target=Labelled,method=dt')
    config.model.patch_size = 0
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    phase, _ = run_config.check_run(config)
    read = inputs.read_data(config, phase).episodes['Labelled']
    self.assertEqual([read.actions_of(e)[1].sum() for e in range(6)], [36] * 6)

  def test_an_environment_that_shares_some_parts_with_the_run(self):
    described = environment('Other', SHOOT, MODE, dataclasses.replace(TURN, low=-10., high=99.),
                            JUMP)
    truth = write(self.root / 'Other', described,
                  {'shoot': .5, 'mode': 0., 'turn': 0., 'jump': .25}, seed=2)
    # True values below -10 are no actions of this environment; none of them is known.
    card = self.label('OtherLabelled', dataset=self.root / 'Other', top_k=2)
    self.assertEqual(card['labels']['parts'], {
        'shoot': {'num_true': 36, 'num_idm': 0}, 'mode': {'num_true': 0, 'num_idm': 72},
        'turn': {'num_true': 0, 'num_idm': 72}, 'jump': {'num_true': 18, 'num_idm': 54}})
    for actions, steps in zip(
        truth, steps_of(self.root / 'OtherLabelled', described.spec()), strict=True):
      np.testing.assert_array_equal(
          steps['action_source']['shoot'], [1] * 6 + [0] * 7)
      np.testing.assert_array_equal(steps['is_labelled']['shoot'], [True] * 6 + [False] * 7)
      np.testing.assert_array_equal(steps['action']['shoot'][:6], actions['shoot'][:6])
      self.assertFalse(steps['action']['shoot'][6:].any())
      np.testing.assert_array_equal(steps['action']['jump'][:3], actions['jump'][:3])
      self.assertEqual(steps['action_top']['mode'].shape, (13, 2))
      self.assertEqual(set(steps['action_top']), {'mode', 'jump'})
      self.assertEqual(set(steps['action_entropy']), {'mode', 'jump', 'turn'})
      turns = np.append(steps['action_quantiles']['turn'].ravel(), steps['action']['turn'])
      self.assertTrue(((turns >= -10) & (turns <= 99)).all())
    again = label_dataset.label_run(  # What was labelled before is labelled anew.
        self.idm, self.root / 'Again', dataset=self.root / 'OtherLabelled', progress=False)
    self.assertEqual(again['labels']['parts'], card['labels']['parts'])
    steps = steps_of(self.root / 'Again', described.spec())[0]
    self.assertNotIn('action_top', steps)
    self.assertEqual(set(steps['action_probabilities']), {'mode', 'jump'})

  def test_the_program_says_whose_the_values_of_each_part_are(self):
    lines = label_dataset.lines_of_parts(
        {'turn': {'num_true': 3, 'num_idm': 7}, 'shoot': {'num_true': 4, 'num_idm': 0}}, 10)
    self.assertEqual(list(lines), [
        '  turn: 3 true, 7 labelled',
        '  shoot: 4 true, 0 labelled, 6 not known: the IDM has not learned this part'])

  def test_known_may_be_what_training_was_given(self):
    card = self.label('Known', known='run')
    choice = labels.read_choice(self.root / 'run' / 'labels.json')
    self.assertEqual(card['labels']['parts']['mode']['num_true'], sum(
        int(e < 4) * 5 for e, _ in choice.windows.tolist()))
    self.assertEqual(card['labels']['parts']['light']['num_true'], choice.budget)

  def test_clips_to_label_next_by_the_entropy_of_what_is_not_known(self):
    found = clips_run.clips_run(self.idm, num_clips=9, length=4, progress=False)
    self.assertEqual(found['parts'], ['turn', 'light', 'mode'])
    # Four episodes are known; so is a half of the turns of the fifth, but not its modes.
    self.assertEqual((found['num_labelled'], found['num_unlabelled']), (12, 6))
    self.assertLen(found['clips'], 6)
    read = rlds.read_episodes(self.root / 'Play', domains.of(self.config).spec('Play'))
    sizes = [part.num_classes for part in self.idm.spec.actions.parts]  # The turn's are first.
    for clip in found['clips']:
      episode, steps = clip['episode'], range(clip['first_step'], clip['last_step'] + 1)
      self.assertIn(episode, (4, 5))
      rows = self.idm.predict(read.frames(episode, 0, 13)).astype(float)
      entropy = [-x * np.log(x) if x else 0. for x in rows.ravel()]
      turn, _, mode, _ = np.split(
          np.reshape(entropy, rows.shape), np.cumsum(sizes)[:-1], axis=1)
      expected = np.mean([mode[t].sum() + (turn[t].sum() if episode == 5 or t >= 6 else 0)
                          for t in steps])
      self.assertAlmostEqual(clip['uncertainty'], expected, delta=2e-4)
    text = clips_run.actions_csv({'parts': found['parts'], 'clips': [
        {'file': 'a.mp4', 'first_step': 3, 'last_step': 4}]})
    self.assertEqual(text, 'file,step,turn,light,mode\na.mp4,3,,,\na.mp4,4,,,\n')

  def test_what_judges_one_action_refuses_several_parts(self):
    truth = rlds.read_episodes(self.root / 'Play', domains.of(self.config).spec('Play'))
    with self.assertRaisesRegex(ValueError, r"Play: actions have several parts, \['turn', 'light'"):
      voted_labels.label(self.idm, truth, num_transitions=9)

  @parameterized.parameters(
      ((LIGHT, dataclasses.replace(TURN, unit='rad')),
       "environment.json: unit of action part turn is 'degrees' in .*run and 'rad' in Wrong"),
      ((dataclasses.replace(TURN, mode='absolute'),), "mode of action part turn is 'delta' in"),
      ((dataclasses.replace(TURN, wraps=True),), 'wraps of action part turn is False in'),
      ((dataclasses.replace(TURN, high=200.),), 'turn has numbers from -160.0 to 200.0 in Wrong'),
      ((action_parts.Binary('turn'),), "kind of action part turn is 'continuous' in"),
      ((action_parts.Categorical('mode', ('walk', 'dive')),), r"mode has names \['dive'\] in W"),
      ((SHOOT,), r"action parts are \['shoot'\] in Wrong and \['turn', 'light', 'mode', 'jump'\]"))
  def test_refuses_parts_that_the_idm_does_not_know(self, parts, message):
    directory = self.root / 'Wrong'
    directory.mkdir(exist_ok=True)
    environment_file.write(directory / 'environment.json', environment('Wrong', *parts))
    with self.assertRaisesRegex(ValueError, message + '.*Use an IDM of this action space'):
      self.label('refused', dataset=directory)
    self.assertFalse((self.root / 'refused.unfinished').exists())

  def test_refuses_more_probabilities_than_a_part_has_values(self):
    with self.assertRaisesRegex(ValueError, 'top_k is 4; expected 1 to 3, the most values that'):
      self.label('refused', top_k=4)

  def test_block_of_the_readme_runs(self):
    text = (ROOT / 'alpt_jax' / 'README.md').read_text()
    block, = [x for x in re.findall(r'```python\n(.*?)```', text, re.DOTALL) if 'quantiles' in x]
    spec = domains.of(self.config).spec('Play')
    frames = rlds.read_episodes(self.root / 'Play', spec).frames(0, 0, 9)
    found = {'idm': self.idm, 'probabilities': self.idm.predict(frames)}
    exec(block, found)  # pylint: disable=exec-used
    self.assertEqual({name: x.dtype for name, x in found['values'].items()}, {
        'turn': np.float32, 'light': bool, 'mode': np.int64})
    self.assertEqual(found['low'].shape, (8,))
    self.assertTrue((found['low'] < found['high']).all())


if __name__ == '__main__':
  absltest.main()
