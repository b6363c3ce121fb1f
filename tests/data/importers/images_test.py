import csv
import json
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image

from alpt_jax.data import environment_file
from alpt_jax.data.importers import images as import_images
from tests.data import own_data


def write_csv(path, rows, columns=('file', 'step', 'action')):
  with open(path, 'w', newline='') as f:
    csv.writer(f).writerows([columns, *rows])


class ImportImagesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._parent = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self._source = self._parent / 'source'
    self._source.mkdir()
    self._num_imported = 0

  def _write(self, name, images, suffix='.png'):
    (self._source / name).mkdir()
    for t, image in enumerate(images):  # In an order that is not that of letters.
      Image.fromarray(image.squeeze()).save(self._source / name / f'frame{t}{suffix}')

  def _import(self, env=None, settings=None, **arguments):
    env = env or own_data.environment()
    self._num_imported += 1
    return own_data.written(str(self._parent / f'data{self._num_imported}'),
                            import_images.recordings(str(self._source), env, **arguments), env,
                            **settings or {})

  def _problem(self, env=None, **arguments):
    with self.assertRaises(ValueError) as raised:
      self._import(env, **arguments)
    self.assertNotIn('\n', str(raised.exception))
    return str(raised.exception).replace(str(self._source) + '/', '')

  @parameterized.parameters(range(3))
  def test_frames_actions_and_labels_come_back(self, seed):
    rng = np.random.default_rng(seed)
    names = ['actions.csv', 'actions.jsonl']
    env = own_data.environment(shape=(5, 7, int(rng.choice([1, 3]))))
    played, rows = [], []
    for e in range(4):
      length = int(rng.integers(2, 14))
      images = own_data.frames(rng, length, env.observation.shape)
      actions, is_labelled = rng.choice([0, 1, 3], length - 1), rng.random(length - 1) < .6
      self._write(f'episode-{e}', images)
      played.append((images, np.where(is_labelled, actions, 0), np.zeros(length - 1), is_labelled))
      for t in np.flatnonzero(is_labelled):
        value = env.actions.space[actions[t]] if rng.random() < .5 else int(actions[t])
        rows.append((f'episode-{e}', int(t), value))
    if seed % 2:
      write_csv(self._source / names[0], rows)
    else:
      (self._source / names[1]).write_text('\n'.join(
          json.dumps(dict(zip(('file', 'step', 'action'), row, strict=True))) for row in rows))
    _, read = self._import(env)
    for one, other in zip(own_data.split(read), played, strict=True):
      for field, wanted in zip(one, other, strict=True):
        np.testing.assert_array_equal(field, wanted)

  def test_images_are_made_grey_and_averaged(self):
    red, white = np.zeros((16, 12, 3), np.uint8), np.full((16, 12, 3), 255, np.uint8)
    red[..., 0] = 255
    checkers = np.zeros((16, 12, 3), np.uint8)
    checkers[::2, ::2] = checkers[1::2, 1::2] = 200
    dots = np.zeros((16, 12, 3), np.uint8)
    dots[0, 0] = 255
    self._write('a', [red, white, checkers, dots])
    _, read = self._import(settings={'max_blank': 1.})
    # ITU-R 601: 0.299 of red.
    self.assertEqual(np.unique(read.observations[0]).tolist(), [76])
    self.assertEqual(np.unique(read.observations[1]).tolist(), [255])
    self.assertEqual(np.unique(read.observations[2]).tolist(), [100])
    self.assertEqual(read.observations[3, :, :, 0].tolist(), [[64, 0, 0, 0, 0, 0]] + [[0] * 6] * 7)

  def test_card_says_which_sizes_were_scaled(self):
    rng = np.random.default_rng(0)
    for name, shape in (('a', (16, 12, 3)), ('b', (8, 6, 1)), ('c', (4, 6, 1)), ('d', (16, 12, 1)),
                        ('e', (8, 6, 3))):  # Made grey, not scaled.
      self._write(name, own_data.frames(rng, 5, shape))
    card, _ = self._import(frame_skip=2)
    self.assertEqual(card['scaled'], [
        {'from': [4, 6], 'to': [8, 6], 'num_images': 3, 'num_episodes': 1},
        {'from': [16, 12], 'to': [8, 6], 'num_images': 6, 'num_episodes': 2}])

  def test_every_nth(self):
    images = own_data.frames(np.random.default_rng(0), 8)
    self._write('a', images)
    _, read = self._import(frame_skip=3)
    np.testing.assert_array_equal(read.observations, images[[0, 3, 6]])

  def test_card_names_the_folder_of_each_episode(self):
    rng = np.random.default_rng(0)
    for name, length in (('b', 4), ('a10', 5), ('a9', 6), ('short', 1)):
      self._write(name, own_data.frames(rng, length))
    card, read = self._import()
    self.assertEqual(card['source_files'], [
        {'name': name, 'steps_per_second': None} for name in ('a9', 'a10', 'b')])
    self.assertEqual(read.num_transitions.tolist(), [5, 4, 3])

  def test_numbers_are_sorted_as_numbers(self):
    self.assertEqual(sorted(['b10', 'b9', 'a', '10', '9', 'b9c'], key=import_images.natural_order),
                     ['9', '10', 'a', 'b9', 'b9c', 'b10'])

  def test_rewards_and_the_row_of_the_last_image(self):
    self._write('a', own_data.frames(np.random.default_rng(0), 4))
    env = own_data.environment(reward=environment_file.Reward(), returns=(0, 9))
    columns = ('file', 'step', 'action', 'reward')
    path = self._source / 'actions.csv'
    write_csv(path, [('a', 0, 'up', 1.5), ('a', 1, '', -1), ('a', 2, 'jump', 0),
                     ('a', 3, 'noop', 0)], columns)
    card, read = self._import(env)
    self.assertEqual(read.rewards.tolist(), [1.5, -1, 0, 0])
    self.assertEqual(read.actions.tolist(), [1, 0, 3, 0])
    self.assertEqual(read.is_labelled.tolist(), [True, False, True, False])
    self.assertEqual((card['num_labelled'], card['mean_return']), (2, .5))
    write_csv(path, [('a', 0, 'up', 1.5), ('a', 2, 'jump', 0)], columns)
    self.assertRegex(self._problem(env), '^a: reward of step 1 is missing; expected one for every')
    write_csv(path, [('a', t, 'up', 1) for t in range(4)], columns)
    self.assertRegex(self._problem(env), 'reward 1.0 at step 3, the last frame, which has no ')

  def test_lines_may_be_added_that_say_what_was_not_said(self):
    self._write('a', own_data.frames(np.random.default_rng(0), 5))
    path = self._source / 'actions.csv'
    path.write_text('file,step,action\na,0,up\na,1,\na,2,\na,1,jump\na,2,\na,3,noop\n')
    _, read = self._import()
    self.assertEqual(read.actions.tolist(), [1, 3, 0, 0, 0])
    self.assertEqual(read.is_labelled.tolist(), [True, True, False, True, False])
    env = own_data.environment(reward=environment_file.Reward(), returns=(0, 9))
    path.write_text('file,step,action,reward\na,0,up,1\na,1,,2\na,2,,3\na,3,,0\na,1,jump,\n')
    _, read = self._import(env)
    self.assertEqual(read.actions.tolist(), [1, 3, 0, 0, 0])
    self.assertEqual(read.rewards.tolist(), [1, 2, 3, 0, 0])
    path.write_text('file,step,action,reward\na,0,up,1\na,0,,1\n')
    self.assertRegex(self._problem(env),
                     "line 3: reward of step 0 of 'a' is listed a second time, after line 2")

  @parameterized.parameters(
      ([('a', 0, 'up'), ('b', 0, 'up'), ('b', 1, 'up'), ('c', 0, 'up')],
       r"actions.csv, line 3: file is 'b' \(2 such names\); .*names of what lies beside it, e.g. "
       "'a'"),
      ([('a', 0, 'up'), ('a', 0, 'up')], "actions.csv, line 3: action of step 0 of 'a' is li"),
      ([('a', -1, 'up')], "actions.csv, line 2: step is '-1'; expected an integer from 0"),
      ([('a', 0, 'down')], "actions.csv, line 2: action is 'down'; expected one of actions.legal"),
      ([('a', 0, '4')], "actions.csv, line 2: action is '4'; expected one of actions.legal"),
      ([('a', 0, '2')], "actions.csv, line 2: action is '2'; expected one of actions.legal"),
      ([('a', 4, 'up')], '^a: .*actions.csv, line 2, lists step 4; the file has the steps 0 to 2'),
  )
  def test_mistakes_in_the_list(self, rows, message):
    self._write('a', own_data.frames(np.random.default_rng(0), 4))
    write_csv(self._source / 'actions.csv', rows)
    self.assertRegex(self._problem(), message)

  @parameterized.parameters(
      ('actions.csv', 'file,step,acton\n', r"line 1: columns are .*'acton'.*expected"),
      ('actions.csv', 'file,step,acton\na,0,up\n', r"line 1: columns are .*'acton'.*expected"),
      ('actions.csv', 'file,step,action,rewards\na,0,up,1\n', "line 1: columns are .*'rewards'"),
      ('actions.csv', 'file,step\na,0\na,1\n', "line 1: columns are .*expected"),
      ('actions.csv', 'file,step,action,reward\na,0,up,much\n', "line 2: reward is 'much'"),
      ('actions.csv', 'file,step,action\na,0,up,1,2\n', r'line 2: has 5 fields, .*; expected 3'),
      ('actions.jsonl', '{"file": "a", "step": 0, "action": 1}\nup\n',
       "line 2: is 'up'; expected a JSON object"),
      ('actions.jsonl', '{"file": "a", "step": 0.5, "action": 1}', 'line 1: step is 0.5'),
      ('actions.jsonl', '{"file": "a", "step": 0, "action": true}', 'line 1: action is True'),
      ('actions.jsonl', '{"file": "a", "step": 0, "action": [1]}', r'line 1: action is \[1\]'),
      ('actions.jsonl', '{"file": ["a"], "step": 0, "action": 1}',
       r"line 1: file is \['a'\]; expected the name of a video"),
  )
  def test_lists_of_another_form(self, name, content, message):
    self._write('a', own_data.frames(np.random.default_rng(0), 4))
    (self._source / name).write_text(content)
    self.assertRegex(self._problem(), f'{name}, {message}')

  def test_two_lists_are_one_too_many(self):
    self._write('a', own_data.frames(np.random.default_rng(0), 4))
    for name in ('actions.csv', 'actions.jsonl'):
      (self._source / name).write_text('')
    self.assertIn('expected one of both', self._problem())

  def test_damaged_folders(self):
    images = own_data.frames(np.random.default_rng(0), 4, (80, 60, 1))
    self._write('a', images)
    (self._source / 'empty').mkdir()
    self._write('mixed', [*images[:2], images[2, :40]])
    self._write('photos', images, '.jpg')
    path = self._source / 'photos' / 'frame2.jpg'
    path.write_bytes(path.read_bytes()[:-200])
    self._write('text', images)
    (self._source / 'text' / 'frame3.png').write_text('no image')
    (self._source / 'text' / 'notes.txt').write_text('passed over')
    card, read = self._import(settings={'on_problem': 'skip'})
    self.assertEqual(read.num_episodes, 1)
    found = {pathlib.Path(e['name']).name: e['reason'] for e in card['left_out_episodes']}
    self.assertEqual(list(found), ['empty', 'mixed', 'photos', 'text'])
    self.assertRegex(found['empty'], r'has no .png or .jpg or .jpeg images')
    self.assertRegex(found['mixed'], 'frame2.png is 40 x 60 pixels, the first image 80 x 60')
    self.assertRegex(found['photos'], 'frame2.jpg is not a whole image')
    self.assertRegex(found['text'], 'frame3.png is not a whole image')

  def test_wrong_directories_and_kinds(self):
    with self.assertRaisesRegex(ValueError, 'has no folders of images. Correct from_dir'):
      self._import()
    with self.assertRaisesRegex(ValueError, "observation.kind of Own is 'grid'; expected image"):
      self._import(own_data.environment('grid', (3, 3, 1)))


if __name__ == '__main__':
  absltest.main()
