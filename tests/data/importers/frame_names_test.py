"""Names of images: the order of their numbers, or an error; whatever order they are listed in."""

import random

from absl.testing import absltest, parameterized

from alpt_jax.data.importers import frame_names


def times(step, count=20, without=()):
  return [i * step for i in range(count) if i not in without]


# Milliseconds of 30 images that come irregularly.
IRREGULAR = [sum(random.Random(0).choices(range(20, 60), k=i)) for i in range(30)]


class OrderTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('counted', [f'frame_{i}.png' for i in range(101)]),
      ('padded', [f'{i:06d}.jpg' for i in range(95, 105)]),
      ('from_a_later_one', [f'ep3_cam0_{i}_left.png' for i in range(995, 1005)]),
      ('every_fourth', [f'{i}.png' for i in range(0, 80, 4)]),
      ('both_suffixes', [f'f{i}.{"png" if i % 3 else "JPG"}' for i in range(12)]),
      ('long', [f'{10 ** 40 + i}.png' for i in range(3)]),
      ('one', ['photo.png']),
      ('seconds', [f'{t}.png' for t in times(.25)]),
      ('tenths', [f'{t / 10}.png' for t in times(1, 30)]),
      ('clock', [f'{1700000000 + t}.png' for t in times(.05)]),
      ('clock_of_equal_digits', [f'cam-{1700000000 + t:.6f}.png' for t in times(1 / 30)]),
      ('milliseconds', [f'{1700000000000 + round(t)}.png' for t in times(1000 / 30)]),
      ('number_and_time', [f'{i:03d}_{i * 33}ms.png' for i in range(20)]),
      ('runs_that_go_on', [f'part{i // 7}_{i}.png' for i in range(21)]),
      ('chapter_and_number', [f'shot1.{i}.png' for i in range(1, 30)]),
      ('time_and_number', [f'{t}_{i}.png' for i, t in enumerate(IRREGULAR)]),
      ('joined_by_a_hyphen', [f'frame-{i}.png' for i in range(1, 30)]),
      ('joined_to_a_letter', [f'f-{i:03d}.png' for i in range(1, 30)]),
      ('joined_to_a_number', [f'ep1-{i}.png' for i in range(1, 30)]),
      ('joined_by_blanks', [f'clip - {i}.png' for i in range(1, 30)]),
      ('minus_that_does_not_vary', [f'lat-3_{i}.png' for i in range(1, 30)]),
      ('date', [f'Shot 2024-02-{28 + i // 60} at {(23 + i // 60) % 24:02d}.{i % 60:02d}.07.png'
                for i in range(50, 70)]),
      ('date_of_a_telephone', [f'IMG_20240131_{h:02d}{m:02d}59.jpg'
                               for h in (9, 10) for m in range(0, 60, 20)]),
      ('date_with_fraction', [f'2024-01-31_10-11-{i // 4:02d}.{i % 4 * 25:02d}.png'
                              for i in range(20)]))
  def test_order_is_that_of_the_numbers(self, names):
    for seed in range(5):
      shuffled = random.Random(seed).sample(names, len(names))
      self.assertEqual(frame_names.order(shuffled), (names, ''))

  @parameterized.named_parameters(
      ('letters', ['a.png', 'b.png'], 'a.png and b.png differ in more than their numbers|'
       'b.png and a.png differ in more than their numbers'),
      ('hexadecimal', ['008.png', '009.png', '00a.png'], '00a.png and 00[89].png differ'),
      ('two_cameras', [f'{c}_{i}.png' for c in ('left', 'right') for i in range(5)],
       '(left|right)_. and|_[0-9].png and .*differ in more than'),
      ('two_cameras_by_number', [f'cam{c}_{i}.png' for c in (0, 1) for i in range(5)],
       'several numbers that vary'),
      ('camera_behind', [f'{i}_{c}.png' for c in (0, 1) for i in range(5)],
       'several numbers that vary'),
      ('time_without_day', [f'10.{i // 60:02d}.{i % 60:02d}.png' for i in range(90)],
       'several numbers that vary'),
      ('chapters', [f'{a}.{b}.png' for a in (1, 2) for b in range(1, 12)],
       'several numbers that vary'),
      ('signs', ['-1.png', '0.png', '1.png'], 'differ in more than'),
      ('exponents', [f'{t}.png' for t in (1e-05, .5, 1.)], 'differ in more than'),
      ('capitals', ['Frame_1.png', 'frame_2.png', 'frame_3.png'], 'Frame_1.png and frame_[23]'),
      ('both_formats', [f'frame_{i}.{e}' for i in range(12) for e in ('png', 'jpg')],
       'frame_0.(png|jpg) and frame_0.(png|jpg) have the same number'),
      ('copy', [f'frame_{i}.png' for i in range(12)] + ['frame_3 (1).png'],
       r'frame_3 \(1\).png and'),
      ('copy_by_name', [f'frame_{i}.png' for i in range(12)] + ['frame_3 - Copy.png'],
       'frame_3 - Copy.png and'),
      ('zeros', ['1.png', '01.png', '2.png'], '(0?)1.png and (0?)1.png have the same number'),
      ('no_number_twice', ['a.png', 'a.jpg'], 'a.(png|jpg) and a.(png|jpg) have the same'),
      ('gap', [f'frame_{i}.png' for i in range(20) if i != 7],
       'numbers jump from frame_6.png to frame_8.png; expected steps of 1'),
      ('gaps', [f'{i}.png' for i in (0, 1, 4, 5, 9, 15, 16)], 'jump from 1.png to 4.png'),
      ('gap_of_every_second', [f'{i}.png' for i in range(0, 40, 2) if i != 8],
       'jump from 6.png to 10.png; expected steps of 2'),
      ('one_too_many', [f'{i}.png' for i in (0, 4, 8, 9, 12, 16)], 'jump from 8.png to 9.png'),
      ('gap_in_seconds', [f'{t}.png' for t in times(.25, without=(9,))], 'from 2.0.png to 2.5'),
      ('gap_in_milliseconds', [f'{round(t)}.png' for t in times(1000 / 30, without=(9,))],
       'jump from 267.png to 333.png; expected steps of 33'),
      ('gap_behind_a_time', [f'{t}_{i}.png' for i, t in enumerate(IRREGULAR) if i != 7],
       '_6.png to [0-9]+_8.png; expected steps of 1'),
      ('gap_before_a_time', [f'f{i}-{t}.png' for i, t in enumerate(IRREGULAR) if i != 7],
       'jump from f6-'),
      ('gap_behind_seconds', [f'{t / 1000:.3f}-{i:04}.png' for i, t in enumerate(IRREGULAR)
                              if i != 7], 'to [0-9.]+-0008.png'),
      ('gap_in_times_that_are_numbered', [f'{i}_{t}.png' for i, t in enumerate(
          times(40, without=(9,)))], 'jump from 8_320.png to 9_400.png'),
      ('negative', [f'{i}.png' for i in range(-30, 0)], 'may have negative numbers'),
      ('negative_padded', [f'{i:04d}.png' for i in range(-30, 0)], 'may have negative numbers'),
      ('countdown', [f't-{i}.png' for i in range(30, 0, -1)], 'may have negative numbers'),
      ('countdown_to_0', [f'T-{i}.jpg' for i in range(30, -1, -1)], 'may have negative numbers'),
      ('negative_behind_a_sign', [f'time=-{i}.png' for i in range(30, 0, -1)], 'negative'),
      ('negative_seconds', [f't_-{i / 4}.png' for i in range(30, 0, -1)], 'negative'),
      ('negative_fractions', [f'-0.{i}.png' for i in range(9, 0, -1)], 'negative'),
      ('negative_in_print', [f'frame\u2212{i}.png' for i in range(30, 0, -1)], 'negative'),
      ('comes_round', ['65534.png', '65535.png', '0.png', '1.png'], 'jump from 1.png to 65534'))
  def test_no_clear_order_is_refused(self, names, message):
    for seed in range(5):
      with self.assertRaisesRegex(ValueError, message):
        frame_names.order(random.Random(seed).sample(names, len(names)))

  def test_gaps_of_irregular_times_are_told(self):
    rng = random.Random(0)
    clock = [1700000000000 + 50 * i + rng.randrange(15) for i in range(40)]
    names = [f'{t}.png' for i, t in enumerate(clock) if i not in (20, 21)]
    ordered, note = frame_names.order(names[::-1])
    self.assertEqual(ordered, names)
    self.assertRegex(note, f'^1[0-9]+ lies between {clock[19]}.png and {clock[22]}.png, and [45].* '
                           'between most others: is an image missing')
    self.assertEqual(frame_names.order([f'{t}.png' for t in clock])[1], '')

  @parameterized.parameters(
      '0', '.0.png', '0.png ', ' 0.png', '0.pngx', '0.png.Xy12', '.0.png.Xy12', '0.png~', '._0.png',
      '30', '30.txt', '0000', '00.png.bak')
  def test_a_file_with_the_number_of_a_missing_image_is_found(self, name):
    names = [f'{i}.png' for i in range(1, 30)]
    others = ['1.txt', '2', 'log 2024.txt', '2024-01-01.log', '._7.png', 'notes.txt', '.DS_Store',
              '0_mask.npy', 'x0.txt']
    self.assertIsNone(frame_names.overlooked(names, others))
    self.assertEqual(frame_names.overlooked(names, [*others, name]), name)

  def test_a_file_with_several_numbers_of_a_missing_image_is_found(self):
    names = [f'cam1 e\u0301{i / 4}.png' for i in range(1, 9)]
    self.assertIsNone(frame_names.overlooked(names, ['cam1 é2.0.txt', 'cam1 é.txt', 'cam1 3.0']))
    for name in ('cam1 é0.0', '.cam1 é0.0.png', 'cam2 é1.0.png.tmp', 'cam1 é2.25.json'):
      self.assertEqual(frame_names.overlooked(names, [name]), name)
    self.assertIsNone(frame_names.overlooked(['photo.png'], ['photo.txt', '1.txt']))

  def test_letters_of_one_look_are_one_prefix(self):
    names = ['é1.png', 'é2.png', 'e\u03013.png']
    self.assertEqual(frame_names.order(names[::-1]), (names, ''))


if __name__ == '__main__':
  absltest.main()
