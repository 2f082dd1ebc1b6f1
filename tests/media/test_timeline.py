"""One time line, the one that a player shows: joined recordings, late pictures, stills, lengths that lie.

Every film says by value where it is: its frames carry their numbers, its clicks are heard at known seconds.
"""

import struct

import av
import numpy as np
import pytest

from l2l.media import video
from l2l.media.arrays import Arrays
from l2l.media.container import open_container
from l2l.media.live import LiveFilm, from_arrays, from_container
from l2l.media.memory import film_of
from l2l.media.picture import jpeg
from l2l.media.policy import USUAL, ClipPolicy, Reading
from l2l.media.scan import walk
from tests.helpers.videos import clicks_in, number_of, numbered, write_video

FPS = 10
MPEG2 = {"codec": "mpeg2video", "fps": 25, "audio_codec": "mp2", "sample_format": "s16"}
OPUS = {"codec": "libvpx", "audio_codec": "libopus", "sample_format": "flt", "rate": 48_000}
PCM = {"audio_codec": "pcm_s16le", "sample_format": "s16"}
LYING = Reading(trust_length=False)


def film(path, **how):
    """A film of FPS frames a second, unless asked otherwise."""
    return write_video(path, **({"fps": FPS} | how))


def begun(path, begin, **how):
    """The same whose clock begins at another time."""
    source = film(path.with_name(f"from_0_{path.name}"), seconds=2, **how)
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                ticks = round(begin / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts + ticks,
                    packet.dts + ticks,
                    streams[packet.stream_index],
                )
                new.mux(packet)
    return path


def shown(path, *, step=1 / FPS, reading=USUAL, **stretch):
    """The numbers of the frames that are on display at every step, when clicks are heard, and the notes."""
    opened = video.open_film(path, ClipPolicy(frames=1, hop=step, short_side=64), reading=reading, **stretch)
    numbers = [number_of(jpeg.decode_jpeg(clip.jpegs[0])) for clip in opened.seen(range(len(opened.clips)), 1)]
    wave, _ = video.read_audio(path, reading) or (np.zeros(0, np.int16), None)
    return numbers, clicks_in(wave), opened.notes


def joined(path, *parts):
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("begins", [(0, 0), (0, 100), (100, 0), (3, 40, 3), (0, 50_000, 20)], ids=str)
@pytest.mark.parametrize(("suffix", "how"), [("ts", {}), ("ts", MPEG2), ("mpg", MPEG2)], ids=["ts", "ts2", "mpg"])
def test_joined_recordings(tmp_path, begins, suffix, how):
    """Streams one after another, whose clocks begin anew, jump ahead or go back."""
    parts = [begun(tmp_path / f"{i}.{suffix}", at, clicks=[0.5, 1.5], **how) for i, at in enumerate(begins)]
    each, fps = range(2 * how.get("fps", FPS)), how.get("fps", FPS)
    path = joined(tmp_path / f"all.{suffix}", *parts)
    numbers, clicks, notes = shown(path, step=1 / fps)
    assert numbers[: len(each) * len(begins)] == [*each] * len(begins)
    assert len(numbers) <= len(each) * len(begins) + 1
    assert clicks == pytest.approx([2 * i + at for i in range(len(begins)) for at in (0.5, 1.5)], abs=0.03)
    jumps = len(begins) - 1
    assert notes == (
        f"its clock jumps {jumps} time{'s' * (jumps > 1)}: what follows is moved to where the film went on",
    )


def test_a_joined_recording_from_its_middle(tmp_path):
    """A stretch of a list counts on the same time line."""
    path = joined(tmp_path / "all.ts", *(begun(tmp_path / f"{at}.ts", at, clicks=[0.5]) for at in (0, 90)))
    assert shown(path, start=2.4, end=3.0)[0] == [4, 5, 6, 7, 8, 9]


def test_joined_recordings_without_sound(tmp_path):
    path = joined(tmp_path / "all.ts", *(begun(tmp_path / f"{at}.ts", at, audio=False) for at in (40, 0)))
    assert shown(path)[0] == [*range(20)] * 2


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4"])
def test_a_still_while_sound_goes_on_is_no_jump(tmp_path, name):
    path = film(tmp_path / name, times=[0, 0.1, 0.2, 15.0, 15.1], seconds=15.2, clicks=[0.5, 14.0])
    numbers, clicks, notes = shown(path, step=2.5)
    assert numbers == [0, 2, 2, 2, 2, 2, 3]
    assert clicks == pytest.approx([0.5, 14.0], abs=0.03)
    assert notes == ()


