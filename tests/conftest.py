"""Eight simulated CPU devices and programs compiled in a hurry, set before anything imports jax; quiet TensorFlow."""

import os
import signal
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# What people run keeps its compiled programs; of the tests each run begins without any.
os.environ.setdefault("XDG_CACHE_HOME", tempfile.mkdtemp(prefix="l2l_tests_"))
flags = os.environ.get("XLA_FLAGS", "")
if "xla_force_host_platform_device_count" not in flags:
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count=8".strip()

# A shell that starts the tests in the background has Ctrl-C ignored, and so would every command that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
