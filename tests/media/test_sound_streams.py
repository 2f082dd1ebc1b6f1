"""Which of several sound tracks is read: by the values of its clicks, which no other track has."""

import struct

import numpy as np
import pytest
from av.stream import Disposition

from l2l.media import video
from l2l.media.container import MediaError, open_container, opened
from l2l.media.live import LiveFilm, from_container
from l2l.media.policy import ClipPolicy, Reading
from l2l.media.sound import sound_streams
from tests.helpers.sounds import SECONDS, Sounding, clicks_of, write_film
from tests.helpers.videos import clicks_in

PLAIN, DEFAULT = Disposition(0), Disposition.default
AAC = {"codec": "aac", "rate": 48_000, "form": "fltp"}


def at(i: int) -> list[float]:
    """Seconds of the clicks of track i, from 1."""
    return [0.3 * i, 0.3 * i + 0.2]


def track(i: int, channels: int = 1, **how) -> Sounding:
    how = {"disposition": PLAIN, "layout": "mono" if channels == 1 else f"{channels} channels"} | how
    if how["layout"] == "2 channels":
        how["layout"] = "stereo"
    if how["layout"] == "6 channels":
        how["layout"] = "5.1"
    rate, seconds = how.get("rate", 16_000), how.pop("seconds", SECONDS)
    return Sounding(clicks_of([how.pop("loud", 1.0)] * channels, seconds, at(i), rate), **how)


def heard(path, reading=None) -> tuple[list[float], list[str]]:
    """Seconds of clicks; what has to be known."""
    film = video.open_film(path, ClipPolicy(), reading=reading or Reading())
    wave, _ = film.track.window(0, film.track.limit)
    return list(clicks_in(wave)), list(film.notes)


silent = {"loud": 0.0}

CHOICES = {
    "the default one": ("a.mkv", [track(1, 2), track(2, disposition=DEFAULT)], 2, "track 2 of 2: the default one"),
    "the default one, MP4": (
        "a.mp4",
        [track(1, **AAC), track(2, disposition=DEFAULT, **AAC)],
        2,
        "track 2 of 2: the default one",
    ),
    "all are default": (
        "a.mkv",
        [track(1, disposition=DEFAULT), track(2, 2, disposition=DEFAULT)],
        2,
        "track 2 of 2: the one with most channels",
    ),
    "most channels": ("a.mkv", [track(1, 2), track(2, 6), track(3)], 2, "track 2 of 3: the one with most channels"),
    "the longest": (
        "a.mov",
        [track(1, 2, seconds=0.9, disposition=DEFAULT), track(2, 2, disposition=DEFAULT)],
        2,
        "track 2 of 2: the longest",
    ),
    "the longest, Matroska": (
        "a.mkv",
        [track(1, 2, seconds=0.9), track(2, 2)],
        2,
        "track 2 of 2: the longest",
    ),
    "the first": ("a.mkv", [track(1, 2), track(2, 2)], 1, "track 1 of 2: the first"),
    "the first, AVI": ("a.avi", [track(1, 2), track(2, 2)], 1, "track 1 of 2: the first"),
    "a commentary": (
        "a.mkv",
        [track(1, 2, disposition=DEFAULT | Disposition.comment), track(2)],
        2,
        "track 2 of 2: the others are beside the film",
    ),
    "for the blind": (
        "a.mkv",
        [track(1), track(2, 6, disposition=Disposition.visual_impaired)],
        1,
        "track 1 of 2: the others are beside the film",
    ),
    "dubbed": (
        "a.mkv",
        [track(1, 2, disposition=Disposition.dub), track(2)],
        2,
        "track 2 of 2: the others are beside the film",
    ),
    "the default one is silent": (
        "a.mkv",
        [track(1, 2, disposition=DEFAULT, **silent), track(2)],
        2,
        "track 2 of 2: track 1 is silent in its first minute",
    ),
    "AAC that is silent": (
        "a.mp4",
        [track(1, 2, disposition=DEFAULT, **AAC, **silent), track(2, **AAC), track(3, **AAC)],
        2,
        "track 2 of 3: track 1 is silent in its first minute; the first",
    ),
    "all are silent": (
        "a.mkv",
        [track(1, **silent), track(2, 2, **silent)],
        None,
        "track 2 of 2: track 1 is silent in its first minute; track 2 is silent in its first minute",
    ),
}


