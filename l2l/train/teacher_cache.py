"""A teacher's answers to clips: asked once, kept as shards, read by every later epoch and every later student.

The teacher is nearly all the work of a distillation step. Asked once, it sees a fixed view of each clip, the centre of
all its frames, while the student's own view stays random. A folder of answers says in its index what they depend on:
the clips, the teacher's weights and the view. Answers to anything else are never read.
"""

import collections
import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from l2l.core import atomic, sharding
from l2l.core.terminal import Bar, say
from l2l.data import batching, features, schema, teacher_outputs
from l2l.data.dataset import SideBySide, Source
from l2l.evaluate import predict
from l2l.runs import run_folder
from l2l.runs.run_folder import Run


def cache_of(config: ConfigDict, source: Source, teacher: Run | None) -> "TeacherCache | None":
    """The cache that a config asks for, checked as far as it is there; None if it asks for none.

    Args:
      config: of the run.
      source: its clips as the teacher sees them.
      teacher: its finished teacher, which fits them.

    Raises:
      ValueError: config.cache_teacher is not a folder or a bool, or there is no teacher.
      ShardError: the folder holds answers of something else, or damaged ones.
    """
    asked = config.cache_teacher
    if not asked:
        return None
    if not isinstance(asked, bool | str) or teacher is None or config.task != "distill":
        raise ValueError(
            f"config.cache_teacher={asked!r} of task {config.task}: it is for distillation, and either True, which "
            "keeps the teacher's answers beside the shards, or the folder to keep them in"
        )
    beside = source.directory / f"teacher-{atomic.hash_of(facts_of(source, teacher))}"
    splits = dict.fromkeys(config.data[name] for name in ("train", "val", "test"))  # no validation split is ""
    folder = beside if isinstance(asked, bool) else Path(asked)
    cache = TeacherCache(folder, source, teacher, tuple(filter(None, splits)))
    cache.check()
    return cache


def facts_of(source: Source, teacher: Run) -> dict[str, Any]:
    """Everything that a teacher's answers depend on."""
    wanted = teacher.config["data"]
    return {
        "clips": source.index.hash,
        "teacher": teacher.hash,
        "model": teacher.config["model"] | {"dtype": teacher.config["dtype"]},
        "view": {"place": "centre", "frames": source.clips.frames, "side": source.clips.side}
        | {name: wanted[name] for name in ("crop", "mean", "std")},
    }


