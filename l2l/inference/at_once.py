"""All looks at once: what is cheap of every position is read, a glance chooses, and what it chose is read together.

A film is heard once, or the pictures of every few positions are seen, in one ascending pass; the frames at the best T
positions are decoded in one more and described in one batch. No look waits for another. With `stop_when_sure` they do:
pictures then are read one after another, in the order of the choice, until that is enough.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from l2l.data.batching import descriptions
from l2l.data.preprocess import silent
from l2l.inference import scoring
from l2l.inference.programs import Glance, Programs, Recogniser
from l2l.inference.result import Asked, Result
from l2l.inference.scoring import looks_of
from l2l.inference.sequential import recognised, sound_of, together
from l2l.inference.session import Clock, Open, Record, View, place, record_of, stack
from l2l.media.decoding.cut_film import CutFilm
from l2l.media.policy import AUDIO_RATE
from l2l.media.scan import MediaError

KEPT = 64  # clips that are kept of a video that is still coming, or four times T; between two prunings twice as many

Wanted = tuple[View, int, Record]  # a row of a video, and what is to be described of it
Judge = tuple[Open, Recogniser]  # a film in the clips of the model that judges what was chosen, and that model


def grouped(views: Iterable[View], most: int) -> Iterator[list[View]]:
    """Videos that were cut ahead share batches, so many of them; others come one by one, as their files are read."""
    for cut, own in itertools.groupby(views, lambda view: isinstance(view.video, CutFilm)):
        while chunk := list(itertools.islice(own, most if cut else 1)):
            yield chunk


def results(views: Sequence[View], how: Programs, asked: Asked) -> list[Result | MediaError]:
    """The answers to whole videos, which share batches."""
    for view in views:
        guarded(opened, view, how)
    good, glance = [view for view in views if not view.error], glance_in(how)
    if glance.listens != "image" and glance.widths["audio"]:
        hear(glance, (x for view in good if view.heard for x in seconds(view)))
        for view in good:
            if view.has_audio and not isinstance(view.film, CutFilm):
                guarded(hear_track, view, how)
    see(glance, (x for view in good for x in pictures(view, how, at_stride(view, glance, len(view.rows)))))
    ready = [view for view in good if not view.error]
    found = iter(answers(ready, how, asked))
    return [view.error if view.error and view not in ready else next(found) for view in views]


def glance_in(how: Programs) -> Glance:
    """What choosing all looks at once needs. Raises ValueError for programs that do not."""
    if how.glance is None:
        raise ValueError(f"{how.name} does not choose all its looks at once")
    return how.glance


def guarded(work: Callable[..., None], view: View, *more: Any) -> None:
    """Does with a video what an error ends, which stays in the view."""
    try:
        work(view, *more)
    except MediaError as error:
        view.error = error
    except ValueError as error:  # of a library, for content that it cannot make sense of
        view.error = MediaError("undecodable", view.path, str(error))


def opened(view: View, how: Programs) -> None:
    """Opens a video and places its positions, of which nothing is known yet."""
    with Clock() as clock:
        film = view.open(how.policy)
    view.spend("decode", clock)
    place(view, film, stride=1)
    view.rows = [{} for _ in film.clips]
    if isinstance(film, CutFilm):
        view.heard = not all(silent(clip.audio) for clip in film.content)


def seconds(view: View) -> Iterator[Wanted]:
    """The sound of all positions of a video that was cut ahead."""
    if isinstance(view.film, CutFilm):
        yield from ((view, row, {"audio": clip.audio}) for row, clip in enumerate(view.film.content))


def hear_track(view: View, how: Programs) -> None:
    """Describes every position of a file by its sound."""
    places = np.array([clip.second for clip in view.open(how.policy).clips])
    with Clock() as clock:
        heard = glance_in(how).hear(sound_of(view), places).astype(np.float16)
    view.spend("features", clock)
    for row, audio in zip(view.rows, heard, strict=True):
        row["audio"] = audio


def at_stride(view: View, glance: Glance, stop: int, start: int = 0) -> Iterable[int]:
    """Rows from `start` on, before `stop`, whose pictures help to choose."""
    if not glance.widths["image"] or (view.heard and glance.listens == "audio"):
        return []
    return range(-(-start // glance.stride) * glance.stride, stop, glance.stride)


def answers(views: Sequence[View], how: Programs, asked: Asked) -> list[Result | MediaError]:
    """Chooses by what is known of videos, reads what was chosen, and answers."""
    judge: Judge | None = None
    if how.recogniser and views:  # such a run takes one video after another
        (view,) = views
        try:
            judge = recognised(view, how.recogniser), how.recogniser
        except MediaError as error:
            return [error]
    outs = together(views, how)
    for view, out in zip(views, outs, strict=True):
        guarded(hear_chosen, view, how, chosen(out))
    if asked.stop_when_sure:
        outs = [until_sure(view, how, judge) for view in views]
    else:
        read(how, judge, [(view, chosen(out)) for view, out in zip(views, outs, strict=True) if not view.error])
        outs = together(views, how)
    ready = zip(views, outs, strict=True)
    return [view.error or scoring.read_at_once(how, view, out, asked) for view, out in ready]


def chosen(out: Record, steps: int | None = None) -> list[int]:
    """The rows of the first so many looks, or of all, in the order of the choice."""
    return out["picked"][:steps][out["counted"][:steps]].tolist()


def until_sure(view: View, how: Programs, judge: Judge | None) -> Record:
    """Reads what was chosen, one after another, until the run is sure; its answer."""
    seen: set[int] = set()
    while True:
        (out,) = together([view], how)
        steps = looks_of(how, out, stop_when_sure=True)
        row = next((row for row in chosen(out, steps) if row not in seen), None)
        if row is None or view.error:
            return out
        read(how, judge, [(view, [row])])
        seen.add(row)


def read(how: Programs, judge: Judge | None, wanted: Sequence[tuple[View, Sequence[int]]]) -> None:
    """Describes what is not yet known of some rows of each video, and is read there: all in one ascending pass."""
    glance = glance_in(how)
    if judge:
        clips = (x for view, rows in wanted for x in pictures(view, how, sorted(rows), judge))
        described(clips, judge[1].describe, glance.at_once, "image", "recognition")
        return
    lacking = lambda view, rows, name: sorted(row for row in rows if name not in view.rows[row])
    if glance.widths["image"]:
        see(glance, (x for view, rows in wanted for x in pictures(view, how, lacking(view, rows, "image"))))
    if glance.widths["audio"]:
        heard = [(view, row) for view, rows in wanted if view.heard for row in lacking(view, rows, "audio")]
        hear(
            glance,
            [(view, row, {"audio": sound}) for view, row in heard if (sound := second(view, row)) is not None],
        )


def pictures(view: View, how: Programs, rows: Iterable[int], judge: Judge | None = None) -> Iterator[Wanted]:
    """The clips of a video at some rows, ascending, as they are decoded; an error ends them and stays in the view."""
    rows = list(rows)
    if view.live:
        view.lost |= {row for row in rows if row not in view.kept}
        yield from ((view, row, {"frames": view.kept[row]["frames"]}) for row in rows if row in view.kept)
        return
    if not rows:
        return
    since = time.perf_counter()
    film, own = judge or (view.open(how.policy), how)
    try:
        clips = (film.content[row] for row in rows) if isinstance(film, CutFilm) else film.seen(rows, own.frames)
        for row, clip in zip(rows, clips, strict=True):
            record = record_of(clip, own, view.path)
            view.seconds["decode"] += time.perf_counter() - since
            yield view, row, record if judge else {"frames": record["frames"]}
            since = time.perf_counter()
    except MediaError as error:
        view.error = error
    except ValueError as error:  # of a library, for content that it cannot make sense of
        view.error = MediaError("undecodable", view.path, str(error))


def second(view: View, row: int) -> np.ndarray | None:
    """The sound of a row, as far as it is at hand."""
    if isinstance(view.film, CutFilm):
        return view.film.content[row].audio
    if row not in view.kept:
        view.lost.add(row)
    return view.kept.get(row, {}).get("audio")


def hear_chosen(view: View, how: Programs, rows: Sequence[int]) -> None:
    """Reads the sound at the rows of a file that was not heard, and whether there is anything on it."""
    if glance_in(how).listens != "image" or not view.has_audio or view.live or isinstance(view.film, CutFilm):
        return
    sound, last = sound_of(view), max(rows)
    with Clock() as clock:
        for row, clip in enumerate(view.open(how.policy).clips):
            if row in rows or not view.heard:
                wave = sound(max(clip.second, 0), clip.second + AUDIO_RATE)
                if row in rows:
                    view.kept[row] = {"audio": np.pad(wave, (AUDIO_RATE - len(wave), 0))}
            if view.heard and row >= last:
                break
    view.spend("features", clock)


def see(glance: Glance, wanted: Iterable[Wanted]) -> None:
    """Describes pictures."""
    described(wanted, glance.see, glance.at_once, "image")


def hear(glance: Glance, wanted: Iterable[Wanted]) -> None:
    """Describes seconds of sound."""
    described(wanted, glance.ear, glance.at_once, "audio")


def described(
    wanted: Iterable[Wanted], program: Callable[[Record], Record], sizes: Sequence[int], name: str, kept_as: str = ""
) -> None:
    """Describes as many rows at once as fit, whichever videos they are of; each keeps what belongs to it, float16."""
    rows = iter(wanted)
    while batch := list(itertools.islice(rows, sizes[-1])):
        room = next(size for size in sizes if size >= len(batch))
        with Clock() as clock:
            found = descriptions(program(stack([record for *_, record in batch], room)))[name].astype(np.float16)
        for (view, row, _), values in zip(batch, found, strict=False):
            view.rows[row] = view.rows[row] | {kept_as or name: values}
            view.spend("features", clock, among=len(batch))


def take(view: View, records: Sequence[Record], how: Programs) -> None:
    """The next positions of a video that is still coming.

    All are heard; their clips are kept while they may still be among the best T. A score is settled once the positions
    that it depends on have come, so that these are the T best of the settled ones, whatever comes, and those that are
    not settled. As long as nothing was heard the pictures at the stride are described, too: they may have to choose.
    """
    start, glance = len(view.rows), glance_in(how)
    view.heard = view.heard or not all(silent(record["audio"]) for record in records)
    for row, record in enumerate(records, start):
        view.rows.append({})
        view.kept[row] = record
    new = range(start, len(view.rows))
    if glance.listens != "image" and glance.widths["audio"]:
        hear(glance, [(view, row, {"audio": view.kept[row]["audio"]}) for row in new])
    see(glance, [(view, row, {"frames": view.kept[row]["frames"]}) for row in at_stride(view, glance, new.stop, start)])
    room = max(KEPT, 4 * glance.steps)
    if len(view.kept) > 2 * room:
        prune(view, how, room)


def prune(view: View, how: Programs, room: int) -> None:
    """Forgets clips of a video that is still coming but for the best settled ones, so many, and those not settled.

    More than T of them are kept, since equal scores may be rounded differently next time.
    """
    heard, view.heard = view.heard, True  # as long as nothing was heard, what may be picked by sound later is kept
    (out,) = together([view], how)
    view.heard, settled = heard, len(view.rows) - glance_in(how).context // 2
    may = np.flatnonzero(out["may"][: len(view.rows)])
    early = may[may < settled]
    best = early[np.argsort(-out["listener"][early], kind="stable")[:room]].tolist()
    wanted = {*best, *range(settled, len(view.rows))}
    view.kept = {row: record for row, record in view.kept.items() if row in wanted}
