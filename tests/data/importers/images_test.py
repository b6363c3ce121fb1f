import csv
import io
import json
import os
import pathlib
import tempfile
import zlib
from unittest import mock

import cv2
import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image

from alpt_jax.data import environment_file, png, writer
from alpt_jax.data.importers import images as import_images
from tests import exhaustive
from tests.data import own_data
from tests.data.importers import damaged_images, damaged_videos, jpegs_test


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
      ([('a', '9' * 5000, 'up')], "line 2: step is '9{199} ..; expected an integer from 0"),
      ([('a', 0, '9' * 5000)], "line 2: action is '9{199} ..; expected one of actions.legal"),
      ([('a' * 5000, 0, 'up')], r"line 2: file is 'a{199} .. \(1 such names\)"),
      ([('a', 0, 'u\0p')], 'line 2: not a text file in UTF-8: it has bytes of 0'),
      ([('a', 4, 'up')], '^a: .*actions.csv, line 2, lists step 4; the file has the steps 0 to 2'),
  )
  def test_mistakes_in_the_list(self, rows, message):
    self._write('a', own_data.frames(np.random.default_rng(0), 4))
    write_csv(self._source / 'actions.csv', rows)
    self.assertRegex(self._problem(), message)

  @parameterized.parameters(
      ('actions.csv', '\0\0\1' * 999, 'line 1: not a text file in UTF-8: it has bytes of 0'),
      ('actions.csv', 'x' * 999, r"line 1: columns are \['x{198} \.\.; expected"),
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

  def test_names_that_are_times_are_in_their_order(self):
    images = own_data.frames(np.random.default_rng(0), 9)
    (self._source / 'a').mkdir()
    for t, image in enumerate(images):
      Image.fromarray(image[..., 0]).save(self._source / 'a' / f'{t * .25}.png')
    (self._source / 'a' / 'log.txt').write_text('')
    card, read = self._import()
    np.testing.assert_array_equal(read.observations, images)
    self.assertEqual(card['notes'], [
        [f'{self._source}/a', '9 images, 0.0.png to 2.0.png'],
        [f'{self._source}/a', 'passed over 1 that are no images: log.txt']])

  @parameterized.parameters(
      ('frame7.bmp', r'^a: frame7.bmp \(1 in all\) is not read; expected images that are .png or'),
      ('frame5.WEBP', 'frame5.WEBP .* is not read'),
      ('frame1.jpeg', 'frame1.(png|jpeg) and frame1.(png|jpeg) have the same number'),
      ('frame1 (1).png', r'frame1 \(1\).png and frame'),
      ('frame8.png', 'numbers jump from frame5.png to frame8.png'))
  def test_folders_that_hold_more_than_one_image_a_step(self, name, message):
    images = own_data.frames(np.random.default_rng(0), 6)
    self._write('a', images)
    (self._source / 'a' / name).write_bytes((self._source / 'a' / 'frame1.png').read_bytes())
    self.assertRegex(self._problem(), message)

  @parameterized.product(orientation=list(range(1, 9)), suffix=['.png', '.jpg'])
  def test_images_are_turned_as_a_viewer_shows_them(self, orientation, suffix):
    # Blocks of 16: JPEG keeps them.
    shown = np.kron(np.random.default_rng(0).choice([0, 255], (6, 4, 3)), np.ones((16, 16, 1)))
    # By the EXIF standard: what is stored, for a viewer that shows it the right way up.
    stored = {1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1],
              4: lambda x: x[::-1], 5: lambda x: x.T, 6: lambda x: x.T[::-1],
              7: lambda x: x[::-1, ::-1].T, 8: lambda x: x.T[:, ::-1]}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    (self._source / 'a').mkdir()
    for t in range(3):
      image = Image.fromarray(stored(shown[..., t]).astype(np.uint8))
      image.save(self._source / 'a' / f'{t}{suffix}', exif=exif, quality=95)
    _, read = self._import(own_data.environment(shape=(96, 64, 1)))
    difference = np.abs(read.observations[..., 0].astype(int) - np.moveaxis(shown, -1, 0))
    self.assertLess(difference.mean(), 4)

  @parameterized.parameters('RGB', 'L', 'P', 'RGBA', 'LA')
  def test_transparent_pixels_are_refused_and_opaque_ones_read(self, mode):
    rng = np.random.default_rng(0)
    env = own_data.environment(shape=(8, 6, 1 if mode in ('L', 'LA') else 3))
    for name, is_transparent in (('opaque', False), ('transparent', True)):
      (self._source / name).mkdir()
      for t in range(3):
        pixels = rng.integers(1, 255, (8, 6, 1 if mode in ('L', 'P', 'LA') else 3), dtype=np.uint8)
        pixels[0, 0] = 0
        options = {}
        if mode in ('RGBA', 'LA'):
          alpha = np.full((8, 6, 1), 255, np.uint8)
          alpha[3, 3] = 254 if is_transparent else 255
          image = Image.fromarray(np.concatenate([pixels, alpha], -1), mode)
        else:
          image = Image.fromarray(pixels.squeeze(), 'RGB' if mode == 'RGB' else 'L')
          if mode == 'P':
            image = image.convert('P')
          unused = 0 if is_transparent else 255
          options = {'transparency': (unused,) * 3 if mode == 'RGB' else unused}
        image.save(self._source / name / f'{t}.png', **options)
    card, read = self._import(env, settings={'on_problem': 'skip'})
    self.assertEqual(read.num_episodes, 1)
    (left_out,) = card['left_out_episodes']
    self.assertRegex(left_out['name'] + left_out['reason'],
                     'transparent0.png has pixels that are transparent')

  def test_the_same_pixels_are_a_duplicate_however_they_are_stored(self):
    images = own_data.frames(np.random.default_rng(0), 6, (8, 6, 3))
    images[..., 1:] = images[..., :1]  # Grey in colours.
    for name, options in (('a', {'compress_level': 1}), ('b', {'compress_level': 9}),
                          ('c', {'transparency': (1, 2, 3)}), ('d', {})):
      (self._source / name).mkdir()
      for t, image in enumerate(images if name != 'd' else images[::-1]):
        Image.fromarray(image).save(self._source / name / f'{t}.png', **options)
    (self._source / 'e').mkdir()
    for t, image in enumerate(images):
      Image.fromarray(image[..., 0]).save(self._source / 'e' / f'{t}.png')
    card, read = self._import(own_data.environment(shape=(8, 6, 3)))
    self.assertEqual((read.num_episodes, card['left_out']), (2, {'duplicate': 3}))

  def test_what_few_bytes_unpack_to_is_limited(self):
    images = own_data.frames(np.random.default_rng(0), 6)
    self._write('a', images)
    path = self._source / 'a' / 'frame2.png'
    whole = path.read_bytes()
    for size in (6000, 60_000):  # Pillow refuses the second, but not as a ValueError.
      header = b'IHDR' + size.to_bytes(4, 'big') * 2 + whole[24:29]
      path.write_bytes(whole[:12] + header + zlib.crc32(header).to_bytes(4, 'big') + whole[33:])
      self.assertRegex(self._problem(), 'a: frame2.png has more than 33,554,432 pixels')
    with open(path, 'wb') as f:
      f.truncate((1 << 28) + 1)
    self.assertRegex(self._problem(), 'a: frame2.png is larger than 268,435,456 bytes')

  def test_images_that_are_no_single_picture_of_8_bit(self):
    images = own_data.frames(np.random.default_rng(0), 6)
    self._write('a', images)
    path = self._source / 'a' / 'frame2.png'
    pictures = [Image.fromarray(image[..., 0]) for image in images]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    self.assertRegex(self._problem(), 'a: frame2.png holds 6 pictures')
    for content in (np.zeros((8, 6), np.uint16), np.zeros((8, 6, 3), np.uint16)):
      path.write_bytes(cv2.imencode('.png', content)[1].tobytes())
      self.assertRegex(self._problem(), 'a: frame2.png has pixels of more than 8 bit')

  @parameterized.parameters('PNG', 'JPEG', 'BMP', 'GIF', 'WEBP')
  def test_damaged_images_give_an_error_or_pixels(self, kind):
    rng, file = np.random.default_rng(0), io.BytesIO()
    images = [Image.fromarray(image[..., 0]) for image in own_data.frames(rng, 3, (40, 60, 1))]
    # Several in a .gif: how many pictures there are is counted after it was opened.
    images[0].save(file, kind, **{'save_all': True, 'append_images': images[1:]}
                   if kind == 'GIF' else {})
    whole, num_refused = file.getvalue(), 0
    for size in exhaustive.some_of(range(len(whole)), at_least=40):
      changed = damaged_videos.damage(whole, 'byte', rng)
      for data in (whole[:size], changed):
        try:
          import_images.decode(data)
        except ValueError:  # All others would end an import of many folders.
          num_refused += 1
    self.assertGreater(num_refused, 30)

  def test_a_gif_that_breaks_off_under_the_name_of_a_png(self):
    images = [Image.fromarray(image[..., 0])
              for image in own_data.frames(np.random.default_rng(0), 6)]
    self._write('a', [np.array(image) for image in images])
    self._write('b', [np.array(image) for image in images[::-1]])
    path = self._source / 'b' / 'frame2.png'
    images[0].save(path, 'GIF', save_all=True, append_images=images[1:])
    data = path.read_bytes()
    second = data.index(b',', data.index(b',') + 1)
    for size in (second + 1, second + 5, second + 12):
      path.write_bytes(data[:size])
      card, _ = self._import(settings={'on_problem': 'skip'})
      self.assertRegex(card['left_out_episodes'][0]['reason'], 'frame2.png ')

  def test_an_episode_that_is_too_large_is_left_out_and_others_are_kept(self):
    rng = np.random.default_rng(0)
    for name, length in (('a', 5), ('b', 40), ('c', 6)):
      self._write(name, own_data.frames(rng, length))
    size = (self._source / 'b' / 'frame0.png').stat().st_size
    num_read = []
    with mock.patch.object(writer, 'MAX_EPISODE_BYTES', 10 * size):
      with mock.patch.object(png, 'is_plain', lambda encoded: num_read.append(encoded) or True):
        card, read = self._import()
    self.assertEqual(read.num_transitions.tolist(), [4, 5])
    self.assertEqual(card['left_out'], {'too large': 1})
    self.assertRegex(card['left_out_episodes'][0]['reason'],
                     r'its first 1\d images take .* GB; expected at most .*Cut the recording')
    self.assertLess(len(num_read), 5 + 12 + 6)  # No more was read of it.

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

  @parameterized.parameters(
      ('link', 'frame0.png is a link to what cannot be opened'),
      ('directory', 'frame0.png is a directory; expected an image'),
      ('pipe', 'frame0.png is a pipe'), ('.crdownload', 'frame0.png.crdownload .* download'),
      ('.PART', 'frame0.png.PART .* not finished'), (' ', "'frame0.png ' is no .png"),
      ('.tmp', "'frame0.png.tmp' is no .png or .jpg or .jpeg by its name, and has the number of no "
       'image'))
  def test_an_image_that_is_there_under_another_name_is_no_missing_one(self, what, message):
    images = own_data.frames(np.random.default_rng(0), 8)
    self._write('a', images)
    first = self._source / 'a' / 'frame0.png'
    encoded = first.read_bytes()
    first.unlink()
    {'link': lambda: first.symlink_to('/nowhere/frame0.png'), 'directory': first.mkdir,
     'pipe': lambda: os.mkfifo(first)}.get(
         what, lambda: first.with_name(f'frame0.png{what}').write_bytes(encoded))()
    self.assertRegex(self._problem(), f'^a: {message}')

  def test_a_link_to_an_image_is_one(self):
    images = own_data.frames(np.random.default_rng(0), 8)
    self._write('a', images)
    os.rename(self._source / 'a' / 'frame3.png', self._parent / 'elsewhere')
    (self._source / 'a' / 'frame3.png').symlink_to(self._parent / 'elsewhere')
    np.testing.assert_array_equal(self._import()[1].observations, images)

  @parameterized.product(suffix=('.png', '.jpg'), shape=((96, 128, 3), (48, 64, 3), (96, 128, 1)))
  def test_damage_is_refused_whatever_is_made_of_the_image(self, suffix, shape):
    images = [damaged_images.picture(seed) for seed in range(6)]
    self._write('a', images, suffix)
    path = self._source / 'a' / f'frame3{suffix}'
    encoded, middle = path.read_bytes(), path.stat().st_size // 2
    for damaged in (encoded[:middle] + bytes(256) + encoded[middle + 256:],
                    encoded[:middle] + encoded[-2:], encoded[:-2],
                    encoded[:middle] + encoded[middle + (1 if suffix == '.png' else 700):]):
      path.write_bytes(damaged)
      with jpegs_test.standard_error() as printed:
        self.assertRegex(self._problem(own_data.environment(shape=shape)),
                         rf'^a: frame3{suffix} is not a whole image \(.+\). Copy it again')
      self.assertEqual(printed, [''])  # Libraries print lines of their own.

  def test_what_is_no_image_is_said_in_words(self):
    self._write('a', own_data.frames(np.random.default_rng(0), 6))
    (self._source / 'a' / 'frame2.png').write_text('<html>')
    self.assertIn('frame2.png is not a whole image (its first bytes are of none of PNG, JPEG, BMP, '
                  'GIF, WEBP)', self._problem())

  def test_wrong_directories_and_kinds(self):
    with self.assertRaisesRegex(ValueError, 'has no folders of images. Correct from_dir'):
      self._import()
    with self.assertRaisesRegex(ValueError, "observation.kind of Own is 'grid'; expected image"):
      self._import(own_data.environment('grid', (3, 3, 1)))


if __name__ == '__main__':
  absltest.main()
