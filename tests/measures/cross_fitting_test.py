"""Tests of cross_fitting against plain numpy."""

import numpy as np
from absl.testing import absltest

from alpt_jax.measures import cross_fitting


class CrossFittingTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.rng = np.random.default_rng(0)

  def test_a_probe_is_the_ridge_regression_of_the_other_folds(self):
    x = self.rng.normal(size=(60, 4)).astype(np.float32)
    fold = np.sort(np.arange(60) % cross_fitting.NUM_FOLDS)
    rows = np.array([t for t in range(60) if t % 12 not in (0, 11)])  # At both lags in their fold.
    targets = self.rng.normal(size=(len(rows), 2))
    parts = np.split(x, np.searchsorted(fold, range(1, cross_fitting.NUM_FOLDS)))
    probe = cross_fitting.Probe(parts, cross_fitting.squares(parts), .5)
    lags = (-1, 0, 1)
    said = probe.series(cross_fitting.moments(parts, lags, rows, targets))
    self.assertEqual(said.shape, (60, 3, 2))
    ridge = .5 * np.mean(np.sum(x**2, axis=0))
    for i, lag in enumerate(lags):
      for k in range(cross_fitting.NUM_FOLDS):
        fitted = fold[rows] != k
        base = targets[fitted].mean(axis=0)
        squares = x[fold != k].T @ x[fold != k] + ridge * np.eye(4)
        weights = np.linalg.solve(squares, x[rows[fitted] + lag].T @ (targets[fitted] - base))
        np.testing.assert_allclose(said[fold == k, i], base + x[fold == k] @ weights, atol=1e-5)

  def test_predictions_do_not_depend_on_what_they_are_judged_by(self):
    x, targets = self.rng.normal(size=(50, 3)), self.rng.normal(size=(50, 2))
    fold = np.arange(50) % cross_fitting.NUM_FOLDS
    said = cross_fitting.cross_fit([x[:, :1], x[:, 1:]], targets, fold)
    changed = np.where(fold[:, None] == 2, -targets, targets)
    again = cross_fitting.cross_fit([x], changed, fold)
    np.testing.assert_allclose(again[fold == 2], said[fold == 2])
    self.assertGreater(np.abs(again - said)[fold != 2].min(), 0)

  def test_a_fit_finds_a_line_and_stays_within_the_targets(self):
    x = self.rng.normal(size=(1000, 1))
    fitted = cross_fitting.fit(x, 2 * x + 1)
    np.testing.assert_allclose(fitted(np.array([[0.], [1.]])), [[1.], [3.]], atol=.2)
    np.testing.assert_allclose(fitted(np.array([[100.]])), [[(2 * x + 1).max()]])

  def test_features_are_brought_to_one_size(self):
    x = self.rng.normal(size=(500, 3)) * [1., 100., 0.] + 7
    x[0, 0] = 1e6  # A flash.
    x[1:, 0] *= 1e-3
    found = cross_fitting.scaled(x)
    self.assertEqual(found.dtype, np.float32)
    self.assertEqual(np.abs(found).max(), 10.)
    self.assertEqual(np.abs(found[:, 2]).max(), 0)
    np.testing.assert_allclose(cross_fitting.scaled(50 * x), found, atol=1e-5)

  def test_errors_are_squared_and_summed(self):
    np.testing.assert_array_equal(
        cross_fitting.errors(np.array([[1., 2.], [0., 0.]]), np.array([[0., 0.], [0., 3.]])),
        [5., 9.])


if __name__ == '__main__':
  absltest.main()
