"""Tests that a compiled program that was written half is not in the way for ever."""

import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

import jax
from absl.testing import absltest, parameterized

from alpt_jax.training import compilation_cache

_PROGRAM = '''
import sys
import jax
from alpt_jax.training import compilation_cache
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
compilation_cache.use(sys.argv[1])
hits = []
jax.monitoring.register_event_listener(
    lambda event, **unused: hits.append(event.endswith('cache_hits')))
def doubled(x):
  return x + x
print(float(jax.jit(doubled)(2.)), sum(hits))
'''


class CompilationCacheTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'cache')

  def run_program(self):
    """Returns 'result, number of programs that were not compiled', and what it said."""
    result = subprocess.run(
        [sys.executable, '-c', _PROGRAM, str(self.directory)], capture_output=True, text=True,
        cwd=pathlib.Path(__file__).parents[2], check=True)
    return result.stdout.strip(), result.stderr

  @parameterized.named_parameters(
      ('empty', lambda content: b''), ('half', lambda content: content[:len(content) // 2]),
      ('flipped', lambda content: content[:99] + bytes([content[99] ^ 4]) + content[100:]))
  def test_damaged_program_is_compiled_once_more(self, damage):
    self.assertEqual(self.run_program()[0], '4.0 0')
    entry, = self.directory.glob('jit_doubled-*-cache')
    entry.write_bytes(damage(entry.read_bytes()))
    output, said = self.run_program()
    self.assertEqual(output, '4.0 0')
    self.assertIn(f'{entry}: half a compiled program', said)
    self.assertEqual(self.run_program(), ('4.0 1', ''))

  def test_programs_are_looked_at_once(self):
    self.run_program()
    for path in self.directory.iterdir():
      os.utime(path, (1, 1))
    compilation_cache._remove_damaged(str(self.directory))
    with mock.patch.object(compilation_cache.jax_cache, 'decompress_executable') as look:
      compilation_cache._remove_damaged(str(self.directory))
      look.assert_not_called()
      new = self.directory / 'jit_new-cache'
      new.write_bytes(b'new')
      compilation_cache._remove_damaged(str(self.directory))
      look.assert_called_once_with(b'new')

  def test_none_is_used_without_a_directory(self):
    with mock.patch.object(jax.config, 'update') as update:
      compilation_cache.use('')
    update.assert_not_called()


if __name__ == '__main__':
  absltest.main()
