"""The decoding process itself: `python -m l2l.media.decoding.worker`, which `decoding/decoder.py` starts.

It takes requests, JSON texts, from one pipe and answers in `messages` through another, whatever libraries print. It
ends with whoever started it, also in the middle of decoding. It imports neither JAX nor TensorFlow.
"""

import contextlib
import json
import os
import queue
import resource
import select
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from l2l.media.decoding import messages
from l2l.media.decoding.messages import Done, Problem, Ready
from l2l.media.decoding.operations import OPERATIONS
from l2l.media.scan import MediaError

LENGTH = struct.Struct("<I")  # of a request, before it
WRITTEN = 1 << 24  # bytes of a file: it has nothing to write but what libraries complain of
LOOK = 1000  # milliseconds between two looks for the parent


def main(operations: Mapping[str, Callable[..., Iterator[Any]]] = OPERATIONS) -> None:
    """The process; its arguments are the pipes of requests and answers, bytes of memory, and the parent's number."""
    requests, answers, memory, parent = map(int, sys.argv[1:])
    asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, parent, asked), daemon=True).start()
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, WRITTEN), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # where the system knows no such limit
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
    with open(answers, "wb", buffering=0) as pipe, contextlib.suppress(ConnectionError):
        _send(pipe, Ready())
        while True:
            _send(pipe, _answered(pipe, operations, asked.get(), memory) or Done())


def _answered(
    pipe: BinaryIO, operations: Mapping[str, Callable[..., Iterator[Any]]], request: dict[str, Any], memory: int
) -> Problem | None:
    """Sends what an operation yields; what ended it, if it was not its own end."""
    try:
        for value in operations[request["operation"]](request["path"], **request["arguments"]):
            _send(pipe, value)
    except MediaError as error:
        return Problem(error.status, error.reason)
    except MemoryError:
        return Problem("undecodable", f"it needs more than {memory / 2**30:g} GiB of memory")
    except ConnectionError:
        raise
    except Exception as error:
        return Problem("crashed", f"{type(error).__name__}: {error}")
    return None


def _send(pipe: BinaryIO, value: Any) -> None:
    left = memoryview(messages.packed(value))
    while left:
        left = left[pipe.write(left) :]


def _listen(requests: int, parent: int, asked: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Reads requests; ends the process where there are no more, or the parent has gone and left the pipe to others."""
    with open(requests, "rb", buffering=0) as pipe:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        data = b""
        while os.getppid() == parent:
            if not poll.poll(LOOK):
                continue
            if not (more := pipe.read(1 << 20)):
                break
            data += more
            while len(data) >= LENGTH.size and len(data) >= (end := LENGTH.size + LENGTH.unpack_from(data)[0]):
                asked.put(json.loads(data[LENGTH.size : end]))
                data = data[end:]
    os._exit(1)


if __name__ == "__main__":
    main()
