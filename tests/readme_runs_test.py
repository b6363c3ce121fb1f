"""Every command that a page shows runs, at a tiny size, in a copy of the repository.

What a command reads is made first, by the commands that the pages have for it. By default a tenth
of those that take seconds are run; all, which takes half an hour, with --exhaustive.
"""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import jax
from absl.testing import absltest, parameterized

from tests import exhaustive, readme_commands_test, readmes_test

ROOT = readmes_test.ROOT
# They ask machines; tests/launch has some that are made up.
_ASK_MACHINES = ('launch.status', 'launch.logs', 'launch.cleanup')
_SLOW = ('experiments.alignment_power', 'experiments.benchmark', 'experiments.compare_precision',
         'experiments.loading', 'experiments.own_study', 'experiments.reproduce',
         'launch.preflight')
_DRAFTS = 'runs/drafts'
_PUBLISHED = '--config.collect.origin=convert'  # Reads what only the paper's authors' files have.
# What makes a command tiny: [(pattern of a word, what stands for it)], in this order.
_SMALLER = [
    (r'(configs/(?:maze|atari|own)\.py:)(?:desk|study|paper|budget|trust)\b', r'\1tiny'),
    (r'(configs/paper\.py:.*preset=)(?:desk|paper)', r'\1tiny'),
    (r'(configs/(?:gates|studies)\.py:\w+)$', r'\1,tiny'),
    (r'(configs/tuning\.py:arm=\w+)$', r'\1,preset=tiny'),
    (r'(--topology=).*', r'\g<1>v5e:1x1'),
    (r'(--config\.num_steps=)\d+', r'\g<1>4'),
    (r'(--config\.(?:idm_)?batch_size=)\d+', r'\g<1>12'),
    (r'(--config\.collect\.num_steps=)\d+', r'\g<1>400'),
    (r'(--config\.evaluation\.num_episodes=)\d+', r'\g<1>2'),
    (r'(--config\.study\.score\.eval_every_steps=)\d+', r'\g<1>2'),
    (r'(--num_episodes=|--num_seeds=|--seconds=|--turns=)\d+', r'\g<1>2'),
    (r'(--num_steps=)\d+', r'\g<1>5'),
    (r'runs/maze/results', 'runs/maze_tiny/results'),
    (r'runs/(maze|atari)_trust/.*', 'runs/alpt'),
    (r'\$game', 'Pong'),
    (r'(--environments=)Breakout,.*', r'\g<1>Pong'),
    (r'\.\./old/', ''),
]
_MORE = {  # Of programs, beside the command's own words.
    'experiments.film': ['--num_videos=2', '--seconds=4', '--num_labelled=3',
                         '--labelled_seconds=3'],
    'experiments.label': ['--episodes_per_file=2'],
    'experiments.alignment_power': ['--num_datasets=2'],
    'experiments.own_study': ['--preset=tiny', '--seeds=0'],
}
_ATARI = '--config=experiments/configs/atari.py:tiny,target=Breakout'
_WITHOUT = {  # What programs get that a page names without any words.
    'experiments.benchmark': ['--config=experiments/configs/maze.py:tiny'],
    'experiments.ceiling': [_ATARI, '--num_steps=5'],
    'experiments.score_floors': [_ATARI, '--num_episodes=2'],
    'experiments.floors': ['--run=runs/atari/breakout'],
}
# What pages name and leave to the reader to make.
_READERS_OWN = [
    ('experiments.train', '--config=experiments/configs/maze.py:tiny', '--config.train_dt=False',
     f'--config.workdir=runs/own/{name}', *more) for name, more in {
         'with': (), 'without': ('--config.method=dt1_idm', '--config.sources=()')}.items()]
_CACHES = {'experiments.train': 'config.', 'experiments.reproduce': 'config.',
           'experiments.own_study': ''}  # What their flag begins with.
_WRITES = re.compile(r'--(?:output|config\.workdir)=(.*)')
# What a command reads without its path.
_NAMED = {'configs/own.py': 'runs/own/data', 'target=Labelled': 'runs/own/data/Labelled'}


def tiny(words):
  """Returns a command, as words after `python -m`, at a tiny size.

  A registered study is what was registered, at its own size: only its plan is made.
  """
  if words[0] == 'experiments.register':  # A registration that nobody has committed.
    return [word.replace('experiments/registrations', _DRAFTS) for word in words]
  if any(word.startswith('--config.study.registration=') for word in words):
    return [*words, '--dry_run']
  words = [words[0], *map(_smaller, words[1:]), *_MORE.get(words[0], ())]
  if not any(re.match('--(config|run)=', word) for word in words):
    words[1:1] = _WITHOUT.get(words[0], ())
  if words[0] == 'launch.submit' and '--dry_run' not in words:
    words.insert(1, '--dry_run')
  return words


