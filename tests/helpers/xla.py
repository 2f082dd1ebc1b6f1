"""What XLA is told in every process of the tests."""

import importlib.metadata

# The older of its two ways to emit loops compiles in half of the time; later versions have no such flag, and end at it.
QUICK = "--xla_cpu_use_fusion_emitters=false" if importlib.metadata.version("jaxlib").startswith("0.10.") else ""


def flags(devices: int) -> str:
    """XLA_FLAGS for so many simulated devices."""
    return f"{QUICK} --xla_force_host_platform_device_count={devices}".strip()
