"""Tests of the methods against Tables 1 and 2 of the paper."""

from absl.testing import absltest, parameterized

from alpt_jax import methods

S, L, T = methods.SOURCES, methods.LABELLED, methods.TARGET


class MethodsTest(parameterized.TestCase):

  @parameterized.parameters(  # IDM's data, DT's data; from section 4.2 and Table 1.
      ('alpt', 'pretrain', {S, L}, {S, T}), ('alpt', 'finetune', {L}, {T}),
      ('alpt', 'joint', {S, L}, {S, T}),
      ('alpt_idm_only', 'pretrain', {S, L}, set()), ('alpt_idm_only', 'finetune', {L}, {T}),
      # Section 5.2.
      ('dt1', 'finetune', set(), {L}), ('dt1_idm', 'finetune', {L}, {T}),
      ('dt5', 'pretrain', set(), {S, L}), ('dt5', 'finetune', set(), {L}),
      ('dt5_ret', 'pretrain', set(), {S, L, T}), ('dt5_ret', 'finetune', set(), {L, T}),
      ('dt5_ret', 'joint', set(), {S, L, T}))
  def test_data_of_the_paper(self, method, phase, idm, dt):
    phase = methods.phase_of(method, phase)
    self.assertEqual((set(phase.idm), set(phase.agent)), (idm, dt))

  def test_only_return_prediction_for_dt5_ret(self):
    for phase in methods.PHASES:
      self.assertEqual(methods.phase_of('dt5_ret', phase).unlabelled, methods.RETURNS_ONLY)

  @parameterized.parameters(*methods.METHODS)
  def test_labels_come_from_an_idm_that_was_trained(self, name):
    method = methods.METHODS[name]
    for phase in (method.joint, method.finetune, method.pretrain or method.joint):
      if methods.TARGET in phase.agent and phase.unlabelled == methods.LABEL_WITH_IDM:
        self.assertTrue(phase.idm)
      self.assertNotIn(methods.TARGET, phase.idm)  # The IDM trains on labels only.

  def test_cql_sees_the_labels_of_dt1(self):
    for phase in ('joint', 'finetune'):
      ours, theirs = (methods.phase_of(method, phase) for method in ('cql', 'dt1'))
      self.assertEqual((ours.idm, ours.agent), ((), theirs.agent))
    self.assertNotEqual(methods.phase_of('cql', 'joint').unlabelled, methods.TRUE_ACTIONS)

  def test_which_methods_use_sources(self):
    users = {name for name, method in methods.METHODS.items() if method.uses_sources}
    self.assertEqual(users, {'dt5', 'dt5_ret', 'alpt', 'alpt_idm_only'})
    # Pretraining is training on sources.
    self.assertEqual(users, {k for k, m in methods.METHODS.items() if m.pretrain is not None})


class PhaseOfTest(absltest.TestCase):

  def test_unknown_method(self):
    with self.assertRaisesRegex(ValueError, "Unknown method 'dt7'.*'alpt'"):
      methods.phase_of('dt7', 'joint')

  def test_unknown_phase(self):
    with self.assertRaisesRegex(ValueError, "Unknown phase 'warmup'.*'pretrain'"):
      methods.phase_of('alpt', 'warmup')

  def test_missing_phase(self):
    with self.assertRaisesRegex(ValueError, "'dt1' has no phase 'pretrain'.*\"finetune\""):
      methods.phase_of('dt1', 'pretrain')
