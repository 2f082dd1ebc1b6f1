"""THE training loop and the one train step, for every task."""

import contextlib
import dataclasses
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import optax

from l2l import build, checkpoint, evaluate, optim, predict, runs, sharding, teacher_cache
from l2l.data import loader
from l2l.data.batches import split_host
from l2l.data.source import Source, source_of
from l2l.inputs import plain
from l2l.log import MetricLog, Progress, check_finite, say
from l2l.models.trees import mismatches
from l2l.state import TrainState, Tree
from l2l.tasks.distill import BRIDGE


class Stopped(Exception):
    """The run was asked to stop; it saved its state and can be continued by the same command."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A config's durations in steps."""

    total: int
    warmup: int
    milestones: tuple[int, ...]
    eval_every: int
    save_every: int

    @classmethod
    def of(cls, config: Any, examples: int) -> "Plan":
        steps = lambda epochs: optim.steps_of(epochs, examples, config.data.batch)
        marks = tuple(steps(epoch) for epoch in config.optim.milestones)
        return cls(
            steps(config.epochs),
            steps(config.optim.warmup_epochs),
            marks,
            steps(config.eval_epochs),
            steps(config.save_epochs),
        )


@dataclasses.dataclass
class Job:
    """Everything the loop works with."""

    config: Any
    run: Path
    source: Source
    runs: dict[str, runs.Run]
    task: Any
    variables: Tree  # to start from
    frozen: Tree
    mesh: jax.sharding.Mesh
    plan: Plan
    schedule: optim.Schedule
    optimizer: optax.GradientTransformation


def make_step(task: Any, optimizer: optax.GradientTransformation, mesh: jax.sharding.Mesh) -> Callable:
    """(state, frozen, batch, key) -> (new state, dict of float32 scalars), compiled once; the state is donated."""

    def step(state: TrainState, frozen: Tree, batch: Tree, key: jax.Array) -> tuple[TrainState, Tree]:
        rng = jax.random.fold_in(key, state.step)
        value_and_grad = jax.value_and_grad(task.loss, has_aux=True)
        (loss, (batch_stats, measured)), grads = value_and_grad(state.params, state.batch_stats, frozen, batch, rng)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        norms = {"grad_norm": grads, "update_norm": updates, "param_norm": params}
        measured = {"loss": loss} | measured | {name: optax.global_norm(tree) for name, tree in norms.items()}
        return TrainState(state.step + 1, params, batch_stats, opt_state), measured

    whole, split = sharding.replicated(mesh), sharding.over_data(mesh)
    return jax.jit(step, donate_argnums=0, in_shardings=(whole, whole, split, whole), out_shardings=whole)


def prepare(config: Any, inputs: dict[str, dict[str, str]]) -> Job:
    """Opens the inputs, starts the run folder and checks everything that can be checked before work starts.

    The first work of a distillation that reads its teacher's answers is to have them all.

    Raises:
      ValueError, RunError, ShardError: something does not fit; the message names the cure.
    """
    run = Path(config.run)
    source = source_of(config, config.data.dir)
    # Imported weights may be those of a trunk, or of a student's fusion and classifier, which is all a skimmer reads.
    may = lambda name: name.startswith("init") or (name == "student" and config.task == "skim")
    other = {name: runs.load_run(x["path"], part=may(name)) for name, x in inputs.items() if name != "data"}
    inits = [run for name, run in other.items() if name.startswith("init")]
    mesh = sharding.make_mesh(config.mesh)
    for key in ("batch", "eval_batch"):
        sharding.check_batch(mesh, config.data[key], f"data.{key}")
    for split in (config.data.train, config.data.val, config.data.test):
        source.shards(split)
    loader.check_streams(source.shards(config.data.train), batch=config.data.batch, streams=config.data.streams)
    task, frozen = build.task_of(config, source, other)
    cache = teacher_cache.cache_of(config, source, other.get("teacher"))
    frozen = {} if cache else frozen
    for init in inits:
        if not (config.init_skip or init.part):
            build.check_labels(init, build.labels_of(source, other), source.directory)
    plan = Plan.of(config, source.index.records(config.data.train))
    schedule = optim.make_schedule(
        lr=config.optim.lr,
        total=plan.total,
        warmup=plan.warmup,
        name=config.optim.schedule,
        milestones=plan.milestones,
        factor=config.optim.factor,
    )
    variables = init_variables(config, source, task, frozen, inits)
    numbers = {key: config.optim[key] for key in ("name", "momentum", "weight_decay", "clip_norm", "lr_scale")}
    optimizer = optim.make_optimizer(variables["params"], schedule, **numbers)
    frozen = jax.device_put(frozen, sharding.replicated(mesh))
    job = Job(config, run, source, other, task, variables, frozen, mesh, plan, schedule, optimizer)
    start_run(job, inputs)
    if cache:
        job.source = cache.complete(mesh, batch=config.data.eval_batch)
    return job


