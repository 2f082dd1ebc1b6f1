"""A finished run looks at videos: cut, rounded and padded as preparation, extraction and evaluation do it."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from l2l.core import compile_cache
from l2l.inference import at_once, from_export, programs, scoring, sequential, stream
from l2l.inference.result import Asked, Result
from l2l.inference.session import Clock, View, records_of, stack
from l2l.inference.stream import Source
from l2l.media import policy
from l2l.media.arrays import Arrays
from l2l.media.decoding.cut_film import CutFilm
from l2l.media.decoding.decoder import Decoders
from l2l.media.scan import MediaError

Video = str | os.PathLike | Arrays | CutFilm
LONG = 500  # positions, about five minutes at the defaults
STRIDE = 10**6  # at most; no film has so many positions


def load(run: str | os.PathLike, **how: Any) -> "Model":
    """A finished run, ready to look at videos.

    Args:
      run: folder of a finished teacher, distill, finetune or skim run, imported ones among them; or a file that
        `python -m l2l.export` made of one.
      how: see `Model`.

    Raises:
      RunError, ArtefactError, ValueError: it cannot be used; the message names the cure.
    """
    compile_cache.use()
    decoders = Decoders()
    decoders.begin()  # the process starts while the run is read and compiled
    if Path(run).is_file():
        return Model(from_export.load(run), decoders=decoders, **how)
    from l2l.inference import from_run  # they need flax, which an exported model does without
    from l2l.runs import run_folder  # they need flax, which an exported model does without

    return Model(from_run.of_run(run_folder.load_run(run)), decoders=decoders, **how)


class Model:
    """Classifies whole videos. Any number of threads may use one.

    A clip model sees all clips of a video, however few of each were stored to learn from, and its scores are averaged.
    A skimmer's student describes the clips, and the skimmer decides with hard selection which ones count. One that
    chooses all its looks at once is described what is cheap, and then what it has chosen.

    Files that have a name are decoded in processes of their own, one for each that is read at the same time: one of
    which such a process dies is an error of that file, and the next is read by another process. Videos in memory and
    file objects are read in this process.

    Attributes:
      labels: class names.
      decoders: those processes.
      reading: which parts of files are read.

    Args:
      parts: of a run.
      stride: of a skimmer: describe every stride-th position only; it picks among those. None: as it was trained.
      stop_when_sure: of a skimmer: early exit, by the rule that `python -m l2l.sure` fitted.
      audio_track: number of the sound track of a file that is read, from 1; None chooses.
      trust_length: False takes a file that ends before the length that it says.
      decoders: that read files; None for new ones.

    Raises:
      ValueError: what is asked for does not fit the run.
    """

    def __init__(
        self,
        parts: programs.Programs,
        *,
        stride: int | None = None,
        stop_when_sure: bool = False,
        audio_track: int | None = None,
        trust_length: bool = True,
        decoders: Decoders | None = None,
    ) -> None:
        self.programs, self.stop_when_sure = parts, stop_when_sure
        self.decoders, self.reading = decoders or Decoders(), policy.Reading(audio_track, trust_length)
        self.stride = parts.stride if stride is None else stride
        if parts.glance and stride not in (None, 1):
            raise ValueError(
                f"stride={stride}: this run chooses all its looks at once, at no other stride: leave it out"
            )
        if not 1 <= self.stride <= (STRIDE if parts.skim else 1):
            raise ValueError(f"stride={stride}: it must be from 1 to {STRIDE:,}, and 1 for a run that is not a skimmer")
        if stop_when_sure and not parts.sure:
            raise ValueError(
                "nothing says when this run is sure: measure it with python -m l2l.sure RUN --data=FEATURES"
            )
        self.labels = parts.labels
        self.asked = Asked(parts.name, parts.hash, len(parts.labels), self.stride, stop_when_sure)
        self._compile()

    def _compile(self) -> None:
        """Compiles what every video needs."""
        parts = self.programs
        frames = np.zeros((parts.frames, parts.side, parts.side, 3), np.uint8)
        if parts.glance is None:
            self._describe([{"frames": frames, "audio": np.zeros(policy.AUDIO_RATE, np.int16)}])
        elif parts.glance.widths["image"] and not parts.recogniser:
            parts.glance.see(stack([{"frames": frames}], parts.glance.at_once[-1]))

    @overload
    def classify(self, videos: Video) -> Result: ...  # type: ignore[overload-overlap]  # a text is one video
    @overload
    def classify(self, videos: Iterable[Video]) -> list[Result | MediaError]: ...
    def classify(self, videos: Video | Iterable[Video]) -> Result | list[Result | MediaError]:
        """What is in one video, or in several.

        Args:
          videos: a file, one that was cut ahead, or a video in memory; or several, whose clips then share batches.

        Returns:
          A Result for one video. A list for several, in their order; in place of a video that cannot be used stands
          the MediaError that says why, and the others are not disturbed.

        Raises:
          MediaError: the one video cannot be used.
          DecoderError: no process can be started to decode it.
        """
        if not isinstance(videos, Video):
            return list(self.each(videos))
        (found,) = self.each([videos])
        if isinstance(found, MediaError):
            raise found
        return found

    def each(self, videos: Iterable[Video]) -> Iterator[Result | MediaError]:
        """`classify` of several videos, each as soon as it is known, in their order."""
        if self.programs.glance:
            for views in at_once.grouped(map(self._view, videos), max(self.programs.videos_at_once)):
                yield from at_once.results(views, self.programs, self.asked)
            return
        if self.programs.listen or self.programs.recogniser:
            yield from map(self._looked, videos)
            return
        most = max(self.programs.videos_at_once) if self.programs.skim else 1
        for views in chunks(self._views(map(self._view, videos), self.stride), most):
            yield from self._answers(views)

    def stream(self, source: Source, *, every: float = 1.0, patience: float = 5.0) -> Iterator[Result]:
        """Classifies a video while it is still coming.

        Args:
          source: "-" for the standard input, a file that something still writes to, a binary file object, or an
            iterable of `Arrays`, stretches of one video that follow each other (with `fps`, or with times that go on).
            The first two are decoded by another process, the others in this one.
          every: an answer comes after new positions, but no sooner than so many seconds after the one before it.
          patience: a file that has not grown for so many seconds has ended.

        Yields:
          The answer to what has come so far; at the end the one to the whole, the same as `classify` gives, as long
          as the source says the same rate of frames from front to back as it does as a file.

        Raises:
          MediaError: it cannot be used, from front to back at least: an MP4 file needs its index first.
          ValueError: a second model recognises what is picked: its clips are gone by then. Or `audio_track` or
            `trust_length` was given.
        """
        if self.reading != policy.USUAL:
            raise ValueError("audio_track and trust_length are for whole files, not for what is still coming")
        if self.programs.recogniser:
            raise ValueError("another model judges the looks of this run, which needs a whole file")
        return stream.results(self, source, every, patience)

    def _looked(self, video: Video) -> Result | MediaError:
        """One video, of which it is known only look by look what has to be read.

        One without sound that was to be listened to first is described as the fallback has it.
        """
        view, how = self._view(video), self.programs
        try:
            with Clock() as clock:
                film = view.open(how.policy)
            view.spend("decode", clock)
            if isinstance(film, CutFilm):  # its frames are there
                return self._skimmed(list(self._views([view], self.stride)))[0]
            if not (how.listen and sequential.listen(view, how)):
                (view,) = self._views([view], how.listen.fallback if how.listen else self.stride)
                if view.error or not how.recogniser:
                    return self._skimmed([view])[0]
            out = sequential.look(view, how, self.stop_when_sure)
        except MediaError as error:
            return error
        return scoring.skimmed(how, view, out, self.asked)

    def features(self, video: Video) -> dict[str, np.ndarray]:
        """What the clip model makes of the positions that are described.

        Returns:
          "image" and "audio" float16 (n, d), of width 0 where the model has no such descriptor; "times" float32 (n,),
          their centres in seconds.

        Raises:
          MediaError: the video cannot be used.
        """
        (view,) = self._views([self._view(video)], self.stride)
        if view.error:
            raise view.error
        return view.banks() | {"times": view.times[view.indexed]}

    def _view(self, video: Video) -> View:
        return View(video, self.decoders, self.reading)

    def _views(self, views: Iterable[View], stride: int) -> Iterator[View]:
        """Every video with its positions described, or an error, in their order; a batch holds clips of several."""
        waiting: deque[View] = deque()
        rows: list[tuple[View, dict[str, Any]]] = []
        for view in views:
            waiting.append(view)
            for record in records_of(view, self.programs, stride):
                rows.append((view, record))
                if len(rows) == self.programs.clips_at_once:
                    self._fill(rows)
            while waiting and waiting[0].whole:
                yield waiting.popleft()
        self._fill(rows)
        yield from waiting

    def _fill(self, rows: list[tuple[View, dict[str, Any]]]) -> None:
        """Describes clips, gives every video what belongs to it, and empties the list."""
        if not rows:
            return
        with Clock() as clock:
            outputs = self._describe([record for _, record in rows])
        for i, (view, record) in enumerate(rows):
            if self.programs.closer:
                view.pictures[len(view.rows)] = record["frames"][0]
            view.spend("features", clock, among=len(rows))
            view.take(record, {key: value[i] for key, value in outputs.items()})
        rows.clear()

    def describe(self, view: View, records: list[dict[str, Any]]) -> None:
        """Describes the next clips of a video that is still coming, no more than `programs.clips_at_once`."""
        if self.programs.glance:
            at_once.take(view, records, self.programs)
            return
        self._fill([(view, record) for record in records])

    def answer(self, view: View) -> Result | MediaError:
        """What is known of one video from what is described of it."""
        if self.programs.glance:
            return at_once.answers([view], self.programs, self.asked)[0]
        return self._answers([view])[0]

    def _describe(self, records: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
        return self.programs.describe(stack(records, self.programs.clips_at_once))

    def _answers(self, views: list[View]) -> list[Result | MediaError]:
        if self.programs.skim:
            return self._skimmed(views)
        return [view.error or scoring.averaged(self.programs, view, self.asked) for view in views]

    def _skimmed(self, views: list[View]) -> list[Result | MediaError]:
        """The skimmer's hard selection over videos that are described; those of one length share a batch.

        If it looks closer, one after another.
        """
        if self.programs.closer:
            return [view.error or self._closer(view) for view in views]
        good = [view for view in views if not view.error]
        outs = iter(sequential.together(good, self.programs))
        return [view.error or scoring.skimmed(self.programs, view, next(outs), self.asked) for view in views]

    def _closer(self, view: View) -> Result | MediaError:
        """A described video, whose pictures are then seen once more where the skimmer wants to."""
        out = sequential.look(view, self.programs, self.stop_when_sure)
        return scoring.skimmed(self.programs, view, out, self.asked)


def chunks(views: Iterable[View], most: int) -> Iterator[list[View]]:
    """Parts videos into lists of so many, or of so many positions that nobody should wait for further ones."""
    own: list[View] = []
    for view in views:
        own.append(view)
        if len(own) == most or sum(len(x.rows) for x in own) >= LONG:
            yield own
            own = []
    if own:
        yield own
