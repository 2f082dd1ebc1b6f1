"""Looks one after another, each read when its turn comes: after listening first, or where another model judges.

A film that a skimmer chooses moments of by sound is heard once, and of its frames only those at these moments are
read: what is chosen at a look depends on the images of the looks before. Where another model recognises what is looked
at, its clips are read at these moments alone. Where a picture is looked at closer, that is one more thing to wait for.
With `stop_when_sure` no more is read than that needs.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from l2l.data.batching import descriptions, fit_positions
from l2l.data.preprocess import silent
from l2l.inference.programs import Programs, Recogniser
from l2l.inference.session import Clock, Open, Record, View, place, record_of, stack
from l2l.media.scan import MediaError

Glance = tuple[int, int | None]  # described position, and the region of its picture; None: all of it


def listen(view: View, how: Programs) -> bool:
    """Describes every position of a film by its second of sound; the image descriptors are zeros as yet.

    False, and the film is muted, where there is nothing to hear and the skimmer has a fallback for that.
    """
    film, sound = view.film, sound_of(view)
    if film.has_audio or not how.listen.fallback:
        place(view, film, stride=1)
        with Clock() as clock:
            heard = how.listen.hear(sound, np.array([clip.second for clip in film.clips])).astype(np.float16)
        view.spend("features", clock)
    if how.listen.fallback and not view.heard:
        view.film = film.muted()
        return False
    blank = np.zeros(how.listen.image, np.float16)
    view.rows, view.unseen = [{"image": blank, "audio": row} for row in heard], True
    return True


def sound_of(view: View) -> Callable[[int, int], np.ndarray]:
    """What reads the samples [begin, stop) of an opened film's sound while it is heard, and notes if any was."""

    def sound(begin: int, stop: int) -> np.ndarray:
        with Clock() as clock:
            wave = view.film.sound(begin, stop)
        view.spend("decode", clock)
        view.seconds["features"] -= clock.seconds  # it is read while it is heard
        view.heard = view.heard or not silent(wave)
        return wave

    return sound


def look(view: View, how: Programs, stop_when_sure: bool) -> Record:
    """Looks where the skimmer wants to until all that counts has been seen; one row of `Programs.skim`.

    What it picks depends on what earlier picks have shown alone, so once all is there the answer is that of everything.

    Args:
      view: of an opened video with its positions described, by their sound alone if it is `unseen`.
      how: the programs.
      stop_when_sure: see `Model`.

    Raises:
      MediaError: a frame is damaged, or the recogniser's clips lie elsewhere.
    """
    recut = recognised(view, how.recogniser) if how.recogniser else None
    seen: set[Glance] = set() if view.unseen or recut else {(row, None) for row in range(len(view.rows))}
    if how.closer:
        blank = {key: np.zeros(width, np.float16) for key, width in how.closer.widths.items()}
        view.rows = [blank | row for row in view.rows]
    while True:
        out = skimmed(view, how)
        wanted = next((x for x in glances(out, how, stop_when_sure) if x not in seen), None)
        if wanted is None:
            return out
        row, region = wanted
        new = see(view, how, recut, row) if region is None else see_closer(view, how, row, region)
        view.rows[row] = view.rows[row] | new
        seen.add(wanted)


def recognised(view: View, recogniser: Recogniser) -> Open:
    """A film in the clips of the model that judges its looks, whose descriptors are zeros as yet."""
    found = view.film.recut(recogniser.policy)
    if len(found.clips) != len(view.film.clips):
        counts = f"{len(found.clips)} clips where it is recognised, {len(view.film.clips)} where it is skimmed"
        raise MediaError("undecodable", view.path, f"it has {counts}")
    blank = np.zeros(recogniser.width, np.float16)
    view.rows = [row | {"recognition": blank} for row in view.rows]
    return found


def skimmed(view: View, how: Programs) -> Record:
    """The skimmer's answer as far as the film was seen."""
    (out,) = together([view], how)
    return out


