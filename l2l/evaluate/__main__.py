"""Every example of a split once: predict, drop the padding, compute the metrics over all of them.

`python -m l2l.evaluate RUN --data=DIR --split=test` measures a finished run on any shards of the same labels; with
`--by_video` a clip model's scores are averaged over the clips of each video first. Of a model that picks positions,
`inside` is the share of its looks that lie inside the labelled stretches (actions.json beside the features): those
whose middle does. `inside_chance` is the share of random looks, and `inside_examples` says how many videos have any.
"""

import argparse
import json
from typing import Any

from l2l.core import command
from l2l.core.terminal import say
from l2l.runs.actions import actions_of
from l2l.runs.run_folder import load_run


def evaluate_run(
    path: str, data: str, split: str, batch: int | None, recognition: str = "", videos: bool = False
) -> dict[str, Any]:
    """Measures a finished run on a split of any shards with the same labels, without training; "" is `reported`.

    With `videos` a clip model is measured by the mean scores of the clips of each video; "clips" says how many.

    Of a skim run also how many of its looks lie inside labelled stretches, where the data has them.

    Raises:
      RunError, ShardError, ValueError: not a finished run, other labels, or shards that do not fit it.
    """
    from l2l.evaluate import evaluation  # needs TensorFlow

    run = load_run(path)
    facts: dict[str, Any] = {}
    if videos and run.config["task"] == "skim":
        raise ValueError(f"{path} is a {run.config['model']['name']}, which answers for whole videos: drop --by_video")
    source = evaluation.open_for(run, data, recognition)
    split = split or evaluation.reported(source.index)
    arrays = evaluation.predictions(run, source, split, batch)
    if videos:
        arrays, facts = evaluation.by_video(arrays, run.config["multi_label"]), {"clips": len(arrays["labels"])}
    looks = evaluation.inside(arrays, actions_of(source.directory)) if run.config["task"] == "skim" else {}
    if looks:
        say(evaluation.said_inside(looks, source.directory))
    facts |= {"run": run.hash, "data": source.index.hash, "labels": source.index.label_hash, "split": split}
    return evaluation.measure(arrays, run.config["multi_label"]) | looks | facts


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog=command.program("l2l.evaluate"), description=__doc__.splitlines()[0])
    result.add_argument("run", help="folder of a finished run: teacher, student or skimmer")
    result.add_argument("--data", required=True, help="directory of shards: clips, or features for a skimmer")
    result.add_argument("--split", default="", help="which split (default: test where the shards have one, else val)")
    result.add_argument(
        "--by_video", action="store_true", help="average a clip model's scores over the clips of each video"
    )
    size = command.number(int, 1, 1e6)
    result.add_argument("--batch", type=size, help="examples at a time (default: as the run was evaluated)")
    result.add_argument(
        "--recognition", default="", help="features that recognise (default: the directory it has used)"
    )
    return result


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    how = args.split, args.batch, args.recognition, args.by_video
    return command.status(lambda: print(json.dumps(evaluate_run(args.run, args.data, *how))))


if __name__ == "__main__":
    command.run(main)
