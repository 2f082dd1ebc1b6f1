"""Whether runs and directories of shards fit each other: labels, features, and whose they are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l2l.core.atomic import hash_of
from l2l.data.schema import load_index
from l2l.runs.run_folder import Run, RunError, load_run
from l2l.tasks.from_config import widths_of

if TYPE_CHECKING:  # it needs TensorFlow, which a finished run does without
    from l2l.data.dataset import Source


def recogniser_at(directory: str) -> Run:
    """The finished clip model that a directory of features was extracted with.

    Raises:
      ShardError, RunError: no such directory, or the run is not where it was.
    """
    made_with = load_index(directory, kind="features").policy["student"]
    if not made_with:
        raise RunError(
            f"{directory} does not say which run made its features, so nothing can recognise with them; released ones "
            f"get a classifier by `python -m l2l.feature_classifier {directory} --out=RUN`"
        )
    run = load_run(made_with["path"], part=True)
    if run.hash != made_with["hash"]:
        raise RunError(
            f"{directory} was extracted with a run of hash {made_with['hash']}, {run.path} has {run.hash}: "
            "extract again"
        )
    return run


def check_described(source: "Source", student: Run) -> None:
    """Raises RunError if a directory of features was not made by this clip model, as far as that can be told."""
    policy = source.index.policy
    if policy["student"] and policy["student"]["hash"] != student.hash:
        raise RunError(
            f"{source.directory} was extracted with a run of hash {policy['student']['hash']}, {student.path} has "
            f"{student.hash}: extract again"
        )
    if student.config["model"]["name"] == "fusion":
        check_widths(source, student.config, str(student.path))
    head = student.variables["model"]["params"]
    reads = (head["fusion"]["hidden"] if "fusion" in head else head["classifier"])["kernel"].shape[0]
    width = sum(policy["widths"].values())
    if reads != width:
        raise RunError(f"{source.directory} has descriptors of {width} values a position, {student.path} reads {reads}")


def check_widths(source: "Source", config: Mapping[str, Any], reads: str = "config.model") -> None:
    """Raises RunError if a directory of features has descriptors of other widths than a clip model reads."""
    there, wanted = source.index.policy["widths"], widths_of(config)
    if there != wanted:
        said = lambda widths: " and ".join(f"{width} ({m})" for m, width in widths.items())
        raise RunError(
            f"{source.directory} has descriptors of {said(there)} values, {reads} reads {said(wanted)}: use "
            "features of the same networks, or train another on these"
        )


def labels_of(source: "Source", runs: Mapping[str, Run]) -> tuple[str, ...]:
    """What a model trained on these shards tells apart: their labels, or its teacher's where they have none."""
    return source.index.labels or runs["teacher"].labels


def check_labels(run: Run, labels: Sequence[str], where: Any) -> None:
    """Raises RunError if a run has another label list than what is to be done `where`."""
    if run.labels == tuple(labels):
        return
    theirs, ours = set(run.labels), set(labels)
    only = [f"only in the run: {', '.join(sorted(theirs - ours)[:3])}"] if theirs - ours else []
    only += [f"only in the data: {', '.join(sorted(ours - theirs)[:3])}"] if ours - theirs else []
    raise RunError(
        f"{run.path} knows {len(run.labels)} labels (hash {run.label_hash}), {where} has {len(ours)} "
        f"(hash {hash_of(list(labels))}); {'; '.join(only) or 'the same names in another order'}. Use shards with "
        "the run's label list (or, to distil, unlabelled ones), or start a new head with "
        "--config.init_skip=\"('.*classifier/.*',)\" when fine-tuning"
    )
