"""TensorFlow for reading shards: without its start-up messages, and off the accelerators that JAX uses."""

import os

if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":  # as JAX sets it, by which errors that are handled are told
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # only images are decoded; saves a message at every start

import tensorflow as tf

tf.config.set_visible_devices([], "GPU")
tf.config.set_visible_devices([], "TPU")

__all__ = ["tf"]
