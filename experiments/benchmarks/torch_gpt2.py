"""Computes an update in PyTorch, with a plain GPT-2 for each network, to compare speed.

For experiments/benchmark.py; nothing is learned here. Each GPT-2 is the one of `transformers`, of
the shape of our networks and with their sequence lengths, in float32 and without compilation.
Where the two differ, PyTorch has less to do: observations enter by one linear map, the optimizer is
AdamW (fused; LAMB is not in PyTorch) without clipping, a batch is in memory before the clock
starts, changes of frames are not embedded and rewards not predicted. But as a plain GPT-2 does, it
computes all tokens in all layers.
"""

import numpy as np
import torch
import transformers
from torch.nn import functional

from alpt_jax import types
from alpt_jax.networks import discretize, flops


class _Network(torch.nn.Module):
  """Observations to tokens, GPT-2, heads. Subclasses lay out the tokens."""

  def __init__(self, network, num_tokens, num_outputs):
    """Makes a network with random parameters.

    Args:
      network: one of ours, whose shape is taken.
      num_tokens: S, length of the sequence.
      num_outputs: size of each head.
    """
    super().__init__()
    d = network.d_model
    self.num_patches = flops.num_tokens(network)
    observation_size = torch.Size(network.spec.observation_shape).numel()
    self.embed = torch.nn.Linear(observation_size // self.num_patches, d)
    self.gpt2 = transformers.GPT2Model(transformers.GPT2Config(
        n_embd=d, n_layer=network.num_layers, n_head=network.num_heads, n_positions=num_tokens,
        resid_pdrop=network.dropout, embd_pdrop=0., attn_pdrop=0.,  # Dropout where ours has it.
        vocab_size=1, bos_token_id=None, eos_token_id=None,  # Its token embedding is not used.
        activation_function='gelu_pytorch_tanh',  # The same function as GPT-2's, in one kernel.
        use_cache=False))
    self.gpt2.wte.requires_grad_(False)
    self.heads = torch.nn.ModuleList(torch.nn.Linear(d, n) for n in num_outputs)

  def embed_observations(self, observations):
    """Embeds [B, T, ...] as [B, T, P, D]."""
    b, t = observations.shape[:2]
    return self.embed(observations.reshape(b, t, self.num_patches, -1).float())


class _InverseDynamicsModel(_Network):

  def __init__(self, network, window):
    num_patches = flops.num_tokens(network)
    super().__init__(network, (window + 1) * num_patches + window, [network.spec.num_actions])
    self.queries = torch.nn.Parameter(torch.zeros(window, network.d_model))

  def forward(self, observations):
    """Returns action logits [B, T, A] of observations [B, T + 1, ...]."""
    x = self.embed_observations(observations).flatten(1, 2)
    x = torch.cat([x, self.queries.expand(len(x), -1, -1)], dim=1)
    out = self.gpt2(inputs_embeds=x).last_hidden_state
    return self.heads[0](out[:, -len(self.queries):])

  def loss(self, batch):
    logits = self(batch.observations)
    return functional.cross_entropy(logits.flatten(0, 1), batch.actions.flatten())


class _DecisionTransformer(_Network):

  def __init__(self, network):
    spec, d = network.spec, network.d_model
    num_patches = flops.num_tokens(network)
    num_returns = discretize.num_return_bins(spec.return_low, spec.return_high)
    super().__init__(network, network.num_steps * (num_patches + 3),
                     [num_returns, spec.num_actions])
    self.embeddings = torch.nn.ModuleList(
        torch.nn.Embedding(n, d)
        for n in (num_returns, spec.num_actions, discretize.NUM_REWARD_TOKENS))
    self.return_low = spec.return_low

  def loss(self, batch):
    frames = self.embed_observations(batch.observations[:, :-1])
    high = self.return_low + self.heads[0].out_features - 1
    returns = batch.returns_to_go.clamp(self.return_low, high).long() - self.return_low
    others = [embedding(ids) for embedding, ids in zip(
        self.embeddings, (returns, batch.actions, (batch.rewards > 0).long()), strict=True)]
    x = torch.cat([frames, torch.stack(others, dim=2)], dim=2)
    out = self.gpt2(inputs_embeds=x.flatten(1, 2)).last_hidden_state.view(x.shape)
    p = self.num_patches
    return sum(functional.cross_entropy(head(out[:, :, slot]).flatten(0, 1), target.flatten())
               for head, slot, target in zip(self.heads, (p - 1, p), (returns, batch.actions),
                                             strict=True))


def make_update(networks, batches, *, window, is_labelling):
  """Makes a function that does the work of one update of ours.

  Args:
    networks: `alpt.Networks`, whose shapes are taken.
    batches: numpy `types.Batches` of one step; every call works on them.
    window: T.
    is_labelling: whether the IDM labels `batches.limited`.

  Returns:
    update(), without arguments and result.
  """
  idm_batch = None if batches.idm is None else _to_tensors(batches.idm)
  dt_batch = [batch for batch in (batches.dt, batches.limited) if batch is not None]
  dt_batch = _to_tensors(*dt_batch) if dt_batch else None
  num_limited = 0 if batches.limited is None else len(batches.limited.actions)
  idm, dt = _InverseDynamicsModel(networks.idm, window), _DecisionTransformer(networks.dt)
  optimizers = {network: torch.optim.AdamW(network.parameters(), fused=True)
                for network in (idm, dt)}

  def train(network, batch):
    optimizers[network].zero_grad()
    network.loss(batch).backward()
    optimizers[network].step()

  def update():
    if is_labelling and num_limited:
      idm.eval()
      with torch.no_grad():
        logits = idm(dt_batch.observations[-num_limited:])
      dt_batch.actions[-num_limited:] = logits.argmax(dim=-1)
      idm.train()
    if idm_batch is not None:
      train(idm, idm_batch)
    if dt_batch is not None:
      train(dt, dt_batch)

  return update


def make_matmul(size):
  """Makes a function that multiplies two float32 matrices [size, size]."""
  a, b = torch.randn(2, size, size)
  return lambda: torch.mm(a, b)


def _to_tensors(*batches):
  """Joins numpy batches of windows to one `types.Batch` of tensors."""
  joined = types.Batch(*(
      torch.from_numpy(np.concatenate(field)) for field in zip(*batches, strict=True)))
  return joined._replace(actions=joined.actions.long())
