"""What a service counts, as Prometheus reads it (text format 0.0.4)."""

import bisect
import collections
import os
import threading
from collections.abc import Iterator

from l2l.media.decoding.decoder import resident

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds


class Metrics:
    """Counters of a service; any number of threads may use one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: collections.Counter[int] = collections.Counter()  # HTTP status -> how many
        self._refused: collections.Counter[str] = collections.Counter()  # why a video was not used -> how many
        self._ended: collections.Counter[str] = collections.Counter()  # why a connection was ended -> how many
        self._below = [0] * (len(BUCKETS) + 1)  # answers by the first bucket that holds their time
        self._seconds: float = 0
        self._batches = self._videos = self._bytes = self._connections = self.in_progress = 0
        self._turned_away: collections.Counter[int] = collections.Counter()  # HTTP status -> how many
        self._replaced = 0

    def answered(self, status: int, seconds: float) -> None:
        with self._lock:
            self._answers[status] += 1
            self._below[bisect.bisect_left(BUCKETS, seconds)] += 1
            self._seconds += seconds

    def turned_away(self, status: int) -> None:
        """A request was refused for who asked it, or for what it says of its size."""
        with self._lock:
            self._turned_away[status] += 1

    def entered(self, change: int) -> None:
        """A request came (1) or went (-1)."""
        with self._lock:
            self.in_progress += change

    def connected(self, change: int) -> None:
        """A connection was opened (1) or closed (-1)."""
        with self._lock:
            self._connections += change

    def ended(self, reason: str) -> None:
        """A connection was ended for a reason that lies with its client, or with how many there are."""
        with self._lock:
            self._ended[reason] += 1

    def received(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def refused(self, status: str) -> None:
        with self._lock:
            self._refused[status] += 1

    def replaced(self, decoders: int) -> None:
        with self._lock:
            self._replaced += decoders

    def batched(self, videos: int) -> None:
        with self._lock:
            self._batches += 1
            self._videos += videos

    def text(self) -> str:
        """The exposition."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from _head("l2l_requests_total", "counter", "Answers to /classify by HTTP status.")
        yield from (f'l2l_requests_total{{status="{status}"}} {n}' for status, n in sorted(self._answers.items()))
        yield from _head("l2l_turned_away_total", "counter", "Requests that were not looked at, by HTTP status.")
        away = sorted(self._turned_away.items())
        yield from (f'l2l_turned_away_total{{status="{status}"}} {n}' for status, n in away)
        yield from _head("l2l_refused_total", "counter", "Videos that could not be used, by reason.")
        yield from (f'l2l_refused_total{{reason="{reason}"}} {n}' for reason, n in sorted(self._refused.items()))
        yield from _head("l2l_connections_ended_total", "counter", "Connections that were not waited for, by reason.")
        ended = sorted(self._ended.items())
        yield from (f'l2l_connections_ended_total{{reason="{reason}"}} {n}' for reason, n in ended)
        yield from _head("l2l_request_seconds", "histogram", "From a request to its answer.")
        total = 0
        for limit, count in zip((*BUCKETS, "+Inf"), self._below, strict=True):
            total += count
            yield f'l2l_request_seconds_bucket{{le="{limit}"}} {total}'
        yield f"l2l_request_seconds_sum {self._seconds:.6f}"
        yield f"l2l_request_seconds_count {total}"
        for name, kind, meaning, value in (
            ("l2l_connections", "gauge", "Open connections.", self._connections),
            ("l2l_in_progress", "gauge", "Requests that were received and wait for their answer.", self.in_progress),
            ("l2l_received_bytes_total", "counter", "Bytes of uploaded videos.", self._bytes),
            ("l2l_decoders_replaced_total", "counter", "Decoders that kept too much memory.", self._replaced),
            ("l2l_batches_total", "counter", "Calls of the model.", self._batches),
            ("l2l_videos_total", "counter", "Videos that the model saw in them.", self._videos),
            ("process_resident_memory_bytes", "gauge", "Memory of this process.", resident(os.getpid())),
        ):
            yield from _head(name, kind, meaning)
            yield f"{name} {value}"


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"
