"""Describes the machine that measurements are made on, and sums them up."""

import contextlib
import importlib.metadata
import os
import platform

import jax
import numpy as np

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'torch', 'transformers')


def spread(values):
  """Returns median, min and max of a list of numbers."""
  return {'median': float(np.median(values)), 'min': float(min(values)), 'max': float(max(values))}


def num_cores():
  """Counts the cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):  # Not on macOS.
    return len(os.sched_getaffinity(0))
  return os.cpu_count()


def cpu_model():
  """Returns the processor's name, as the operating system has it."""
  with contextlib.suppress(OSError), open('/proc/cpuinfo') as f:
    for line in f:
      if line.startswith('model name'):
        return line.partition(':')[2].strip()
  return platform.processor() or platform.machine()


def describe_machine():
  """Returns what decides speed: processor, cores, and what else was running."""
  return {'cpu': cpu_model(), 'cores': num_cores(), 'device': jax.devices()[0].device_kind,
          'load_before': os.getloadavg()[0]}


def installed_versions():
  """Returns {package: version} of those that are installed."""
  versions = {}
  for name in _PACKAGES:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      versions[name] = importlib.metadata.version(name)
  return versions
