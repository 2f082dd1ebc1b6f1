"""THE training loop, for every task."""

import time
from typing import Any

import jax
from ml_collections import ConfigDict

from l2l.core import sharding, trees
from l2l.core.atomic import hash_of
from l2l.core.command import Stopped
from l2l.core.prefetch import Ahead
from l2l.core.terminal import say
from l2l.data import loader
from l2l.evaluate import evaluation, predict
from l2l.runs import compatibility, fits, processes, run_folder
from l2l.runs.config import plain
from l2l.runs.values import check_values
from l2l.tasks.distill import BRIDGE
from l2l.train import checkpoint
from l2l.train.log import MetricLog, Numbers, Progress, Trace, check_finite, told
from l2l.train.preemption import Stop
from l2l.train.setup import Job, announce, init_state, prepare
from l2l.train.state import Tree
from l2l.train.step import make_step


class Trainer:
    """The state of one pass through the loop: what is pending, what was best."""

    def __init__(self, job: Job, stop: Stop):
        self.job, self.stop = job, stop
        labels = compatibility.labels_of(job.source, job.runs)
        of = {
            "model": plain(job.config.model),
            "optimiser": job.config.optim.name,
            "label list": hash_of(list(labels)),
        }
        self.saved = checkpoint.Checkpoints(job.run / "checkpoints", of)
        self.state = init_state(job)
        self.best, self.best_step, self.evaluated, lines = float("-inf"), 0, 0, 0
        self.recent: list[tuple[int, Tree]] = []  # measurements since the last report, still on the device
        self.pending: list[tuple[int, Tree]] = []  # those up to a step that is to be reported
        # What a run starts from: 1. its own newest checkpoint, 2. the run in config.init, 3. fresh variables.
        self.restored = self.saved.latest()
        if self.restored is not None:
            self.state, meta = self.saved.restore(self.restored, self.state)
            self.best, self.best_step, self.evaluated = (meta[key] for key in ("best", "best_step", "evaluated"))
            lines = meta["lines"]
            say(f"{job.run}: continuing at step {self.restored} of {job.plan.total}")
        self.first = int(self.restored or 0)
        self.progress = Progress(job.run.name, first=self.first, total=job.plan.total, batch=job.config.data.batch)
        self.log = MetricLog(job.run, lines=lines, active=jax.process_index() == 0)
        self.placed = jax.tree.map(lambda x: x.sharding, self.state)
        parts, scale = job.config.optim.accumulate, job.config.optim.lr_scale
        self.step_fn = make_step(job.task, job.optimizer, job.mesh, placed=self.placed, parts=parts, lr_scale=scale)
        self.predict = predict.jit_predict(job.task, job.mesh, self.placed.variables)

    def step(self, step: int, batch: Tree, key: jax.Array) -> None:
        """One update; the first one compiles."""
        if step == self.first:
            say(f"{self.job.run.name}: compiling the training step ...")
        with jax.transfer_guard("disallow"):
            self.state, measured = self.step_fn(self.state, self.job.frozen, batch, key)
        if step == self.first:
            self.progress.begin(step + 1)
        self.recent.append((step + 1, measured))

    def mark(self) -> None:
        """Marks the newest step as one to report, and reports the one before it."""
        self.flush()
        self.pending, self.recent = self.recent, []

    def flush_ready(self) -> None:
        """Reports the marked step if the device is done with it; several processes wait, to fail at the same step."""
        ready = lambda: all(value.is_ready() for value in self.pending[-1][1].values())
        if self.pending and jax.process_count() == 1 and ready():
            self.flush()

    def flush(self) -> None:
        """Reports the marked step's measurements. Raises NotFinite naming the first bad step up to it."""
        if not self.pending:
            return
        steps, self.pending = self.pending, []
        step, values = fetch(steps)[-1]
        times = self.progress.report(step, values)
        self.log.write(step, values | {"train/lr": float(self.job.schedule(step - 1))} | times)

    def validate(self, step: int) -> None:
        """Measures the validation split and keeps the variables if they are the best so far.

        Leaves it to the next call if the run is asked to stop meanwhile.
        """
        config = self.job.config
        arrays = self._predictions(config.data.val, self.state.variables)
        if arrays is None:
            return
        values = evaluation.measure(arrays, config.multi_label)
        self.evaluated = step
        self.log.write(step, {f"val/{name}": value for name, value in values.items()})
        say(f"{self.job.run.name} {step:>6}/{self.job.plan.total} on {config.data.val}: {shown(values, config)}")
        if config.best and values[evaluation.criterion(config)] > self.best:
            self.best, self.best_step = values[evaluation.criterion(config)], step
            variables = trees.to_host(self.state.variables)
            if jax.process_index() == 0:
                trees.save_arrays(self.job.run / "best.npz", variables)
            processes.meet("best.npz is written")
        self.progress.begin(step)

    def _predictions(self, split: str, variables: Tree) -> predict.Arrays | None:
        job, batch, stop = self.job, self.job.config.data.eval_batch, lambda: self.stop.now
        args = self.predict, variables, job.frozen, job.source, split
        return evaluation.evaluate(*args, batch=batch, mesh=job.mesh, stop=stop)

    def save(self) -> None:
        """Starts to save the state, if all of its steps were finite."""
        self.flush()
        fetch(self.recent)
        best = {"best": self.best, "best_step": self.best_step}
        self.saved.save(self.state, best | {"evaluated": self.evaluated, "lines": self.log.lines})

    def kept(self) -> dict[str, Any]:
        """Of which step the variables are that the run keeps, and why."""
        config = self.job.config
        if self.best_step:
            metric = evaluation.criterion(config)
            chosen = {"split": config.data.val, "metric": metric, "value": self.best}
            return {"step": self.best_step, "why": f"the best {metric} on {config.data.val}"} | chosen
        why = "config.best is empty" if config.data.val else "there is no validation split"
        return {"step": self.job.plan.total, "why": f"the last one, as {why}"}

    def _best(self) -> Tree:
        """The variables of the best validation. Raises ValueError if their file is damaged."""
        path, like = self.job.run / "best.npz", self.state.variables
        host: Tree = {"batch_stats": {}} | trees.load_arrays(path)  # a file has no place for what is empty
        if found := fits.misfits(like, host, whole=True):
            raise ValueError(f"{path} is damaged: {found[0][2:]}; delete {self.job.run} and train it again")
        return host

    def finish(self) -> None:
        """Measures the split that is reported with the variables to keep, and writes what makes the run finished."""
        job, split, kept = self.job, self.job.config.data.test, self.kept()
        self.saved.close()
        host = self._best() if self.best_step else trees.to_host(self.state.variables)
        arrays = self._predictions(split, sharding.put(host, self.placed.variables))
        if arrays is None:
            raise Stopped(f"{job.run}: stopped in its last evaluation; the same command continues it")
        looks = evaluation.inside(arrays, job.actions)
        values = evaluation.measure(arrays, job.config.multi_label) | looks
        self.log.close()
        if jax.process_index() == 0:
            run_folder.reopen(job.run, job.config.epochs)
            evaluation.save_predictions(job.run / "predictions.npz", arrays)
            evaluation.save_classes(job.run / "classes.json", arrays, job.source.index, split, job.config.multi_label)
            host["params"].pop(BRIDGE, None)
            read = {name: job.runs[name].variables["model"] for name in ("student", "recogniser") if name in job.runs}
            run_folder.finish(job.run, {"model": host} | read, values, job.plan.total, kept)
        say(f"{job.run} finished: {split} {shown(values, job.config)}")
        if looks:
            say(f"{job.run}: {evaluation.said_inside(looks, job.source.directory)}")
        say(f"{job.run} keeps step {kept['step']} of {job.plan.total}: {kept['why']}")


