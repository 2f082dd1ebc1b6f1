"""What a decoding process says is read as a stranger's words: right ones come out as they went in, wrong ones fail."""

import random
import struct

import numpy as np
import pytest

from l2l.media.cut import CLIPS, SILENCE, Clip
from l2l.media.decoding import asking, messages
from l2l.media.decoding.asking import Asking
from l2l.media.decoding.decoder import Decoder, DecoderError
from l2l.media.decoding.messages import BadMessage, Done, Pace, Plan, Problem, Ready, Sound, Told
from l2l.media.picture.jpeg import encode_jpeg
from l2l.media.tally import Decoded
from l2l.media.video import MediaError, Probe
from tests.helpers.stand_in_worker import COMMAND, JPEG, read

DICE = np.random.default_rng(0)
PICTURES = [encode_jpeg(DICE.integers(0, 255, (h, w, 3), np.uint8), 50) for h, w in ((8, 12), (30, 16))]
WAVE = DICE.integers(-32768, 32767, 16_000).astype(np.int16)
DECODED = {"image": Decoded(1.5, 1 << 40), "audio": Decoded(0.0, 7)}
VALUES = (
    Ready(),
    Done(),
    Problem("too_short", "it ends: naïvely, at 3 s"),
    Clip(3, 9, 1.5, 0.25, [PICTURES[0], PICTURES[1], PICTURES[1]], 2, WAVE, (5, 16_000), True),
    Clip(99_999, 0, -0.25, 1e-3, [PICTURES[0]] * 64, 64),
    PICTURES[1],
    Probe(1e6, 29.97, 1 << 14, 1, 1 << 33, True),
    Plan(7.25, 0.5, True, np.linspace(0, 7, 15)),
    Pace(0.5, 0.25, 17),
    Sound(WAVE, (0, 1 << 40)),
    Sound(WAVE[:0], (3, 3)),
    Told(True, DECODED, ("HDR (HLG): tone-mapped", "sound track 2 of 3: «the default one»")),
)


def reread(value):
    data = messages.packed(value)
    kind, length = messages.length_of(data[: messages.HEADER.size])
    assert length == len(data) - messages.HEADER.size
    return messages.unpacked(kind, bytearray(data[messages.HEADER.size :]))


def fields(value):
    """What compares: arrays as bytes with their type."""
    plain = value if isinstance(value, bytes) else tuple(vars(value).values())
    return [(x.dtype.str, x.tobytes()) if isinstance(x, np.ndarray) else x for x in plain]


@pytest.mark.parametrize("value", VALUES, ids=lambda x: type(x).__name__)
def test_values_come_out_as_they_went_in(value):
    again = reread(value)
    assert type(again) is type(value)
    assert fields(again) == fields(value)


def test_a_picture_that_stands_for_several_is_sent_once():
    once, often = (len(messages.packed(Clip(0, 1, 0.0, 1.0, [PICTURES[1]] * n, n))) for n in (1, 60))
    assert often == once + 59 * 4
    silent = reread(Clip(0, 1, 0.0, 1.0, [PICTURES[1]], 1))
    assert silent.audio is SILENCE


def test_texts_are_cut_and_cleaned_before_they_are_sent():
    notes = reread(Told(False, DECODED, ("a\x1b[31m\nb", "é" * 9999, *map(str, range(999))))).notes
    assert notes[:2] == ("a [31m b", "é" * messages.NOTE)
    assert len(notes) == messages.NOTES
    assert reread(Problem("missing", "caf\udce9\0 " + "é" * (1 << 20))).reason.startswith("caf   éé")


def changed(value, **how):
    """The message of a value with some bytes of its body replaced: at=(offset, format, number)."""
    body = bytearray(messages.packed(value)[messages.HEADER.size :])
    for at, form, number in how.values():
        struct.pack_into(form, body, at, number)
    return body


