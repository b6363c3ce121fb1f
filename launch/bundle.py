"""Packs the committed code as a tarball for the hosts, named by its digest.

Not an image, which takes minutes to build and push for every change; not a clone, which needs
credentials on every host. The programs alone are some 0.2 MB, so that one tarball serves all: it is
copied to TPU VMs, fits into a Kubernetes ConfigMap (limit 1 MiB), and is unpacked on a shared file
system for Slurm. What is not committed is not run: a run can be traced to its commit.
"""

import dataclasses
import gzip
import hashlib
import subprocess

_PARTS = ('alpt_jax', 'experiments', 'launch', 'requirements.txt')
_WITHOUT = (':!experiments/results', ':!launch/*.md')


@dataclasses.dataclass(frozen=True)
class Bundle:
  """Packed code.

  Attributes:
    data: bytes of a .tar.gz.
    sha256: of `data`, 64 hex digits.
    commit: that it was made from.
    files: what is in it.
  """
  data: bytes
  sha256: str
  commit: str
  files: frozenset[str]

  @property
  def digest(self):
    """Short name."""
    return self.sha256[:12]

  @property
  def name(self):
    """File name."""
    return f'alpt-{self.digest}.tar.gz'


def make(root, *, allow_uncommitted=False):
  """Packs the newest commit.

  Args:
    root: of the repository.
    allow_uncommitted: pack the commit although there are changes after it.

  Returns:
    (`Bundle`, a warning or '').

  Raises:
    ValueError: without a commit, or with uncommitted changes that are not allowed.
  """
  commit = _git(root, 'rev-parse', 'HEAD').decode().strip()
  changed = _git(root, 'status', '--porcelain', '--', *_PARTS).decode().splitlines()
  warning = ''
  if changed:
    names = ', '.join(line[3:] for line in changed[:3]) + (', ...' if len(changed) > 3 else '')
    if not allow_uncommitted:
      raise ValueError(f'{len(changed)} files have changes that are not committed ({names}); the '
                       'hosts get what is committed. Commit them, or go on without them with '
                       '--allow_uncommitted.')
    warning = f'warning: runs commit {commit[:12]}, without the changes of {names}'
  files = _git(root, 'ls-tree', '-r', '--name-only', 'HEAD', *_PARTS).decode().splitlines()
  # The archive's times are the commit's, and gzip's is left out: the same commit, the same digest.
  data = gzip.compress(
      _git(root, 'archive', '--format=tar', 'HEAD', *_PARTS, *_WITHOUT), mtime=0)
  return Bundle(data, hashlib.sha256(data).hexdigest(), commit, frozenset(files)), warning


def check_config(bundle, path):
  """Refuses a config that the hosts would not have.

  Args:
    bundle: `Bundle`.
    path: relative to the repository; '' for none.

  Raises:
    ValueError: naming the file.
  """
  if path and path not in bundle.files:
    raise ValueError(f'--config={path}: is not committed, and the hosts get what is committed. '
                     'Commit it.')


def _git(root, *args):
  try:
    done = subprocess.run(['git', '-C', str(root), *args], capture_output=True, check=False)
  except FileNotFoundError as error:
    raise ValueError('git: not installed; the code is packed from its newest commit.') from error
  if done.returncode:
    message = (done.stderr.decode(errors='replace').strip().splitlines() or ['failed'])[-1]
    raise ValueError(f'git {args[0]} in {root}: {message}; the code is packed from its newest '
                     'commit.')
  return done.stdout
