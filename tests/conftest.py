"""Eight simulated CPU devices and programs compiled in a hurry, set before anything imports jax; quiet TensorFlow."""

import os
import signal

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
flags = os.environ.get("XLA_FLAGS", "")
if "xla_force_host_platform_device_count" not in flags:
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count=8".strip()

# A shell that starts the tests in the background has Ctrl-C ignored, and so would every command that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
