"""A stretch deep in a film, or clips far apart: the same bytes as when everything before is decoded."""

import functools

import av
import numpy as np
import pytest

from l2l.media import video
from l2l.media.picture import frames
from l2l.media.policy import ClipPolicy
from l2l.media.scan import walk
from tests.helpers.videos import numbers, write_video
from tests.media.test_media_formats import MJPEG, MP2, MPEG2, MPEG4, OPUS, PCM, X265

X264 = {"options": {"g": "30"}}
OPEN = {"options": {"g": "30", "x264-params": "open-gop=1:bframes=4:b-pyramid=2"}}
REFRESH = {"options": {"g": "30", "x264-params": "intra-refresh=1:scenecut=0"}}
# File, how it is written, whether much is spared: seeking in it leads where it should, or B-frames are left out.
FILMS = {
    "mp4": ("a.mp4", X264, True),
    "mp4 without B-frames": ("a.mp4", {"options": {"g": "30", "bf": "0"}}, True),
    "mp4, open groups": ("a.mp4", OPEN, True),
    "mp4, short groups": ("a.mp4", {"options": {"g": "3", "bf": "2"}}, True),
    "mp4, keyframes only": ("a.mp4", {"options": {"g": "1"}}, True),
    "mp4, no keyframes but a wave of refreshed blocks": ("a.mp4", REFRESH, False),
    "mp4, interlaced": ("a.mp4", {"options": {"g": "30", "x264-params": "tff=1:interlaced=1"}}, True),
    "mkv": ("a.mkv", X264, True),
    "mkv, open groups": ("a.mkv", OPEN, True),
    "mkv, MPEG-2": ("a.mkv", MPEG2 | MP2, True),
    "mkv, MPEG-4": ("a.mkv", MPEG4, True),
    "mov, Motion JPEG": ("a.mov", MJPEG, True),
    "mp4, H.265": ("a.mp4", X265 | {"options": X265["options"] | {"g": "30"}}, True),
    "mp4, AV1": ("a.mp4", {"codec": "libsvtav1", "options": {"g": "30", "preset": "12"}}, True),
    "webm": ("a.webm", {"codec": "libvpx-vp9", "options": {"g": "30", "deadline": "realtime"}} | OPUS, True),
    "flv": ("a.flv", X264, True),
    "avi": ("a.avi", X264 | PCM, False),
    "ts": ("a.ts", X264, False),
    "ts, MPEG-2": ("a.ts", MPEG2 | MP2, False),
    "mpg": ("a.mpg", MPEG2 | MP2, False),
}


def from_the_start(monkeypatch):
    """From now on everything is decoded."""
    monkeypatch.setattr(frames, "displayed", lambda scan, times: [])


def content(path, policy: ClipPolicy, **stretch) -> list[tuple]:
    return [
        (c.index, c.clips, c.start, c.duration, c.jpegs, c.frames_valid, c.audio.tobytes(), c.audio_valid, c.has_audio)
        for c in video.read_clips(path, policy, **stretch)
    ]


@pytest.mark.parametrize("film", FILMS.values(), ids=FILMS)
def test_the_same_bytes(tmp_path, monkeypatch, film):
    name, how, seeks = film
    path = write_video(tmp_path / name, **{"fps": 10, "seconds": 20, "clicks": [1, 5, 12.3, 15, 18]} | how)
    starts = [7.03, 11.95, 12.0, 17.7]
    asked = [(ClipPolicy(frames=4), {"start": start, "end": start + 1}) for start in starts]
    asked += [(ClipPolicy(frames=4, clips=4), {}), (ClipPolicy(frames=1, hop=3.9), {})]
    read = []

    def counting(*args, reader):
        for item in reader(*args):
            read.append(item)
            yield item

    for reader in (frames.decoded, frames.leading):
        monkeypatch.setattr(frames, reader.__name__, functools.partial(counting, reader=reader))
    found = [content(path, policy, **stretch) for policy, stretch in asked]
    once = len(read)
    from_the_start(monkeypatch)
    assert found == [content(path, policy, **stretch) for policy, stretch in asked]
    assert (once < 0.8 * (len(read) - once)) == seeks
    assert once < 1.2 * (len(read) - once)


def test_what_lies_before_is_not_decoded(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=20, fps=10, audio=False, **X264)
    with av.open(str(path)) as container:
        spoilt = [(p.pos, p.size) for p in container.demux(video=0) if p.size and 3 < p.pts * p.time_base < 8]
    data = bytearray(path.read_bytes())
    for pos, size in spoilt:
        data[pos + 8 : pos + size] = bytes(size - 8)
    path.write_bytes(data)
    clip = next(video.read_clips(path, ClipPolicy(frames=8), start=15.0))
    assert numbers(clip) == [*range(150, 158)]
    with pytest.raises(video.MediaError, match="damaged at"):
        list(video.read_clips(path, ClipPolicy(frames=8), start=6.0, end=7.0))


def test_marks_of_keyframes_that_are_wrong(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", seconds=20, fps=10, codec="mpeg4", options={"g": "30"})
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream, packet.is_keyframe = stream, True
                target.mux(packet)
    assert len(walk(tmp_path / "b.mp4").keys) == 200
    found = content(tmp_path / "b.mp4", ClipPolicy(frames=4), start=14.05)
    from_the_start(monkeypatch)
    assert found == content(tmp_path / "b.mp4", ClipPolicy(frames=4), start=14.05)


def test_variable_frame_rate(tmp_path, monkeypatch):
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.2, 200))
    path = write_video(tmp_path / "a.mkv", times=times, seconds=times[-1], **X264)
    policy = ClipPolicy(frames=4, fps=5, hop=3.9)
    found = content(path, policy)
    from_the_start(monkeypatch)
    assert found == content(path, policy)


def test_a_frame_that_does_not_come(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", seconds=6, fps=10, **X264)
    policy = ClipPolicy(frames=3, hop=1.1)
    whole, leading = content(path, policy), frames.leading

    def losing(*args):
        return (item for item in leading(*args) if abs(item[0] - 2.2) > 0.01)

    monkeypatch.setattr(frames, "leading", losing)
    assert content(path, policy) == whole
