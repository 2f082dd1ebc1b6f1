"""Runs a list of runs one after another and tabulates them over seeds.

    python -m l2l.sweep --sweep=configs/sweep_study.py --out=runs/study

A sweep that comes with this package may be named, --sweep=study; any other is a file. It has get_runs(out), a list of
runs, {name, config, seed, overrides}, and of commands on finished runs, {command, makes}. All run in this process,
which spares each the start; with --jobs several at a time, in processes. What is finished is left alone, what was
stopped goes on, so the same command continues a sweep. Writes OUT/sweep.json and OUT/sweep.md. The sweep file is Python
and is executed: take it only from people whom you trust.
"""

import argparse
import importlib
import os
import statistics
import time
from pathlib import Path
from typing import Any

import jax

from l2l.core import atomic, command, pool
from l2l.core.atomic import replacing
from l2l.core.terminal import say
from l2l.core.texts import clock
from l2l.runs import dependencies
from l2l.runs.config import called, config_file, load_config, plain
from l2l.runs.run_folder import DONE, RunError, asks_longer, check_same, hash_at, is_finished, read_json

Run = dict[str, Any]
MOST = 1024  # runs at a time


def load_sweep(file: str, out: str) -> list[Run]:
    """What a sweep lists; "study" is configs/sweep_study.py. Raises RunError if there is no such file."""
    return called("sweep", config_file(file, "sweep_"), "get_runs", out)


def config_of(run: Run) -> Any:
    """The config of a run.

    Raises:
      RunError: an override names no key, or does not fit it.
    """
    config = load_config(run["config"])
    config.lock()
    try:
        config.update_from_flattened_dict({"seed": run["seed"]} | run["overrides"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{run['overrides']['run']}: its overrides do not fit {run['config']}: {error}") from error
    return config


def path_of(run: Run) -> Path:
    """What a run or a command makes."""
    return Path(run["makes"] if "command" in run else run["overrides"]["run"])


def is_done(run: Run) -> bool:
    """Whether an entry is finished as the sweep asks for it.

    Raises:
      RunError: its folder holds a run of another config or other data; the message lists the differences.
    """
    path = path_of(run)
    if "command" in run:
        return path.is_file() and is_fresh(path)
    if not dependencies.exists(path):
        return False
    config = config_of(run)
    there = {
        name: x for name, x in dependencies.paths(config).items() if dependencies.exists(Path(x))
    }  # what is gone says nothing
    record = {"config": plain(config), "inputs": dependencies.named(there)}
    if asks_longer(path, record):
        return False
    check_same(path, record)
    return True


def is_fresh(path: Path) -> bool:
    """Whether a measurement, a file in a run folder, is of the run as it is now."""
    return read_json(path).get("run") == hash_at(path.parent) if is_finished(path.parent) else False


def start(run: Run) -> None:
    """Runs one entry to its end.

    Raises:
      RunError: its command failed.
      Stopped, ValueError, OSError: as training and extraction do.
    """
    if "command" not in run:
        from l2l import main  # it defines the flags of its own command line

        main.run(config_of(run))
        return
    module, *arguments = run["command"]
    code = importlib.import_module(module).main(arguments)
    if code:
        raise RunError(f"python -m {' '.join(run['command'])} ended with code {code}")


def sweep(runs: list[Run], jobs: int = 1) -> None:
    """Runs what is not finished, several entries at a time if there are several jobs; raises as `start` and `is_done`.

    ChildProcessError: the process of a run died.
    """
    since, left = time.perf_counter(), [run for run in runs if not is_done(run)]
    count = len(left)
    while left:
        now = left[:1] if jobs == 1 else at_once(left)
        spent = time.perf_counter() - since
        done = count - len(left)
        rest = clock(spent / done * len(left)) if done else "?"
        times = f"spent {clock(spent)}  left {rest}"
        if len(now) == 1:
            say(f"[{done + 1}/{count}] {path_of(now[0])}  {times}")
            start(now[0])
            jax.clear_caches()  # programs are of one run each
        else:
            say(f"[{done + 1}-{done + len(now)}/{count}] {len(now)} entries, {jobs} at a time  {times}")
            for path in pool.each(start_quietly, now, dict, min(jobs, len(now))):
                say(f"{path} is there; what it said: {log_of(path)}")
        left = [run for run in left if run not in now]


def at_once(left: list[Run]) -> list[Run]:
    """The entries that wait for no other; a single one if it first makes what others may need, too."""
    waited_for = {path_of(run) for run in left}
    ready = [run for run in left if not waited_for & needs(run)]
    return next(([run] for run in ready if makes_more(run)), ready)


def makes_more(run: Run) -> bool:
    """Whether an entry makes data that are not there, or keeps what its teacher says."""
    return not all(map(dependencies.exists, needs(run))) or bool("config" in run and config_of(run).cache_teacher)


def needs(run: Run) -> set[Path]:
    """Runs and data that an entry is made from."""
    if "command" in run:
        return {path_of(run).parent}
    return {Path(path) for path in dependencies.paths(config_of(run)).values()}


def log_of(path: str | Path) -> Path:
    """Where what makes a run or a measurement says what it has to say, if several are made at a time."""
    return Path(f"{path}.log")


def start_quietly(_: Any, run: Run) -> str:
    """`start` in a process whose output goes to a file from now on; what it makes."""
    path = path_of(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    with log_of(path).open("a", encoding="utf-8") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    start(run)
    jax.clear_caches()
    return str(path)


def tabulate(runs: list[Run]) -> dict[str, dict[str, dict[str, Any]]]:
    """{run name: {metric: {"mean", "spread", "values"}}}; spread is the sample standard deviation over the seeds."""
    values: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        done = path_of(run) / DONE
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


def write(out: Path, runs: list[Run]) -> str:
    """Writes sweep.json and sweep.md; returns the latter's text."""
    table = tabulate(runs)
    text = markdown(table)
    atomic.write_json(out / "sweep.json", table)
    with replacing(out / "sweep.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog=command.program("l2l.sweep"), description=__doc__.splitlines()[0])
    result.add_argument("--sweep", required=True, help="a name such as study, or a file with get_runs(out)")
    result.add_argument("--out", required=True, help="folder for the runs and the results")
    many = "runs at a time, each on a CPU core of its own, which small models use best; what a run says is in RUN.log"
    result.add_argument("--jobs", type=command.number(int, 1, MOST), default=1, help=f"{many} (default: 1)")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    return command.status(lambda: run_all(args), interrupted="interrupted; the same command goes on")


def run_all(args: argparse.Namespace) -> None:
    """Does the runs, writes the table and prints it."""
    runs, jobs = load_sweep(args.sweep, args.out), args.jobs
    if jobs > 1 and jax.default_backend() != "cpu":
        say(f"one run at a time: --jobs={jobs} would have them share the accelerator")
        jobs = 1
    sweep(runs, jobs)
    print(write(Path(args.out), runs), end="")


if __name__ == "__main__":
    command.run(main)