def test_a_pause_of_both_that_a_receiver_lost_is_time_that_passed(tmp_path):
    parts = [begun(tmp_path / "0.ts", 0, clicks=[0.5]), begun(tmp_path / "1.ts", 7, clicks=[0.5])]
    numbers, clicks, notes = shown(joined(tmp_path / "all.ts", *parts))
    assert numbers == [*range(20)] + [19] * 50 + [*range(20)]
    assert clicks == pytest.approx([0.5, 7.5], abs=0.03)
    assert notes == ()


@pytest.mark.parametrize("late", [0.3, 2.0])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.ts", "a.flv"])
def test_a_picture_that_begins_after_the_sound(tmp_path, name, late):
    how = OPUS if name == "a.webm" else {}
    path = film(tmp_path / name, times=late + np.arange(20) / FPS, seconds=2 + late, clicks=[0.2, late + 1], **how)
    numbers, clicks, notes = shown(path)
    stands = round(late * FPS) + (numbers[round(late * FPS) + 1] == 0)  # AAC may begin 1024 samples early
    assert numbers[: stands + 20] == [0] * stands + [*range(20)]
    assert clicks == pytest.approx([0.2, late + 1], abs=0.03)
    assert notes == (f"the picture begins {late:.1f} s after the sound: its first frame stands until then",)
    assert video.probe(path).fps == pytest.approx(FPS, abs=0.01)
    assert shown(path, start=late + 0.55, end=late + 1.0)[0] == [5, 6, 7, 8, 9]


def test_what_an_encoder_puts_before_the_sound_is_not_waited_for(tmp_path):
    """AAC and others begin up to a few thousand samples early, which some containers show as a picture that is late."""
    path = film(tmp_path / "a.mkv", times=0.08 + np.arange(20) / FPS, seconds=2.08, clicks=[0.58])
    with av.open(str(path)) as container:
        first, sound = (float(stream.start_time * stream.time_base) for stream in container.streams)
    assert first - sound == pytest.approx(0.08, abs=0.03)
    assert shown(path) == ([*range(20)], pytest.approx([0.5], abs=0.02), ())


def test_sound_that_ends_before_the_picture_begins_is_on_another_clock(tmp_path):
    path = film(tmp_path / "a.mkv", times=500 + np.arange(20) / FPS, audio_stop=1.0, clicks=[0.5])
    assert shown(path) == ([*range(20)], pytest.approx([]), ())


def test_a_late_picture_in_memory(tmp_path):
    frames = np.stack([numbered(i, (96, 72)) for i in range(10)])
    arrays = Arrays(frames, times=1.5 + np.arange(10) / FPS, wave=np.zeros(40_000, np.int16))
    opened = film_of(arrays, ClipPolicy(frames=1, hop=0.1, short_side=72))
    numbers = [number_of(jpeg.decode_jpeg(clip.jpegs[0])) for clip in opened.seen(range(len(opened.clips)), 1)]
    assert numbers == [0] * 15 + [*range(10)]
    assert opened.notes == ("the picture begins 1.5 s after the sound: its first frame stands until then",)
    live = LiveFilm("x", from_arrays(iter([arrays])), ClipPolicy(frames=1, hop=0.1, short_side=72))
    assert [clip.start for clip in live.clips(1, 1)] == [clip.start for clip in opened.clips]
    assert live.notes == opened.notes


@pytest.mark.parametrize("kind", ["late", "joined"])
def test_what_is_still_coming_has_the_same_clock(tmp_path, kind):
    policy = ClipPolicy(frames=1, fps=FPS, hop=0.5, short_side=64)
    if kind == "late":
        path = film(tmp_path / "a.mkv", times=1 + np.arange(20) / FPS, seconds=3, clicks=[0.2, 2.0])
    else:
        path = joined(tmp_path / "a.ts", *(begun(tmp_path / f"{at}.ts", at, clicks=[0.5]) for at in (0, 90)))
    whole = list(video.read_clips(path, policy))
    with open(path, "rb") as file, open_container(file) as container:
        live = LiveFilm("x", from_container(container, "x"), policy)
        clips = list(live.clips(1, 1))
    assert [(clip.start, clip.jpegs) for clip in clips] == [(clip.start, clip.jpegs) for clip in whole]
    heard, expected = (np.concatenate([clip.audio for clip in each]) for each in (clips, whole))
    assert clicks_in(heard) == pytest.approx(clicks_in(expected), abs=0.01)
    assert live.notes == (video.open_film(path, policy).notes if kind == "late" else ())


