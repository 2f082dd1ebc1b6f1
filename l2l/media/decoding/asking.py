"""What decoding processes are asked about files, in the words of `media`: nothing of a file is decoded here."""

import abc
import contextlib
import dataclasses
import itertools
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from l2l.media.cut import Clip
from l2l.media.decoding.messages import Pace, Plan, Sound, Told
from l2l.media.policy import USUAL, ClipPolicy, Reading
from l2l.media.scan import MediaError
from l2l.media.tally import Tally
from l2l.media.video import Probe

T = TypeVar("T")
SAMPLES = 1 << 30  # of a whole sound, 18 hours: a process must not fill this one's memory
_NUMBERS = itertools.count(1)  # of open films


class Asking(abc.ABC):
    """Questions about files. All raise what `Decoder.run` raises."""

    @abc.abstractmethod
    def run(self, operation: str, path: str | os.PathLike, **arguments: Any) -> Generator[Any, None, None]:
        """See `Decoder.run`."""

    def probe(self, path: str | os.PathLike, reading: Reading = USUAL) -> Probe:
        """See `video.probe`."""
        answers = Answers(self, "probe", path, reading=dataclasses.asdict(reading))
        found = answers.take(Probe)
        answers.end()
        return found

    def clips(
        self,
        path: str | os.PathLike,
        policy: ClipPolicy,
        start: float | None = None,
        end: float | None = None,
        reading: Reading = USUAL,
    ) -> "Cutting":
        """See `video.read_clips`."""
        return Cutting(self, path, policy, start=start, end=end, reading=dataclasses.asdict(reading))

    def film(
        self,
        path: str | os.PathLike,
        policy: ClipPolicy,
        start: float | None = None,
        end: float | None = None,
        reading: Reading = USUAL,
    ) -> "FarFilm":
        """See `video.open_film`."""
        which = {"film": next(_NUMBERS), "start": start, "end": end, "reading": dataclasses.asdict(reading)}
        return FarFilm(self, path, policy, which, Tally(), "opened")

    def pictures(
        self,
        path: str | os.PathLike,
        times: Sequence[float],
        *,
        short_side: int,
        slack: float = 0.0,
        reading: Reading = USUAL,
    ) -> list[bytes]:
        """See `thumbnails.read_pictures`."""
        how = {"times": [float(at) for at in times], "short_side": short_side, "slack": slack}
        answers = Answers(self, "read_pictures", path, **how, reading=dataclasses.asdict(reading))
        found = [answers.take(bytes) for _ in times]
        answers.end()
        return found

    def audio(self, path: str | os.PathLike, reading: Reading = USUAL) -> tuple[np.ndarray, tuple[int, int]] | None:
        """See `video.read_audio`."""
        answers, found, room = Answers(self, "read_audio", path, reading=dataclasses.asdict(reading)), [], SAMPLES
        for sound in answers.rest(Sound):
            found.append(sound)
            room -= len(sound.wave)
            if room < 0:
                raise answers.nonsense()
        return (np.concatenate([sound.wave for sound in found]), found[0].covered) if found else None


class Answers:
    """What an operation yields, one after the other: what was asked for, or the file is at fault.

    Raises (all methods):
      MediaError: as `Decoder.run`; "crashed" where something else comes.
    """

    def __init__(self, asking: Asking, operation: str, path: str | os.PathLike, **arguments: Any) -> None:
        self.path, self.values = path, asking.run(operation, path, **arguments)

    def take(self, kind: type[T]) -> T:
        """The next one."""
        value = next(self.values, None)
        if type(value) is not kind:
            raise self.nonsense()
        return value

    def clip(self, index: int, frames: int) -> Clip:
        """The next one, the clip at this position."""
        clip = self.clip_or_end(index, frames)
        if clip is None:
            raise self.nonsense()
        return clip

    def clip_or_end(self, index: int, frames: int) -> Clip | None:
        """The same; None where there is none."""
        clip = next(self.values, None)
        if clip is None:
            return None
        if type(clip) is not Clip or clip.index != index or len(clip.jpegs) != frames:
            raise self.nonsense()
        return clip

    def rest(self, kind: type[T]) -> Iterator[T]:
        """All that come."""
        for value in self.values:
            if type(value) is not kind:
                raise self.nonsense()
            yield value

    def end(self) -> None:
        """There is no further one."""
        if next(self.values, None) is not None:
            raise self.nonsense()

    def nonsense(self) -> MediaError:
        """What to raise; a process that is not yet done with its answer is ended."""
        self.values.close()
        return MediaError("crashed", self.path, "the decoder said what it was not asked")


