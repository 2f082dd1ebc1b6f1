"""What the built-in sample shows and sounds like: shapes, motions and sounds, drawn with numpy alone.

Every frame is drawn from five phases (place across, place down, angle, size, strength), each of them
uniform on the circle and independent of the others. A motion lets exactly one phase run and leaves the
others still. So the distribution of any single frame is the same for every motion, and for none: only
several frames, or the sound that goes with the motion, tell it. The sound is drawn from its own generator
and never sees the shape. It is stationary (it starts in the midst and ends in the midst), so that neither
its beginning nor its end tells anything.

| labels | told by |
|---|---|
| {square, stripes, star, pair} {spinning, swinging, bouncing} | both: shape by a frame, motion as next |
| anything {pulsing, blinking} | the motion, by frames or by sound: the shape is any |
| checkers, ripples | a frame: the motion and its sound are any |

Nuisance: colours, place, size, background, speed and direction of the motion, picture noise, pitch, timbre,
tempo, loudness and noise of the sound. The target domain has other ranges of most of them than the source
domain. In the far domain everything is small, at any of nine places, and among decoys that look alike from afar.
"""

import dataclasses

import numpy as np

SHAPES = ("square", "stripes", "star", "pair")
APPEARANCES = ("checkers", "ripples")
DECOYS = ("crescent", "hourglass")  # never an action
APART = 0.3  # distance of the places where several things stand, 3 x 3 of them, as a share of the short side
# motion -> (the phase that runs, its slowest and fastest rate in Hz, the sound that goes with it)
MOTIONS = {
    "spinning": (2, (0.30, 0.50), "vibrato"),
    "swinging": (0, (0.9, 1.5), "rising"),
    "bouncing": (1, (0.9, 1.5), "falling"),
    "pulsing": (3, (0.9, 1.5), "beeps"),
    "blinking": (4, (0.9, 1.5), "rattle"),
}
WITH_SHAPE = ("spinning", "swinging", "bouncing")
LABELS = (
    *(f"{shape} {motion}" for shape in SHAPES for motion in WITH_SHAPE),
    *(f"anything {motion}" for motion in MOTIONS if motion not in WITH_SHAPE),
    *APPEARANCES,
)


@dataclasses.dataclass(frozen=True)
class Domain:
    """Ranges (low, high) of what differs between the source and the target part.

    Attributes:
      backdrop: brightness of the background, 0..255.
      texture: contrast of the background's pattern, grey levels.
      grain: standard deviation of the noise that changes from frame to frame, grey levels.
      radius: mean radius of the shape, as a share of the short side.
      pitch: of the sound, Hz.
      loudness: of the sound, dB below full scale.
      noise: power of the noise beside the sound, dB relative to it.
      tilt: exponent of the noise's falling amplitude spectrum (0 is white, 1 is brown).
      sway: how far a shape moves from its place, as a share of the short side.
      others: how many decoys share the picture with the shape, each at a place of its own; 0: it is alone in the
        middle.
    """

    backdrop: tuple[float, float]
    texture: tuple[float, float]
    grain: tuple[float, float]
    radius: tuple[float, float]
    pitch: tuple[float, float]
    loudness: tuple[float, float]
    noise: tuple[float, float]
    tilt: tuple[float, float]
    sway: float = 0.17
    others: int = 0


SOURCE = Domain((20, 150), (0, 12), (0, 2.5), (0.27, 0.33), (350, 1500), (-28, -8), (-30, -8), (0, 0.5))
TARGET = Domain((60, 190), (6, 18), (1, 4), (0.25, 0.31), (300, 1100), (-32, -10), (-22, -6), (0.4, 1))
FAR = dataclasses.replace(TARGET, radius=(0.075, 0.095), sway=0.05, others=2)


def parts_of(label: str, rng: np.random.Generator) -> tuple[str, str]:
    """A (shape, motion) that the label stands for; what the label leaves open is drawn."""
    shape, _, motion = label.partition(" ")
    if shape == "anything":
        shape = str(rng.choice(SHAPES))
    return shape, motion or str(rng.choice(list(MOTIONS)))


def inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """How far (u, v) lies inside the shape's outline, in units of its radius; negative outside."""
    rho, across, down = np.hypot(u, v), np.abs(u), np.abs(v)
    box = np.maximum(across, down)
    if shape == "square":
        return 0.75 - box
    if shape == "stripes":  # three of them
        return np.minimum(0.85 - box, np.abs((u + 2) % 0.567 - 0.283) - 0.13)
    if shape == "star":  # a point of a pentagram violates at most one of its five lines
        lines = np.stack([np.cos(k * np.pi / 2.5) * u + np.sin(k * np.pi / 2.5) * v for k in range(5)])
        return 0.309 - np.partition(lines, -2, axis=0)[-2]
    if shape == "pair":
        return 0.42 - np.hypot(across - 0.58, v)
    if shape == "checkers":  # these two fill the picture
        return 0.35 * np.sin(np.pi * u) * np.sin(np.pi * v)
    if shape == "ripples":
        return 0.25 * np.sin(1.6 * np.pi * rho)
    if shape == "crescent":
        return np.minimum(1 - rho, np.hypot(u - 0.5, v) - 0.75)
    if shape == "hourglass":
        return np.minimum(0.9 - down, 0.08 + down - across)
    raise ValueError(f"unknown shape {shape!r}")


