"""The videos that a run was measured on, where they can be found: pictures and sounds for its page."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from l2l.data import media, schema
from l2l.runs import RunError

THUMB = 96  # largest short side of a picture, pixels


class Files:
    """The videos behind a directory of clip shards, by `videos.json` beside them.

    Raises:
      RunError: videos.json is damaged.
    """

    def __init__(self, directory: Path | None, policy: Mapping[str, Any]):
        self.paths: dict[str, Path] = {}
        self.missing = "the clips that its features were made from are not where they were"
        self.policy = schema.ClipPolicy(**policy)
        if directory is None:
            return
        listed = directory / "videos.json"
        self.missing = f"there is no {listed}, which says where the videos are"
        if listed.is_file():
            try:
                found = json.loads(listed.read_text(encoding="utf-8"))
                self.paths = {name: Path(os.path.normpath(directory / path)) for name, path in found.items()}
            except (ValueError, TypeError, AttributeError) as error:
                raise RunError(f"{listed} is damaged: {error}") from error

    def clips(self, name: str, wanted: set[int], times: np.ndarray) -> tuple[dict[int, media.Clip], str]:
        """The wanted clips of a video in one decode, with small pictures; or none and why.

        Args:
          name: video id.
          wanted: positions.
          times: centres of all positions, seconds (n,), which the clips must have.
        """
        if not self.paths:
            return {}, self.missing
        if name not in self.paths:
            return {}, "videos.json does not list this video"
        policy = dataclasses.replace(self.policy, short_side=min(self.policy.short_side, THUMB))
        found = {}
        try:
            for clip in media.read_clips(self.paths[name], policy):
                if clip.index in wanted:
                    if clip.index >= len(times) or abs(clip.start + clip.duration / 2 - times[clip.index]) > 0.05:
                        return {}, f"{self.paths[name]} is not the video that the features were made from"
                    found[clip.index] = clip
        except media.MediaError as error:
            return {}, str(error)
        return (found, "") if wanted <= found.keys() else ({}, f"{self.paths[name]} is shorter than it was")
