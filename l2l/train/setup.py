"""What one training needs, opened and checked before the first step."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from l2l.core import sharding
from l2l.core.terminal import say
from l2l.data import loader, order
from l2l.data.dataset import SideBySide, Source, source_of
from l2l.evaluate import evaluation
from l2l.evaluate.resolve import resolved
from l2l.runs import compatibility, fits, run_folder
from l2l.runs.actions import Actions, actions_of
from l2l.runs.config import plain
from l2l.tasks import Task
from l2l.train import assemble, optim, teacher_cache
from l2l.train.state import TrainState, Tree, init_variables


@dataclasses.dataclass(frozen=True)
class Plan:
    """A config's durations in steps."""

    total: int
    warmup: int
    milestones: tuple[int, ...]
    eval_every: int
    save_every: int

    @classmethod
    def of(cls, config: ConfigDict, examples: int) -> "Plan":
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

    config: ConfigDict
    run: Path
    source: Source
    runs: dict[str, run_folder.Run]
    task: Task
    variables: Tree  # to start from
    frozen: Tree
    mesh: jax.sharding.Mesh
    examples: int  # of an epoch
    plan: Plan
    schedule: optim.Schedule
    optimizer: optax.GradientTransformation
    actions: Actions | None  # the labelled stretches of the videos of a skimmer


def prepare(config: ConfigDict, inputs: dict[str, dict[str, str]]) -> Job:
    """Opens the inputs, starts the run folder and checks everything that can be checked before work starts.

    The first work of a distillation that reads its teacher's answers is to have them all.

    Raises:
      ValueError, RunError, ShardError: something does not fit; the message names the cure.
    """
    run = Path(config.run)
    source = source_of(config, config.data.dir)
    config = resolved(config, source)
    # Imported weights may be those of a trunk, or of a student's fusion and classifier, which is all a skimmer reads.
    may = lambda name: name.startswith("init") or (name == "student" and config.task == "skim")
    shards = ("data", "recognition")
    other = {name: run_folder.load_run(x["path"], part=may(name)) for name, x in inputs.items() if name not in shards}
    if "recognition" in inputs:
        other["recogniser"] = compatibility.recogniser_at(config.recognition)
    for one in other.values():
        fits.check(one)
    inits = [run for name, run in other.items() if name.startswith("init")]
    mesh = sharding.make_mesh(config.mesh)
    sharding.check_batch(mesh, config.data.batch, "data.batch", config.optim.accumulate)
    sharding.check_batch(mesh, config.data.eval_batch, "data.eval_batch")
    for split in {config.data.train, config.data.val, config.data.test} - {""}:
        source.shards(split)
    examples = source.examples(config.data.train, config.data.draw)
    loader.check_streams(batch=config.data.batch, streams=config.data.streams)
    task, frozen = assemble.task_of(config, source, other)
    cache = teacher_cache.cache_of(config, source, other.get("teacher"))
    frozen = {} if cache else frozen
    for init in inits:
        if not (config.init_skip or init.part):
            compatibility.check_labels(init, compatibility.labels_of(source, other), source.directory)
    plan = Plan.of(config, examples)
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
    frozen = sharding.put(frozen, sharding.replicated(mesh))
    actions = actions_of(source.directory) if config.task == "skim" else None
    job = Job(config, run, source, other, task, variables, frozen, mesh, examples, plan, schedule, optimizer, actions)
    start_run(job, inputs)
    if cache:
        with run_folder.claimed(run):
            job.source = cache.complete(mesh, batch=config.data.eval_batch)
    return job


def start_run(job: Job, inputs: dict[str, dict[str, str]]) -> None:
    """Writes config.json, or checks the one that is there (see `run_folder.start`)."""
    student = job.runs.get("student")
    policy = job.source.index.policy
    record = {
        "config": plain(job.config),
        "order": order.NUMBER,
        "inputs": inputs,
        "labels": compatibility.labels_of(job.source, job.runs),
        "policy": policy["clips"] if job.source.index.kind == "features" else policy,
        "student": student.config if student else None,
        "recogniser": recogniser_record(job),
    }
    run_folder.start(job.run, record)


def recogniser_record(job: Job) -> dict[str, Any] | None:
    """Config and clip policy of the clip model whose features recognise the looks, where other features do.

    Raises:
      ValueError: they lie beside nothing, for this model reads no features.
    """
    recogniser = job.runs.get("recogniser")
    if recogniser is None:
        return None
    if not isinstance(job.source, SideBySide):
        asked = job.config.recognition
        raise ValueError(f"config.recognition={asked} is for models that read features: leave config.recognition empty")
    return {"config": recogniser.config, "policy": job.source.beside_index.policy["clips"]}


def announce(job: Job) -> None:
    """Says what will be measured, what is kept of the run, and what may surprise."""
    config, data = job.config, job.config.data
    if job.examples < data.batch:
        few = f"the {job.examples} examples of {data.train}"
        say(f"{job.run}: a batch of {data.batch} is more than {few}: some come twice")
    keeps = "the last step is kept" if data.val else "no validation split: the last step is kept"
    if config.best and data.val:
        keeps = f"the step with the best {evaluation.criterion(config)} on {data.val} is kept"
    say(f"{job.run}: {keeps}; {data.test} is measured at the end")


def init_state(job: Job) -> TrainState:
    """The state at step 0, spread over the mesh as `config.shard_min` says."""

    def fresh(variables: Tree) -> TrainState:
        opt_state = job.optimizer.init(variables["params"])
        return TrainState(jnp.zeros((), jnp.int32), opt_state=opt_state, **variables)

    placed = sharding.spread(job.mesh, jax.eval_shape(fresh, job.variables), job.config.shard_min)
    return jax.jit(fresh, out_shardings=placed)(job.variables)
