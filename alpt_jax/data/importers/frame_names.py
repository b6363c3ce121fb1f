"""Orders the images of a folder by the numbers in their names; refuses names without a clear order.

One number must say the order: names are the same but for numbers, and all numbers that vary grow
together. A point between two numbers makes them a decimal number, and a date with a time of day is
one number, too. An image that is missing, or there twice, would put every action behind it in the
wrong place: such folders are refused, also if a file that is no image has the name of a missing
one, or if numbers may be negative.
"""

import collections
import datetime
import fractions
import itertools
import os
import re
import statistics
import unicodedata

_DATE = re.compile(r'(?<![0-9])((?:19|20)[0-9]{2})[-_. ]?([0-9]{2})[-_. ]?([0-9]{2})'
                   r'(?: at |[-_T., ])*([0-9]{2})[-_.h ]?([0-9]{2})[-_.m ]?([0-9]{2})'
                   r'(?:([-_.,])([0-9]+))?(?![0-9])')
_MINUS = '-\u2010\u2011\u2012\u2013\u2212'  # Hyphens, a dash and the mathematical sign.
_LEAST, _MOST = fractions.Fraction(3, 4), fractions.Fraction(3, 2)  # Of the usual difference.


def order(names):
  """Orders the images of an episode.

  Args:
    names: of the files of one folder.

  Returns:
    The names in the order of their numbers; a sentence on the largest gap between times that come
    irregularly, '' if there is none.

  Raises:
    ValueError: naming two files, if the order is not clear, two have the same number, or the
      numbers jump.
  """
  if len(names) < 2:
    return list(names), ''
  stems = [unicodedata.normalize('NFC', os.path.splitext(name)[0]) for name in names]
  numbers = _dates(stems)
  columns = [numbers] if numbers else _numbers(names, stems)
  is_date = numbers is not None
  ordered = sorted(zip(*columns, names, strict=True))
  *columns, names = zip(*ordered, strict=True)
  for (a, one), (b, other) in itertools.pairwise(zip(columns[0], names, strict=True)):
    if a == b:
      raise ValueError(f'{one} and {other} have the same number; expected one image of each. '
                       'Remove one, or give each camera a folder of its own.')
  gaps = [_gap(column, names, is_date) for column in columns]
  return list(names), next(filter(None, gaps), '')


def overlooked(names, others):
  """Finds a file that is no image by its name, and would be one of an episode by its number.

  Args:
    names: of the images.
    others: names of all other files in their folder.

  Returns:
    The name of one whose number no image has, e.g. '.0.png', '0.png.part'; None if there is none.
  """
  parts = [re.split('([0-9]+)', unicodedata.normalize('NFC', os.path.splitext(name)[0]))
           for name in names]
  common = collections.Counter(tuple(part[::2]) for part in parts).most_common(1)[0][0]
  pattern = re.compile(r'(?:\._|[.\s]*)' + '([0-9]+)'.join(map(re.escape, common)) + r'(?![^\s.~])')
  there = {tuple(map(int, part[1::2])) for part in parts if tuple(part[::2]) == common}
  for name in others:
    match = pattern.match(unicodedata.normalize('NFC', name))
    if match and tuple(map(int, match.groups())) not in there:
      return name
  return None


def _dates(stems):
  """Seconds of names with a date, a time and perhaps a fraction; None if some have none."""
  matches = [_DATE.search(stem) for stem in stems]
  if None in matches:
    return None
  around = {stem[:match.start()] + '\0' + stem[match.end():]
            for stem, match in zip(stems, matches, strict=True)}
  ends = {(match[7], len(match[8] or '')) for match in matches}
  if len(around) > 1 or len(ends) > 1:
    return None
  try:
    return [fractions.Fraction(int(datetime.datetime(
        *map(int, match.groups()[:6]), tzinfo=datetime.UTC).timestamp())) +
        fractions.Fraction(f'0.{match[8] or 0}') for match in matches]
  except ValueError:  # No day or time of day.
    return None


