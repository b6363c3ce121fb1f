"""The door of all binaries: flags and config in, an exit code out.

A user's mistake ends in one line that names it, not in a traceback. Nothing heavy is imported here,
so that a typo is reported at once.
"""

import contextlib
import pathlib
import re
import signal
import sys
import traceback

from absl import app, flags, logging
from ml_collections import config_flags

from alpt_jax import configs
from alpt_jax.files import paths
from alpt_jax.process import signals, starting

_DEBUG = flags.DEFINE_bool('debug', False, 'Show the traceback of every error.')

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# {optional package: (what it is for, the extra that installs it)}.
_EXTRAS = {
    **dict.fromkeys(('ale_py', 'gymnasium', 'cv2'), ('Atari needs', 'atari')),
    'vizdoom': ('Doom needs', 'doom'),
    'tensorflow': ('TFRecord files need', 'tensorflow'),
}
# {type of an error of a library, which may not be imported here: what it says then}.
_OUT_OF_MEMORY = {'JaxRuntimeError': 'RESOURCE_EXHAUSTED', 'XlaRuntimeError': 'RESOURCE_EXHAUSTED',
                  'ResourceExhaustedError': ''}
_MEMORY_REMEDY = ('Free some, or ask for less at a time: in training, with '
                  '--config.sharding.accumulate=2, or a smaller batch_size.')
_OWN_PACKAGES = ('alpt_jax', 'experiments', 'launch', '__main__')


def run(main, default_config, *, rewrite=None, verbs=None):
  """Parses the command line, runs `main` and exits.

  Args:
    main: function of the locked `ml_collections.ConfigDict`; returns an exit code or None.
    default_config: value of --config if none is given, e.g. 'experiments/configs/maze.py'; relative
      to the repository.
    rewrite: function of the command line that returns one of flags that absl knows.
    verbs: {word: (main, default_config)}, what runs instead if the first argument is that word.
  """
  command, verbs = list(sys.argv), verbs or {}
  if command[1:2] and command[1] in verbs:
    main, default_config = verbs[command.pop(1)]
  default_config = str(_ROOT / default_config)
  try:
    argv = flags.FLAGS.read_flags_from_files(command, force_gnu=False)
    path, argv = _config_first(rewrite(argv) if rewrite else argv)
    config = configs.load(path if path is not None else default_config)
    configs.check_keys(argv[1:], config)
  except (ValueError, flags.Error) as error:
    if '--debug' in sys.argv:
      raise
    _exit_with_error(str(error).removeprefix('ERROR:: '))  # absl's, of a flagfile.
  keys = ', '.join(f'{key}={value!r}' for key, value in configs.flatten(config).items())
  config_flags.DEFINE_config_file(
      'config', default_config, lock_config=True, sys_argv=argv,
      help_string=f'Config file, or file:argument. --config.key=value changes one of {keys}.')
  for name in ('config', 'debug'):  # Listed by --help, which knows the flags of the binary only.
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
  app.run(lambda _: _run_main(lambda: main(paths.clean_config(flags.FLAGS['config'].value))), argv,
          flags_parser=lambda argv: _parse(argv, config, verbs))


def is_config_given():
  """Whether the command line has --config, or a key of it; False where nothing parsed one."""
  if 'config' not in flags.FLAGS:
    return False
  config = flags.FLAGS['config']
  return bool(config.present or config.override_values)


def run_without_config(main):
  """As `run`, for binaries that read the config of a run, and whose other settings are flags.

  Args:
    main: function without arguments; returns an exit code or None.
  """
  flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS['debug'])

  def parse(argv):
    positional = app.parse_flags_with_usage(argv)[1:]
    if positional:
      _exit_with_error(f'{positional[0]}: unexpected argument; flags are written --name=value')
    return argv[:1]

  app.run(lambda _: _run_main(main), flags_parser=parse)


def run_with_arguments(main):
  """As `run`, for binaries without a config that look themselves at what is no flag.

  Args:
    main: function of the command line without its flags; returns an exit code or None.
  """
  flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS['debug'])
  app.run(lambda argv: _run_main(lambda: main(argv)))


class _Terminated(BaseException):
  """SIGTERM came; not an error, so nothing that handles errors takes it."""


_OF_SIGNALS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: _Terminated}


