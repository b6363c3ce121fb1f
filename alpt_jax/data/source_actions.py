"""Changes the actions of source environments: controls of what an IDM learns from sources.

  true      As recorded.
  permuted  The actions of every episode change places in time, drawn by the run's seed; images,
            rewards and returns stay. This is not a pretraining on images alone: the IDM is trained
            on wrong inverse dynamics, which finetuning has to unlearn. So permuted sources are
            expected to be worse than none, and where they are equal to none, nothing is shown of
            what images contribute; where they are better than none, images or the frequencies of
            actions help in spite of the wrong actions.
            Of several parts those of a step move together, and what is known of them with them.
  renamed   Every action of a source gets an id that no target has. What still helps is not that
            source and target share an action space. Of one discrete action only.

Actions of targets are not looked at: which of them are known, `labels` decides.
"""

import dataclasses
import zlib

import numpy as np

from alpt_jax.data import episodes

MODES = ('true', 'permuted', 'renamed')


def check(mode):
  """Refuses an unknown mode; ValueError."""
  if mode not in MODES:
    raise ValueError(f'source_actions is {mode!r}; expected one of {MODES}.')


def of_specs(mode, specs, num_targets):
  """Gives the specs of renamed sources their new legal actions.

  Args:
    mode: one of MODES.
    specs: the `types.EnvironmentSpec`s of a run, as recorded: targets first, then sources.
    num_targets: how many of them are targets.

  Returns:
    A list of as many specs; legal and stored actions are in the order that they were in.

  Raises:
    ValueError: if the targets leave too few ids.
  """
  if mode != 'renamed':
    return list(specs)
  names = _new_names(specs, num_targets)
  return [*specs[:num_targets], *(
      dataclasses.replace(spec, actions=dataclasses.replace(
          spec.actions, legal=tuple(names[spec.legal_actions,].tolist()),
          stored=tuple(names[spec.stored_actions,].tolist()) if spec.stored_actions else ()))
      for spec in specs[num_targets:])]


def change(mode, data, specs, num_targets, *, seed):
  """Changes the known actions of sources.

  Args:
    mode: one of MODES.
    data: {environment: `episodes.Episodes`}, as recorded.
    specs: as in `of_specs`, as recorded; not all need be in `data`.
    num_targets: how many of them are targets.
    seed: int >= 0; with the names of a source and the number of an episode, it decides how its
      actions are permuted.

  Returns:
    {environment: episodes}, in the same order; of targets the very same objects.
  """
  if mode == 'true':
    return data
  sources = [spec.name for spec in specs[num_targets:]]
  if mode == 'renamed':
    names = _new_names(specs, num_targets)
    make = lambda name: lambda episode, actions, known: (names[actions], known)  # noqa: E731
  else:
    make = lambda name: _permutation(name, seed)  # noqa: E731
  return {name: _changed(read, make(name)) if name in sources else read
          for name, read in data.items()}


def _new_names(specs, num_targets):
  """[A] int32; the new id of every action: sources' get the ids that no target has, in order."""
  def ids(some):
    return sorted({action for spec in some for action in spec.legal_actions})

  targets, sources = specs[:num_targets], specs[num_targets:]
  if specs[0].actions.shape:
    raise ValueError(f"source_actions is 'renamed', and {specs[0].name} has actions of several "
                     "parts, which have no other ids; expected 'true' or 'permuted'.")
  names = np.arange(specs[0].num_actions, dtype=np.int32)
  free, old = np.setdiff1d(names, ids(targets)), ids(sources)
  if len(old) > len(free):
    names_of = lambda some: ', '.join(spec.name for spec in some)  # noqa: E731
    raise ValueError(
        f"source_actions is 'renamed', and sources ({names_of(sources)}) have {len(old)} actions; "
        f'expected at most {len(free)}, the ids of {len(names)} that no target '
        f'({names_of(targets)}) has. Take other sources.')
  names[old] = free[:len(old)]
  return names


def _permutation(name, seed):
  """permute(episode, actions [M, ..], is_labelled [M, ..]) -> both, of one source."""
  def permute(episode, actions, is_labelled):
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), episode])
    order = rng.permutation(len(actions))
    return actions[order], is_labelled[order]
  return permute


def _changed(data, change_known):
  """Episodes whose labelled steps `change_known(episode, actions, is_labelled)` replaces."""
  def changed(episode, actions, is_labelled):
    steps = np.flatnonzero(episodes.is_known(is_labelled))
    actions, is_labelled = actions.copy(), is_labelled.copy()
    actions[steps], is_labelled[steps] = change_known(episode, actions[steps], is_labelled[steps])
    return actions, is_labelled

  return data.with_actions(changed)
