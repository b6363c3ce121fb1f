"""Counts the floating-point operations of an update from the shapes of the networks.

Only matrix products count, as is usual; a multiply-add is two operations. It is what the function
needs, not what a program happens to do: the last layer at the read-outs only, nothing after the
last read-out, no gradient of the observations. Attention counts whole, masked pairs too.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import traverse_util

from alpt_jax.networks import discretize, q_network, tokens


class Work(NamedTuple):
  """Multiply-adds of a network for one window, forward.

  Attributes:
    embed: what multiplies observations themselves.
    body: from there to logits.
  """
  embed: int
  body: int

  @property
  def forward(self):
    """Operations of a forward pass."""
    return 2 * (self.embed + self.body)

  @property
  def training(self):
    """Operations of forward and backward pass: two more products for each, with respect to its
    two factors; observations need no gradient."""
    return 4 * self.embed + 6 * self.body


def _embed(network, num_observations):
  """Counts a tokenizer, as `Work`: only what multiplies observations needs no gradient of them."""
  spec = network.spec
  places = getattr(network, 'places', True)  # A DT has no such choice.
  tokenizer = tokens.tokenizer_of(network, places=places)
  observations = jnp.zeros((1, 1, *spec.observation_shape))
  params = jax.eval_shape(tokenizer.init, jax.random.key(0), observations)['params']
  sizes = {path[0]: leaf.size for path, leaf in traverse_util.flatten_dict(params).items()
           if path[-1] == 'kernel'}
  times = dict.fromkeys(sizes, num_tokens(network))  # A frame, that each kernel is multiplied.
  later = []
  if network.tokenizer_kind == 'conv':
    later = [f'conv_{i}' for i in range(len(tokens.CONV_LAYERS))]
    for names, size in zip([('embed', 'changes'), *((name,) for name in later)],
                           tokens.conv_sizes(*spec.observation_shape[:2]), strict=True):
      times |= dict.fromkeys(names, math.prod(size))
    later.append('flat')
  work = {name: num_observations * size * times[name] for name, size in sizes.items()}
  in_body = sum(work.pop(name) for name in later)
  return Work(sum(work.values()), in_body)


def num_tokens(network):
  """Counts P, the tokens of one observation of an IDM or a DT."""
  return tokens.num_observation_tokens(
      network.spec, patch_size=network.patch_size, kind=network.tokenizer_kind)


def _transformer(network, length, num_read):
  """All layers but the last compute every token, the last one those that are read."""
  d = network.d_model

  def layer(num_queries):
    query_and_out = 2 * d * d * num_queries
    mlp = 2 * 4 * d * d * num_queries
    with_keys_and_values = 2 * d * d * length + 2 * d * num_queries * length
    with_tokens = 2 * d * d * num_queries + 2 * d * network.num_heads * num_queries * length
    return query_and_out + mlp + min(with_keys_and_values, with_tokens)

  return (network.num_layers - 1) * layer(length) + layer(num_read)


def idm(network, window):
  """Counts an inverse dynamics model.

  Args:
    network: an `inverse_dynamics.InverseDynamicsModel`.
    window: T.

  Returns:
    `Work`.
  """
  head = window * network.d_model * network.spec.num_actions
  embed = _embed(network, window + 1)
  length = (window + 1) * num_tokens(network) + window
  return embed._replace(
      body=embed.body + _transformer(network, length=length, num_read=window) + head)


def dt(network):
  """Counts a decision transformer.

  Args:
    network: a `decision_transformer.DecisionTransformer`.

  Returns:
    `Work`.
  """
  spec, window = network.spec, network.num_steps
  outputs = [discretize.num_return_bins(spec.return_low, spec.return_high), spec.num_actions]
  if network.predict_rewards:
    outputs.append(discretize.NUM_REWARD_TOKENS)
  # Up to the last read-out of the last step.
  num_used = window * (num_tokens(network) + 3) - 3 + len(outputs) - 1
  embed = _embed(network, window)
  return embed._replace(
      body=embed.body + _transformer(network, length=num_used, num_read=window * len(outputs))
      + window * network.d_model * sum(outputs))


def q(network):
  """Counts a Q-network.

  Args:
    network: a `q_network.QNetwork`.

  Returns:
    `Work` for one stack of frames; what lies beyond the edges of images counts, too.
  """
  height, width, channels = network.spec.observation_shape
  channels *= network.stack
  layers = []
  for features, size, stride in q_network.CONVOLUTIONS:
    height, width = -(-height // stride), -(-width // stride)
    layers.append(height * width * size ** 2 * channels * features)
    channels = features
  num_outputs = network.spec.num_actions * network.num_quantiles
  dense = (height * width * channels + num_outputs) * network.hidden
  return Work(layers[0], sum(layers[1:]) + dense)