def start_run(job: Job, inputs: dict[str, dict[str, str]]) -> None:
    """Writes config.json, or checks the one that is there (see `runs.start`)."""
    student = job.runs.get("student")
    policy = job.source.index.policy
    record = {
        "config": plain(job.config),
        "inputs": inputs,
        "labels": build.labels_of(job.source, job.runs),
        "policy": policy.get("clips", policy) if student else policy,
        "student": student.config if student else None,
    }
    runs.start(job.run, record)


def init_variables(config: Any, source: Source, task: Any, frozen: Tree, inits: list[runs.Run]) -> Tree:
    """Fresh variables from the seed, overwritten by those of the `init` runs where their paths are not skipped."""
    batch, _ = split_host(next(source.eval(config.data.train, batch=2)))
    variables = jax.jit(task.init)(jax.random.key(config.seed), batch, frozen)
    always = (f"params/{BRIDGE}/.*",) if BRIDGE in variables["params"] else ()
    for init in inits:
        variables = merge(variables, init.variables["model"], (*config.init_skip, *always), init.part)
    return variables


def merge(fresh: Tree, loaded: Tree, skip: tuple[str, ...], part: tuple[str, ...] = ()) -> Tree:
    """Loaded values in the place of fresh ones; both trees must agree outside the skipped paths.

    Args:
      fresh: variables of the model.
      loaded: variables of a run.
      skip: patterns of paths that stay fresh.
      part: patterns of the paths that the run has to offer, if these are not all.

    Raises:
      ValueError: missing, unused or differently shaped entries, all of them listed.
    """
    new = flax.traverse_util.flatten_dict(fresh, sep="/")
    old = flax.traverse_util.flatten_dict(loaded, sep="/")
    skipped = optim.matching(skip, new | old)
    skipped |= (new.keys() - optim.matching(part, new)) if part else set()
    old = {path: jnp.asarray(value) for path, value in old.items() if path not in skipped}
    wrong = mismatches({path: value for path, value in new.items() if path not in skipped}, old)
    if wrong:
        raise ValueError("the weights of config.init do not fit the model:\n  " + "\n  ".join(wrong))
    return flax.traverse_util.unflatten_dict(new | old, sep="/")


def init_state(job: Job) -> TrainState:
    """The state at step 0, replicated over the mesh."""
    opt_state = job.optimizer.init(job.variables["params"])
    state = TrainState(jnp.zeros((), jnp.int32), opt_state=opt_state, **job.variables)
    return jax.device_put(state, sharding.replicated(job.mesh))


