"""What is said to be decoded of a file is what its packets hold, no more and no less."""

import pytest

from l2l.media import video
from l2l.media.decoding.cut_film import cut
from l2l.media.decoding.decoder import Decoder
from l2l.media.policy import ClipPolicy
from l2l.media.tally import Decoded
from tests.helpers.videos import packets_of, write_video
from tests.media.test_media_formats import MJPEG

POLICY = ClipPolicy(frames=1, hop=1.0)
GROUPS = {"g": "30", "bf": "0", "sc_threshold": "0"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Twenty seconds in which every frame stands for itself."""
    return write_video(tmp_path_factory.mktemp("tally") / "a.mov", seconds=20, fps=10, clicks=(1, 5), **MJPEG)


def whole(packets) -> Decoded:
    return sum(packets, Decoded())


def test_frames_here_and_there(path):
    pictures, sounds = (packets_of(path, kind) for kind in ("video", "audio"))
    film = video.open_film(path, POLICY)
    assert film.tally.decoded == {"image": pictures[0], "audio": Decoded()}
    assert pictures[0].seconds == pytest.approx(0.1)
    list(film.seen([7], 1))
    assert film.tally.decoded["image"] == whole([pictures[0], pictures[70]])
    film.track.window(0, film.track.limit)
    assert film.tally.decoded["audio"].bytes == sum(p.bytes for p in sounds)
    assert film.tally.decoded["audio"].seconds == pytest.approx(20, abs=0.1)


def test_all_of_it(path):
    pictures = packets_of(path, "video")
    with Decoder() as decoder:
        film = cut(decoder, path, policy=POLICY, frames=1, stride=1, longest=60)
    found = film.tally.decoded["image"]
    assert found.bytes == pictures[0].bytes + sum(p.bytes for p in pictures[::10])
    assert found.seconds == pytest.approx(2.1)


def test_between_keyframes_more_is_decoded_than_looked_at(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=20, fps=10, audio=False, options=GROUPS)
    film = video.open_film(path, POLICY)
    list(film.seen([7], 1))
    sizes = [p.bytes for p in packets_of(path, "video")]
    assert film.tally.decoded["image"].bytes == sizes[0] + sum(sizes[60:71])
    assert film.tally.decoded["image"].seconds == pytest.approx(1.2)
    assert film.tally.decoded["audio"] == Decoded()
