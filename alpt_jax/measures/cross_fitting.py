"""Linear probes that are fitted to some folds and asked about others."""

import numpy as np
from scipy import linalg

NUM_FOLDS = 5
_PENALTY = .02  # Of probes of few numbers, relative to the mean variance of the targets.
_LARGEST_FEATURE = 10.  # Standard deviations: a flash of the screen is no movement.


def scaled(x):
  """Brings features [N, F] to about one size; those that hardly ever change are not blown up."""
  std = x.std(axis=0)
  std = np.sqrt(std**2 + (.3 * std.mean())**2)
  result = (x - x.mean(axis=0)) / np.where(std > 0, std, 1)
  return np.clip(result, -_LARGEST_FEATURE, _LARGEST_FEATURE).astype(np.float32)


def squares(parts):
  """Computes the second moments [F, F] of the features [n, F] of each fold."""
  return [x.T @ x for x in parts]


class Probe:
  """Ridge regressions on many features, one for each fold, fitted to the others.

  Their second moments are of all rows, whichever have targets, so that they are factored once.
  """

  def __init__(self, parts, squares_of_parts, penalty):
    """Factors the moments.

    Args:
      parts: list of features [n, F] float32 of each fold, of mean 0.
      squares_of_parts: `squares(parts)`.
      penalty: of the ridge, relative to the mean square of the features.
    """
    self._parts = parts
    total = sum(squares_of_parts)
    ridge = penalty * max(np.trace(total) / len(total), 1e-12)
    self._factors = [linalg.cho_factor(total - part + ridge * np.eye(len(total), dtype=np.float32),
                                       overwrite_a=True, check_finite=False)
                     for part in squares_of_parts]

  def series(self, fits):
    """Predicts from every row by the fits of the other folds, see `moments`: [N, L, D] float."""
    said = []
    for part, factor, (products, base) in zip(self._parts, self._factors, fits, strict=True):
      weights = linalg.cho_solve(factor, products.reshape(len(products), -1), check_finite=False)
      said.append((part @ weights).reshape(-1, *products.shape[1:]) + base)
    return np.concatenate(said)


def moments(parts, lags, rows, targets):
  """Computes, for each fold, the moments of the targets of the others with the features at lags.

  Args:
    parts: list of features [n, F] float32 of each fold; N rows in all.
    lags: L ints.
    rows: [M] int; where the targets stand; their features at a lag are in row `rows + lag`.
    targets: [M, D] float.

  Returns:
    A list of the moments [F, L, D] and the mean target [D], one for each fold.
  """
  bounds = np.cumsum([0, *map(len, parts)])
  fold = np.searchsorted(bounds, rows, side='right') - 1
  placed = np.zeros((bounds[-1], len(lags), targets.shape[1] + 1), np.float32)
  for i, lag in enumerate(lags):
    placed[rows + lag, i, :-1], placed[rows + lag, i, -1] = targets, 1.
  products = [(part.T @ x.reshape(len(x), -1)).reshape(-1, *x.shape[1:])
              for part, x in zip(parts, np.split(placed, bounds[1:-1]), strict=True)]
  total, found = sum(products), []
  for k, product in enumerate(products):
    base = targets[fold != k].mean(axis=0) if np.any(fold != k) else targets.mean(axis=0)
    others = total - product
    found.append((others[..., :-1] - others[..., -1:] * base.astype(np.float32), base))
  return found


def fit(x, targets):
  """Fits a ridge regression of few numbers [N, F] to targets [N, D].

  Returns:
    A function from [M, F] to predictions [M, D], which stay within the range of the targets.
  """
  mean, base = x.mean(axis=0), targets.mean(axis=0)
  centred = x - mean
  ridge = _PENALTY * len(x) * max(targets.var(axis=0).mean(), 1e-12)
  weights = np.linalg.solve(centred.T @ centred + ridge * np.eye(x.shape[1]),
                            centred.T @ (targets - base))
  low, high = targets.min(axis=0), targets.max(axis=0)
  return lambda y: np.clip(base + (y - mean) @ weights, low, high)


def cross_fit(parts, targets, fold):
  """Predicts targets [M, D] from arrays of M rows, each fold by a `fit` of the others: [M, D]."""
  x, said = np.concatenate(parts, axis=1), np.zeros_like(targets)
  for k in np.unique(fold):
    said[fold == k] = fit(x[fold != k], targets[fold != k])(x[fold == k])
  return said


def errors(targets, said):
  """Computes squared errors [M] of predictions [M, D]."""
  return ((targets - said)**2).sum(axis=1)
