"""A folder of features as somebody may have published them: a .npy per video and modality, and a CSV."""

from pathlib import Path

import numpy as np

HOPS = {"image": 1.0, "audio": 0.4}


def feature_folder(
    folder: Path, videos: dict[str, int], *, widths: dict[str, int] | None = None, classes: int = 3
) -> Path:
    """So many videos a split, in FOLDER/MODALITY/SPLIT/NUMBER.npy; one row of the images tells the class.

    The sound there is loud, so that it tells where to look.
    """
    rng = np.random.default_rng(0)
    lines = ["video,label,split"]
    for split, count in videos.items():
        for number in range(count):
            rows = int(rng.integers(6, 16))
            at = int(rng.integers(rows))
            for modality, width in (widths or {"image": 6, "audio": 4}).items():
                own = rng.normal(size=(round(rows / HOPS[modality]), width)).astype(np.float32)
                first = round(at / HOPS[modality])
                own[first : round((at + 1) / HOPS[modality]), number % classes if modality == "image" else 0] += 6
                path = folder / modality / split / f"{number}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, own)
            lines.append(f"{split}/{number},class {number % classes},{split}")
    (folder / "list.csv").write_text("\n".join(lines))
    return folder
