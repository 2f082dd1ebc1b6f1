"""Several processes as one program. They are joined before anything touches a device."""

import concurrent.futures
from typing import Any

import jax
from jax.experimental import multihost_utils

HEARTBEAT = 60  # seconds without a sign of life after which a process counts as dead and the others end


def start(switch: str, patience: float) -> None:
    """Joins the processes of a run; does nothing for "".

    JAX's own time-outs abort the process with a stack trace, so the wait for the others is limited here.

    Args:
      switch: `config.distributed`.
      patience: seconds.

    Raises:
      ConnectionError: not all processes met in that time.
      ValueError: the switch is not understood, or `auto` finds nothing that starts processes.
    """
    if not switch:
        return
    limits: dict[str, Any] = {"initialization_timeout": round(patience) + 60, "heartbeat_timeout_seconds": HEARTBEAT}
    joined = concurrent.futures.ThreadPoolExecutor(1).submit(jax.distributed.initialize, **parse(switch), **limits)
    try:
        joined.result(patience)
    except TimeoutError:
        raise ConnectionError(
            f"config.distributed={switch}: the processes did not meet within {patience:.0f} s; start all of them, let "
            "the address of process 0 be reachable from each, or wait longer with --config.patience=SECONDS"
        ) from None
    except ValueError as error:
        raise ValueError(
            f"config.distributed={switch}: {error} Without TPU, Slurm or Open MPI use HOST:PORT,INDEX,COUNT"
        ) from error


def parse(switch: str) -> dict[str, Any]:
    """`config.distributed` -> arguments of `jax.distributed.initialize`. Raises ValueError if it is not understood."""
    if switch == "auto":
        return {}
    try:
        address, index, count = switch.split(",")
        _, port = address.rsplit(":", 1)
        where: dict[str, Any] = {"coordinator_address": address, "process_id": int(index), "num_processes": int(count)}
        if int(port) > 0 and 0 <= where["process_id"] < where["num_processes"]:
            return where | {"cluster_detection_method": "deactivate"}
    except ValueError:
        pass
    raise ValueError(
        f"config.distributed={switch} is neither auto nor HOST:PORT,INDEX,COUNT, as in 10.0.0.1:1234,0,2 for the "
        "first of two processes"
    )


def meet(place: str) -> None:
    """Returns once every process is at this place."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(place)
