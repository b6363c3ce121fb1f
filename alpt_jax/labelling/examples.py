"""Selects example windows of audited episodes, with pictures.

They come from the same predictions as the numbers of the audit: nothing is predicted again.
"""

import itertools

import numpy as np

from alpt_jax.labelling import run_labels
from alpt_jax.training import label_windows


def choose(predictions, episodes, spec, *, window, num_bytes):
  """Chooses windows as `run_labels.choose_examples` does, and draws them.

  Args:
    predictions: `audit.Predictions`, in the order of `audit.gather`.
    episodes: what they are of; `episodes.Episodes` or anything else with its `cut`.
    spec: the `types.EnvironmentSpec`.
    window: T, transitions of each window.
    num_bytes: of the strips, in base64, at most. What is chosen last of each kind is left out.

  Returns:
    A list of examples as `audit` describes them: indices are into the sorted legal actions. Empty
    if observations are no pictures.
  """
  if spec.observation_kind == 'vector':
    return []
  rows = _windows(predictions.episodes, predictions.timesteps, window)
  probabilities = predictions.probabilities
  said, is_audited = probabilities.argmax(axis=1)[rows], np.ones(rows.shape, bool)
  labels = label_windows.Labels(
      episode=predictions.episodes[rows[:, 0]], start=predictions.timesteps[rows[:, 0]],
      is_counted=is_audited, actions=said, was_labelled=~is_audited,
      confidence=probabilities.max(axis=1)[rows])
  legal = sorted(set(predictions.legal_actions))
  true, predicted = (np.searchsorted(legal, ids) for ids in (predictions.actions[rows], said))
  examples = []
  for kind, i in _in_turn(run_labels.choose_examples(labels, is_audited, true != predicted)):
    example = run_labels.example(i, labels, episodes, true, predicted, spec)
    num_bytes -= len(example['strip'])
    if num_bytes < 0:
      break
    examples.append({'kind': kind} | example)
  return examples


def _windows(episodes, timesteps, window):
  """[W, T] indices of transitions that follow each other in one episode; none is in two windows."""
  place = np.arange(len(episodes))
  is_next = (np.diff(episodes) == 0) & (np.diff(timesteps) == 1)
  first = np.maximum.accumulate(np.where(np.append(False, is_next), 0, place))
  begins = place[(place - first) % window == 0]
  begins = begins[begins + window <= len(episodes)]
  begins = begins[first[begins] == first[begins + window - 1]]
  return begins[:, None] + np.arange(window)


def _in_turn(chosen):
  """The first of each kind, then the second of each, and so on."""
  kinds = [list(pairs) for _, pairs in itertools.groupby(chosen, key=lambda pair: pair[0])]
  in_turn = itertools.chain.from_iterable(itertools.zip_longest(*kinds))
  return [pair for pair in in_turn if pair is not None]
