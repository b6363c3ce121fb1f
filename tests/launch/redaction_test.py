"""Tests of redaction.py: secrets are passed on by name, and hidden wherever they would show."""

from unittest import mock

from absl.testing import absltest, parameterized

from launch import redaction

ENVIRONMENT = {'WANDB_API_KEY': 'abc123def', 'DB_PASSWORD': 'open sesame', 'MINE': 'xy',
               'TOKENIZERS_PARALLELISM': 'false', 'HOME': '/home/me', 'HF_TOKEN': 'abc123defghi'}


class RedactionTest(parameterized.TestCase):

  def test_values_of_secret_variables_are_hidden(self):
    redact = redaction.make_redact(environment=ENVIRONMENT)
    self.assertEqual(redact('a=abc123def b=open sesame c=/home/me d=false e=xy'),
                     'a=*** b=*** c=/home/me d=false e=xy')

  def test_longer_secret_is_hidden_whole_though_a_shorter_one_begins_it(self):
    self.assertEqual(redaction.make_redact(environment=ENVIRONMENT)('abc123defghi'), '***')

  def test_what_the_user_calls_a_secret_is_one_however_short(self):
    self.assertEqual(redaction.make_redact(['MINE'], ENVIRONMENT)('is xy'), 'is ***')

  def test_without_secrets_nothing_changes(self):
    self.assertEqual(redaction.make_redact(environment={'A': 'b'})('abc'), 'abc')

  @parameterized.parameters('--config.api_key=1', '--config.wandb.token=a', '--password=p',
                            '--config.note=has abc123def in it')
  def test_arguments_that_hold_a_secret_are_refused_without_showing_it(self, arg):
    with mock.patch.dict('os.environ', ENVIRONMENT, clear=True):
      with self.assertRaisesRegex(ValueError, '--secrets=<NAME>') as caught:
        redaction.check_arguments([arg])
    self.assertNotIn('abc123def', str(caught.exception))

  @parameterized.parameters('--config.model.return_tokens=current', '--config.key_size=3',
                            '--config.token=')
  def test_other_arguments_are_not(self, arg):
    with mock.patch.dict('os.environ', ENVIRONMENT, clear=True):
      redaction.check_arguments([arg])

  def test_value_in_place_of_a_name_is_refused_without_showing_it(self):
    with self.assertRaisesRegex(ValueError, 'not the name') as caught:
      redaction.check_names(['A_KEY', 'sk-12345'])
    self.assertNotIn('12345', str(caught.exception))


if __name__ == '__main__':
  absltest.main()
