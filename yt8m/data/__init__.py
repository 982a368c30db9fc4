"""tf.data pipelines: TFRecords to batches."""