def _run_main(main):
  if not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.WARNING)  # Libraries say much that is not for users.
  try:
    with _terminable():
      return main()
  except BaseException as error:
    for number, kind in _OF_SIGNALS.items():
      if signals.is_of(error, kind):  # What was unfinished is removed; no thread is waited for.
        with contextlib.suppress(OSError):  # Nobody may read it any more.
          sys.stdout.flush()
        starting.leave(number)
    message = None if _DEBUG.value else _message(error)
    if message is None:
      raise
    _exit_with_error(message)
  finally:  # What is left is to wait for threads: an interrupt ends that without a word.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
      signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def _terminable():
  """Lets SIGINT and SIGTERM raise in the block, so that what is unfinished is removed.

  None is lost: see `signals`. One that the block has swallowed is raised at its end.
  """
  def take(number, unused_frame):
    signals.insist(_OF_SIGNALS[number])

  previous = {number: starting.before(number) for number in _OF_SIGNALS}
  for number, handler in previous.items():
    if handler is not None:
      signal.signal(number, take)
  wanted = None
  try:
    try:
      yield
    finally:
      wanted = signals.settle()
      for number, handler in previous.items():
        if handler is not None:
          signal.signal(number, handler)
  except BaseException as error:
    if wanted and not signals.is_of(error, wanted):
      raise wanted from error
    raise
  if wanted:
    raise wanted


def _message(error):
  """Describes what a user can mend; None for all else, of which the traceback is wanted."""
  if isinstance(error, ImportError):  # An optional package.
    what, extra = _EXTRAS.get((error.name or '').split('.')[0], (None, None))
    return what and f'{error}; {what} pip install ".[{extra}]"'
  if isinstance(error, OSError):  # A path, a permission, a full disk.
    if error.filename is None or error.strerror is None:
      return str(error)  # Ours: it has a sentence.
    return f'{error.filename}: {error.strerror}'
  said = _OUT_OF_MEMORY.get(type(error).__name__)
  if isinstance(error, MemoryError) or said is not None and said in str(error):
    found = (str(error).splitlines() or [''])[0]
    return f'out of memory{f" ({found})" if found else ""}. {_MEMORY_REMEDY}'
  return str(error) if isinstance(error, ValueError) and _is_ours(error) else None


def _error_line(message):
  return f'error: {" ".join(part.strip() for part in str(message).splitlines())}\n'


def _exit_with_error(message):
  sys.stderr.write(_error_line(message))
  sys.exit(1)


def _is_ours(error):
  """Whether our code raised it on purpose; of any other ValueError the traceback is wanted."""
  *_, (frame, _) = traceback.walk_tb(error.__traceback__)
  # The statement too: JAX removes its own frames, so that ours seems to be where it failed.
  statement = traceback.extract_tb(error.__traceback__)[-1].line
  return (frame.f_globals['__name__'].split('.')[0] in _OWN_PACKAGES and
          statement.startswith('raise '))


def _config_first(argv):
  """Moves --config, whose last value counts, to the front: keys behind it may come before it.

  Returns:
    Its value, None if it is not given; the command line.
  """
  program, *args = argv
  path, rest = None, []
  while args and args[0] != '--':
    arg = args.pop(0)
    if match := re.fullmatch(r'--?config(?:=(.*))?', arg, re.DOTALL):
      path = match[1] if match[1] is not None else args.pop(0) if args else ''
    else:
      rest.append(arg)
  if path is None:
    return None, argv
  file, *argument = path.split(':', 1)
  path = ':'.join([paths.clean(file), *argument])
  return path, [program, f'--config={path}', *rest, *args]


def _parse(argv, config, verbs):
  """Parses flags; exits with a line that names key, value and type if a value doesn't fit."""
  try:
    positional = flags.FLAGS(argv)[1:]
  except flags.IllegalFlagValueError as error:
    match = re.match(r'flag --(config\.([^=]*)=.*)', str(error), re.DOTALL)
    if not match:
      return app.parse_flags_with_usage(argv)
    given = match[1].removesuffix(f': {error.__context__}')
    *groups, name = match[2].split('.')
    for group in groups:
      config = config[group]
    _exit_with_error(f'--{given}: expected {config.get_type(name).__name__}')
  except flags.Error:
    return app.parse_flags_with_usage(argv)  # absl's message, exit code 1.
  if positional:
    where = 'goes before all flags' if positional[0] in verbs else 'flags are written --name=value'
    _exit_with_error(f'{positional[0]}: unexpected argument; {where}')
  defaults = configs.flatten(config)
  for key, value in flags.FLAGS['config'].override_values.items():
    _check_tuple(key, value, defaults[key])
  return argv[:1]


def _check_tuple(key, value, default):
  """Exits if a tuple has elements of other types than the config's; ml_collections takes any."""
  if not isinstance(value, tuple) or not default:
    return
  kinds = {type(element) for element in default}
  if float in kinds:
    kinds.add(int)
  if any(type(element) not in kinds for element in value):
    names = ' or '.join(sorted(kind.__name__ for kind in kinds))
    _exit_with_error(f'--config.{key}={value}: expected a tuple of {names}, e.g. "{default}"')
