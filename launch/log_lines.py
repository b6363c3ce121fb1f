"""Log lines "time host text": made, merged by time, and what each host said last.

The time is UTC with milliseconds, e.g. 2026-01-31T23:59:59.000Z, so that it sorts as text.
launch/entrypoint.sh writes the same.
"""

import datetime
import heapq
import re
from typing import NamedTuple

_STAMPED = re.compile(r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) ?(.*)')
_STEPS = re.compile(r'\b\d+% (\d+)/\d+\b')  # As progress.Progress writes it.


class Line(NamedTuple):
  """A line of a log.

  Attributes:
    time: text, see above; '' if it is not known.
    host: who wrote it.
    text: what.
  """
  time: str
  host: str
  text: str

  def __str__(self):
    return f'{self.time} {self.host} {self.text}'


def stamp(host, text):
  """Makes a `Line` of now."""
  now = datetime.datetime.now(datetime.UTC)
  return Line(f'{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z', host, text)


def parse(text):
  """Reads a log.

  Args:
    text: of one or several hosts; a line without a time goes with the one before it.

  Returns:
    A list of `Line`s.
  """
  lines, time, host = [], '', '?'
  for line in text.splitlines():
    match = _STAMPED.match(line)
    if match:
      time, host, line = match.groups()
    lines.append(Line(time, host, line))
  return lines


def merge(logs):
  """Merges logs by time; lines of the same time stay in the order of their log.

  Args:
    logs: lists of `Line`s, each of any number of hosts.

  Returns:
    A list of `Line`s.
  """
  hosts = {}
  for log in logs:
    for line in log:
      hosts.setdefault(line.host, []).append(line)
  return list(heapq.merge(*hosts.values(), key=lambda line: line.time))


def last_words(lines):
  """Lists what each host said last: who hung, or stopped first, is on top.

  Args:
    lines: list of `Line`s.

  Returns:
    [(host, last `Line`, last step or None)], the longest silent first.
  """
  last, steps = {}, {}
  for line in lines:
    last[line.host] = line
    if match := _STEPS.search(line.text):
      steps[line.host] = int(match[1])
  return sorted(((host, line, steps.get(host)) for host, line in last.items()),
                key=lambda entry: entry[1].time)
