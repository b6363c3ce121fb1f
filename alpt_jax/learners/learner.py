"""What training needs of a learner, whichever it is."""

from alpt_jax.learners import cql
from alpt_jax.networks import flops


def update_flops(networks, batches, *, window, is_labelling):
  """Counts one update of a run; the optimizers' elementwise work is left out.

  Args:
    networks: `alpt.Networks` or `cql.Networks`.
    batches: the `types.Batches` of a step; only their sizes matter.
    window: T.
    is_labelling: whether the IDM labels `batches.limited`.

  Returns:
    {'idm': operations of training the IDM, 'labelling': .., 'dt': ..}; of Q-learning
    {'q': operations of training the network, 'target': of the target network}.
  """
  rows = {part: 0 if batch is None else len(batch.actions)
          for part, batch in batches._asdict().items()}
  if isinstance(networks, cql.Networks):
    work = flops.q(networks.q)
    return {'q': rows['q'] * window * work.training, 'target': rows['q'] * window * work.forward}
  idm_work, dt_work = flops.idm(networks.idm, window), flops.dt(networks.dt)
  return {'idm': rows['idm'] * idm_work.training,
          'labelling': rows['limited'] * idm_work.forward * is_labelling,
          'dt': (rows['dt'] + rows['limited']) * dt_work.training}
