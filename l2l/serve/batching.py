"""Requests that come within a moment of each other share one call of the model."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

Answer = Callable[[Sequence[Any]], Sequence[Any]]


class Batcher:
    """Collects items over a time window and has them answered together, one call at a time.

    Args:
      answer: items -> their answers, in order; called in a thread of its own. What it raises, all of them raise.
      window: seconds to wait for others after the first.
      most: items of one call.
    """

    def __init__(self, answer: Answer, *, window: float, most: int) -> None:
        self._answer, self._window, self._most = answer, window, most
        self._waiting: asyncio.Queue[tuple[Any, asyncio.Future]] = asyncio.Queue()
        self._thread = futures.ThreadPoolExecutor(1, "model")

    async def __call__(self, item: Any) -> Any:
        """The answer to one item."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((item, future))
        return await future

    async def run(self) -> None:
        """Answers for ever; cancel it to stop."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                batch = await self._collected()
                call = loop.run_in_executor(self._thread, self._answer, [item for item, _ in batch])
                (outcome,) = await asyncio.gather(call, return_exceptions=True)
                for i, (_, future) in enumerate(batch):
                    if future.done():  # whoever asked has gone
                        continue
                    if isinstance(outcome, BaseException):
                        future.set_exception(outcome)
                    else:
                        future.set_result(outcome[i])
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _collected(self) -> list[tuple[Any, asyncio.Future]]:
        batch = [await self._waiting.get()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._window):
                while len(batch) < self._most:
                    batch.append(await self._waiting.get())
        return batch
