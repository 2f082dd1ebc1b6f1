"""Runs a list of runs one after another and tabulates them over seeds.

    python -m l2l.sweep --sweep=configs/sweep_study.py --out=runs/study

Every run is a process of its own, `python -m l2l.main` with overrides. Finished runs are left alone, stopped ones go
on, so the same command continues a sweep. Writes OUT/results.json and OUT/results.md.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from l2l.checkpoint import replacing
from l2l.data import schema
from l2l.inputs import run_module
from l2l.log import clock, say
from l2l.runs import DONE, RunError, is_finished, read_json

Run = dict[str, Any]


def load_sweep(file: str, out: str) -> list[Run]:
    """The runs that a sweep file lists. Raises RunError if there is no such file."""
    if not Path(file).is_file():
        raise RunError(f"sweep {file} does not exist")
    spec = importlib.util.spec_from_file_location("sweep", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_runs(out)


def command(run: Run) -> list[str]:
    """The words of a run's command line after `python -m`."""
    overrides = {"seed": run["seed"]} | run["overrides"]
    words = [f"--config.{key}={value}" for key, value in overrides.items()]
    return ["l2l.main", f"--config={run['config']}", *words]


def tabulate(runs: list[Run]) -> dict[str, dict[str, dict[str, Any]]]:
    """{run name: {metric: {"mean", "spread", "values"}}}; spread is the sample standard deviation over the seeds."""
    values: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        done = Path(run["overrides"]["run"]) / DONE
        if done.is_file():
            for metric, value in read_json(done)["metrics"].items():
                values.setdefault(run["name"], {}).setdefault(metric, []).append(value)
    spread = lambda x: statistics.stdev(x) if len(x) > 1 else 0.0
    return {
        name: {m: {"mean": statistics.fmean(x), "spread": spread(x), "values": x} for m, x in metrics.items()}
        for name, metrics in values.items()
    }


def markdown(table: dict[str, dict[str, dict[str, Any]]]) -> str:
    """One row per run name with its accuracies in percent, mean ± spread over the seeds."""
    lines = ["| run | metric | % | seeds |", "|---|---|---|---|"]
    for name, metrics in table.items():
        for metric, x in metrics.items():
            if metric.endswith(("top1", "mAP")):
                percent = f"{100 * x['mean']:.1f} ± {100 * x['spread']:.1f}"
                lines.append(f"| {name} | {metric} | {percent} | {len(x['values'])} |")
    return "\n".join(lines) + "\n"


def sweep(runs: list[Run]) -> None:
    """Runs what is not finished. Raises RunError naming the command that failed."""
    since, left = time.perf_counter(), [run for run in runs if not is_done(run)]
    for number, run in enumerate(left):
        spent = time.perf_counter() - since
        rest = clock(spent / number * (len(left) - number)) if number else "?"
        say(f"[{number + 1}/{len(left)}] {run['overrides']['run']}  spent {clock(spent)}  left {rest}")
        code = run_module(command(run))
        if code:
            raise RunError(f"python -m {' '.join(command(run))} ended with code {code}")


def is_done(run: Run) -> bool:
    path = Path(run["overrides"]["run"])
    return is_finished(path) or (path / schema.INDEX).is_file()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m l2l.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("--sweep", required=True, help="file with get_runs(out), e.g. configs/sweep_study.py")
    parser.add_argument("--out", required=True, help="folder for the runs and the results")
    args = parser.parse_args(argv)
    try:
        runs = load_sweep(args.sweep, args.out)
        sweep(runs)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on")
        return 130
    except (ValueError, OSError) as error:
        say(f"error: {error}")
        return 1
    table = tabulate(runs)
    schema.write_json(Path(args.out) / "results.json", table)
    text = markdown(table)
    with replacing(Path(args.out) / "results.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