def pose(motion: str | None, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The five phases, radians, float32 (t, 5); without a motion all of them stand still."""
    phases = np.tile(rng.uniform(0, 2 * np.pi, 5), (len(times), 1))
    if motion is not None:
        which, (slow, fast), _ = MOTIONS[motion]
        phases[:, which] += rng.choice((-1, 1)) * 2 * np.pi * rng.uniform(slow, fast) * times
    return phases.astype(np.float32)


def backdrop(width: int, height: int, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """A still background: a gradient of colours and a coarse pattern, float32 (h, w, 3), about 0..255."""
    level = rng.uniform(*domain.backdrop)
    corners = np.clip(level + rng.uniform(-40, 40, (2, 2, 3)), 0, 255)
    coarse = rng.standard_normal((6, 6, 3)) * rng.uniform(*domain.texture)
    return _stretch(corners, width, height) + _stretch(coarse, width, height)


def _stretch(grid: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bilinear enlargement of (n, n, 3) to (height, width, 3)."""

    def weights(size: int) -> np.ndarray:
        place = np.linspace(0, len(grid) - 1, size)
        return np.clip(1 - np.abs(place[:, None] - np.arange(len(grid))), 0, 1)

    rows = (weights(height) @ grid.reshape(len(grid), -1)).reshape(height, len(grid), 3)
    return (weights(width) @ rows).astype(np.float32)


def draw(
    ground: np.ndarray,
    shape: str | None,
    motion: str | None,
    times: np.ndarray,
    *,
    domain: Domain,
    rng: np.random.Generator,
) -> np.ndarray:
    """Frames of one shape, and of the domain's decoys, over a background.

    Args:
      ground: float32 (h, w, 3).
      shape: None draws the background alone.
      motion: None leaves the shape still.
      times: seconds, (t,).

    Returns:
      uint8 (t, h, w, 3).
    """
    height, width, _ = ground.shape
    frames = ground[None]
    for what, how, place in _cast(shape, motion, domain, rng):
        phases = pose(how, times if how else times[:1], rng)
        alpha = _mask((height, width), what, phases, place, domain, rng)[..., None]
        frames = frames + alpha * (_colour(ground, rng) - frames)
    grain = rng.standard_normal((len(times), height, width, 1), np.float32) * rng.uniform(*domain.grain)
    return np.clip(frames + grain, 0, 255).astype(np.uint8)


def _cast(
    shape: str | None, motion: str | None, domain: Domain, rng: np.random.Generator
) -> list[tuple[str, str | None, np.ndarray]]:
    """(shape, motion, place) of what is in the picture, what lies in front last."""
    if not domain.others:
        return [] if shape is None else [(shape, motion, np.zeros(2))]
    places = [np.array(divmod(cell, 3)) * APART - APART for cell in rng.permutation(9)]
    cast: list[tuple[str, str | None, np.ndarray]] = [
        (str(rng.choice(DECOYS)), str(rng.choice(list(MOTIONS))), places[i]) for i in range(domain.others)
    ]
    return cast if shape is None else [*cast, (shape, motion, places[-1])]


def _mask(
    size: tuple[int, int], shape: str, phases: np.ndarray, place: np.ndarray, domain: Domain, rng: np.random.Generator
) -> np.ndarray:
    """How much of the shape covers each pixel of (height, width): float32 (t, h, w)."""
    height, width = size
    short = min(size)
    wave = np.sin(phases)[:, :, None, None]
    middle = place + rng.uniform(-0.04, 0.04, 2) + domain.sway * wave[:, :2, 0, 0]
    radius = (rng.uniform(*domain.radius) * short * (1 + 0.3 * wave[:, 3])).astype(np.float32)
    strength = 0.8 + 0.2 * wave[:, 4]
    x = np.arange(width, dtype=np.float32) + 0.5 - width / 2 - short * middle[:, :1, None]
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5 - height / 2 - short * middle[:, 1:, None]
    cos, sin = np.cos(phases[:, 2, None, None]), np.sin(phases[:, 2, None, None])
    u, v = (cos * x + sin * y) / radius, (cos * y - sin * x) / radius
    return (strength * np.clip(inside(shape, u, v) * radius + 0.5, 0, 1)).astype(np.float32)


def _colour(ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A colour that stands out from the background, float32 (3,)."""
    choices = rng.uniform(0, 255, (8, 3))
    far = np.abs(choices - ground.mean((0, 1))).sum(1)
    return choices[np.argmax(np.minimum(far, 320))].astype(np.float32)


def sound(kind: str, seconds: float, rate: int, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """One of the sounds of MOTIONS, or "hum", with noise, at a random loudness: float32 (n,) in -1..1."""
    time = np.arange(round(seconds * rate)) / rate
    base = np.exp(rng.uniform(*np.log(domain.pitch)))
    if kind == "rattle":
        cycle = (time * rng.uniform(9, 13) + rng.uniform()) % 1
        wave = noise(len(time), 0, rng) * np.exp(-5 * cycle)
    else:
        octaves, gate = _melody(kind, time, rng)
        turns = 2 * np.pi * np.cumsum(base * 2**octaves) / rate
        weights = rng.uniform(0.3, 0.7) ** np.arange(3)
        wave = gate * sum(w * np.sin((k + 1) * turns + rng.uniform(0, 6)) for k, w in enumerate(weights))
    wave = wave / np.sqrt(np.mean(wave**2))
    wave = wave + 10 ** (rng.uniform(*domain.noise) / 20) * noise(len(time), rng.uniform(*domain.tilt), rng)
    return _loud(wave, rng.uniform(*domain.loudness))


def _melody(kind: str, time: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pitch over the base, octaves, and amplitude 0..1, each (n,)."""

    def cycle(slow: float, fast: float) -> np.ndarray:
        return (time * rng.uniform(slow, fast) + rng.uniform()) % 1

    if kind == "vibrato":
        return 0.3 * np.sin(2 * np.pi * cycle(4.5, 7)), np.ones_like(time)
    if kind in ("rising", "falling"):
        c = cycle(1.6, 2.6)
        return (c if kind == "rising" else 1 - c), np.sqrt(np.sin(np.pi * c))
    if kind == "beeps":
        return np.zeros_like(time), np.clip(0.5 + 3 * np.sin(2 * np.pi * cycle(4, 7)), 0, 1)
    if kind == "hum":
        return np.zeros_like(time), np.ones_like(time)
    raise ValueError(f"unknown sound {kind!r}")


def ambience(seconds: float, rate: int, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """Noise alone: float32 (n,)."""
    wave = noise(round(seconds * rate), rng.uniform(*domain.tilt), rng)
    return _loud(wave, rng.uniform(*domain.loudness) - 10)


def noise(samples: int, tilt: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit power whose amplitude spectrum falls as frequency to the power -tilt: float64 (n,)."""
    size = 1 << (samples - 1).bit_length()  # other lengths are many times slower to transform
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum *= np.maximum(np.arange(len(spectrum)), len(spectrum) / 200) ** -tilt
    wave = np.fft.irfft(spectrum)[:samples]
    return wave / wave.std()


def _loud(wave: np.ndarray, decibel: float) -> np.ndarray:
    """Scales to a power in dB below full scale; what would clip is limited smoothly."""
    return np.tanh(wave / np.sqrt(np.mean(wave**2)) * 10 ** (decibel / 20)).astype(np.float32)