def fetch(steps: list[tuple[int, Tree]]) -> list[tuple[int, Numbers]]:
    """Measurements of steps, from the device. Raises NotFinite naming the first bad step and its first bad term."""
    measured = jax.device_get(steps)
    found = [(step, {f"train/{name}": float(x) for name, x in values.items()}) for step, values in measured]
    for step, values in found:
        check_finite(step, values)
    return found


def shown(values: dict[str, float], config: ConfigDict) -> str:
    """The two or three metrics that say most, for a person: what chooses, agreement, and reading everything."""
    plain_name = evaluation.criterion(config).removeprefix("soft_")
    names = (evaluation.criterion(config), plain_name, "agree", f"dense_{plain_name}")
    found = [name for name in dict.fromkeys(names) if name in values]
    return "  ".join(told(name, values[name]) for name in found[:3])


def train(config: ConfigDict, inputs: dict[str, dict[str, str]]) -> None:
    """Trains to the end, or from the newest checkpoint to the end.

    The loop's contract, in this order: restore; then per step: evaluate? save? next batch, step, log? Evaluation sees
    the state before the update. Logged numbers are fetched when the device has them, one logging period later at the
    latest, so that the device never waits.

    Raises:
      ValueError: a key has a value that will not do, or something does not fit.
      Stopped: asked to stop; the state is saved.
    """
    check_values(config)
    job = prepare(config, inputs)
    with run_folder.claimed(job.run), Stop() as stop:
        announce(job)
        trainer = Trainer(job, stop)
        loop(job, trainer, stop)
        trainer.finish()


def loop(job: Job, trainer: Trainer, stop: Stop) -> None:
    """See `train`."""
    config, plan, first = job.config, job.plan, trainer.first
    source = job.source.train(
        config.data.train,
        draw=config.data.draw,
        batch=config.data.batch,
        streams=config.data.streams,
        seed=config.seed,
        first_step=first,
        shuffle=config.data.shuffle,
    )
    batches = Ahead((sharding.put_batch(job.mesh, batch) for batch in source), loader.PREFETCH)
    key = jax.jit(jax.random.key, out_shardings=sharding.replicated(job.mesh))(config.seed)
    trace = Trace(job.run, first=first, active=config.profile and jax.process_index() == 0)
    validates = lambda step: config.data.val and due(step, plan.eval_every, plan.total) and step != trainer.evaluated
    try:
        for step in range(first, plan.total + 1):
            stopping = stop.due(step)
            if step and validates(step) and not stopping:
                trainer.flush()
                trainer.validate(step)
                stopping = stop.now
            if step and step != trainer.restored and (due(step, plan.save_every, plan.total) or stopping):
                trainer.save()
            if stopping:
                raise Stopped(f"{job.run}: stopped at step {step} of {plan.total}; the same command continues it")
            if step == plan.total:
                return
            if not batches.ready:  # the device may be at work still: what counts is how long it has none
                jax.block_until_ready(trainer.state)
            since = time.perf_counter()
            batch = next(batches)
            trainer.progress.waited(time.perf_counter() - since)
            trainer.step(step, batch, key)
            trace.after(step, trainer.state)
            if due(step + 1, config.log_every, plan.total):
                trainer.mark()
            trainer.flush_ready()
    finally:
        trace.close()
        batches.close()
        batches.join()
        trainer.saved.wait()  # whatever ends the loop: the save before it counts


def due(step: int, every: int, total: int) -> bool:
    """Whether something that happens every so many steps, and at the end, happens at this one."""
    return step == total or (every > 0 and step % every == 0)
