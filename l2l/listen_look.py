"""Listen first: of a film that a skimmer chooses moments of by sound, the frames at those moments are read, no others.

The sound track is heard once. What is chosen at a look depends on the images of the looks before, so the frames are
read one after another, each when its turn comes; with `stop_when_sure` no more than that needs.
"""

import time

import numpy as np

from l2l.answer import Clock
from l2l.data.batches import fit_positions
from l2l.data.media import Film
from l2l.programs import Programs
from l2l.view import Record, View, place, record_of, stack


def listen(view: View, film: Film, how: Programs) -> None:
    """Describes every position of a film by its second of sound; the image descriptors are zeros as yet."""
    place(view, film, stride=1)
    since = time.perf_counter()
    track, _ = film.track.window(0, film.track.limit)
    view.seconds["decode"] += time.perf_counter() - since
    with Clock() as clock:
        heard = how.listen.hear(track, np.array([clip.second for clip in film.clips])).astype(np.float16)
    view.seconds["features"] += clock.seconds
    blank = np.zeros(how.listen.image, np.float16)
    view.rows = [{"image": blank, "audio": row} for row in heard]


def look(view: View, film: Film, how: Programs, stop_when_sure: bool) -> Record:
    """Looks where the skimmer wants to until all that counts has been seen; one row of `Programs.skim`.

    A pick depends on the images of earlier picks alone, so once all are there the answer is that of all images.

    Raises:
      MediaError: a frame is damaged.
    """
    seen: set[int] = set()
    while True:
        out = skimmed(view, how)
        wanted = next((i for i in picks(out, how, stop_when_sure) if i not in seen), None)
        if wanted is None:
            return out
        view.rows[wanted] = view.rows[wanted] | {"image": see(view, film, how, wanted)}
        seen.add(wanted)


def skimmed(view: View, how: Programs) -> Record:
    """The skimmer's answer as far as the film was seen."""
    _, banks = fit_positions(view.banks(), how.lengths)
    banks |= {"has_audio": np.bool_(True)} if how.listen.fallback else {}
    with Clock() as clock:
        out = how.skim(stack([banks], how.videos_at_once[0]))
    view.seconds["skimming"] += clock.seconds
    return {key: value[0] for key, value in out.items()}


def picks(out: Record, how: Programs, stop_when_sure: bool) -> list[int]:
    """The positions that count, in the order in which they are looked at."""
    steps = len(out["counted"])
    if stop_when_sure:
        start = int(out["looks"] - out["counted"].sum())
        steps = int(how.sure.looks({key: out[key][None] for key in (how.sure.source, "looks")})[0]) - start
    return out["picked_audio"][:steps][out["counted"][:steps]].tolist()


def see(view: View, film: Film, how: Programs, position: int) -> np.ndarray:
    """The image descriptor of a position, float16 (d,)."""
    since = time.perf_counter()
    (clip,) = film.seen([position], how.frames)
    record = record_of(clip, how)
    decoded = time.perf_counter()
    found = how.describe(stack([record], how.videos_at_once[0]))["image"][0].astype(np.float16)
    view.seconds["decode"] += decoded - since
    view.seconds["features"] += time.perf_counter() - decoded
    return found
