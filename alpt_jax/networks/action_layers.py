"""Layers by which actions enter and leave the networks, for each kind of `action_space`.

What their inputs and outputs mean, an action head says; see `learners.action_heads`. Another kind
registers layers of its own with both functions.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from alpt_jax import action_space
from alpt_jax.networks import tokens


@functools.singledispatch
def embedding(space, d_model):
  """Makes the embedding of action tokens: a module of [B, T, ...] tokens -> [B, T, D].

  Args:
    space: an action space.
    d_model: D.
  """
  raise NotImplementedError(space)


@functools.singledispatch
def output(space, **options):
  """Makes the layer that predicts actions: a module of [..., D] -> [..., A] float32.

  Args:
    space: an action space.
    **options: of the module, e.g. its name.
  """
  raise NotImplementedError(space)


@embedding.register
def _(space: action_space.Discrete, d_model):  # Tokens: ids, and `num` for what is not known.
  return nn.Embed(space.num + 1, d_model, embedding_init=tokens.EMBEDDING_INIT)


@output.register
def _(space: action_space.Discrete, **options):  # Logits.
  return nn.Dense(space.num, **options)


class PartsEmbedding(nn.Module):
  """Embeds [B, T, P] int32 classes of the parts, a part's number of classes where not known.

  What each part says is added up.

  Attributes:
    space: `action_space.Parts`.
    d_model: D.
  """
  space: action_space.Parts
  d_model: int

  @nn.compact
  def __call__(self, classes):
    sizes = np.array([part.num_classes + 1 for part in self.space.parts])
    table = nn.Embed(sizes.sum(), self.d_model, embedding_init=tokens.EMBEDDING_INIT)
    first = np.broadcast_to(np.cumsum(sizes) - sizes, classes.shape)
    return table(classes + first).sum(axis=-2)


@embedding.register
def _(space: action_space.Parts, d_model):
  return PartsEmbedding(space, d_model)


@output.register
def _(space: action_space.Parts, **options):  # Logits of the classes of all parts.
  return nn.Dense(space.num, **options)


def one_hot_of_tokens(space, classes):
  """Marks what was done, and nothing of parts that are not known.

  Args:
    space: `action_space.Parts`.
    classes: [..., P] int32, see `PartsEmbedding`.

  Returns:
    [..., A] float32.
  """
  return jnp.concatenate([jax.nn.one_hot(classes[..., p], part.num_classes)  # Of others, zeros.
                          for p, part in enumerate(space.parts)], axis=-1)


def earlier_parts(space):
  """Says which classes may depend on which: [A, A] float32, 1 where the first's part is earlier."""
  part = np.repeat(np.arange(len(space.segments)), [s.stop - s.start for s in space.segments])
  return (part[:, None] < part).astype(np.float32)
