"""Looks one after another, each read when its turn comes: after listening first, or where another model judges.

A film that a skimmer chooses moments of by sound is heard once, and of its frames only those at these moments are
read: what is chosen at a look depends on the images of the looks before. Where another model recognises what is looked
at, its clips are read at these moments alone. With `stop_when_sure` no more than that needs.
"""

import time

import numpy as np

from l2l.answer import Clock
from l2l.data.audio import silent
from l2l.data.batches import fit_positions
from l2l.data.media import Film
from l2l.data.scan import MediaError
from l2l.programs import Programs, Recogniser, descriptions
from l2l.view import Record, View, place, record_of, stack


def listen(view: View, how: Programs) -> bool:
    """Describes every position of a film by its second of sound; the image descriptors are zeros as yet.

    False, and the film is muted, where there is nothing to hear and the skimmer has a fallback for that.
    """
    film, since = view.film, time.perf_counter()
    track, _ = film.track.window(0, film.track.limit)
    view.seconds["decode"] += time.perf_counter() - since
    if how.listen.fallback and (silent(track) or not film.has_audio):
        view.film = film.muted()
        return False
    place(view, film, stride=1)
    with Clock() as clock:
        heard = how.listen.hear(track, np.array([clip.second for clip in film.clips])).astype(np.float16)
    view.seconds["features"] += clock.seconds
    blank = np.zeros(how.listen.image, np.float16)
    view.rows, view.unseen = [{"image": blank, "audio": row} for row in heard], True
    return True


def look(view: View, how: Programs, stop_when_sure: bool) -> Record:
    """Looks where the skimmer wants to until all that counts has been seen; one row of `Programs.skim`.

    A pick depends on the images of earlier picks alone, so once all are there the answer is that of all images.

    Raises:
      MediaError: a frame is damaged, or the recogniser's clips lie elsewhere.
    """
    recut = recognised(view, how.recogniser) if how.recogniser else None
    seen: set[int] = set()
    while True:
        out = skimmed(view, how)
        wanted = next((i for i in picks(out, how, stop_when_sure) if i not in seen), None)
        if wanted is None:
            return out
        view.rows[wanted] = view.rows[wanted] | see(view, how, recut, wanted)
        seen.add(wanted)


def recognised(view: View, recogniser: Recogniser) -> Film:
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
    _, banks = fit_positions(view.banks(), how.lengths)
    banks |= {"has_audio": np.bool_(view.has_audio)} if how.listen and how.listen.fallback else {}
    with Clock() as clock:
        out = how.skim(stack([banks], how.videos_at_once[0]))
    view.seconds["skimming"] += clock.seconds
    return {key: value[0] for key, value in out.items()}


def picks(out: Record, how: Programs, stop_when_sure: bool) -> list[int]:
    """The positions that count, in the order in which they are looked at; both modalities' in turn."""
    steps = len(out["counted"])
    if stop_when_sure:
        start = int(out["looks"] - out["counted"].sum())
        steps = int(how.sure.looks({key: out[key][None] for key in (how.sure.source, "looks")})[0]) - start
    picked = np.stack([x for key, x in out.items() if key.startswith("picked_")], axis=-1)  # (T, modalities)
    return picked[:steps][out["counted"][:steps]].ravel().tolist()


def see(view: View, how: Programs, recut: Film | None, row: int) -> Record:
    """What was not yet seen of a described position: its image descriptor, what recognises it; float16 (d,) each."""
    position, room = int(np.flatnonzero(view.indexed)[row]), how.videos_at_once[0]
    found = {}
    if view.unseen:
        found["image"] = glance(view, view.film, how, position, room)
    if recut:
        found["recognition"] = glance(view, recut, how.recogniser, position, room)
    return found


def glance(view: View, film: Film, how: Programs | Recogniser, position: int, room: int) -> np.ndarray:
    """A model's image descriptor of the clip at a position, float16 (d,)."""
    since = time.perf_counter()
    (clip,) = film.seen([position], how.frames)
    record = record_of(clip, how)
    decoded = time.perf_counter()
    found = {key: rows[0] for key, rows in how.describe(stack([record], room)).items()}
    view.seconds["decode"] += decoded - since
    view.seconds["features"] += time.perf_counter() - decoded
    return descriptions(found)["image"].astype(np.float16)
