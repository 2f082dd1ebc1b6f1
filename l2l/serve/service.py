"""A model that answers many at once: it looks at videos in batches, and processes that may die of it decode them.

Nothing that a stranger sent is decoded in this process, but for the pictures in what comes back from the others.
"""

import asyncio
import contextlib
import dataclasses
import queue
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

from l2l.media.decoding import cut_film
from l2l.media.decoding.cut_film import CutFilm
from l2l.media.decoding.decoder import Decoder
from l2l.media.policy import ClipPolicy
from l2l.media.scan import MediaError
from l2l.serve.batching import Batcher
from l2l.serve.metrics import Metrics


@dataclasses.dataclass(frozen=True)
class Limits:
    """What may be asked for.

    Attributes:
      upload: bytes of an upload.
      patience: seconds that receiving an upload may take, decoding a video, and reading the answer.
      memory: bytes of addresses that a decoding process may take.
      waiting: requests, wholly received, that may be in progress; others are told to come again.
      longest: seconds that a video may last.
      connections: that may be open.
    """

    upload: int
    patience: float
    memory: int
    waiting: int
    longest: float
    connections: int


@dataclasses.dataclass(frozen=True)
class How:
    """What the model takes of a video: how clips are cut, the first so many frames of each, every stride-th of them."""

    policy: ClipPolicy
    frames: int
    stride: int


class Service:
    """A model with processes that decode for it.

    Args:
      how: what the model takes of a video.
      look: videos that were so cut -> for each a Result, or the MediaError that says why there is none.
      draw: (path, result, decoder) -> a page of HTML; the decoder reads the file for it.
      limits: see there.
      decoders: decoding processes.
      window, most: see `Batcher`.
    """

    def __init__(
        self,
        how: How,
        look: Callable[[Sequence[CutFilm]], Sequence[Any]],
        draw: Callable[[str, Any, Decoder], str],
        *,
        limits: Limits,
        decoders: int,
        window: float,
        most: int,
    ) -> None:
        self.metrics, self.limits = Metrics(), limits
        self._how, self._look, self._draw = how, look, draw
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
        found = await self._batcher(await self._with_decoder(self._cut, path))
        if isinstance(found, MediaError):
            raise found
        return found

    async def page(self, path: Path, result: Any) -> str:
        """A page of HTML about a file; raises as `classify`."""
        return await self._with_decoder(lambda decoder, path: self._draw(path, result, decoder), path)

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

    def _cut(self, decoder: Decoder, path: str) -> CutFilm:
        how = self._how
        return cut_film.cut(
            decoder, path, policy=how.policy, frames=how.frames, stride=how.stride, longest=self.limits.longest
        )

    async def _with_decoder(self, work: Callable[[Decoder, str], Any], path: Path) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._lend, work, str(path))

    def _lend(self, work: Callable[[Decoder, str], Any], path: str) -> Any:
        decoder = self._free.get()
        before = decoder.outgrown
        try:
            return work(decoder, path)
        finally:
            self.metrics.replaced(decoder.outgrown - before)
            self._free.put(decoder)