@pytest.mark.parametrize("made", CHOICES.values(), ids=CHOICES)
def test_choice(tmp_path, made):
    name, tracks, number, note = made
    clicks, notes = heard(write_film(tmp_path / name, *tracks))
    assert clicks == pytest.approx(at(number) if number else [], abs=0.03)
    assert notes == [f"sound {note}"]


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_a_track_by_its_number(tmp_path, name):
    how = {"codec": "mp2", "rate": 48_000}
    path = write_film(tmp_path / name, track(1, 2, **how), track(2, **how), track(3, **how))
    for number in (1, 2, 3):
        clicks, notes = heard(path, Reading(audio_track=number))
        assert clicks == pytest.approx(at(number), abs=0.06)
        assert notes == []
    for number in (4, 99):
        with pytest.raises(MediaError, match=rf"{name}: it has no sound track {number}: .* 1 to 3$"):
            heard(path, Reading(audio_track=number))
    with pytest.raises(MediaError, match="it has no sound track 1: there are none"):
        heard(write_film(tmp_path / "none.mkv"), Reading(audio_track=1))


def test_one_track_is_not_listened_to(tmp_path, monkeypatch):
    path = write_film(tmp_path / "a.mkv", track(1))
    monkeypatch.setattr(sound_streams, "_fault", None)
    assert heard(path) == (pytest.approx(at(1), abs=0.01), [])
    monkeypatch.setattr(sound_streams, "opened", None)
    with opened(path) as container:
        picture = container.streams.video[0]
        assert sound_streams.choose(path, container, picture) == sound_streams.guess(container, picture)


def without_a_decoder(path, number: int, tag: bytes = b"sowt") -> None:
    """Renames the codec of a track of a MOV or MP4 file."""
    data = bytearray(path.read_bytes())
    place = -1
    for _ in range(number):
        place = data.index(tag, place + 1)
    data[place : place + 4] = b"ac-4"
    path.write_bytes(data)


def test_no_decoder(tmp_path):
    path = write_film(tmp_path / "a.mov", track(1, 2, disposition=DEFAULT), track(2, 2), track(3))
    without_a_decoder(path, 1)
    clicks, notes = heard(path)
    assert clicks == pytest.approx(at(2), abs=0.01)
    assert notes == ["sound track 2 of 3: track 1 has no decoder; the one with most channels"]
    assert heard(path, Reading(audio_track=1)) == ([], ["no sound: track 1 has no decoder"])
    alone = write_film(tmp_path / "b.mov", track(1))
    without_a_decoder(alone, 1)
    assert heard(alone) == ([], ["no sound: there is no decoder for it"])
    assert not video.probe(alone).has_audio


def test_a_track_that_does_not_decode(tmp_path):
    """All packets of a default AAC track overwritten."""
    path = write_film(tmp_path / "a.mkv", track(1, 2, disposition=DEFAULT, **AAC), track(2, codec="flac"))
    data = path.read_bytes()
    with opened(path) as container:
        packets = [bytes(p) for p in container.demux(audio=0) if p.size]
    for packet in packets:
        data = data.replace(packet, b"\xff" * len(packet))
    path.write_bytes(data)
    clicks, notes = heard(path)
    assert clicks == pytest.approx(at(2), abs=0.01)
    assert notes == ["sound track 2 of 2: track 1 does not decode"]
    clicks, notes = heard(path, Reading(audio_track=1))
    assert clicks == []
    assert "some of the sound is damaged: it is absent there" in notes
    assert any(note.startswith("no sound: ") for note in notes)


@pytest.mark.parametrize("name", ["a.mxf", "a.mov"])
def test_channels_of_a_camera_are_mixed(tmp_path, name):
    how = {"rate": 48_000, "disposition": None}
    tracks = [track(1, **how), track(2, seconds=1.5, **how), track(3, **how, **silent), track(4, **how)]
    path = write_film(tmp_path / name, *tracks)
    film = video.open_film(path, ClipPolicy())
    wave, _ = film.track.window(0, film.track.limit)
    found = np.flatnonzero(np.abs(wave.astype(int)) > 6000) / 16_000
    assert found[np.diff(found, prepend=-1) > 0.05] == pytest.approx(sorted({*at(1), *at(2), *at(4)}), abs=0.01)
    assert np.abs(wave.astype(int)).max() == pytest.approx(0.9 * 32_768 / 3, rel=0.05)
    assert film.notes == ("sound tracks 1 and 2 and 4 of 4: mixed; track 3 is silent in its first minute",)
    clicks, _ = heard(path, Reading(audio_track=4))
    assert clicks == pytest.approx(at(4), abs=0.01)


def test_languages_are_not_the_channels_of_a_camera(tmp_path):
    tracks = [track(i, tags={"language": language}) for i, language in enumerate(("fra", "deu"), 1)]
    clicks, notes = heard(write_film(tmp_path / "a.mkv", *tracks))
    assert clicks == pytest.approx(at(1), abs=0.01)
    assert notes == ["sound track 1 of 2: the first"]


