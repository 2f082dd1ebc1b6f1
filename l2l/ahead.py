"""Work that goes on in a thread while its last results are used."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any


class Ahead:
    """Runs an iterator in a thread, so many items ahead of its consumer, which also gets its errors."""

    def __init__(self, items: Iterable[Any], room: int) -> None:
        self._queue: queue.Queue = queue.Queue(maxsize=room)
        self._stop = threading.Event()
        threading.Thread(target=self._run, args=(items,), daemon=True).start()

    def take(self, most: int) -> list[Any]:
        """Waits for an item and takes what else is there, up to so many; [] at the end."""
        found: list[Any] = []
        while len(found) < most and not (found and self._queue.empty()):
            item = self._queue.get()
            if isinstance(item, BaseException):
                self._queue.put(item)  # for the next call
                if found or isinstance(item, StopIteration):
                    return found
                raise item
            found.append(item)
        return found

    def close(self) -> None:
        """Ends the thread once it comes back from what it waits for."""
        self._stop.set()

    def __iter__(self) -> Iterator[Any]:
        while items := self.take(1):
            yield from items

    def _run(self, items: Iterable[Any]) -> None:
        try:
            for item in items:
                if not self._offer(item):
                    return
            self._offer(StopIteration())
        except Exception as error:  # handed to the consumer, which raises it
            self._offer(error)

    def _offer(self, item: Any) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
