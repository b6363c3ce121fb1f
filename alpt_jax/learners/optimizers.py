"""Makes optimizers: the paper's, clipping then LAMB with linear warm-up (Table 3), and AdamW."""

import collections

import jax
import jax.numpy as jnp
import optax

NAMES = ('lamb', 'adamw')
SCHEDULES = ('constant', 'cosine')
_TOKENIZER = 'tokenizer'  # Name of the module in both networks.


def make_optimizer(*, learning_rate, warmup_steps, weight_decay, max_grad_norm, name='lamb',
                   schedule='constant', num_steps=None, final_fraction=.05, tokenizer_scale=1.):
  """Makes the optimizer of one network.

  LAMB scales its step per tensor, so parameters that the model keeps apart stay apart. Vectors
  (biases, scales, the IDM's query) are exempt: their trust ratio is 1, as LAMB's reference code has
  it for biases and LayerNorm. A ratio of norms leaves what starts at zero near zero: after 1200
  updates, the RMS of biases was 3e-5 (AdamW: 2e-2). A matrix that gets no gradient any more keeps
  moving by the whole rate: its moments decay, and the trust ratio makes up for it, still after 200
  gradients of zero. (With weight decay, the decay takes over.)

  Args:
    learning_rate: after warm-up.
    warmup_steps: steps of linear warm-up from 0; 0 for none.
    weight_decay: decoupled, times the rate. LAMB's is of all parameters, as in `optax.lamb` (its
      reference code leaves out what it exempts from the trust ratio); AdamW's not of vectors.
    max_grad_norm: gradients of a larger global norm are scaled down to it.
    name: 'lamb' (eps 1e-6) or 'adamw' (eps 1e-8); b1 .9 and b2 .999 for both.
    schedule: 'constant' after warm-up, or 'cosine' from there to `final_fraction` at `num_steps`.
    num_steps: updates in all, more than `warmup_steps`; of 'cosine' only.
    final_fraction: of `learning_rate`, in [0, 1]; of 'cosine' only.
    tokenizer_scale: factor on the rate, decay included, of parameters below a module 'tokenizer';
      0 freezes them. Their gradients still count for the global norm.

  Returns:
    An `optax.GradientTransformation`. Its state keeps vectors of one length in one array, see
    `_group`.

  Raises:
    ValueError: for an unknown name or schedule, or a cosine that ends within the warm-up; from
      `init` if `tokenizer_scale` is not 1 and there is no tokenizer.
  """
  if name not in NAMES:
    raise ValueError(f'name is {name!r}; expected one of {NAMES}.')
  rate = _make_schedule(learning_rate, warmup_steps, schedule, num_steps, final_fraction)
  if name == 'lamb':  # As `optax.lamb`, but for what the trust ratio is of.
    scale = optax.chain(
        optax.scale_by_adam(b1=.9, b2=.999, eps=1e-6),
        optax.add_decayed_weights(weight_decay),
        _scale_by_trust_ratio(),
        optax.scale_by_learning_rate(rate))
  else:
    scale = optax.adamw(
        rate, b1=.9, b2=.999, eps=1e-8, weight_decay=weight_decay,
        mask=lambda groups: {group: not _is_vectors(group) for group in groups})
  optimizer = _on_groups(optax.chain(optax.clip_by_global_norm(max_grad_norm), scale))
  return optimizer if tokenizer_scale == 1. else _scale_tokenizer(optimizer, tokenizer_scale)


def _make_schedule(learning_rate, warmup_steps, schedule, num_steps, final_fraction):
  """Makes the learning rate, a number or a function of the number of updates before."""
  if schedule not in SCHEDULES:
    raise ValueError(f'schedule is {schedule!r}; expected one of {SCHEDULES}.')
  if schedule == 'constant':
    return optax.linear_schedule(0., learning_rate, warmup_steps) if warmup_steps else learning_rate
  if num_steps is None or num_steps <= warmup_steps:
    raise ValueError(f"num_steps is {num_steps}; expected more than warmup_steps {warmup_steps} of "
                     "schedule 'cosine'.")
  decay = optax.cosine_decay_schedule(
      learning_rate, num_steps - warmup_steps, alpha=final_fraction)
  if not warmup_steps:
    return decay
  return optax.join_schedules(
      [optax.linear_schedule(0., learning_rate, warmup_steps), decay], [warmup_steps])


def _scale_tokenizer(optimizer, factor):
  """Scales the updates of the tokenizer's parameters."""
  def is_tokenizer(path):
    return any(getattr(key, 'key', None) == _TOKENIZER for key in path)

  def init(params):
    if not any(is_tokenizer(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)):
      raise ValueError(f'tokenizer_scale is {factor}, and no parameter is of a module '
                       f'{_TOKENIZER!r}; expected 1.')
    return optimizer.init(params)

  def update(updates, state, params):
    updates, state = optimizer.update(updates, state, params)
    return jax.tree_util.tree_map_with_path(
        lambda path, x: factor * x if is_tokenizer(path) else x, updates), state

  return optax.GradientTransformation(init, update)


def _scale_by_trust_ratio():
  """`optax.scale_by_trust_ratio` of the tensors of groups but vectors, all norms in one array.

  On a TPU, the optimizer of 32 tensors took 0.7 M cycles with a dozen scalar operations for each,
  and 0.5 M like this.
  """
  def update(updates, state, params):
    names = [name for name in updates if not _is_vectors(name)]
    if not names:
      return updates, state
    norms = jnp.sqrt(jnp.stack(
        [jnp.sum(jnp.square(tree[name])) for tree in (updates, params) for name in names]))
    step_norms, norms = jnp.split(norms, 2)
    # A tensor that is zero could never grow by a step as long as itself.
    ratios = jnp.where((norms == 0.) | (step_norms == 0.), 1., norms / step_norms)
    return updates | {name: updates[name] * ratios[i] for i, name in enumerate(names)}, state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _on_groups(optimizer):
  """Lets `optimizer` work on what `_group` makes of parameters and gradients."""
  def update(updates, state, params):
    grouped, state = optimizer.update(_group(updates), state, _group(params))
    return _ungroup(grouped, updates), state

  return optax.GradientTransformation(lambda params: optimizer.init(_group(params)), update)


def _is_vectors(name):
  return name.startswith('vectors_')


def _group(tree):
  """{path: tensor}, but vectors of one length are the rows of one array, 'vectors_<length>'.

  Two thirds of a transformer's tensors are biases and scales of a few hundred numbers; each takes a
  TPU as long as a whole matrix, and a checkpoint as long as any array.
  """
  grouped, vectors = {}, collections.defaultdict(list)
  for path, x in jax.tree_util.tree_leaves_with_path(tree):
    if x.ndim == 1:
      vectors[f'vectors_{x.size}'].append(x)
    else:
      grouped[jax.tree_util.keystr(path, simple=True, separator='/')] = x
  return grouped | {name: jnp.stack(rows) for name, rows in vectors.items()}


def _ungroup(grouped, like):
  """Undoes `_group`; `like` has the structure and shapes wanted."""
  num_seen = collections.Counter()

  def take(path, x):
    if x.ndim != 1:
      return grouped[jax.tree_util.keystr(path, simple=True, separator='/')]
    name = f'vectors_{x.size}'
    num_seen[name] += 1
    return grouped[name][num_seen[name] - 1]

  return jax.tree_util.tree_map_with_path(take, like)
