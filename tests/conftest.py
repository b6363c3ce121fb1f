"""Settings of all tests: eight CPU devices, no silent broadcasting of ranks, fast compilation."""

import atexit
import os
import shutil
import signal
import tempfile

# Shells ignore it in what they run in the background, and so would processes that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
  signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests compile more than they compute. Here and in the processes that tests start, programs are
# hardly optimized (LLVM takes a third of the time without XLA's fusion emitters) and shared.
if 'ALPT_TESTS_CACHE' not in os.environ:  # The processes of pytest share it.
  os.environ['XLA_FLAGS'] = ' '.join(
      ['--xla_cpu_use_fusion_emitters=false', *os.environ.get('XLA_FLAGS', '').split()])
  os.environ['JAX_DISABLE_MOST_OPTIMIZATIONS'] = '1'
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.3'
  _cache = os.environ['ALPT_TESTS_CACHE'] = tempfile.mkdtemp()
  atexit.register(shutil.rmtree, _cache, ignore_errors=True)

import jax  # noqa: E402

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_compilation_cache_dir', os.environ['ALPT_TESTS_CACHE'])

# The files that take longest, which must not be the last ones: a process would be left alone.
_LONG = ('survival_test', 'reproduce_paper_test', 'distributed_test', 'benchmark_atari_test',
         'train_test', 'sharding_test', 'reproduce_atari_test', 'lost_process_test')


def pytest_collection_modifyitems(items):
  """Puts long files first; with --no-loadscope-reorder, pytest-xdist keeps to that."""
  places = {name: place for place, name in enumerate(_LONG)}
  items.sort(key=lambda item: places.get(item.path.stem, len(_LONG)))
