"""What of a video was decoded: how much of its film, and how many bytes."""

import dataclasses
from typing import Any

import av

KINDS = {"video": "image", "audio": "audio"}  # type of a stream -> what it is called here


@dataclasses.dataclass(frozen=True)
class Decoded:
    """How much of a stream went to its decoder, what it decoded twice counted twice.

    Attributes:
      seconds: of the film, as long as its packets say.
      bytes: of those packets; of some, the decoder may have found that nothing was needed.
    """

    seconds: float = 0.0
    bytes: int = 0

    def __add__(self, other: "Decoded") -> "Decoded":
        return Decoded(self.seconds + other.seconds, self.bytes + other.bytes)


class Tally:
    """Counts what goes to the decoders of a file.

    Attributes:
      decoded: "image", "audio" -> so far.
    """

    def __init__(self) -> None:
        self.decoded = {kind: Decoded() for kind in KINDS.values()}

    def copy(self) -> "Tally":
        """Another that goes on counting from here."""
        other = Tally()
        other.decoded = dict(self.decoded)
        return other

    def decode(self, packet: av.Packet) -> list[Any]:
        """Counts a packet and decodes it: frames of its stream's kind, pictures or sound."""
        if packet.size:
            self.decoded[KINDS[packet.stream.type]] += Decoded(length_of(packet), packet.size)
        return packet.decode()


def length_of(packet: av.Packet) -> float:
    """Seconds of film in a packet; of a picture that does not say, the average one's; 0 where nothing is known."""
    if packet.duration:
        base = packet.time_base  # a new object every time
        return packet.duration * base.numerator / base.denominator
    rate = packet.stream.type == "video" and (packet.stream.average_rate or packet.stream.guessed_rate)
    return float(1 / rate) if rate else 0.0