def test_only_a_minute_is_listened_to(tmp_path, monkeypatch):
    """A track that is heard later is as good as silent."""
    monkeypatch.setattr(sound_streams, "LISTENED", 1.0)
    late, early = Sounding(clicks_of([1, 1], at=[1.6]), layout="stereo"), Sounding(clicks_of([1], at=[0.4]))
    clicks, _ = heard(write_film(tmp_path / "a.mkv", late, early))
    assert clicks == pytest.approx([0.4], abs=0.01)
    clicks, _ = heard(write_film(tmp_path / "b.mkv", Sounding(clicks_of([1, 1], at=[0.8]), layout="stereo"), early))
    assert clicks == pytest.approx([0.8], abs=0.01)


def with_order(path, tags: list[int]) -> None:
    """Adds to the sound of a MOV file a `chan` atom: what each of its channels is, see Apple's CoreAudioTypes.h."""
    data = path.read_bytes()
    chan = struct.pack(">III", 0, 0, len(tags)) + b"".join(struct.pack(">II3f", tag, 0, 0, 0, 0) for tag in tags)
    chan = struct.pack(">I4sI", len(chan) + 12, b"chan", 0) + chan
    entry = data.index(b"sowt") - 4
    end = entry + int.from_bytes(data[entry : entry + 4], "big")
    old = data.find(b"chan", entry, end) - 4
    cut = (old, old + int.from_bytes(data[old : old + 4], "big")) if old > 0 else (end, end)
    grown = len(chan) - (cut[1] - cut[0])
    changed = bytearray(data[: cut[0]] + chan + data[cut[1] :])
    assert data.index(b"mdat") < data.index(b"moov")  # else places of samples would move
    sound = data.rindex(b"trak", 0, entry)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        at = data.rindex(name, 0, entry) - 4 if name != b"moov" else data.index(b"moov") - 4
        assert name == b"moov" or at >= sound - 4
        changed[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + grown).to_bytes(4, "big")
    changed[entry : entry + 4] = (int.from_bytes(data[entry : entry + 4], "big") + grown).to_bytes(4, "big")
    path.write_bytes(changed)


LEFT, RIGHT, CENTRE, LOW, BACK_LEFT, BACK_RIGHT, UNUSED = 1, 2, 3, 4, 5, 6, 0


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ([LEFT, CENTRE, RIGHT, BACK_LEFT, BACK_RIGHT, LOW], "sound channels in the order FL FC FR"),
        ([CENTRE, LEFT, RIGHT], "sound channels in the order FC FL FR"),
        ([RIGHT, LEFT], "sound channels in the order FR FL"),
        ([UNUSED, UNUSED], "sound of 2 channels in no usual layout: their mean"),
        ([LEFT, UNUSED, RIGHT], "sound of 3 channels in no usual layout: their mean"),
        ([LEFT, LEFT, LEFT], "sound of 3 channels in no usual layout: their mean"),
    ],
)
def test_channels_in_an_order_of_their_own(tmp_path, tags, note):
    """A channel is as loud in the mix as the place where the file puts it, wherever that is in the file."""
    usual = {LEFT: 1.0, RIGHT: 1.0, CENTRE: 2**0.5, LOW: 0.0, BACK_LEFT: 0.5**0.5, BACK_RIGHT: 0.5**0.5}
    known = len({*tags}) == len(tags) and UNUSED not in tags
    parts = np.array([usual[tag] if known else tag != UNUSED for tag in tags])
    parts = parts if parts.any() else np.ones(len(tags))
    if known and len(tags) == 6:
        parts[[tags.index(BACK_LEFT), tags.index(BACK_RIGHT)]] = 0.5**0.5
    wave = sum(clicks_of(np.arange(len(tags)) == i, seconds=2.5, at=[0.3 + 0.3 * i]) for i in range(len(tags)))
    path = write_film(tmp_path / "a.mov", Sounding(wave, layout=f"{len(tags)} channels"), seconds=2.5)
    with_order(path, tags)
    film = video.open_film(path, ClipPolicy())
    found, _ = film.track.window(0, film.track.limit)
    peaks = [np.abs(found[round((0.3 + 0.3 * i) * 16_000) :][:160].astype(int)).max() for i in range(len(tags))]
    assert np.array(peaks) / (0.9 * 32_768) == pytest.approx(parts / parts.sum(), abs=0.02)
    assert any(line.startswith(note) for line in film.notes)
    clips = list(video.read_clips(path, ClipPolicy(frames=5)))
    assert len(clips) == 5
    with open_container(path.open("rb")) as container:
        coming = LiveFilm("a.mov", from_container(container, "a.mov"), ClipPolicy(frames=5))
        for clip, other in zip(clips, coming.clips(1, 5), strict=True):
            np.testing.assert_array_equal(clip.audio, other.audio)
    assert coming.notes == film.notes
