"""Types of the data that all other files share, and the letters that name its shapes.

Letters, used in docstrings, einsum strings and variable suffixes:

  B  windows in a batch           T  transitions in a window (the paper's k)
  P  tokens of one observation    S  tokens in a sequence
  D  model width                  N  attention heads          K  width of a head
  A  actions of the action space  R  return bins
  H, W, C  height, width and channels of an image or grid observation

A window of T transitions holds T + 1 observations o_t .. o_{t+T}: the inverse dynamics model (IDM)
reads all of them (eq. 4 of the paper), the decision transformer (DT) the first T. Masks are boolean
and True means "use it".
"""

import dataclasses
import math
from typing import Any, NamedTuple

import flax.struct
import jax
import numpy as np

from alpt_jax import action_space

Array = Any  # A numpy array on the host, a jax.Array on the device.

OBSERVATION_KINDS = ('vector', 'grid', 'image')


@dataclasses.dataclass(frozen=True)
class EnvironmentSpec:
  """What the data and the networks must know of an environment.

  Attributes:
    name: names the environment in messages and results, e.g. 'maze-20-blocks:10-seed0'.
    observation_key: the entry of the RLDS step's observation dict that is used; '' if the
      observation is a single array.
    observation_kind: 'vector' (numbers in [low, high]), 'grid' (0/1 planes, [H, W, C] uint8) or
      'image' ([H, W, C] uint8 pixels). Decides the tokenizer.
    observation_shape: shape of one observation.
    observation_low: smallest value of a vector observation; ignored for the other kinds.
    observation_high: largest value of a vector observation.
    actions: the `action_space.Discrete` it declares. Environments trained together declare the same
      names; see there for num_actions, legal_actions and stored_actions, too.
    return_low: smallest return of the return token, inclusive, in units of (clipped) reward.
    return_high: largest return, inclusive.
    reward_clip: rewards are clipped to [-reward_clip, reward_clip] when read; inf for as they are.
  """
  name: str
  observation_key: str
  observation_kind: str
  observation_shape: tuple[int, ...]
  actions: action_space.Discrete
  return_low: int
  return_high: int
  observation_low: float = 0.
  observation_high: float = 1.
  reward_clip: float = math.inf

  def __post_init__(self):
    if self.observation_kind not in OBSERVATION_KINDS:
      raise ValueError(f'observation_kind of {self.name} is {self.observation_kind!r}; expected '
                       f'one of {OBSERVATION_KINDS}.')
    if self.observation_kind == 'vector' and self.observation_low >= self.observation_high:
      raise ValueError(f'observation_low {self.observation_low} of {self.name} must be below '
                       f'observation_high {self.observation_high}.')
    if self.return_low >= self.return_high:
      raise ValueError(f'return_low {self.return_low} of {self.name} must be below return_high '
                       f'{self.return_high}.')
    if not self.reward_clip > 0:
      raise ValueError(f'reward_clip {self.reward_clip} of {self.name} must be above 0; use inf '
                       'to keep rewards as they are.')

  @property
  def observation_dtype(self):
    """What observations are read as."""
    return np.float32 if self.observation_kind == 'vector' else np.uint8

  @property
  def observation_range(self):
    """The smallest and the largest value of an observation."""
    if self.observation_kind == 'vector':
      return self.observation_low, self.observation_high
    return 0, 1 if self.observation_kind == 'grid' else 255

  @property
  def num_actions(self):
    """Number of actions that the environment declares."""
    return self.actions.num

  @property
  def legal_actions(self):
    """The ids in [0, num_actions) that this environment knows."""
    return self.actions.legal

  @property
  def stored_actions(self):
    """The id that each action index of the dataset stands for; () if it stores ids."""
    return self.actions.stored


class Batch(NamedTuple):
  """Windows of transitions, padded where an episode is shorter than a window.

  Attributes:
    observations: [B, T + 1, ...] uint8 or float32. Past the end of an episode, the last
      observation is repeated.
    actions: [B, T] int32. 0 where not labelled: the true value is not in the process.
    is_labelled: [B, T] bool; the action is known.
    is_valid: [B, T] bool; the transition exists and counts (windows of one visit may overlap,
      then a transition counts in one of them only).
    rewards: [B, T] float32; `rewards[t]` is what `actions[t]` earned.
    returns_to_go: [B, T] float32; undiscounted sum of rewards from t, inclusive, to the end of the
      episode.
    environment: [B] int32; index into the run's EnvironmentSpecs. Selects the legal actions; it is
      never an input of a network (the paper's models have no task id).
    is_terminal: [B, T] bool; the episode ended with this transition, and was not merely cut. None
      where nobody asks (all but Q-learning).
    action_weights: [B, T] float32; how much actions count as targets where `is_labelled`. None: 1.
    action_probabilities: [B, T, A] float32; the targets in place of `actions`, which then are
      inputs only. None: the actions. Data never has either: see `pseudo_labels`.
    row: [B] int32; number of the window among all that a network trains on in an update, which
      decides its random numbers. None outside of an update.
  """
  observations: Array
  actions: Array
  is_labelled: Array
  is_valid: Array
  rewards: Array
  returns_to_go: Array
  environment: Array
  is_terminal: Array = None
  action_weights: Array = None
  action_probabilities: Array = None
  row: Array = None


class Batches(NamedTuple):
  """What one update consumes (Table 1 of the paper); None where a method has no such data.

  Attributes:
    idm: labelled windows the IDM trains on.
    dt: windows the DT trains on with the actions they carry.
    limited: windows of the action-limited target whose unlabelled actions are dealt with as
      `methods.Phase.unlabelled` says before the DT trains on them: by default the IDM labels them.
    q: labelled transitions that a Q-network trains on.
  """
  idm: Batch | None
  dt: Batch | None
  limited: Batch | None
  q: Batch | None = None


class ModelState(flax.struct.PyTreeNode):
  """Parameters of one network and the state of its own optimizer."""
  params: Any
  opt_state: Any


class TrainState(flax.struct.PyTreeNode):
  """Everything training changes; saved as one atomic item.

  Attributes:
    step: [] int32; updates made so far.
    idm: the inverse dynamics model, or None for methods without one.
    dt: the decision transformer.
  """
  step: jax.Array
  idm: ModelState | None
  dt: ModelState


class QState(flax.struct.PyTreeNode):
  """As `TrainState`, of a run that trains a Q-network.

  Attributes:
    step: [] int32; updates made so far.
    q: the network.
    target_params: of the target network.
  """
  step: jax.Array
  q: ModelState
  target_params: Any
