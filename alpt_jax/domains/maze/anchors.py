"""Exact reference values of a maze: returns of policies, and how well actions can be inferred.

A maze under a fixed policy is an absorbing Markov chain over its cells, so nothing here is sampled:
the probability of not having reached the goal after t steps follows from that after t - 1. Results
of learned agents are read against these numbers.
"""

import numpy as np

from alpt_jax.domains.maze import env, policies


def anchors(layout, epsilon=0.5, data_horizon=env.HORIZON):
  """Computes all reference values of a maze.

  Args:
    layout: a `env.Layout`.
    epsilon: of the behaviour policy; the paper's is 0.5.
    data_horizon: steps after which a recorded episode was cut off; what an IDM can know depends on
      which cells the data visits. Policies are evaluated with `env.HORIZON`.

  Returns:
    {'policies': {'optimal', 'behaviour', 'random': see `policy_anchors`},
     'idm': see `idm_ceilings`}; numbers are Python floats.

  Raises:
    ValueError: if `epsilon` is outside [0, 1].
  """
  epsilons = {'optimal': 0., 'behaviour': epsilon, 'random': 1.}
  return {
      'policies': {
          name: policy_anchors(
              layout, policies.epsilon_greedy_probs(layout.walls, layout.goal, value))
          for name, value in epsilons.items()},
      'idm': idm_ceilings(layout, epsilon, data_horizon),
  }


def policy_anchors(layout, policy_probs, horizon=env.HORIZON):
  """Computes a memoryless policy's mean return over all starts.

  Args:
    layout: a `env.Layout`.
    policy_probs: [n, n, 4] probabilities of the actions in each cell.
    horizon: steps after which an episode fails; at least 50.

  Returns:
    Dict of floats, with T the steps to the goal and d the length of a shortest path:
    'success_{horizon}' and 'success_50', the probability that T is at most that;
    'mean_steps', the mean of min(T, horizon); 'within_2x', the probability of T <= 2 d; 'spl', the
    mean of d / T, 0 for failures (success weighted by path length; Anderson et al., 2018).

  Raises:
    ValueError: if `horizon` is below 50.
  """
  if horizon < 50:
    raise ValueError(f'horizon is {horizon}; expected at least 50, for success_50.')
  next_index, probs, shortest = _chain(layout, policy_probs)
  num_starts = len(shortest)

  is_running = np.zeros([horizon + 1, num_starts + 1])  # P(T > t) by t and start; the goal's is 0.
  is_running[0, :-1] = 1
  for t in range(horizon):
    is_running[t + 1, :-1] = np.sum(probs * is_running[t, next_index], axis=1)
  is_running = is_running[:, :-1]

  arrives = is_running[:-1] - is_running[1:]  # P(T = t) for t = 1..horizon.
  inverse_steps = 1 / np.arange(1, horizon + 1)
  twice = np.minimum(2 * shortest, horizon)
  return {
      f'success_{horizon}': float(np.mean(1 - is_running[horizon])),
      'success_50': float(np.mean(1 - is_running[50])),
      'mean_steps': float(np.mean(np.sum(is_running[:-1], axis=0))),
      'within_2x': float(np.mean(1 - is_running[twice, np.arange(num_starts)])),
      'spl': float(np.mean(shortest * (inverse_steps @ arrives))),
  }


def idm_ceilings(layout, epsilon, horizon=env.HORIZON):
  """Computes the best label accuracies on the behaviour policy's data, by what a model may know.

  Args:
    layout: a `env.Layout`.
    epsilon: of the behaviour policy, in [0, 1].
    horizon: steps after which an episode is cut off.

  Returns:
    Dict of floats, each the accuracy over the transitions in expectation:
    'bayes' of a model that knows maze and policy and sees both cells of a transition;
    'displacement' of one that sees their difference alone, so it has one guess for all moves into
    walls; 'causal' of one that knows the policy but sees the first cell only, the most that
    predicting forward can reach; 'constant' of the best single action.

  Raises:
    ValueError: if `epsilon` is outside [0, 1].
  """
  policy_probs = policies.epsilon_greedy_probs(layout.walls, layout.goal, epsilon)
  next_index, probs, shortest = _chain(layout, policy_probs)
  num_starts = len(shortest)

  at = np.full(num_starts, 1 / num_starts)  # P(the episode runs and is in this cell) at time t.
  visits = np.zeros(num_starts)
  for _ in range(horizon):
    visits += at
    at = np.bincount(next_index.ravel(), (at[:, None] * probs).ravel(), num_starts + 1)[:-1]

  joint = visits[:, None] * probs / np.sum(visits)  # [M, 4]: P(cell, action) of a transition.
  stays = np.where(next_index == np.arange(num_starts)[:, None], joint, 0)
  moves = np.sum(joint - stays)  # The displacement gives the action away.
  return {
      'bayes': float(moves + np.sum(np.max(stays, axis=1))),
      'displacement': float(moves + np.max(np.sum(stays, axis=0))),
      'causal': float(np.sum(np.max(joint, axis=1))),
      'constant': float(np.max(np.sum(joint, axis=0))),
  }


def best_guesses(layout, epsilon, before, after):
  """Names the most probable action of transitions, knowing maze and policy and both cells.

  What `idm_ceilings` calls 'bayes', of transitions that were recorded.

  Args:
    layout: a `env.Layout`.
    epsilon: of the behaviour policy, in [0, 1].
    before: [M, 2] int; cells.
    after: [M, 2] int; cells one step later.

  Returns:
    actions [M] int, and their probabilities [M] float.

  Raises:
    ValueError: if `epsilon` is outside [0, 1], or no action leads from a cell to the next.
  """
  probs = policies.epsilon_greedy_probs(layout.walls, layout.goal, epsilon)[tuple(before.T)]
  leads = np.stack([
      (env.move(layout.walls, before, np.full(len(before), action)) == after).all(axis=1)
      for action in range(env.NUM_ACTIONS)], axis=1)
  joint = probs * leads
  total = joint.sum(axis=1)
  if not total.all():
    wrong = int(np.argmin(total))
    raise ValueError(f'no action of {layout.name} leads from cell {before[wrong].tolist()} to '
                     f'{after[wrong].tolist()}; expected moves of this maze, of its policy with '
                     f'epsilon {epsilon}.')
  return joint.argmax(axis=1), joint.max(axis=1) / total


def _chain(layout, policy_probs):
  """Numbers the M starts row by row, and the goal M.

  Returns:
    next_index [M, 4], the cell each action leads to; probs [M, 4]; shortest [M], path lengths.
  """
  positions = env.starts(layout)
  index = np.zeros(layout.walls.shape, int)
  index[tuple(positions.T)] = np.arange(len(positions))
  index[layout.goal] = len(positions)
  next_index = np.stack([
      index[tuple(env.move(layout.walls, positions, np.full(len(positions), action)).T)]
      for action in range(env.NUM_ACTIONS)], axis=1)
  shortest = env.distances(layout.walls, layout.goal)[tuple(positions.T)]
  return next_index, policy_probs[tuple(positions.T)], shortest
