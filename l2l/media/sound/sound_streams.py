"""Which sound streams of a file are read.

A file may hold several: languages, a commentary, a form that few players know, the channels of a camera one by one.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence

import av
from av.stream import Disposition

from l2l.media.container import MediaError, opened, readable, stream_at, unit_of
from l2l.media.sound import mixing

LISTENED = 60.0  # seconds of a track, within which something must be heard
ALIKE = 0.9  # share of the longest track, from which on a track is as long

# What is not the sound of the film as it was meant.
_ASIDE = Disposition.visual_impaired | Disposition.hearing_impaired | Disposition.comment | Disposition.dub
_ASIDE |= Disposition.karaoke | Disposition.lyrics | Disposition.clean_effects | Disposition.descriptions
_ASIDE |= Disposition.non_diegetic | Disposition.dependent


@dataclasses.dataclass(frozen=True)
class Sound:
    """Sound streams that are read.

    Attributes:
      streams: their places among all streams of the file; none where there is no sound. Several are mixed.
      notes: what has to be known of the choice, a line each.
      channels: names of their channels where the file puts them in an order of its own, see `mixing.settle`.
    """

    streams: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


SILENT = Sound()


@dataclasses.dataclass(frozen=True)
class _Track:
    """One of them: its number, from 1, its stream, and what speaks for it, as a list of its own per reason."""

    number: int
    stream: av.AudioStream
    channels: tuple[str, ...]
    merits: tuple[float, ...]

    def __str__(self) -> str:
        return f"track {self.number}"


_WHY = "the others are beside the film", "the default one", "the one with most channels", "the longest", "the first"


def guess(container: av.container.InputContainer, picture: av.VideoStream) -> Sound:
    """What a file's header says of the sound of a picture, before anything is decoded."""
    tracks = _ranked(container, _programme(container, picture))
    if not tracks:
        return _none(container)
    why = (_why(tracks),) if len(container.streams.audio) > 1 else ()
    return _sound(tracks[:1], container, why)


def choose(
    path: str | os.PathLike,
    container: av.container.InputContainer,
    picture: av.VideoStream,
    number: int | None = None,
) -> Sound:
    """The sound of a file: the track with this number, or the one that is meant for everybody.

    That is, in the programme of the picture, the default one, else the one with most channels, then the longest, then
    the first; but one that does not decode or is silent for a minute is passed over. The channels of a camera, a track
    each, are all taken.

    Args:
      path: of the file, which is opened again where some of its tracks have to be listened to.
      container: the file.
      picture: the video stream that is read.
      number: of a track, from 1; None chooses.

    Raises:
      MediaError: there is no track with this number.
    """
    count, audio = len(container.streams.audio), container.streams.audio
    if number is not None:
        if number > count:
            there = f"only {count}; take one of 1 to {count}" if count else "none"
            raise MediaError("undecodable", path, f"it has no sound track {number}: there are {there}")
        named = [track for track in _ranked(container, audio) if track.number == number]
        return _sound(named, container) if named else Sound(notes=(f"no sound: track {number} has no decoder",))
    own = _programme(container, picture)
    tracks = _ranked(container, own)
    if count < 2 or not tracks:
        return _sound(tracks, container) if tracks else _none(container)
    together = _of_a_camera(tracks)
    faults = {number: "has no decoder" for number, stream in enumerate(audio, 1) if stream in own}
    faults |= dict.fromkeys((track.number for track in tracks), "")
    for track in tracks if len(tracks) > 1 else ():
        faults[track.number] = _fault(path, track)
        if not (faults[track.number] or together):
            break
    heard = [track for track in tracks if not faults[track.number]]
    silent = [track for track in tracks if faults[track.number] == _SILENT]
    passed = [f"track {n} {fault}" for n, fault in sorted(faults.items()) if fault]
    if together and len(heard) > 1:
        return _sound(sorted(heard, key=lambda track: track.number), container, passed)
    left = heard or silent or tracks
    why = passed + ([_why(left)] if len(left) > 1 and heard else [])
    why += ["the programme of the picture"] if len(own) < count else []
    return _sound(left[:1], container, why)


def sound_of(container: av.container.InputContainer, sound: Sound) -> list[av.AudioStream]:
    """The sound streams that are read, ready to be decoded."""
    streams = [stream_at(container, place, av.AudioStream) for place in sound.streams]
    for stream in streams:
        stream.codec_context.thread_count = 1
        mixing.settle(stream.codec_context)
    return streams


_SILENT = "is silent in its first minute"


