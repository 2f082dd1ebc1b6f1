"""Records, shards and batches; the only part of l2l that imports TensorFlow."""
