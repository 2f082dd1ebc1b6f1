"""A model that answers many at once: it looks at videos in batches, and processes that may die of it decode them.

Nothing that a stranger sent is decoded in this process. What comes back from the others are pixels and samples.
"""

import asyncio
import contextlib
import dataclasses
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

from l2l.data.decoder import Decoder
from l2l.data.scan import MediaError
from l2l.serve_batches import Batcher
from l2l.serve_metrics import Metrics


@dataclasses.dataclass(frozen=True)
class Limits:
    """What may be asked for.

    Attributes:
      upload: bytes of an upload.
      patience: seconds that receiving an upload may take, and decoding a video.
      memory: bytes of addresses that a decoding process may take.
      waiting: requests that may be in progress; others are told to come again.
    """

    upload: int
    patience: float
    memory: int
    waiting: int


class Service:
    """A model with processes that decode for it.

    Args:
      decode: path -> one value, what the model takes of a video; it runs in a decoding process.
      look: such values -> for each a Result, or the MediaError that says why there is none.
      draw: (path, result) -> one value, a page of HTML; it runs in a decoding process.
      limits: see there.
      decoders: decoding processes.
      window, most: see `Batcher`.
    """

    def __init__(
        self,
        decode: Callable[[str], Iterator[Any]],
        look: Callable[[Sequence[Any]], Sequence[Any]],
        draw: Callable[[str, Any], Iterator[str]],
        *,
        limits: Limits,
        decoders: int,
        window: float,
        most: int,
    ) -> None:
        self.metrics, self.limits = Metrics(), limits
        self._decode, self._look, self._draw = decode, look, draw
        self._batcher = Batcher(self._counted, window=window, most=most)
        self._threads = futures.ThreadPoolExecutor(decoders, "decoding")
        self._free: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
        self._all = [Decoder(limits.patience, limits.memory) for _ in range(decoders)]
        for decoder in self._all:
            self._free.put(decoder)

    async def classify(self, path: Path) -> Any:
        """The Result of a file.

        Raises:
          MediaError: it cannot be used.
          DecoderError: no process can be started to decode it.
        """
        found = await self._batcher(await self._in_child(self._decode, path))
        if isinstance(found, MediaError):
            raise found
        return found

    async def page(self, path: Path, result: Any) -> str:
        """A page of HTML about a file; raises as `classify`."""
        return await self._in_child(self._draw, path, result)

    @contextlib.asynccontextmanager
    async def running(self) -> Any:
        """Answers while it is entered; then ends the decoding processes."""
        answering = asyncio.create_task(self._batcher.run())
        try:
            yield
        finally:
            answering.cancel()
            self._threads.shutdown(wait=False, cancel_futures=True)
            for decoder in self._all:
                decoder.close()

    def _counted(self, inputs: Sequence[Any]) -> Sequence[Any]:
        self.metrics.batched(len(inputs))
        return self._look(inputs)

    async def _in_child(self, function: Callable[..., Iterator[Any]], path: Path, *args: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._one, function, str(path), args)

    def _one(self, function: Callable[..., Iterator[Any]], path: str, args: tuple[Any, ...]) -> Any:
        decoder = self._free.get()
        try:
            (value,) = decoder.run(function, path, *args)
        finally:
            self._free.put(decoder)
        return value