@dataclasses.dataclass(frozen=True)
class TeacherCache:
    """A folder of answers, as asked for; some or all of them need not be there yet.

    Attributes:
      directory: of the answers.
      source: the clips as the teacher sees them.
      teacher: whose answers they are.
      splits: whose clips are asked about.
    """

    directory: Path
    source: Source
    teacher: Run
    splits: tuple[str, ...]

    def check(self) -> None:
        """Raises ShardError if what is there are answers of something else, or damaged. Deleted shards are not."""
        index = self._index()
        for shard in itertools.chain(*(index.splits.get(split, ()) for split in self.splits)):
            path = self.directory / shard.file
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != shard.sha256:
                raise schema.ShardError(
                    f"{path} is damaged, it is not what {schema.INDEX} says: {teacher_outputs.CURE}"
                )

    def complete(self, mesh: jax.sharding.Mesh, *, batch: int) -> SideBySide:
        """The clips with an answer beside each; what the teacher was not asked before, it is asked now.

        Shards that are there are kept, also those of an earlier call that was killed. On several processes all take
        part in asking and the first one writes.

        Raises:
          ShardError: see `teacher_outputs.describe_shard`.
          RunError: another program is asking for them.
          OSError: the answers cannot be written.
          ValueError: an answer is not finite.
        """
        if self._todo():
            self._start()
            with run_folder.claimed(self.directory, "cache_teacher"):
                self._add(mesh, batch)
        multihost_utils.sync_global_devices("the teacher's answers are there")
        return self._taught()

    def _missing(self) -> dict[str, list[Path]]:
        """The shards of each split that are not there."""
        return {split: [path for path, _ in self._shards(split) if not path.is_file()] for split in self.splits}

    def _todo(self) -> list[str]:
        """The splits that are not whole."""
        known, missing = self._index().splits, self._missing()
        return [split for split in self.splits if missing[split] or split not in known]

    def _add(self, mesh: jax.sharding.Mesh, batch: int) -> None:
        """Asks for what is missing and enters it into the index."""
        known, missing, todo = self._index().splits, self._missing(), self._todo()
        if any(missing.values()):
            self._ask(missing, mesh, batch)
        if todo and jax.process_index() == 0:
            found = {
                s: tuple(teacher_outputs.describe_shard(path, shard) for path, shard in self._shards(s)) for s in todo
            }
            schema.save_index(self.directory, dataclasses.replace(self._index(), splits=known | found))

    def _index(self) -> schema.Index:
        """What is there; an index without splits if nothing is.

        Raises:
          ShardError: it is damaged, or of another teacher, of other clips or of another view.
        """
        facts = facts_of(self.source, self.teacher)
        if not (self.directory / schema.INDEX).is_file():
            return schema.Index("teacher", self.teacher.labels, {}, facts)
        index = schema.load_index(self.directory, kind="teacher")
        there, asked = (flax.traverse_util.flatten_dict(x, sep=".") for x in (index.policy, facts))
        names = sorted(name for name in there.keys() | asked.keys() if there.get(name) != asked.get(name))
        if names:
            lines = [f"\n  {name}: it has {there.get(name)!r}, asked for {asked.get(name)!r}" for name in names]
            raise schema.ShardError(
                f"{self.directory} holds a teacher's answers to something else:{''.join(lines)}\nDelete it to ask the "
                "teacher again; to keep both, name another folder or set --config.cache_teacher=True"
            )
        return index

    def _shards(self, split: str) -> list[tuple[Path, schema.Shard]]:
        """The path of each shard of answers and the shard of clips that it belongs to."""
        clips = self.source.index.splits[split]
        name = lambda number: schema.shard_name("teacher", split, number, len(clips))
        return [(self.directory / name(number), shard) for number, shard in enumerate(clips)]

    def _start(self) -> None:
        """Makes the folder and marks whose it is, before there is any answer in it; the first process does."""
        if jax.process_index() > 0:
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            schema.save_index(self.directory, self._index())
        except OSError as error:
            raise OSError(
                f"{self.directory} cannot be written ({error.strerror}): keep the teacher's answers elsewhere with "
                "--config.cache_teacher=FOLDER"
            ) from error

    def _ask(self, missing: dict[str, list[Path]], mesh: jax.sharding.Mesh, batch: int) -> None:
        """Writes the missing shards; batches are full even where shards are small."""
        task, variables, frozen = predict.predictor(self.teacher)
        variables = sharding.put(variables, sharding.replicated(mesh))
        program, first = predict.jit_predict(task, mesh), jax.process_index() == 0
        for split in (split for split in self.splits if missing[split]):
            rows = zip(self.source.shards(split), self._shards(split), strict=True)
            wanted = [(clips, path, shard.records) for (clips, _), (path, shard) in rows if path in missing[split]]
            total = sum(records for _, _, records in wanted)
            if first:
                say(f"{self.teacher.path}: asked about {total} clips of {split}; the answers go to {self.directory}")
            seen = self.source.eval_paths([clips for clips, _, _ in wanted], batch=batch)
            found = answers(predict.predict_batches(program, variables, frozen, seen, mesh))
            with Bar(f"teacher {split}", total=total, unit="clip", keep=True) as bar:
                stream = bar.over(found)
                for _, path, records in wanted:
                    write(path, itertools.islice(stream, records))

    def _taught(self) -> SideBySide:
        """The clips as a student needs them: of each its first frame, its sound, and the teacher's answer."""
        clips = dataclasses.asdict(self.source.clips) | {"frames": 1}
        widths = {"feature": predict.predictor(self.teacher)[0].model.feature, "logits": len(self.teacher.labels)}
        reader = teacher_outputs.TaughtReader(**clips, **widths)
        source = self.source
        return SideBySide(source.directory, source.index, reader, beside=self.directory, beside_index=self._index())


def answers(rows: Iterable[tuple[predict.Arrays, batching.Batch]]) -> Iterator[dict[str, Any]]:
    """(outputs, batch) of clips -> what `teacher_outputs.encode` takes, clip by clip."""
    for outputs, batch in rows:
        for i in range(len(outputs["logits"])):
            said = {name: outputs[name][i] for name in ("feature", "logits")}
            yield said | {name: batch[name][i] for name in ("video_id", "clip", "clips")}


def write(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Writes a shard on the first process; the others only take part in computing it."""
    if jax.process_index() == 0:
        features.write_shard(path, rows, teacher_outputs.encode)
    else:
        collections.deque(rows, maxlen=0)
