"""A finished run -> a .safetensors file under the names of the released PyTorch code.

    python -m l2l.export_weights RUN --out=FILE.safetensors

A student's file loads into `VisualNet`, `AudioNet`, `ImageAudioModel` and `ClassifierNet` of the released code, a
skimmer's into its `AudioPreviewModel`, a teacher's into torchvision's `r2plus1d_18`. `python -m l2l.import_weights`
reads it back; config, labels and clip policy are in its metadata.
"""

import argparse
from collections.abc import Sequence

from l2l.core import command


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=command.program("l2l.export_weights"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("run", metavar="RUN", help="folder of a finished run")
    result.add_argument("--out", required=True, help="file to write")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    return command.status(lambda: print(export(args.run, args.out)))


def export(path: str, out: str) -> str:
    """Writes the file, whole or not at all, and says what is in it.

    Raises:
      RunError: no finished run there.
      OSError: the file cannot be written.
    """
    from l2l.runs import fits, run_folder  # takes seconds: --help need not wait
    from l2l.weights import files, published  # takes seconds: --help need not wait

    run = run_folder.load_run(path)
    fits.check(run)
    name, arrays = published.arrays_of(run)
    record = {"config": run.config, "labels": run.labels, "policy": run.policy, "student": run.student}
    files.save(out, arrays, record)
    more = " --student=RUN" if run.student else ""
    ours = (
        "; those of worth.* are ours, the released code counts all looks the same"
        if any(x.startswith("worth.") for x in arrays)
        else ""
    )
    return (
        f"{out}: {sum(x.size for x in arrays.values()):,} values under {len(arrays)} names{ours}; read back by "
        f"python -m l2l.import_weights --model={name} {out}{more} --out=RUN"
    )


if __name__ == "__main__":
    command.run(main)
