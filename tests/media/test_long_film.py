"""A film of an hour is cut in the memory that a short one takes."""

import os
import subprocess
import sys

import pytest

from benchmarks.films import write_film
from benchmarks.prepare import CUT

MINUTES = 60 if os.environ.get("L2L_SOAK") == "1" else 3


@pytest.mark.soak
def test_an_hour_takes_no_more_memory_than_a_minute(tmp_path):
    peaks = []
    for minutes in (1, MINUTES):
        film = write_film(tmp_path / f"{minutes}.mp4", (640, 360), minutes * 60, fps=5, noise=0)
        said = subprocess.run([sys.executable, "-c", CUT, film], check=True, capture_output=True, text=True).stdout
        peaks.append(int(said) * 1024)
    assert peaks[1] < 600e6
    assert peaks[1] - peaks[0] < 1e6 * MINUTES  # the container's index grows, by half a megabyte a minute
