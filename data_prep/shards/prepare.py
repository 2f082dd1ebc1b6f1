"""Writes shards on all cores: a thread for each decoding process hands it videos and writes what comes back."""

import os
import queue
import sys
import threading
from collections.abc import Sequence
from concurrent import futures

from tqdm import tqdm

from l2l.core.command import held_interrupts
from l2l.data import schema
from l2l.media.decoding.decoder import TIME_LIMIT, Decoder
from l2l.media.policy import USUAL, ClipPolicy, Reading

from .. import storage
from ..datasets.rows import Row
from . import finish, plan, pool
from .shard import MOST_BYTES, Job, write_shard


def write_dataset(
    rows: Sequence[Row],
    labels: Sequence[str],
    out: str | os.PathLike,
    policy: ClipPolicy,
    *,
    shards: int | None = None,
    workers: int = 1,
    made_by: str = "",
    time_limit: float = TIME_LIMIT,
    retry_failed: bool = False,
    reading: Reading = USUAL,
    most_bytes: float = MOST_BYTES,
) -> schema.Index:
    """Writes every row's clips into shards under `out`; the bytes do not depend on the number of workers.

    Args:
      rows: the videos of all splits.
      labels: class names; a label id is a position in this list.
      out: directory of the shards; what is whole there is kept.
      policy: how clips are cut.
      shards: number of shards of each split, at most its number of videos; None for what `plan.shards_of` says.
      workers: processes that decode.
      made_by: what to write into the index as the command that made the directory.
      time_limit: seconds that decoding one video may take.
      retry_failed: whether to try the videos again that were set aside by an earlier call.
      reading: which parts of every file are read.
      most_bytes: of one video that may be stored.

    Returns:
      The index, which is also in `out/index.json`.

    Raises:
      PrepareError: a mistake in the arguments, another dataset in `out`, no usable video, or an output that cannot be
        written.
    """
    asked = plan.make(rows, labels, out, policy, shards, reading=reading, most_bytes=most_bytes)
    with plan.claimed(asked, 0, len(asked.jobs)):
        write(missing(asked.jobs, retry_failed), workers, time_limit)
        index = finish.finish(asked, made_by)
    finish.report(index)
    return index


def missing(jobs: Sequence[Job], retry_failed: bool) -> list[Job]:
    """The shards that are not there yet, and those with videos to try again."""
    pairs = zip(jobs, finish.read_accounts(jobs), strict=True)
    return [job for job, account in pairs if account is None or (retry_failed and account.failed)]


def write(jobs: Sequence[Job], workers: int, time_limit: float) -> None:
    """Writes shards in parallel, with a progress bar; meanwhile the directory counts as unfinished.

    Raises:
      PrepareError: the output cannot be written.
    """
    if not jobs:
        return
    storage.remove(storage.join(jobs[0].out, schema.INDEX))
    storage.tensorflow()  # before the threads need it, which could not import it side by side
    videos = sum(len(job.rows) for job in jobs)
    with tqdm(total=videos, unit=" videos", mininterval=0.2 if sys.stderr.isatty() else 10) as bar:
        _write_all(jobs, min(workers, len(jobs)), time_limit, bar)


def _write_all(jobs: Sequence[Job], workers: int, time_limit: float, bar: tqdm) -> None:
    decoders, lock = [Decoder(time_limit) for _ in range(workers)], threading.Lock()
    free: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
    for decoder in decoders:
        free.put(decoder)

    def done() -> None:
        with lock:
            bar.update()

    def work(job: Job) -> None:
        decoder = free.get()
        try:
            write_shard(job, decoder, done)
        finally:
            free.put(decoder)

    executor = futures.ThreadPoolExecutor(workers)
    with held_interrupts() as interrupted:
        try:
            pool.wait([executor.submit(work, job) for job in jobs], interrupted, lambda: None)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            for decoder in decoders:
                decoder.close()
            executor.shutdown()
