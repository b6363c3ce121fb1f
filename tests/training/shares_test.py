"""How the rows of a batch are shared, by hand."""

from absl.testing import absltest, parameterized

from alpt_jax.training import run_config, shares
from experiments.configs import maze


class SplitRowsTest(parameterized.TestCase):

  def test_shares_are_whole_shards_and_as_equal_as_can_be(self):
    self.assertEqual(shares.split_rows(64, 2, 8), [32, 32])
    self.assertEqual(shares.split_rows(64, 3, 8), [24, 24, 16])

  def test_too_small_a_batch_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'at least 24'):
      shares.split_rows(16, 3, 8)

  @parameterized.parameters(
      # 2,080 rows are 130 shards': one is the least, 129 are 4 * 32 and one more.
      (2080, 5, 16, 1, .001, [512, 512, 512, 512, 32]),
      (2064, 5, 16, 1, .001, [512, 512, 512, 512, 16]),
      (2080, 5, 16, 1, .1, [464, 464, 464, 464, 224]),  # 13 shards', and one more.
      (64, 2, 8, 1, .25, [48, 16]),
      (64, 2, 8, 1, 0., [32, 32]),
      (1792, 14, 64, 5, .001, [128] * 14),  # 28 shards' are too few for anything else.
      (32, 1, 8, 1, .25, [32]))  # No sources.
  def test_labelled_windows_get_their_share_and_the_others_are_equal(
      self, rows, num_streams, num_shards, num_labelled, share, expected):
    found = shares.split_rows(
        rows, num_streams, num_shards, num_labelled=num_labelled, labelled_share=share)
    self.assertEqual(found, expected)
    self.assertEqual(sum(found), rows)

  def test_share_that_leaves_nothing_to_sources(self):
    with self.assertRaisesRegex(ValueError, 'labelled_share is 0.6, for each of 2 targets'):
      shares.split_rows(64, 4, 8, num_labelled=2, labelled_share=.6)

  @parameterized.parameters(
      ('alpt', [('idm', 1, 10), ('idm', 0, 2), ('dt', 1, 6), ('limited', 0, 6)]),
      ('dt5', [('dt', 1, 10), ('dt', 0, 2)]),
      ('dt5_ret', [('dt', 1, 4), ('limited', 0, 4), ('dt', 0, 4)]),  # 5 shards' for 2 streams.
      ('dt1_idm', [('idm', 0, 12), ('limited', 0, 12)]))
  def test_share_of_labels_counts_beside_sources_only(self, method, expected):
    config = maze.get_config('tiny')
    config.update(method=method)
    config.sampling.labelled_share = .01
    phase, specs = run_config.check_run(config)
    self.assertEqual(
        [(s.part, s.environment, s.rows) for s in shares.of(config, phase, specs)], expected)


if __name__ == '__main__':
  absltest.main()
