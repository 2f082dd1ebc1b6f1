"""Eight simulated CPU devices and programs compiled in a hurry, set before anything imports jax; quiet TensorFlow."""

import gc
import os
import signal
import tempfile

from tests.helpers import xla

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla.flags(8)}".strip()

# Each run of the tests begins without compiled programs; what one of its processes compiles the others read.
if "PYTEST_XDIST_WORKER" not in os.environ:
    programs = tempfile.TemporaryDirectory(prefix="l2l_tests_")
    os.environ["XDG_CACHE_HOME"] = os.environ["JAX_COMPILATION_CACHE_DIR"] = programs.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

# A trace makes many small things that live: looking through all of them so often takes a tenth of the time.
gc.set_threshold(50_000, 20, 20)

# A shell that starts the tests in the background has Ctrl-C ignored, and so would every command that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The files that take longest, in the order in which the processes take them up: what is short evens out their ends.
LONGEST = ["notebook", "loop", "hostile", "processes", "distill_preview", "teacher_cache", "kill", "watch", "skimmer"]
LONGEST += ["multi_label", "recognise", "infer", "regions", "prepare_kill", "sharding", "pairs", "distill", "service"]


def pytest_collection_modifyitems(items):
    """Stable: the tests of a file stay together and in their order."""
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