@contextlib.contextmanager
def stop_flag() -> Iterator[dict[str, bool]]:
    """A flag that SIGTERM or the first Ctrl-C raises; the second Ctrl-C interrupts at once."""
    flag = {"stop": False}

    def ask(number: int, frame: Any) -> None:
        if flag["stop"]:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        flag["stop"] = True
        say(f"{signal.Signals(number).name}: saving, then stopping")

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Trainer:
    """The state of one pass through the loop: what is pending, what was best."""

    def __init__(self, job: Job):
        self.job = job
        self.step_fn = make_step(job.task, job.optimizer, job.mesh)
        self.predict = predict.jit_predict(job.task, job.mesh)
        self.saved = checkpoint.Checkpoints(job.run / "checkpoints")
        self.state = init_state(job)
        self.best = float("-inf")
        self.pending: tuple[int, Tree, Tree] | None = None
        self.newest: dict[str, float] = {}
        # What a run starts from: 1. its own newest checkpoint, 2. the run in config.init, 3. fresh variables.
        self.restored = self.saved.latest()
        if self.restored is not None:
            self.state, meta = self.saved.restore(self.restored, self.state)
            self.best = meta["best"]
            say(f"{job.run}: continuing at step {self.restored} of {job.plan.total}")
        self.log = MetricLog(job.run, step=self.restored or 0, active=jax.process_index() == 0)

    def flush(self) -> None:
        """Writes the measurements of the last logged step, which the device has finished by now, and keeps them."""
        if self.pending is None:
            return
        step, measured, times = self.pending
        self.pending = None
        values = {f"train/{name}": float(value) for name, value in jax.device_get(measured).items()}
        check_finite(step, values)
        self.log.write(step, values | {"train/lr": float(self.job.schedule(step - 1))} | times)
        self.newest = {name: value for name, value in values.items() if "norm" not in name}

    def validate(self, step: int) -> None:
        """Measures the validation split and keeps the variables if they are the best so far."""
        config = self.job.config
        arrays = self._predictions(config.data.val, self.state.variables)
        values = evaluate.measure(arrays)
        self.log.write(step, {f"val/{name}": value for name, value in values.items()})
        say(f"{self.job.run.name} {step:>6}/{self.job.plan.total} validation: " + shown(values))
        if config.best and values[config.best] > self.best:
            self.best = values[config.best]
            variables = checkpoint.to_host(self.state.variables)
            if jax.process_index() == 0:
                checkpoint.save_arrays(self.job.run / "best.npz", variables)

    def _predictions(self, split: str, variables: Tree) -> predict.Arrays:
        job = self.job
        batch = job.config.data.eval_batch
        return evaluate.evaluate(self.predict, variables, job.frozen, job.source, split, batch=batch, mesh=job.mesh)

    def save(self) -> None:
        self.flush()
        self.saved.save(self.state, {"best": self.best})

    def finish(self) -> None:
        """Measures the test split with the variables to keep and writes what makes the run finished."""
        job = self.job
        self.saved.close()
        best = job.run / "best.npz"
        host = checkpoint.load_arrays(best) if job.config.best else checkpoint.to_host(self.state.variables)
        arrays = self._predictions(job.config.data.test, jax.device_put(host, sharding.replicated(job.mesh)))
        values = evaluate.measure(arrays)
        self.log.close()
        if jax.process_index() == 0:
            evaluate.save_predictions(job.run / "predictions.npz", arrays)
            host["params"].pop(BRIDGE, None)
            student = {"student": job.runs["student"].variables["model"]} if "student" in job.runs else {}
            runs.finish(job.run, {"model": host} | student, values, job.plan.total)
        say(f"{job.run} finished: {job.config.data.test} {shown(values)}")


def shown(values: dict[str, float]) -> str:
    """The accuracies among the metrics, for a person."""
    return "  ".join(f"{k} {100 * value:.1f} %" for k, value in values.items() if k.endswith("top1") or k == "agree")


def train(config: Any, inputs: dict[str, dict[str, str]]) -> None:
    """Trains to the end, or from the newest checkpoint to the end.

    The loop's contract, in this order: restore; then per step: evaluate? save? next batch, step, log? Evaluation sees
    the state before the update. Logged numbers are fetched one logging period late, so that the device never waits.

    Raises:
      Stopped: asked to stop; the state is saved.
    """
    job = prepare(config, inputs)
    with stop_flag() as flag:
        trainer = Trainer(job)
        loop(job, trainer, flag)
        trainer.finish()


def loop(job: Job, trainer: Trainer, flag: dict[str, bool]) -> None:
    """See `train`."""
    config, plan = job.config, job.plan
    first = int(trainer.restored or 0)
    source = job.source.train(
        config.data.train,
        batch=config.data.batch,
        streams=config.data.streams,
        seed=config.seed,
        first_step=first,
        shuffle=config.data.shuffle,
    )
    batches = loader.Prefetch(source, lambda batch: sharding.put_batch(job.mesh, batch))
    key = jax.device_put(jax.random.key(config.seed), sharding.replicated(job.mesh))
    progress = Progress(job.run.name, first=first, total=plan.total, batch=config.data.batch)
    try:
        for step in range(first, plan.total + 1):
            if step and step != trainer.restored:  # a restored step was evaluated before it was saved
                if due(step, plan.eval_every, plan.total):
                    trainer.flush()
                    trainer.validate(step)
                if due(step, plan.save_every, plan.total) or flag["stop"]:
                    trainer.save()
            if flag["stop"]:
                trainer.saved.close()
                raise Stopped(f"{job.run}: stopped at step {step} of {plan.total}; the same command continues it")
            if step == plan.total:
                return
            since = time.perf_counter()
            batch = next(batches)
            progress.waited(time.perf_counter() - since)
            with jax.transfer_guard("disallow"):
                trainer.state, measured = trainer.step_fn(trainer.state, job.frozen, batch, key)
            if due(step + 1, config.log_every, plan.total):
                trainer.flush()
                trainer.pending = (step + 1, measured, progress.report(step + 1, trainer.newest))
    finally:
        batches.close()


def due(step: int, every: int, total: int) -> bool:
    """Whether something that happens every so many steps, and at the end, happens at this one."""
    return step == total or (every > 0 and step % every == 0)
