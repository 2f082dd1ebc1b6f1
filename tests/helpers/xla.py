"""What XLA is told in every process of the tests."""

# The older of its two ways to emit loops compiles in half of the time.
QUICK = "--xla_cpu_use_fusion_emitters=false"


def flags(devices: int) -> str:
    """XLA_FLAGS for so many simulated devices."""
    return f"{QUICK} --xla_force_host_platform_device_count={devices}"
