"""Acting with a DT: an optimistic return, then an action given it (section 3.2 of the paper).

Two published rules exist, and one for data without rewards. 'paper' (Lee et al., 2022, section
3.4) tilts the return distribution towards high returns: log P(R) + kappa (R - low) / (high - low).
'release' (their released code) takes the largest of 128 samples from the flattened distribution,
and samples among the better half of the actions. 'imitate' samples a return as the data has it:
without rewards there is only one return, and the DT imitates. Illegal
actions have probability exactly 0 under all.

Modes: 'argmax', 'sampled' (the primary score of games), and 'sharpened', which samples returns as
'sampled' does, and actions with their logits divided by a temperature: of 1/3, the third power of
their probabilities.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from alpt_jax.learners import action_heads
from alpt_jax.networks import decision_transformer, discretize

RULES = ('paper', 'release', 'imitate')
BETTER_HALF = 'release'  # The rule by which actions are sampled among their better half.
MODES = ('argmax', 'sampled', 'sharpened')
_KAPPA = 10.  # Lee et al., section 3.4.
_NUM_RETURN_SAMPLES = 128  # The release; the next two as well.
_RETURN_LOGITS_SCALE = .75


class History(NamedTuple):
  """The last steps of B episodes that are at the same timestep, oldest first.

  Slots from `num_steps` on hold nothing yet; the causal mask hides them.

  Attributes:
    observations: [B, T, ...], or their tokens; see `make_act`.
    returns: [B, T] int32 bins the agent asked for.
    actions: [B, T] int32 it took.
    rewards: [B, T] int32 reward ids it got.
    num_steps: [] int32; steps taken so far in the episode.
  """
  observations: jax.Array
  returns: jax.Array
  actions: jax.Array
  rewards: jax.Array
  num_steps: jax.Array


def empty_history(observations, window, action_shape=()):
  """Makes a history before the first step; `observations` [B, ...] give sizes and dtype."""
  ids = lambda shape=(): jnp.zeros((len(observations), window, *shape), jnp.int32)  # noqa: E731
  return History(jnp.zeros((len(observations), window, *observations.shape[1:]),
                           observations.dtype),
                 ids(), ids(action_shape), ids(),  # Three arrays: a history can be donated.
                 jnp.zeros((), jnp.int32))


def choose_return(logits, key, *, rule, is_greedy):
  """Chooses an optimistic return.

  Args:
    logits: [B, R] over return bins.
    key: PRNG key.
    rule: one of RULES.
    is_greedy: [] bool; the arg max of the distribution instead of a sample of it; 'release' always
      samples.

  Returns:
    [B] int32 bins.

  Raises:
    ValueError: for an unknown rule.
  """
  num_bins = logits.shape[-1]
  if rule in ('paper', 'imitate'):
    kappa = _KAPPA if rule == 'paper' else 0.
    tilted = jax.nn.log_softmax(logits) + kappa * jnp.linspace(0., 1., num_bins)[None]
    sampled = jax.random.categorical(key, tilted)
    return jnp.where(is_greedy, jnp.argmax(tilted, axis=-1), sampled).astype(jnp.int32)
  if rule == 'release':
    # The largest of n samples is at most r with probability P(R <= r)^n: one draw of it replaces
    # n draws. From the probabilities of more than r, as those are small where it matters.
    probs = jax.nn.softmax(_RETURN_LOGITS_SCALE * logits)
    at_least = jnp.cumsum(probs[:, ::-1], axis=-1)[:, ::-1]
    uniform = jax.random.uniform(key, (len(logits), 1), minval=jnp.finfo(logits.dtype).tiny)
    is_more = at_least[:, 1:] > -jnp.expm1(jnp.log(uniform) / _NUM_RETURN_SAMPLES)
    return jnp.sum(is_more, axis=-1).astype(jnp.int32)
  raise ValueError(f'rule is {rule!r}; expected one of {RULES}.')


def make_act(dt, legal, *, rule='paper', is_tokenized=False):
  """Makes the agent's step.

  Args:
    dt: the `DecisionTransformer`.
    legal: [A] bool; the environment's legal actions.
    rule: one of RULES.
    is_tokenized: the observations that `act` is given and the history holds are what
      `DecisionTransformer.tokenize` made of them: images are embedded once, not at every step of
      their way through the window.

  Returns:
    act(params, history, observations, key, is_greedy, temperature=1.) -> (actions [B] int32,
    history). The window is shifted when it is full, and `observations` [B, ...] and the choice
    enter it. After the environment's step, give the reward to `observe_reward`. `temperature` is
    of actions, not of returns; see `Categorical.choose`.
  """
  legal, head = jnp.asarray(legal), action_heads.of(dt.spec.actions)
  model = decision_transformer.DecisionTransformer
  options = {'is_tokenized': True} if is_tokenized else {}

  def act(params, history, observations, key, is_greedy, temperature=1.):
    window = dt.num_steps
    slot = jnp.minimum(history.num_steps, window - 1)
    is_full = history.num_steps >= window
    shifted = jax.tree.map(
        lambda x: jnp.where(is_full, jnp.roll(x, -1, axis=1), x), history[:4])
    seen = shifted[0].at[:, slot].set(observations)
    returns, actions, rewards = shifted[1:]
    logits, caches = dt.apply({'params': params}, seen, returns, actions, rewards, slot,
                              method=model.predict_return, **options)
    return_key, action_key = jax.random.split(key)
    chosen_return = choose_return(logits, return_key, rule=rule, is_greedy=is_greedy)
    logits = dt.apply({'params': params}, chosen_return, caches, slot,
                      method=model.predict_action)
    dependences = {}
    if dt.parts_in_order:
      dependences = {'dependences': dt.apply({'params': params}, method=model.dependences)}
    action = head.choose(logits, legal, action_key, is_greedy=is_greedy, temperature=temperature,
                         better_half=rule == BETTER_HALF, **dependences)
    return action, History(seen, returns.at[:, slot].set(chosen_return),
                           actions.at[:, slot].set(action), rewards, history.num_steps + 1)

  return act


def observe_reward(history, rewards):
  """Writes the rewards [B] float that the last actions earned into the history.

  Before the first step there is no such action: what is written then is never seen.
  """
  slot = jnp.minimum(history.num_steps, history.rewards.shape[1]) - 1
  return history._replace(
      rewards=history.rewards.at[:, slot].set(discretize.encode_reward(rewards)))


class Player:
  """Plays many episodes in lockstep with a DT.

  Evaluators need no more of an agent than what is here; other agents have the same members.

  Attributes:
    spec: the `types.EnvironmentSpec` that it was made for.
    about: {what: how} it acts, for results.
    modes: of acting, that it knows.
  """
  modes = MODES

  def __init__(self, dt, legal, rule):
    """Compiles nothing; for the arguments see `make_act`. ValueError for an unknown rule."""
    if rule not in RULES:
      raise ValueError(f'rule is {rule!r}; expected one of {RULES}.')
    self._dt, self._rule, self.spec = dt, rule, dt.spec
    self._is_tokenized = dt.spec.observation_kind == 'image'  # Embedding others costs little.
    self._act = make_act(dt, legal, rule=rule, is_tokenized=self._is_tokenized)
    self.about = {'acting_rule': rule}

  def is_chance(self, is_greedy):
    """Returns whether actions are random in some mode; the arg max of 'release' is, too."""
    return not is_greedy or self._rule == 'release'

  def _tokenize(self, params, frames, before):
    if not self._is_tokenized:
      return frames
    frames, before = (x.reshape(len(x), 1, *self._dt.spec.observation_shape)
                      for x in (frames, before))
    return self._dt.apply({'params': params}, frames, before,
                          method=decision_transformer.DecisionTransformer.tokenize)[:, 0]

  def empty_history(self, params, frames):
    """Makes the history of B episodes; `frames` [B, ...] are the first, as observed."""
    return empty_history(
        jax.eval_shape(self._tokenize, params, frames, frames), self._dt.num_steps,
        self._dt.spec.actions.shape)

  def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
    """Chooses [B] actions after `rewards` [B] and `frames`; returns them and the new history."""
    history = observe_reward(history, rewards)
    return self._act(params, history, self._tokenize(params, frames, before),
                     jax.random.fold_in(key, history.num_steps), is_greedy, temperature)