def _smaller(word):
  return functools.reduce(lambda word, rule: re.sub(*rule, word), _SMALLER, word)


class TinyTest(parameterized.TestCase):

  @parameterized.parameters(
      ('experiments.train --config=experiments/configs/atari.py:paper,phase=pretrain',
       'experiments.train --config=experiments/configs/atari.py:tiny,phase=pretrain'),
      ('launch.submit --target=gke -- --config.num_steps=800',
       'launch.submit --dry_run --target=gke -- --config.num_steps=4'),
      ('experiments.reproduce --config=experiments/configs/studies.py:labels '
       '--config.study.registration=experiments/registrations/labels.json',
       'experiments.reproduce --config=experiments/configs/studies.py:labels '
       '--config.study.registration=experiments/registrations/labels.json --dry_run'))
  def test_what_stands_for_a_command(self, command, expected):
    self.assertEqual(tiny(command.split()), expected.split())


class RunsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()), 'copy')
    for name in self.git('ls-files', '--cached', '--others', '--exclude-standard', cwd=ROOT):
      if (ROOT / name).is_file():  # Not one that was removed and not committed.
        (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, self.directory / name)
    if (ROOT / '.libtpu').exists():
      (self.directory / '.libtpu').symlink_to(ROOT / '.libtpu')
    self.git('init', '--quiet')
    for path in (*sorted((self.directory / 'experiments' / 'registrations').iterdir()), '--all'):
      self.git('add', str(path))  # Registrations are committed by themselves.
      self.git('-c', 'user.name=Test', '-c', 'user.email=test@localhost', 'commit', '--quiet',
               f'--message={path}')
    shutil.copytree(self.directory / 'experiments' / 'registrations', self.directory / _DRAFTS)
    self.done = set()
    self.commands = []  # In the pages' order.
    for page in readmes_test.pages():
      for words in readme_commands_test.commands(page.read_text(encoding='utf-8')):
        small = tuple(tiny(words))
        if (words[0] not in _ASK_MACHINES and _PUBLISHED not in words
            and small not in self.commands):
          self.commands.append(small)

  def git(self, *args, cwd=None):
    return subprocess.run(['git', *args], cwd=cwd or self.directory, check=True, text=True,
                          capture_output=True).stdout.splitlines()

  def test_every_command(self):
    wrong = {}
    quick = [words for words in self.commands if '--dry_run' in words or words[0] not in _SLOW]
    for words in self.commands if exhaustive.is_on() else exhaustive.some_of(quick, seed=1):
      if output := self.run_with_needs(words):
        wrong[' '.join(words)] = output[-1500:]
    self.assertEqual(wrong, {})

  def run_with_needs(self, words):
    """Runs a command after those that make what it reads; returns the output of one that fails."""
    for need in self.needs(words):
      if output := self.run_with_needs(need):
        return output
    if words in self.done:
      return ''
    self.done.add(words)
    more = ([f'--{_CACHES[words[0]]}compilation_cache_dir={jax.config.jax_compilation_cache_dir}']
            if words[0] in _CACHES and '--dry_run' not in words else [])
    done = subprocess.run(
        [sys.executable, '-m', *words, *more], cwd=self.directory, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        env=os.environ | {'JAX_NUM_CPU_DEVICES': '1'})
    return done.returncode and f'{words}: exit code {done.returncode}\n{done.stdout}'

  def needs(self, words):
    """Lists the commands of pages that make what a command reads."""
    reads = {word.partition('=')[2] for word in words if word.startswith('--')}
    for part, path in _NAMED.items():
      reads |= {path for word in words if part in word}
    reads = (reads | _recordings(words)) - written(words)
    for path in sorted(reads):  # What nothing makes is in the repository, or no path.
      yield from [command for command in [*self.commands, *_READERS_OWN]
                  if command != words and path in written(command)][:1]


def written(words):
  """The paths that a command makes."""
  if '--dry_run' in words:
    return set()
  if words[:2] == ('experiments.collect', 'import'):
    return {_NAMED['configs/own.py']}
  if words[0] == 'experiments.collect':
    return _recordings(words) or {
        word.partition('=')[2] for word in words if word.startswith('--config.data_dir=')}
  found = {match[1] for match in map(_WRITES.match, words) if match}
  if words[0] == 'experiments.reproduce' and 'experiments/configs/maze.py' in words[1]:
    found.add('runs/maze_tiny/results.json')
  return found


def _recordings(words):
  """Where a preset has its data, unless the command says it."""
  if any(word.startswith('--config.data_dir=') for word in words):
    return set()
  return {f'runs/{name}_tiny/data' for name in ('maze', 'atari')
          if any(word.startswith(f'--config=experiments/configs/{name}.py') for word in words)}


if __name__ == '__main__':
  absltest.main()