def _sound(tracks: Sequence[_Track], container: av.container.InputContainer, why: Sequence[str] = ()) -> Sound:
    numbers = " and ".join(str(track.number) for track in tracks)
    which = f"sound {'tracks' if len(tracks) > 1 else 'track'} {numbers} of {len(container.streams.audio)}"
    mixed = ["mixed"] if len(tracks) > 1 else []
    notes = (f"{which}: {'; '.join([*mixed, *why])}",) if mixed or why else ()
    return Sound(tuple(track.stream.index for track in tracks), notes, tracks[0].channels)


def _none(container: av.container.InputContainer) -> Sound:
    """No track has a decoder, or there is none."""
    return Sound(notes=("no sound: there is no decoder for it",)) if container.streams.audio else SILENT


def _programme(container: av.container.InputContainer, picture: av.VideoStream) -> Sequence[av.AudioStream]:
    """The sounds that may belong to a picture: of a broadcast of several programmes, that of its own."""
    others = [_beside(container, video) for video in container.streams.video if video is not picture]
    own = _beside(container, picture) if others else None
    return container.streams.audio if own is None or own in others else [own]


def _beside(container: av.container.InputContainer, picture: av.VideoStream) -> av.AudioStream | None:
    sound = container.streams.best("audio", related=picture)
    return sound if isinstance(sound, av.AudioStream) else None


def _ranked(container: av.container.InputContainer, among: Sequence[av.AudioStream]) -> list[_Track]:
    """Those of some tracks that have a decoder, the best one first."""
    streams = [(n, s) for n, s in enumerate(container.streams.audio, 1) if s in among and s.codec_context is not None]
    longest = max((_seconds(stream) for _, stream in streams), default=0.0)
    tracks = []
    for number, stream in streams:
        count, channels = mixing.settle(stream.codec_context)
        plain, default = not stream.disposition & _ASIDE, bool(stream.disposition & Disposition.default)
        tracks.append(
            _Track(number, stream, channels, (plain, default, count, _seconds(stream) >= ALIKE * longest, -number))
        )
    return sorted(tracks, key=lambda track: track.merits, reverse=True)


def _why(tracks: Sequence[_Track]) -> str:
    """What the first of some tracks has before the second; only that one where there is none."""
    if len(tracks) < 2:
        return "the only one with a decoder"
    return next(why for why, *both in zip(_WHY, tracks[0].merits, tracks[1].merits, strict=True) if both[0] != both[1])


def _seconds(stream: av.AudioStream) -> float:
    """How long a track is, 0 where the file does not say."""
    if stream.duration:
        return float(stream.duration * unit_of(stream))
    said = next((text for key, text in stream.metadata.items() if key.upper().startswith("DURATION")), "")
    with contextlib.suppress(ValueError):  # Matroska's: 00:00:06.000000000
        return sum(float(part) * 60**i for i, part in enumerate(reversed(said.split(":"))))
    return 0.0


def _of_a_camera(tracks: Sequence[_Track]) -> bool:
    """Whether tracks are the channels of one recording: mono, uncompressed, alike, and none of them is singled out.

    Writers flag a first track as the default one by themselves.
    """
    contexts = [track.stream.codec_context for track in tracks]
    alike = {(context.name, context.sample_rate, context.channels) for context in contexts}
    default = {track.number for track in tracks if track.merits[1]}
    languages = {track.stream.language for track in tracks}
    (name, _, channels), *others = alike
    plain = all(track.merits[0] for track in tracks) and default in (set(), {1}, {track.number for track in tracks})
    return not others and name.startswith("pcm_") and channels == 1 and plain and len(languages) == 1


def _fault(path: str | os.PathLike, track: _Track) -> str:
    """Why a track is passed over, "" if something is heard in it."""
    decodes = False
    with contextlib.suppress(av.FFmpegError, ValueError, MediaError):
        for heard in mixing.audible(_begun(path, track)):
            if heard:
                return ""
            decodes = True
    return _SILENT if decodes else "does not decode"


def _begun(path: str | os.PathLike, track: _Track) -> Iterator[av.AudioFrame]:
    """What decodes of a track's beginning; whatever else comes tells how far the file was read."""
    begin = None
    with opened(path) as container:
        (stream,) = sound_of(container, Sound((track.stream.index,)))
        for packet in readable(container):
            if packet.dts is not None and packet.stream.type in ("audio", "video"):
                at = float(packet.dts * packet.time_base)
                begin = at if begin is None else begin
                if at - begin > LISTENED:
                    return
            if packet.stream is stream:
                with contextlib.suppress(av.FFmpegError, ValueError):
                    yield from stream.decode(packet)
