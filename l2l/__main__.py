"""`l2l COMMAND ...`: lists the commands and runs one of them, as Python runs its module."""

import difflib
import runpy
import sys

from l2l.core import command, distribution

# Group -> name of a command -> its module, and what it does.
GROUPS = {
    "Look at videos": {
        "infer": ("l2l.infer", "what is in videos: the best classes, the moments looked at, the cost"),
        "serve": ("l2l.serve", "a small web service: a video in, what is in it out"),
        "export": ("l2l.export", "a finished run -> one file that runs wherever JAX does"),
    },
    "Prepare data": {
        "sample": ("data_prep.sample", "make the built-in sample of small videos"),
        "prepare": ("data_prep.write_shards", "videos -> clips in shards, in parallel, resumable"),
        "beam": ("data_prep.beam", "the same shards with Apache Beam, on many machines"),
        "features": ("data_prep.features", "features that somebody else made, in .npy files, and a CSV -> shards"),
        "released_features": (
            "data_prep.released_features",
            "the features that the authors released -> shards",
        ),
        "verify": ("data_prep.verify", "read every record of a directory of shards again"),
    },
    "Train": {
        "train": ("l2l.main", "one stage: train a model, or extract its features"),
        "sweep": ("l2l.sweep", "a list of runs -> a table over seeds"),
        "import_weights": ("l2l.import_weights", "published weights -> a run folder"),
        "export_weights": ("l2l.export_weights", "a run folder -> weights under the names of the PyTorch code"),
        "feature_classifier": ("l2l.feature_classifier", "fit a classifier to features whose network is not there"),
    },
    "Measure": {
        "evaluate": ("l2l.evaluate", "a finished run on any shards of the same labels"),
        "curves": ("l2l.curves", "accuracy against cost of a skimmer"),
        "sure": ("l2l.sure", "fit the rule by which a skimmer stops early"),
        "sound_trials": ("l2l.sound_trials", "a finished run on videos with other sound"),
        "compare": ("l2l.compare", "ways to choose moments beside each other, with intervals"),
        "report": ("l2l.report", "finished runs -> one HTML page, or tables over seeds"),
    },
    "This machine": {
        "doctor": ("l2l.doctor", "what is installed, what is missing, and the cure"),
    },
}
COMMANDS = {name: module for group in GROUPS.values() for name, (module, _) in group.items()}


def text() -> str:
    """What `l2l --help` prints."""
    lines = ["usage: l2l COMMAND ...", "       l2l COMMAND --help", "       l2l --version"]
    for group, rows in GROUPS.items():
        lines += ["", group, *(f"  {name:<20}{line}" for name, (_, line) in rows.items())]
    return "\n".join(lines)


def answer(word: str) -> int:
    """What `l2l` says by itself; returns the exit status."""
    if word in ("--help", "-h", ""):
        print(text())
        return 0
    if word == "--version":
        print(f"l2l {distribution.version()}")
        return 0
    near = difflib.get_close_matches(word, COMMANDS, n=1, cutoff=0.0)[0]
    print(f"error: there is no command {word!r}; did you mean {near!r}? See l2l --help", file=sys.stderr)
    return 2


def main() -> None:
    """Runs the command that the first word names, in this process; all else is answered here."""
    word = "".join(sys.argv[1:2])
    if word not in COMMANDS:
        command.run(lambda: answer(word))
    del sys.argv[1]
    command.called_as = f"l2l {word}"
    try:
        runpy.run_module(distribution.module(COMMANDS[word]), run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        reason = distribution.lacking(error)
        if not reason:
            raise
        sys.exit(f"error: {reason}")


if __name__ == "__main__":
    main()
