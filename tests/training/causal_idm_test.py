"""An IDM that sees the past only, as a floor: a config says so, of any domain."""

import pathlib

import jax
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import configs, domains
from alpt_jax.learners import learner
from alpt_jax.training import run_config

CONFIGS = pathlib.Path(__file__).parents[2] / 'experiments' / 'configs'


class CausalIdmTest(parameterized.TestCase):

  @parameterized.parameters('maze', 'atari', 'own')
  def test_off_by_default(self, name):
    self.assertIs(configs.load(f'{CONFIGS}/{name}.py').model.idm_is_causal, False)

  def test_first_action_depends_on_later_observations_only_if_it_is_not_causal(self):
    config = configs.load(f'{CONFIGS}/maze.py:tiny')
    spec, *_ = domains.specs(config)
    shape = (1, config.window + 1, *spec.observation_shape)
    observations = np.zeros(shape, np.uint8)
    changed = observations.copy()
    changed[:, 1:] = 1
    for is_causal in (False, True):
      config.model.idm_is_causal = is_causal
      idm = learner.make_networks(config, spec).idm
      params = idm.init(jax.random.key(0), observations)
      before, after = (idm.apply(params, x) for x in (observations, changed))
      self.assertEqual(bool(np.allclose(before[:, 0], after[:, 0], atol=1e-6)), is_causal)

  def test_refused_where_no_idm_trains(self):
    config = configs.load(f'{CONFIGS}/maze.py:tiny')
    config.method, config.sources, config.model.idm_is_causal = 'dt1', (), True
    with self.assertRaisesRegex(ValueError, "idm_is_causal is True, and method 'dt1' trains no"):
      run_config.check_run(config)

  def test_refuses_what_is_no_bool(self):
    config = configs.load(f'{CONFIGS}/maze.py:tiny')
    del config.model.idm_is_causal
    config.model.idm_is_causal = 'no'
    with self.assertRaisesRegex(ValueError, "idm_is_causal is 'no'; expected True or False"):
      run_config.check_run(config)


if __name__ == '__main__':
  absltest.main()