def with_second(path, source, stream_of, packets_of):
    """A film with a further stream: what `stream_of` adds to the container, and its packets."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        added = stream_of(new)
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
        for packet in packets_of(added):
            packet.stream = added
            new.mux(packet)
    return path


def quiet(stream, seconds):
    """Packets of silence."""
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000 * seconds), np.int16), format="s16", layout="mono")
    frame.rate, frame.pts = 16_000, 0
    return [*stream.encode(frame), *stream.encode(None)]


def test_a_second_track_that_outlasts_the_film(tmp_path):
    source = film(tmp_path / "a.mkv", seconds=2, clicks=[0.5])
    sound = lambda new: new.add_stream("pcm_s16le", rate=16_000, layout="mono")
    path = with_second(tmp_path / "b.mkv", source, sound, lambda stream: quiet(stream, 9))
    assert shown(path)[:2] == ([*range(20)], pytest.approx([0.5], abs=0.02))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(video.MediaError, match=r"cut short: .* s of 9\.00 s are there; if its header is wrong"):
        video.probe(path)


def changed(data: bytes, before: bytes, after: bytes) -> bytes:
    assert data.count(before) == 1
    return data.replace(before, after)


def lying(path):
    """The file with a length in its header of five times its own."""
    data = path.read_bytes()
    if path.suffix == ".flv":
        at = data.index(b"duration") + len(b"duration") + 1
        return data[:at] + struct.pack(">d", 10.0) + data[at + 8 :]
    if path.suffix == ".mkv":
        at = data.index(b"\x44\x89\x88") + 3
        return data[:at] + struct.pack(">d", 10_000.0) + data[at + 8 :]
    at = data.index(b"strh\x38\0\0\0vids") + 8 + 32  # dwLength of an AVI's stream
    return data[:at] + struct.pack("<I", 100) + data[at + 4 :]


@pytest.mark.parametrize(("name", "how"), [("a.flv", {}), ("a.mkv", {}), ("a.avi", PCM)], ids=["flv", "mkv", "avi"])
def test_a_length_that_lies(tmp_path, name, how):
    path = film(tmp_path / name, seconds=2, clicks=[0.5], **how)
    before = shown(path)
    path.write_bytes(lying(path))
    with pytest.raises(video.MediaError, match=r"cut short: .* of 10\.\d* s are there; .*--trust_length=no") as caught:
        video.probe(path)
    assert caught.value.status == "undecodable"
    numbers, clicks, notes = shown(path, reading=LYING)
    assert (numbers, clicks) == (before[0], pytest.approx(before[1]))
    assert len(notes) == 1
    assert notes[0].startswith("its header says that it lasts 10.0")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_frame_that_stands_for_long(tmp_path, name):
    path = film(tmp_path / name, times=[0, 1, 900, 901], audio=False, options={"bf": "0"})
    numbers, _, notes = shown(path, step=150.0)
    assert numbers == [0, 1, 1, 1, 1, 1, 2]
    assert notes == ("one frame stands for 899 s",)
    assert video.probe(path).duration == pytest.approx(902, abs=300)


@pytest.mark.parametrize("how", [{}, MPEG2], ids=["H.264", "MPEG-2"])
def test_packets_before_the_first_frame_that_decodes(tmp_path, how):
    """A recording that begins in the middle of a group of pictures."""
    fps = how.get("fps", FPS)
    path = film(tmp_path / "a.ts", seconds=4, options={"g": "20", "bf": "0", "sc_threshold": "0"}, **how)
    data = path.read_bytes()
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(data[: 188 * 3] + data[places[4] // 188 * 188 :])
    scan = walk(path)
    assert scan.fps == fps
    assert scan.frames == 4 * fps - 20
    numbers = shown(path, step=1 / fps)[0]
    assert sorted(set(numbers)) == [*range(20, 4 * fps)]


@pytest.mark.parametrize("fps", [15, 24, 30, 60])
@pytest.mark.parametrize("name", ["a.h264", "a.hevc"])
def test_a_bare_bitstream_has_the_rate_that_its_frames_tell(tmp_path, name, fps):
    """FFmpeg opens every one at 25 frames a second."""
    how = {"codec": "libx265", "options": {"x265-params": "log-level=none"}} if name == "a.hevc" else {}
    path = film(tmp_path / name, seconds=1, fps=fps, audio=False, **how)
    assert video.probe(path).fps == pytest.approx(fps)
    assert video.probe(path).duration == pytest.approx(1.0)
    assert shown(path, step=1 / fps)[0] == [*range(fps)]


def association(programmes):
    """The packet of a transport stream that says where the tables of its programmes are."""
    body = struct.pack(">HBBB", 1, 0xC1, 0, 0) + b"".join(
        struct.pack(">HH", number, 0xE000 | place) for number, place in programmes
    )
    section = struct.pack(">BH", 0, 0xB000 | len(body) + 4) + body
    remainder = 0xFFFFFFFF
    for byte in section:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x04C11DB7 if remainder >> 31 else 0)) & 0xFFFFFFFF
    packet = b"\x47\x40\x00\x10\x00" + section + remainder.to_bytes(4, "big")
    return packet.ljust(188, b"\xff")


def test_a_broadcast_of_several_programmes(tmp_path):
    """The sound is that of the picture, though another programme's has more channels."""
    packets, programmes = [], [(1, 0x1000), (2, 0x1010)]
    for number, table in programmes:
        path = tmp_path / f"{number}.ts"
        options = {"mpegts_service_id": number, "mpegts_pmt_start_pid": table, "mpegts_start_pid": 0x100 * number}
        with av.open(str(path), "w", options={key: str(value) for key, value in options.items()}) as new:
            layout = "stereo" if number == 1 else "5.1"
            source = film(tmp_path / f"{number}.mkv", seconds=2, clicks=[0.25 + number / 2], layout=layout)
            with av.open(str(source)) as old:
                streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
                for packet in old.demux():
                    if packet.size:
                        packet.stream = streams[packet.stream_index]
                        new.mux(packet)
        data = path.read_bytes()
        own = (data[at : at + 188] for at in range(0, len(data), 188))
        packets.append([each for each in own if int.from_bytes(each[1:3], "big") & 0x1FFF])
    path = tmp_path / "both.ts"
    path.write_bytes(association(programmes) + b"".join(b"".join(both) for both in zip(*packets, strict=False)))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == len(container.streams.audio) == 2
    numbers, clicks, notes = shown(path)
    assert numbers[:10] == [*range(10)]
    assert clicks == pytest.approx([0.75], abs=0.03)
    assert notes == ("video stream 1 of 2", "sound track 1 of 2: the programme of the picture")
    assert clicks_in(video.read_audio(path, Reading(audio_track=2))[0]) == pytest.approx([1.25], abs=0.03)


