"""Writes this folder: what release 0.1.0 (commit eb5a5da) made of one small film. Run at that commit, from its root.

    JAX_HLO_SOURCE_FILE_CANONICALIZATION_REGEX='.*' python -m tests.release.make FOLDER

(The variable keeps the places of source files out of the export.)

film.mp4: 3 s. clips/: its shards. skim/: a run of a skimmer with made-up weights. skim.l2l: the same exported.
answers.json: what `l2l.infer --json` said, of the run and of the export.
"""

import json
import shutil
import sys
from pathlib import Path

import l2l
from data_prep import write_shards
from l2l.export import __main__ as export
from tests.helpers.untrained import skim_run
from tests.helpers.videos import write_video


def main(folder: str) -> None:
    out = Path(folder)
    film = write_video(out / "film.mp4", seconds=3, clicks=(0.4, 1.7))
    (out / "list.csv").write_text("path,label,split\nfilm.mp4,clapping,train\n")
    flags = ["--frames=2", "--hop=0.5", "--short_side=16", "--workers=1"]
    assert write_shards.main([f"--videos={out / 'list.csv'}", f"--out={out / 'clips'}", *flags]) == 0
    run = skim_run(out / "skim")
    assert export.main([str(run), f"--out={out / 'skim.l2l'}"]) == 0
    answers = {name: l2l.load(out / name).classify(film).to_json() for name in ("skim", "skim.l2l")}
    for answer in answers.values():
        answer["path"] = "film.mp4"
        del answer["seconds"], answer["seconds_of"]
    (out / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
    shutil.rmtree(out / "skim/checkpoints", ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
