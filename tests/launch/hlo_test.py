"""Tests of reading optimized HLO, on a module written by hand in the compiler's notation."""

from absl.testing import absltest, parameterized

from launch import hlo

# A device of four: 2 layers in a loop that multiplies and adds up, a reduction over pairs of
# devices while something is computed, and a gathering of all.
MODULE = """
HloModule jit_update, is_scheduled=true, num_partitions=4

%fused_sum (param_0: f32[100,64]) -> f32[64] {
  %param_0 = f32[100,64]{1,0:T(8,128)} parameter(0)
  ROOT %reduce = f32[64]{0:T(128)} reduce(%param_0), dimensions={0}
}

%fused_layer (param_1: bf16[16,128], param_0.1: f32[2,128,128], param_2: s32[]) -> bf16[16,128] {
  %param_0.1 = f32[2,128,128]{2,1,0:T(8,128)} parameter(1)
  %param_2 = s32[]{:T(128)S(6)} parameter(2)
  %dynamic-slice.1 = f32[1,128,128]{2,1,0:T(8,128)} dynamic-slice(%param_0.1, %param_2)
  %param_1 = bf16[16,128]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %dot = bf16[16,128]{1,0:T(8,128)(2,1)} convolution(%param_1, %dynamic-slice.1)
}

%all-reduce-scatter.1 (input: f32[128]) -> f32[32] {
  %input = f32[128]{0:T(128)} parameter(0)
  %all-reduce.9 = f32[128]{0:T(128)} all-reduce(%input), channel_id=3, replica_groups={{0,1,2,3}}, to_apply=%add
  %constant.8 = s32[]{:T(128)} constant(0)
  ROOT %dynamic-slice.9 = f32[32]{0:T(128)} dynamic-slice(%all-reduce.9, %constant.8), dynamic_slice_sizes={32}
}

%body (arg: (s32[], bf16[16,128], f32[2,128,128])) -> (s32[], bf16[16,128], f32[2,128,128]) {
  %arg = (s32[]{:T(128)S(6)}, bf16[16,128]{1,0:T(8,128)(2,1)}, f32[2,128,128]{2,1,0:T(8,128)}) parameter(0)
  %get-tuple-element.1 = s32[]{:T(128)S(6)} get-tuple-element(%arg), index=0
  %get-tuple-element.2 = bf16[16,128]{1,0:T(8,128)(2,1)} get-tuple-element(%arg), index=1
  %get-tuple-element.3 = f32[2,128,128]{2,1,0:T(8,128)} get-tuple-element(%arg), index=2
  %add.1 = s32[]{:T(128)S(6)} add(%get-tuple-element.1, %get-tuple-element.1)
  %layer = bf16[16,128]{1,0:T(8,128)(2,1)} fusion(%get-tuple-element.2, %get-tuple-element.3, %get-tuple-element.1), kind=kOutput, calls=%fused_layer, metadata={op_name="jit(update)/block_0/dot_general"}, backend_config={"window_config":{"estimated_cycles":"700"}}
  ROOT %tuple = (s32[]{:T(128)S(6)}, bf16[16,128]{1,0:T(8,128)(2,1)}, f32[2,128,128]{2,1,0:T(8,128)}) tuple(%add.1, %layer, %get-tuple-element.3)
}

%condition (arg.1: (s32[], bf16[16,128], f32[2,128,128])) -> pred[] {
  %arg.1 = (s32[]{:T(128)S(6)}, bf16[16,128]{1,0:T(8,128)(2,1)}, f32[2,128,128]{2,1,0:T(8,128)}) parameter(0)
  ROOT %constant.9 = pred[]{:T(1024)} constant(true)
}

ENTRY %main (x: f32[100,64], w: f32[2,128,128], start: (s32[], bf16[16,128], f32[2,128,128])) -> f32[256] {
  %x = f32[100,64]{1,0:T(8,128)} parameter(0)
  %w = f32[2,128,128]{2,1,0:T(8,128)} parameter(1)
  %start = (s32[]{:T(128)S(6)}, bf16[16,128]{1,0:T(8,128)(2,1)}, f32[2,128,128]{2,1,0:T(8,128)}) parameter(2)
  %while.1 = (s32[]{:T(128)S(6)}, bf16[16,128]{1,0:T(8,128)(2,1)}, f32[2,128,128]{2,1,0:T(8,128)}) while(%start), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %copy-start.1 = (f32[100,64]{1,0:T(8,128)S(1)}, f32[100,64]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%x)
  %copy-done.1 = f32[100,64]{1,0:T(8,128)S(1)} copy-done(%copy-start.1)
  %sum = f32[64]{0:T(128)S(1)} fusion(%copy-done.1), kind=kLoop, calls=%fused_sum, metadata={op_name="jit(update)/norm/reduce_sum"}, backend_config={"window_config":{"estimated_cycles":"50"}}
  %all-reduce-start.1 = f32[64]{0:T(128)S(1)} all-reduce-start(%sum), channel_id=1, replica_groups={{0,1},{2,3}}, to_apply=%add
  %negate.1 = f32[100,64]{1,0:T(8,128)} negate(%copy-done.1), backend_config={"window_config":{"estimated_cycles":"20"}}
  %all-reduce-done.1 = f32[64]{0:T(128)S(1)} all-reduce-done(%all-reduce-start.1)
  %scattered = f32[32]{0:T(128)S(1)} fusion(%all-reduce-done.1), kind=kCustom, calls=%all-reduce-scatter.1
  ROOT %all-gather.1 = f32[256]{0:T(256)} all-gather(%all-reduce-done.1), channel_id=2, replica_groups=mesh['axis_0'=4,'axis_1'=1] {'axis_0'}, dimensions={0}
}
"""  # noqa: E501


class HloTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.module = hlo.parse(MODULE)
    self.costs = {cost.instruction.name: cost for cost in hlo.costs(self.module)}

  @parameterized.parameters(
      ('f32', (), '', 4),
      ('f32', (), ':T(128)', 4 * 128),
      ('f32', (100, 64), '1,0', 4 * 100 * 64),
      ('f32', (100, 64), '1,0:T(8,128)', 4 * 104 * 128),
      ('f32', (100, 64), '0,1:T(8,128)', 4 * 64 * 128),  # The first dimension varies fastest.
      ('bf16', (3, 5, 130), '2,1,0:T(8,128)(2,1)', 2 * 3 * 8 * 256),
      ('u8', (32, 6, 84, 84, 1), '3,0,4,2,1:T(32,128)(4,1)', 6 * 84 * 32 * 128),
      ('f32', (64,), '0:T(128)S(1)', 4 * 128),
      ('f32', (64,), '0:T(8,128)', 4 * 8 * 128),  # A tile of more dimensions than the array.
      ('s4', (8, 128), '1,0:T(8,128)', 512),
      ('pred', (1024,), '0:T(1024)', 1024),
      ('f8e4m3fn', (32, 128), '1,0:T(32,128)', 4096))
  def test_arrays_fill_whole_tiles(self, element, shape, layout, expected):
    self.assertEqual(hlo.array_bytes(element, shape, layout), expected)

  def test_cycles_of_a_loop_count_as_often_as_it_runs(self):
    self.assertEqual(self.costs['layer'].cycles, 3 * 700)
    self.assertEqual(self.costs['layer'].count, 3)
    self.assertEqual(sum(cost.cycles for cost in self.costs.values()), 3 * 700 + 50 + 20)

  def test_only_what_lies_in_hbm_counts_as_traffic(self):
    # 16 x 128 bf16 in and out, and of the two matrices the one that is taken.
    self.assertEqual(self.costs['layer'].hbm_bytes, 3 * (2 * 2 * 16 * 128 + 4 * 128 * 128))
    self.assertEqual(self.costs['copy-start.1'].hbm_bytes, 4 * 104 * 128)  # Once, not at its end.
    self.assertNotIn('copy-done.1', self.costs)
    self.assertEqual(self.costs['sum'].hbm_bytes, 0)
    self.assertEqual(self.costs['negate.1'].hbm_bytes, 4 * 104 * 128)
    self.assertEqual(self.costs['all-gather.1'].hbm_bytes, 4 * 256)

  def test_transfers_know_their_devices_and_what_hides_them(self):
    reduction, scattering, gathering = hlo.transfers(self.module, num_devices=4)
    self.assertEqual(reduction, hlo.Transfer(
        'all-reduce', count=1, num_bytes=4 * 128, sent_bytes=4 * 128, hidden_cycles=20))
    # A fusion of the compiler: a sum of which each device keeps a quarter, here less than a tile.
    self.assertEqual(scattering, hlo.Transfer(
        'reduce-scatter', count=1, num_bytes=4 * 4 * 128, sent_bytes=3 * 4 * 128, hidden_cycles=0))
    self.assertEqual(gathering, hlo.Transfer(
        'all-gather', count=1, num_bytes=4 * 256, sent_bytes=3 * 256, hidden_cycles=0))

  def test_operations_say_where_they_come_from(self):
    self.assertEqual(self.costs['layer'].instruction.op_name, 'jit(update)/block_0/dot_general')

  def test_a_loop_counts_to_its_limit_if_the_compiler_says_nothing(self):
    text = MODULE.replace('backend_config={"known_trip_count":{"n":"3"}}', '').replace(
        '  ROOT %constant.9 = pred[]{:T(1024)} constant(true)', """
  %get-tuple-element.9 = s32[]{:T(128)} get-tuple-element(%arg.1), index=0
  %constant.9 = s32[]{:T(128)} constant(5)
  ROOT %compare.9 = pred[]{:T(1024)} compare(%get-tuple-element.9, %constant.9), direction=LT""")
    costs = {cost.instruction.name: cost for cost in hlo.costs(hlo.parse(text))}
    self.assertEqual(costs['layer'].count, 5)

  def test_a_loop_of_unknown_length_is_refused(self):
    text = MODULE.replace('backend_config={"known_trip_count":{"n":"3"}}', '')
    with self.assertRaisesRegex(ValueError, 'while.1: the compiler does not know how often'):
      hlo.costs(hlo.parse(text))

  def test_text_without_a_program_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'no ENTRY computation'):
      hlo.parse('HloModule empty')


if __name__ == '__main__':
  absltest.main()