def written(path, streams, *, flags=()):
    """A file with a video stream for each list of pictures, ten a second; some flagged."""
    with av.open(str(path), "w") as container:
        added = []
        for number, (codec, pictures) in enumerate(streams):
            stream = container.add_stream(codec, rate=FPS)
            stream.width, stream.height = 96, 72
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = dict(flags).get(number, 0)
            added.append((stream, pictures))
        for stream, pictures in added:
            for i, number in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(numbered(number, (96, 72)), format="rgb24")
                frame.pts = i
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


DEFAULT = av.stream.Disposition.default


@pytest.mark.parametrize(
    ("streams", "flags", "expected", "note"),
    [
        ([("mjpeg", [99]), ("libx264", range(20))], {}, range(20), ("video stream 2 of 2",)),
        ([("libx264", range(20)), ("mjpeg", [99])], {}, range(20), ("video stream 1 of 2",)),
        ([("libx264", [99]), ("libx264", range(20))], {0: DEFAULT}, range(20), ("video stream 2 of 2",)),
        ([("libx264", range(9)), ("libx264", range(20))], {1: DEFAULT}, range(20), ("video stream 2 of 2",)),
        ([("libx264", range(20)), ("libx264", range(9))], {}, range(20), ("video stream 1 of 2",)),
    ],
    ids=["still first", "still last", "default still", "default", "two"],
)
def test_the_film_behind_a_still(tmp_path, streams, flags, expected, note):
    path = written(tmp_path / "a.mkv", streams, flags=flags.items())
    numbers, _, notes = shown(path)
    assert numbers == [*expected]
    assert notes == note