def _numbers(names, stems):
  """Lists of a number of each name: first the one that says the order, then all that do."""
  parts = [re.split('([0-9]+)', stem) for stem in stems]
  texts = [tuple(part[::2]) for part in parts]
  common = collections.Counter(texts).most_common(1)[0][0]
  for name, text in zip(names, texts, strict=True):
    if text != common:
      other = names[texts.index(common)]
      raise ValueError(f'{name} and {other} differ in more than their numbers; expected '
                       'the images of one episode, in the order of one number. Remove '
                       'what is a copy, give each camera a folder of its own, or rename them to '
                       '0000.png, 0001.png ..')
  rows = [part[1::2] for part in parts]
  _check_signs(names, common, rows)
  columns = [column for column in _columns(common, rows) if len(set(column)) > 1]
  if len(columns) < 2:
    return columns or [[0] * len(names)]
  found = []
  for column in columns:
    by_number = sorted(range(len(names)), key=column.__getitem__)
    if len(set(column)) == len(column) and all(
        other[i] <= other[j] for other in columns for i, j in itertools.pairwise(by_number)):
      found.append(column)
  if found:
    return found
  raise ValueError(f'{names[0]} and {names[1]} have several numbers that vary, of which none says '
                   'the order by itself; expected one that grows from image to image. Give each '
                   'camera a folder of its own, or rename the images to 0000.png, 0001.png ..')


def _check_signs(names, texts, rows):
  """Refuses a minus in front of a number that varies, unless it clearly only joins it to a word."""
  columns = list(zip(*rows, strict=True))
  varies = [len(set(column)) > 1 for column in columns]
  for i, (before, column) in enumerate(zip(texts, columns, strict=False)):
    is_fraction = texts[i + 1] == '.' and varies[i + 1:i + 2] == [True]  # -0.75, -0.5.
    if not before or before[-1] not in _MINUS or not (varies[i] or is_fraction):
      continue
    word = re.search(r'[^\W\d_]*$', before[:-1])[0]
    is_counter = any(len(digits) > 1 and digits[0] == '0' for digits in column)
    joins = before[-1] != _MINUS[-1] and (
        len(word) > 1 or len(word) == 1 and is_counter or before == '-' and i > 0)
    if not joins:
      raise ValueError(f'{names[0]} and {names[1]} may have negative numbers; expected numbers '
                       'from 0, without a minus in front. Rename the images to 0000.png, 0001.png '
                       '..')


def _columns(texts, rows):
  """Yields the numbers at each place of the names; a.b is mostly one number, a.b.c are three."""
  columns, i = list(zip(*rows, strict=True)), 0
  is_point = [text == '.' for text in texts[1:-1]]
  while i < len(columns):
    is_pair = (is_point[i:i + 1] == [True] and not (i and is_point[i - 1]) and
               is_point[i + 1:i + 2] != [True])
    if is_pair and _are_fractions(columns[i + 1]):
      yield [fractions.Fraction(f'{a}.{b}')
             for a, b in zip(columns[i], columns[i + 1], strict=True)]
      i += 2
    else:
      yield [int(digits) for digits in columns[i]]
      i += 1


def _are_fractions(digits):
  """Whether 0.25 and 0.5 are meant as decimal numbers, and not as 1.2 and 1.10 of a chapter.

  Decimal numbers have all as many digits, or no 0 at their end.
  """
  return len(set(map(len, digits))) == 1 or not any(len(b) > 1 and b[-1] == '0' for b in digits)


def _gap(numbers, names, is_date):
  """Refuses numbers that jump; says where times that come irregularly have their largest gap."""
  steps = [b - a for a, b in itertools.pairwise(numbers)]
  counts = collections.Counter(steps)
  usual = min(counts, key=lambda step: (-counts[step], step))
  is_counter = 2 * counts[usual] >= len(steps) or (
      usual == min(steps) and all(step % usual == 0 for step in steps))
  for i, step in enumerate(steps):
    if is_counter and not is_date and not _LEAST * usual <= step <= _MOST * usual:
      raise ValueError(f'numbers jump from {names[i]} to {names[i + 1]}; expected steps of '
                       f'{float(usual):g}, as elsewhere: an image is missing, or one too many. '
                       'Copy the folder again; if none is missing, number them without gaps.')
  i = steps.index(max(steps))
  if steps[i] <= _MOST * statistics.median_low(steps):
    return ''
  return (f'{float(steps[i]):g} lies between {names[i]} and {names[i + 1]}, and '
          f'{float(statistics.median_low(steps)):g} between most others: is an image missing?')
