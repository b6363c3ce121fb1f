"""Serializes episodes to the same bytes in every process."""

from tensorflow_datasets.core import example_serializer


class ExampleSerializer(example_serializer.ExampleSerializer):
  """TFDS's serializer of tf.train.Example, with the fields in a fixed order.

  TFDS's own orders the fields by a hash that is another in every process: the files of the same
  recording would differ, and so would their digests.
  """

  def serialize_example(self, example):
    return self.get_tf_example(example).SerializeToString(deterministic=True)