NUMBER = {type(value).__name__: messages.packed(value)[4] for value in VALUES}
LONG = b"\xff\xd8" + b"\xff\xe0\xff\xff" + b"\0" * (1 << 17)
WRONG = [
    ("Clip", changed(VALUES[3], at=(8, "<d", float("nan")))),
    ("Clip", changed(VALUES[3], at=(16, "<d", float("inf")))),
    ("Clip", changed(VALUES[3], at=(16, "<d", 0.0))),
    ("Clip", changed(VALUES[3], at=(0, "<I", 9))),
    ("Clip", changed(VALUES[3], at=(0, "<I", CLIPS + 1), more=(4, "<I", 0))),
    ("Clip", changed(VALUES[3], at=(24, "<H", 4))),
    ("Clip", changed(VALUES[3], at=(26, "<H", 0))),
    ("Clip", changed(VALUES[3], at=(26, "<H", 65))),
    ("Clip", changed(VALUES[3], at=(28, "<H", 16_001), more=(30, "<H", 16_001))),
    ("Clip", changed(VALUES[3], at=(30, "<H", 4))),
    ("Clip", changed(VALUES[3], at=(32, "<B", 2))),
    ("Clip", changed(VALUES[3], at=(33, "<B", 0))),
    ("Clip", changed(VALUES[3], at=(34, "<I", 0))),
    ("Clip", changed(VALUES[3], at=(34, "<I", 1 << 31))),
    ("Clip", changed(VALUES[3])[:-1]),
    ("bytes", bytearray(b"\x89PNG" + PICTURES[0])),
    ("bytes", bytearray(PICTURES[0][:100])),
    ("bytes", bytearray(PICTURES[0].replace(b"\x00\x11\x08\x00\x08", b"\x00\x11\x08\x00\x00"))),
    ("bytes", bytearray(PICTURES[0].replace(b"\x00\x08\x00\x0c\x03", b"\xff\xdc\xff\xdc\x03"))),
    ("bytes", bytearray(LONG + PICTURES[0][2:])),
    ("Probe", changed(VALUES[6], at=(0, "<d", float("-inf")))),
    ("Probe", changed(VALUES[6], at=(8, "<d", -1.0))),
    ("Probe", changed(VALUES[6], at=(24, "<Q", 1 << 63))),
    ("Plan", changed(VALUES[7], at=(17, "<I", 14))),
    ("Plan", changed(VALUES[7], at=(29, "<d", float("nan")))),
    ("Plan", changed(VALUES[7], at=(29, "<d", 5.0))),
    ("Plan", changed(Plan(1.0, 1.0, True, np.zeros(1)), at=(17, "<I", 0))),
    ("Pace", changed(VALUES[8], at=(16, "<I", CLIPS + 1))),
    ("Pace", changed(VALUES[8], at=(8, "<d", 0.0))),
    ("Sound", changed(VALUES[9])[:-1]),
    ("Sound", changed(VALUES[9], at=(0, "<Q", (1 << 40) + 1))),
    ("Told", changed(VALUES[11], at=(0, "<d", -1.0))),
    ("Told", changed(VALUES[11], at=(24, "<Q", 1 << 63))),
    ("Told", changed(VALUES[11])[:-1]),
    ("Told", changed(VALUES[11])[:33] + b'["a\\u001bb"]'),
    ("Told", changed(VALUES[11])[:33] + b'{"a": 1}'),
    ("Told", changed(VALUES[11])[:33] + b"[1, 2]"),
    ("Told", changed(VALUES[11])[:33] + b"[" * 100_000),
    ("Told", changed(VALUES[11])[:33] + b"9" * 100_000),
    ("Problem", bytearray(b"two words\nreason")),
    ("Problem", bytearray(b"missing\na\x1b[31m")),
    ("Problem", bytearray(b"missing\n\xff")),
    ("Ready", bytearray(b"1")),
]


@pytest.mark.parametrize(("kind", "body"), WRONG)
def test_numbers_that_cannot_be(kind, body):
    with pytest.raises(BadMessage):
        messages.unpacked(NUMBER[kind], body)


@pytest.mark.parametrize("kind", sorted(NUMBER))
def test_lengths_have_bounds(kind):
    with pytest.raises(BadMessage, match="bytes of kind"):
        messages.length_of(messages.HEADER.pack(messages.MARK, NUMBER[kind], (1 << 32) - 1))


def test_headers():
    for header in (messages.HEADER.pack(b"l2l\0", 0, 0), messages.HEADER.pack(messages.MARK, 200, 0)):
        with pytest.raises(BadMessage, match="no such kind"):
            messages.length_of(header)