def together(views: Sequence[View], how: Programs) -> list[Record]:
    """A row of `Programs.skim` for each video, as far as it was described; those of one length share a batch."""
    found: list[Record] = [{} for _ in views]
    groups: dict[int, list[tuple[int, Record]]] = {}
    for i, view in enumerate(views):
        length, banks = fit_positions(banks_of(view, how), how.lengths)
        groups.setdefault(length, []).append((i, banks))
    for group in groups.values():
        room = next(size for size in how.videos_at_once if size >= len(group))
        batch = stack([banks for _, banks in group], room)
        with Clock() as clock:
            out = how.skim(batch)
        for row, (i, _) in enumerate(group):
            views[i].spend("skimming", clock, among=len(group))
            found[i] = {key: x[row] for key, x in out.items()}
    return found


def banks_of(view: View, how: Programs) -> Record:
    """What is known of a video's positions, as `Programs.skim` takes it but for the padding.

    For a glance, what is not known is zeros.
    """
    heard = {"has_audio": np.asarray(view.heard)}
    if how.glance is None:
        return view.banks() | (heard if how.listen and how.listen.fallback else {})
    widths = {**how.glance.widths} | ({"recognition": how.recogniser.width} if how.recogniser else {})
    banks = {name: np.zeros((len(view.rows), width), np.float16) for name, width in widths.items()}
    for i, row in enumerate(view.rows):
        for name, values in row.items():
            banks[name][i] = values
    return banks | heard


def glances(out: Record, how: Programs, stop_when_sure: bool) -> Iterator[Glance]:
    """What counts, in the order in which it is looked at: both modalities' picks in turn, each then its region."""
    steps = len(out["counted"])
    if stop_when_sure:
        start = int(out["looks"] - out["counted"].sum())
        steps = int(how.sure.looks({key: out[key][None] for key in (how.sure.source, "looks")})[0]) - start
    picked = np.stack([x for key, x in out.items() if key.startswith("picked_")], axis=-1)  # (T, modalities)
    for step in np.flatnonzero(out["counted"][:steps]):
        for row in picked[step].tolist():
            yield row, None
            if how.closer:
                yield row, int(out["region"][step])


def see(view: View, how: Programs, recut: Open | None, row: int) -> Record:
    """What was not yet seen of a described position, float16 (d,) each.

    Its image descriptor, with "cells" if it may be looked at closer, for which the picture is kept; what recognises it.
    """
    position, room = int(np.flatnonzero(view.indexed)[row]), how.videos_at_once[0]
    new: dict[str, np.ndarray] = {}
    if view.unseen:
        record, found = glance(view, view.film, how, how.listen.see, position, room)
        new |= {key: found[key] for key in ("image", "cells") if key in found}
        if how.closer:
            view.pictures[row] = record["frames"][0]
    if recut:
        new["recognition"] = glance(view, recut, how.recogniser, how.recogniser.describe, position, room)[1]["image"]
    return new


def glance(
    view: View,
    film: Open,
    how: Programs | Recogniser,
    describe: Callable[[Record], Record],
    position: int,
    room: int,
) -> tuple[Record, Record]:
    """The clip at a position, cut as `how` says, and a model's descriptors of it, float16 (d,) each."""
    with Clock() as clock:
        (clip,) = film.seen([position], how.frames)
        record = record_of(clip, how, view.path)
    view.spend("decode", clock)
    with Clock() as clock:
        found = {key: rows[0] for key, rows in describe(stack([record], room)).items()}
    view.spend("features", clock)
    return record, {key: x.astype(np.float16) for key, x in descriptions(found).items()}


def see_closer(view: View, how: Programs, row: int, region: int) -> Record:
    """What a region of a picture shows, in its place among the "regions" of that picture."""
    top, left = how.closer.regions.corners[region]
    side = how.closer.regions.side
    square = {"squares": view.pictures[row][top : top + side, left : left + side]}
    with Clock() as clock:
        found = how.closer.look(stack([square], how.videos_at_once[0]))["image"][0]
    view.spend("features", clock)
    regions = view.rows[row]["regions"].copy()
    regions.reshape(-1, len(found))[region] = found
    return {"regions": regions}
