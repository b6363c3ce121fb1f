"""Settings of all tests: eight CPU devices, no silent broadcasting of ranks, fast compilation."""

import atexit
import gc
import os
import shutil
import signal
import sys
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
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
  os.environ['PYTHONPATH'] = os.pathsep.join(
      [os.path.join(os.path.dirname(__file__), 'startup'),
       *filter(None, [os.environ.get('PYTHONPATH')])])
  _cache = os.environ['ALPT_TESTS_CACHE'] = tempfile.mkdtemp()
  os.environ['JAX_COMPILATION_CACHE_DIR'] = _cache  # Of processes whose config names none.
  atexit.register(shutil.rmtree, _cache, ignore_errors=True)

import jax  # noqa: E402

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_compilation_cache_dir', os.environ['ALPT_TESTS_CACHE'])
# Runs start with the same small programs; tests compile many that none needs again.
jax.config.update('jax_persistent_cache_min_compile_time_secs', .3)

from tests import exhaustive, shared_programs  # noqa: E402

shared_programs.install()

# Tracing makes millions of objects that live as long as the process: looking for cycles among them
# takes a tenth of the time of this process, and a sixth of that of one that trains a tiny run.
gc.set_threshold(100_000, 50, 100)

# The files that take longer than 20 s, longest first: they must not be the last ones, as a process
# would be left alone.
_LONG = (
    'training/distributed_test', 'training/survival_test', 'training/train_test',
    'experiments/reproduce_paper_test', 'experiments/reproduce_atari_test',
    'training/sharding_test', 'launch/train_test', 'experiments/studies/submission_test',
    'experiments/reproduce_test', 'experiments/benchmark_atari_test', 'training/train_atari_test',
    'labelling/audit_run_test', 'experiments/own_study_test', 'tutorial_test',
    'training/lost_process_test', 'labelling/audit_compare_test', 'training/own_runs_test',
    'experiments/benchmark_test', 'labelling/run_floors_test', 'learners/alpt_test',
    'labelling/label_dataset_test', 'training/train_cql_test', 'learners/microbatches_test',
    'domains/atari/collect_test', 'learners/pseudo_labels_test', 'labelling/clips_run_test',
    'training/train_refusals_test', 'experiments/audit_test')


# Files, classes and tests that cannot do without envlogger, which has no wheels for Python 3.12 and
# later: they are not run there.
NEED_ENVLOGGER = (
    'tests/data/recorder_envlogger_test.py',
    'tests/domains/atari/convert_test.py::ConvertTest::'
    'test_records_are_copied_under_the_same_name_rlu_atari',
    'tests/domains/atari/record_test.py::RecordAtariTest::test_envlogger_writes_the_same_records',
    'tests/domains/atari/record_test.py::RecordAtariTest::'
    'test_failure_leaves_nothing_behind_rlu_atari',
    'tests/domains/atari/record_test.py::RecordAtariTest::'
    'test_features_are_the_official_ones_rlu_atari',
    'tests/domains/atari/record_test.py::RecordAtariTest::'
    'test_random_draws_are_marked_rlu_atari',
    'tests/domains/atari/rlu_test.py::RluAtariTest::test_one_split_of_another_game_is_refused',
    'tests/domains/maze/collect_test.py::CollectTest::test_envlogger_records_the_same_episodes',
)
HAS_ENVLOGGER = sys.version_info < (3, 12)  # As in requirements.txt; there it must be installed.


def needs_envlogger(item):
  """The entry of NEED_ENVLOGGER that a test falls under; '' if it falls under none."""
  return next((entry for entry in NEED_ENVLOGGER
               if f'{item.nodeid}::'.startswith(f'{entry}::')), '')


def pytest_terminal_summary(terminalreporter):
  """Names what is not run; at every verbosity."""
  if not HAS_ENVLOGGER:
    terminalreporter.section(
        'not run: these need envlogger, which is for Python 3.11 only', sep='-')
    for entry in NEED_ENVLOGGER:
      terminalreporter.line(entry)


def pytest_addoption(parser):
  parser.addoption('--exhaustive', action='store_true',
                   help='Run exhaustive tests in full, not a tenth of them; see exhaustive.py.')


def pytest_configure(config):
  if config.getoption('--exhaustive'):
    os.environ[exhaustive.VARIABLE] = '1'


# Compiled code is mapped into memory, and Linux allows a process 65,530 mappings: with more, XLA
# ends it by a segmentation fault.
_MAX_MAPPINGS = 30_000


def pytest_runtest_teardown(item, nextitem):
  """Frees compiled programs after a file that leaves many."""
  if nextitem is None or nextitem.path == item.path:
    return
  with open('/proc/self/maps', 'rb') as file:
    num_mappings = sum(1 for _ in file)
  if num_mappings > _MAX_MAPPINGS:
    shared_programs.clear()
    jax.clear_caches()
    gc.collect()


def pytest_collection_modifyitems(config, items):
  """Puts long files first; with --no-loadscope-reorder, pytest-xdist keeps to that."""
  if not HAS_ENVLOGGER:
    config.hook.pytest_deselected(items=list(filter(needs_envlogger, items)))
    items[:] = [item for item in items if not needs_envlogger(item)]
  places = {f'tests/{name}.py': place for place, name in enumerate(_LONG)}
  items.sort(key=lambda item: places.get(item.nodeid.split('::')[0], len(_LONG)))