def test_mutated_messages():
    """A value or a BadMessage; nothing else, and nothing larger than what came."""
    dice = random.Random(0)
    originals = [messages.packed(value) for value in VALUES]
    fine = 0
    for _ in range(4000):
        data = bytearray(dice.choice(originals))
        kind, body = data[4], data[messages.HEADER.size :]
        for _ in range(dice.randrange(1, 4)):
            if body and dice.random() < 0.8:
                body[dice.randrange(min(len(body), 200))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
            elif dice.random() < 0.5:
                body = body[: dice.randrange(len(body) + 1)]
            else:
                body += dice.randbytes(dice.randrange(20))
        kind = dice.choice((kind, kind, kind, dice.randrange(len(NUMBER))))
        try:
            value = messages.unpacked(kind, body)
        except BadMessage:
            continue
        fine += 1
        assert (
            sum(x.nbytes for x in vars(value).values() if isinstance(x, np.ndarray)) <= len(body) + 32_000
            if (not isinstance(value, bytes))
            else len(value) <= len(body)
        )
    assert 400 < fine < 3600


@pytest.fixture(scope="module")
def decoder():
    with Decoder(time_limit=20, command=COMMAND) as one:
        yield one


LIES = {
    "garbage": b"\0" * 50,
    "too_long": messages.HEADER.pack(messages.MARK, NUMBER["Clip"], (1 << 32) - 1),
    "unknown": messages.HEADER.pack(messages.MARK, 77, 0),
    "not_finite": messages.packed(VALUES[3])[:9] + changed(VALUES[3], at=(8, "<d", float("nan"))),
}


@pytest.mark.parametrize("name", LIES)
def test_a_process_that_says_what_it_should_not_has_died(decoder, tmp_path, name):
    (before,) = read(decoder.run("pids", "x", count=1))
    (tmp_path / "answer").write_bytes(LIES[name])
    with pytest.raises(MediaError, match="x: the decoder died twice: it said what no decoder says") as caught:
        list(decoder.run("says", "x", name=str(tmp_path / "answer")))
    assert caught.value.status == "crashed"
    assert read(decoder.run("pids", "x", count=1)) != [before]


class Lying(Asking):
    """Says the same whatever it is asked."""

    def __init__(self, *values):
        self.values = values

    def run(self, operation, path, **arguments):
        yield from self.values


def test_right_messages_at_the_wrong_time():
    from tests.helpers.prepared import POLICY

    plan, told = Plan(2.0, 0.5, True, np.array([0.0, 0.5])), VALUES[11]
    clip = lambda index, frames=4: Clip(index, 2, 0.5 * index, 0.5, [JPEG] * frames, frames)
    calls = {
        "probe": lambda lying: lying.probe("x"),
        "clips": lambda lying: list(lying.clips("x", POLICY)),
        "pictures": lambda lying: lying.pictures("x", [0.0, 1.0], short_side=8),
        "audio": lambda lying: lying.audio("x"),
        "film": lambda lying: list(lying.film("x", POLICY).seen([0, 1], 4)),
    }
    right = {"clips": (plan, clip(0), clip(1), told), "pictures": (JPEG, JPEG), "audio": (VALUES[9],)}
    right |= {"probe": (VALUES[6],)}
    for name, values in right.items():
        calls[name](Lying(*values))
    wrong = [(), (plan,), (plan, told), (plan, clip(0), told), (plan, clip(1), clip(0), told), (told, plan), (JPEG,)]
    wrong += [(plan, clip(0), clip(1)), (plan, clip(0), clip(1), clip(1), told), (plan, clip(0), clip(1, 3), told)]
    for call in calls.values():
        for values in wrong:
            if not (call is calls["audio"] and not values):
                with pytest.raises(MediaError, match="said what it was not asked"):
                    call(Lying(*values))


def test_a_sound_that_has_no_end(monkeypatch):
    monkeypatch.setattr(asking, "SAMPLES", 50_000)
    assert len(Lying(*[VALUES[9]] * 3).audio("x")[0]) == 48_000
    with pytest.raises(MediaError, match="said what it was not asked"):
        Lying(*[VALUES[9]] * 4).audio("x")


def test_mutated_answers_of_a_process(decoder, tmp_path):
    """Whatever bytes come, the caller gets values, or one of two errors."""
    dice, whole = random.Random(1), b"".join(map(messages.packed, VALUES[3:])) + messages.packed(Done())
    outcomes = set()
    for number in range(8):
        data = bytearray(whole)
        for _ in range(dice.randrange(4)):
            at = dice.randrange(len(data))
            data[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
        (tmp_path / "answer").write_bytes(data[: dice.choice((len(data), dice.randrange(len(data))))])
        try:
            outcomes.add(len(list(decoder.run("says", f"/{number}", name=str(tmp_path / "answer"), ends=True))))
        except (MediaError, DecoderError) as error:
            outcomes.add(getattr(error, "status", "no process"))
    assert outcomes >= {"crashed", len(VALUES) - 3}
