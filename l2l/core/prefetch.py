"""Work that goes on in a thread while its last results are used."""

import queue
import threading
from collections.abc import Iterable
from typing import Any


class Ahead:
    """Runs an iterator in a thread, so many items ahead of its consumer, which also gets its errors."""

    def __init__(self, items: Iterable[Any], room: int) -> None:
        self._queue: queue.Queue = queue.Queue(maxsize=room)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(items,), daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the next item is there."""
        return not self._queue.empty()

    def take(self, most: int) -> list[Any]:
        """Waits for an item and takes what else is there, up to so many; [] at the end."""
        found: list[Any] = []
        while len(found) < most and (self.ready or not found):
            item = self._queue.get()
            if isinstance(item, BaseException):
                self._queue.put(item)  # for the next call
                if found or isinstance(item, StopIteration):
                    return found
                raise item
            found.append(item)
        return found

    def __iter__(self) -> "Ahead":
        return self

    def __next__(self) -> Any:
        if not (found := self.take(1)):
            raise StopIteration
        return found[0]

    def close(self) -> None:
        """Ends the thread once it comes back from what it waits for."""
        self._stop.set()

    def join(self) -> None:
        """Waits until the thread has ended."""
        self._thread.join()

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
