"""The same shards by Apache Beam: on Dataflow, Flink, Spark, or whatever runner is given.

    pip install ".[beam]"
    python -m data_prep.beam --videos=gs://BUCKET/list.csv --out=gs://BUCKET/shards -- --runner=DataflowRunner ...

Before `--` stand the flags of `data_prep.write_shards`, after it the pipeline options of Beam. The unit of work is the
same function of a shard, so its bytes are the same; the machines read the videos and write the shards by themselves and
must reach both. Shards that are there are not made again, and the machine that calls this writes the index at the end.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from l2l.core import atomic, command
from l2l.data import schema
from l2l.media.decoding.decoder import Decoder
from l2l.media.policy import ClipPolicy, Reading

from . import storage, write_shards
from .datasets.rows import PrepareError, Row
from .shards import finish, plan, prepare
from .shards.locks import ACCOUNTS
from .shards.plan import Plan
from .shards.shard import Job, write_shard

JOBS = "jobs.json"  # beside the accounts: a graph of all rows would be too large for some runners


class WriteShard(beam.DoFn):
    """Number of a shard -> its name, once it is written; `jobs` is the file with all that the plan says of it."""

    def __init__(self, jobs: str, time_limit: float) -> None:
        self.path, self.time_limit = jobs, time_limit

    def setup(self) -> None:
        self.jobs, self.decoder = load_jobs(self.path), Decoder(self.time_limit)

    def teardown(self) -> None:
        self.decoder.close()

    def process(self, number: int) -> Iterator[str]:
        yield write_shard(self.jobs[number], self.decoder).shard.file


def save_jobs(asked: Plan) -> str:
    """Writes what the machines need to know beside the shards; returns its path."""
    shards = [[job.file, [dataclasses.astuple(row) for row in job.rows]] for job in asked.jobs]
    one = asked.jobs[0]
    value: dict[str, Any] = {"labels": asked.labels, "policy": dataclasses.asdict(asked.policy), "plan": one.plan}
    value |= {"reading": dataclasses.asdict(one.reading), "most_bytes": one.most_bytes}
    with storage.staged(storage.join(asked.out, ACCOUNTS)) as folder:
        atomic.write_json(folder / JOBS, value | {"out": asked.out, "shards": shards})
    return storage.join(asked.out, ACCOUNTS, JOBS)


def load_jobs(path: str) -> list[Job]:
    """The jobs as `save_jobs` wrote them. Raises PrepareError if the file is damaged."""
    try:
        value = json.loads(storage.read(path) or b"")
        ids, policy = {name: i for i, name in enumerate(value["labels"])}, ClipPolicy(**value["policy"])
        last = value["plan"], Reading(**value["reading"]), value["most_bytes"]
        return [
            Job(value["out"], file, tuple(Row(*_tuples(cells)) for cells in rows), ids, policy, *last)
            for file, rows in value["shards"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PrepareError(f"{path} is damaged; run the same command again") from error


def _tuples(cell: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(map(_tuples, cell)) if isinstance(cell, list) else cell


def write(asked: Plan, numbers: Sequence[int], time_limit: float, options: PipelineOptions) -> None:
    """Writes these of the plan's shards by a pipeline, and waits for its end."""
    if not numbers:
        return
    storage.remove(storage.join(asked.out, schema.INDEX))
    work = WriteShard(save_jobs(asked), time_limit)
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create(numbers) | beam.Reshuffle() | beam.ParDo(work)


def run(asked: Plan, time_limit: float, retry_failed: bool, options: PipelineOptions) -> schema.Index:
    """As `prepare.write_dataset`, by a pipeline."""
    with plan.claimed(asked, 0, len(asked.jobs)):
        todo = {job.file for job in prepare.missing(asked.jobs, retry_failed)}
        numbers = [number for number, job in enumerate(asked.jobs) if job.file in todo]
        print(f"{len(numbers)} of {len(asked.jobs)} shards are to be written")
        write(asked, numbers, time_limit, options)
        return finish.finish(asked)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    cut = argv.index("--") if "--" in argv else len(argv)
    args, options = write_shards.parse(argv[:cut]), argv[cut + 1 :]
    return command.status(lambda: prepare_told(args, options), interrupted=write_shards.unfinished(args))


def prepare_told(args: argparse.Namespace, options: Sequence[str]) -> None:
    """Writes the shards with Beam, and says what is in them."""
    if args.dry_run or args.shard_range or args.finalize:
        raise PrepareError("--dry_run, --shard_range and --finalize are for data_prep.write_shards")
    if not any(option.startswith("--runner") for option in options):
        raise PrepareError("name Beam's runner after the flags, such as: -- --runner=DataflowRunner")
    finish.report(run(write_shards.asked_for(args), args.time_limit, args.retry_failed, PipelineOptions(options)))


if __name__ == "__main__":
    command.run(main)
