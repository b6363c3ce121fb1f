"""What is refused as a labelling, and how it is named."""

import base64
import math

from absl.testing import absltest, parameterized

from alpt_jax import schema
from experiments.studies import labelling_schema
from tests.reports import labelling_data


def _first(labelling):
  return labelling['examples'][0]


class CheckTest(parameterized.TestCase):

  def test_a_good_labelling_is_accepted(self):
    schema.check(labelling_data.make_labelling(), labelling_schema.LABELLING, 'labellings[0]')

  def test_confidence_returns_and_examples_may_be_missing(self):
    labelling = labelling_data.make_labelling()
    _first(labelling).update(confidence=None, return_to_go=None)
    schema.check(labelling, labelling_schema.LABELLING, 'x')
    schema.check(labelling | dict(examples=[]), labelling_schema.LABELLING, 'x')

  @parameterized.named_parameters(
      ('no_label', lambda x: x.pop('label'), r'x\.label is missing; expected a string'),
      ('seed', lambda x: x.update(seed=-1), r"x\.seed is -1; expected a whole number, 0 or more"),
      ('no_step', lambda x: x.pop('step'), r'x\.step is missing; expected a whole number'),
      ('true_is_no_number', lambda x: x.update(num_hidden=True), r"x\.num_hidden is True"),
      ('total', lambda x: x.update(num_hidden=11),
       r'x\.num_hidden is 11; expected 10, the sum of confusion'),
      ('no_actions', lambda x: x.update(actions=[]),
       r'x\.actions is \[\]; expected a list, not empty'),
      ('same_name', lambda x: x['actions'].__setitem__(1, 'NOOP'),
       r"x\.actions\[0\] is 'NOOP'; expected a name of its own"),
      ('rows', lambda x: x['confusion'].pop(), r'x\.confusion has 3 entries; expected 4'),
      ('columns', lambda x: x['confusion'][2].pop(), r'x\.confusion\[2\] has 3 entries'),
      ('count', lambda x: x['confusion'][2].__setitem__(1, .5),
       r"x\.confusion\[2\]\[1\] is 0.5; expected a whole number"),
      ('example', lambda x: x['examples'].append(3),
       r"x\.examples\[4\] is 3; expected an object"),
      ('no_window', lambda x: _first(x).update(true=[]),
       r'examples\[0\]\.true is \[\]; expected a list, not empty'),
      ('shape', lambda x: _first(x)['predicted'].pop(),
       r'examples\[0\]\.predicted has 2 entries; expected 3'),
      ('index', lambda x: _first(x)['true'].__setitem__(1, 4),
       r"examples\[0\]\.true\[1\] is 4; expected an index below 4"),
      ('negative', lambda x: _first(x)['predicted'].__setitem__(1, -1),
       r"examples\[0\]\.predicted\[1\] is -1; expected an index below 4"),
      ('known', lambda x: _first(x)['was_labelled'].__setitem__(0, 1),
       r"examples\[0\]\.was_labelled\[0\] is 1; expected true or false"),
      ('confidence', lambda x: _first(x)['confidence'].__setitem__(2, 1.01),
       r"examples\[0\]\.confidence\[2\] is 1.01; expected a number between 0 and 1"),
      ('nan', lambda x: _first(x)['confidence'].__setitem__(2, math.nan),
       r"confidence\[2\] is nan"),
      ('no_confidence', lambda x: _first(x).pop('confidence'),
       r'examples\[0\]\.confidence is missing; expected a list or null'),
      ('return', lambda x: _first(x)['return_to_go'].__setitem__(0, math.inf),
       r"examples\[0\]\.return_to_go\[0\] is inf; expected a finite number"),
      ('frame_width', lambda x: _first(x).update(frame_width=0),
       r"examples\[0\]\.frame_width is 0; expected a whole number, 1 or more"),
      ('size', lambda x: _first(x).update(frame_width=80),
       r'examples\[0\]\.strip is 336 x 84; expected base64 of a PNG, .*320 x 84'),
      ('not_base64', lambda x: _first(x).update(strip='<b>'),
       r"examples\[0\]\.strip is '<b>'; expected base64 of a PNG"),
      ('not_png', lambda x: _first(x).update(strip=base64.b64encode(b'GIF89a').decode()),
       r"examples\[0\]\.strip begins with b'GIF89a'; expected base64 of a PNG"),
      ('cut', lambda x: _first(x).update(strip=_first(x)['strip'][:200]),
       r'examples\[0\]\.strip is damaged'))
  def test_a_bad_field_is_named(self, spoil, message):
    labelling = labelling_data.make_labelling()
    spoil(labelling)
    with self.assertRaisesRegex(ValueError, message) as caught:
      schema.check(labelling, labelling_schema.LABELLING, 'x')
    self.assertNotIn('\n', str(caught.exception))


if __name__ == '__main__':
  absltest.main()
