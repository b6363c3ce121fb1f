"""Measures whether a run's agent looks: its loss and its score with exchanged images.

Windows are of the target's episodes, with their true actions; those in which training knew actions
are left out, if there are others. Games are played as the run's evaluation plays them. See
`measures.blindness` for the rules.
"""

import os
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from alpt_jax import domains, methods, schema
from alpt_jax.labelling import trained_run
from alpt_jax.learners import action_heads
from alpt_jax.measures import blindness
from alpt_jax.networks import discretize
from alpt_jax.training import run_config

NUM_WINDOWS = 2000
_ROWS = 50  # Of one call.
_PROTOCOL = ('game', 'num_episodes', 'max_steps', 'sticky', 'acting_rule', 'acting_mode', 'seed')


class TrainedDt(NamedTuple):
  """A DT with its parameters.

  Attributes:
    config: `ml_collections.ConfigDict` of the run, as it was trained.
    dt: the `DecisionTransformer`.
    params: of the DT.
    step: updates after which they were saved.
  """
  config: ml_collections.ConfigDict
  dt: Any
  params: Any
  step: int


def restore(directory, *, data_dir=''):
  """Restores the DT of a run at its newest checkpoint.

  Args:
    directory: of the run.
    data_dir: where data is now; '' for where it was in training.

  Returns:
    `TrainedDt`.

  Raises:
    FileNotFoundError: if there is no run or no checkpoint.
    ValueError: if the run has no DT, or is damaged.
  """
  config, _ = trained_run.read_config(directory, data_dir=data_dir)
  phase, specs = run_config.check_run(config)
  if methods.METHODS[config.method].learner != 'alpt' or not phase.agent:
    raise ValueError(f'{directory}: method {config.method!r} trains no decision transformer in '
                     f'phase {config.phase!r}; expected a run with one. Of other agents, nothing '
                     'says whether they look.')
  run = trained_run.restore(directory, config, phase, specs, names=('dt',))
  return TrainedDt(config, run.learner.networks.dt, run.params['dt'], run.step)


def measure(trained, episodes, numbers, *, num_windows=NUM_WINDOWS, seed=0):
  """Measures what images are worth to an agent.

  Args:
    trained: `TrainedDt`.
    episodes: `episodes.Episodes`, with all known actions.
    numbers: episodes to take windows of.
    num_windows: to draw; all if there are fewer. Only windows whose actions are all known.
    seed: of the draws.

  Returns:
    `measures.blindness.Blindness`.

  Raises:
    TooShortError: if no episode is long enough.
  """
  window = trained.config.window
  places = _places(episodes, numbers, window)
  rng = np.random.default_rng(seed)
  if len(places) > num_windows:
    places = places[np.sort(rng.choice(len(places), num_windows, replace=False))]
  partner = blindness.partners(*places.T, seed=seed)
  places, others = places[partner >= 0], places[partner[partner >= 0]]
  loss_fn = jax.jit(action_loss_fn(trained.dt))
  found = []
  for first in range(0, len(places), _ROWS):
    rows = np.arange(first, first + _ROWS) % len(places)  # One shape for all.
    cut = episodes.cut(*places[rows].T, window)
    images = episodes.cut(*others[rows].T, window).observations
    found.append([np.asarray(loss_fn(trained.params, x, cut.actions, cut.rewards,
                                     cut.returns_to_go)) for x in (cut.observations, images)])
  losses, exchanged = np.concatenate(found, axis=1)[:, :len(places)] if found else ((), ())
  return blindness.judge(losses, exchanged, places[:, 0], seed=seed)


def measure_score(trained, directory, play, *, seed=0):
  """Measures what images are worth to the score of an agent.

  The agent plays while it is shown the images of `blindness.DELAY` steps before, by the protocol
  and from the seeds of the run's evaluation. Its own score is that of the evaluation at the same
  step; it is played here if that is missing or had another number of games.

  Args:
    trained: `TrainedDt`.
    directory: of the run.
    play: of `Domain.make_delayed_play`.
    seed: of the bootstrap.

  Returns:
    `measures.blindness.ScoreBlindness`.

  Raises:
    ValueError: if the evaluation's file is damaged.
  """
  exchanged = play(trained.params, blindness.DELAY)
  own = _evaluated(directory, trained.step, exchanged) or play(trained.params, 0)
  return blindness.judge_scores(own['scores'], exchanged['scores'], seed=seed)


def _evaluated(directory, step, like):
  """The run's evaluation at a step if it was by the protocol of games `like` it, else None."""
  path = os.path.join(directory, 'eval', f'step_{step:07d}.json')  # As `train` writes it.
  if not os.path.exists(path):
    return None
  mode = like['acting_mode']
  found = schema.read(path, {f'{mode}?': dict}, 'Delete it, and the games are played again.')
  found = found.get(mode, {})
  is_alike = all(found.get(key) == like[key] for key in _PROTOCOL)
  return found if is_alike and len(found.get('scores', ())) == like['num_episodes'] else None


def action_loss_fn(dt):
  """Makes the action loss of single windows, all of whose actions are known.

  Args:
    dt: the `DecisionTransformer`.

  Returns:
    loss(params, observations [B, T + 1, ...], actions, rewards, returns_to_go [B, T]) -> [B]
    float32, mean negative log-likelihood of the actions, in nats. The DT is given the actions
    before each, and the true return.
  """
  spec, head = dt.spec, action_heads.of(dt.spec.actions)

  def loss(params, observations, actions, rewards, returns_to_go):
    returns = discretize.encode_return(
        returns_to_go, low=spec.return_low, high=spec.return_high)
    logits = dt.apply({'params': params}, observations[:, :-1], returns, actions,
                      discretize.encode_reward(rewards)).actions
    return head.nll(logits, actions).mean(axis=1)

  return loss


def held_out(trained, episodes, directory):
  """Lists the target's episodes to measure on: those without known actions, if there are any.

  Args:
    trained: `TrainedDt`.
    episodes: of the target.
    directory: of the run.

  Returns:
    [N] int episode numbers; whether they are held out.
  """
  everything = np.flatnonzero(episodes.num_labelled)
  if not methods.METHODS[trained.config.method].is_action_limited:
    return everything, False  # Trained on every action, whatever labels.json says.
  known = trained_run.known(directory, trained.config.target, data_dir=trained.config.data_dir)
  if known.choice is None:
    return everything, False
  free = np.setdiff1d(everything, np.unique(np.asarray(known.choice.windows)[:, 0]))
  return (free, True) if len(free) else (everything, False)


def other_recording(trained, digests, data_dir):
  """Reads a recording of the target that training did not see.

  Args:
    trained: `TrainedDt`.
    digests: {environment: digest} of the data that training read.
    data_dir: of that recording, where `data_dir` of the run has the training data.

  Returns:
    Its episodes.

  Raises:
    FileNotFoundError, ValueError: if there is none, or it is the training data.
  """
  config = trained.config.copy_and_resolve_references()
  with config.unlocked():
    config.data_dir = data_dir
  domain, name = domains.of(config), config.target
  if domain.digest(name) == digests.get(name):
    raise ValueError(f'{data_dir}: holds the data of {name} that the run was trained on; expected '
                     'another recording, e.g. with another collect.seed.')
  return domain.read(name)


def _places(episodes, numbers, window):
  """[W, 2] int; episode and first transition of windows side by side whose actions are known."""
  places = []
  for number in numbers:
    is_known = episodes.actions_of(int(number))[1]
    for start in range(0, len(is_known) - window + 1, window):
      if is_known[start:start + window].all():
        places.append((int(number), start))
  return np.array(places, np.int64).reshape(-1, 2)