class Cutting:
    """The clips of a film as they are cut; to be iterated over once.

    Attributes:
      plan: where they lie; known once the first has come.
      has_audio, notes, tally: of the film, see `video.Film`; known once all clips have come.
    """

    def __init__(
        self, asking: Asking, path: str | os.PathLike, policy: ClipPolicy, *, stride: int = 1, **how: Any
    ) -> None:
        self._plan: Plan | None = None
        self.has_audio, self.tally = False, Tally()
        self.notes: tuple[str, ...] = ()
        self._frames, self._stride = how.get("frames") or policy.frames, stride
        self._answers = Answers(asking, "clips", path, policy=dataclasses.asdict(policy), stride=stride, **how)

    @property
    def plan(self) -> Plan:
        if self._plan is None:
            raise RuntimeError("the plan is known once the first clip has come")
        return self._plan

    def __iter__(self) -> Iterator[Clip]:
        answers = self._answers
        with contextlib.closing(answers.values):
            self._plan = plan = answers.take(Plan)
            for index in range(0, len(plan.starts), self._stride):
                yield answers.clip(index, self._frames)
            told = answers.take(Told)
            answers.end()
        self.has_audio, self.notes, self.tally.decoded = told.has_audio, told.notes, told.decoded


class FarFilm:
    """A file that a decoding process holds open, looked at here and there as a `video.Film` is.

    Attributes:
      path, policy, clips, stop: as of a Film.
      has_audio, tally, notes: the same, as far as it was read.
    """

    def __init__(
        self,
        asking: Asking,
        path: str | os.PathLike,
        policy: ClipPolicy,
        which: dict[str, Any],
        tally: Tally,
        operation: str = "plan",
    ) -> None:
        self.path, self.policy, self.tally, self._asking, self._which = path, policy, tally, asking, which
        answers = self._ask(operation)
        plan = answers.take(Plan)
        self._tell(answers)
        count = len(plan.starts)
        self.clips = [Clip(i, count, at, plan.duration) for i, at in enumerate(plan.starts.tolist())]
        self.stop = plan.stop

    def recut(self, policy: ClipPolicy) -> "FarFilm":
        """The same in other clips."""
        return FarFilm(self._asking, self.path, policy, self._which, self.tally)

    def muted(self) -> "FarFilm":
        """The same without its sound."""
        return self.recut(dataclasses.replace(self.policy, audio=False))

    def seen(self, positions: Iterable[int], frames: int) -> Iterator[Clip]:
        """The clips at these positions (ascending) with their first `frames` images."""
        yield from self._cut(positions, frames, sound=False)

    def cut(self, positions: Iterable[int], frames: int) -> Iterator[Clip]:
        """The same with their sound."""
        yield from self._cut(positions, frames, sound=True)

    def sound(self, begin: int, stop: int) -> np.ndarray:
        """The samples [begin, stop), int16; no later call may ask for any before `begin`."""
        answers, wave, have = self._ask("sound", begin=begin, stop=stop), np.zeros(stop - begin, np.int16), 0
        while have < len(wave):
            piece = answers.take(Sound).wave
            if not 0 < len(piece) <= len(wave) - have:
                raise answers.nonsense()
            wave[have : have + len(piece)] = piece
            have += len(piece)
        self._tell(answers)
        return wave

    def _cut(self, positions: Iterable[int], frames: int, *, sound: bool) -> Iterator[Clip]:
        places = [int(position) for position in positions]
        answers = self._ask("cut", positions=places, frames=frames, sound=sound)
        with contextlib.closing(answers.values):
            for place in places:
                yield answers.clip(place, frames)
            self._tell(answers)

    def _ask(self, operation: str, **more: Any) -> Answers:
        how = {"policy": dataclasses.asdict(self.policy)} | self._which | more
        return Answers(self._asking, operation, self.path, **how)

    def _tell(self, answers: Answers) -> None:
        told = answers.take(Told)
        answers.end()
        self.has_audio, self.notes, self.tally.decoded = told.has_audio, told.notes, told.decoded


class FarLive:
    """A video that is still coming, read by a decoding process as by a `live.LiveFilm`.

    Attributes:
      length, hop, count, has_audio, tally, notes: as of a LiveFilm, as far as it has come; `count` of all clips in the
        end.

    Args:
      stdin: whether it comes through the process's standard input; else the path is that of a file that grows.
      patience: seconds after which a file that does not grow has ended.
    """

    def __init__(
        self, asking: Asking, path: str | os.PathLike, policy: ClipPolicy, *, stdin: bool, patience: float
    ) -> None:
        self._asking, self._path = asking, path
        self._how = {"policy": dataclasses.asdict(policy), "stdin": stdin, "patience": patience}
        self.length, self.hop, self.count = 0.0, 0.0, 0
        self.has_audio, self.tally = False, Tally()
        self.notes: tuple[str, ...] = ()

    def clips(self, stride: int, frames: int) -> Iterator[Clip]:
        """Every stride-th clip with its first `frames` images and its sound, as soon as they are there."""
        answers = Answers(self._asking, "stream", self._path, **self._how, stride=stride, frames=frames)
        with contextlib.closing(answers.values):
            for index in itertools.count(step=stride):
                pace, told = answers.take(Pace), answers.take(Told)
                self.length, self.hop, self.count = pace.length, pace.hop, pace.count
                self.has_audio, self.notes, self.tally.decoded = told.has_audio, told.notes, told.decoded
                if not (clip := answers.clip_or_end(index, frames)):
                    return
                yield clip
