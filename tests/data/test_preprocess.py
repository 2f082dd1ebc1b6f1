"""Frames on the device."""

import jax
import numpy as np
from PIL import Image

from l2l.models.backbones.frontend import prepare_frames

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def test_normalises_without_touching_frames_of_the_right_size():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3), np.uint8)
    mine = jax.jit(lambda x: prepare_frames(x, 8, MEAN, STD))(frames)
    assert mine.dtype == np.float32
    np.testing.assert_allclose(mine, (frames / 255 - MEAN) / STD, atol=1e-5)


def test_resizes_as_pillow_does():
    yx = np.stack(np.mgrid[0:48, 0:48], -1) / 47
    pixels = np.concatenate([yx, (np.sin(9 * yx[..., :1]) + 1) / 2], -1)
    frames = np.round(255 * pixels).astype(np.uint8)[None, None]
    mine = np.asarray(prepare_frames(frames, 16, (0, 0, 0), (1, 1, 1)))[0, 0]
    expected = np.asarray(Image.fromarray(frames[0, 0]).resize((16, 16), Image.Resampling.BILINEAR)) / 255
    assert mine.shape == (16, 16, 3)
    np.testing.assert_allclose(mine, expected, atol=1.1 / 255)
