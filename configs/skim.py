"""Trains the skimmer on feature shards (section 3.2 of the paper).

    python -m l2l.main --config=configs/skim.py          # built-in set
    python -m l2l.main --config=configs/skim.py:activitynet

The full-size variants train as the paper does (soft selection, the start counted). The sample's straight_through trains
what hard selection does at test time, and weighs its looks; the paper's way there: --config.model.selection=soft
--config.model.count_start=True --config.model.weigh=False.
--config.model.index_by=audio chooses the moments by sound alone. --config.model.stride=5 takes the features of every
fifth position only ("sparse" in the paper). With --config.recognition=DIR a second directory of features of the same
videos, such as the teacher's, answers at the picked positions, and config.data.dir only says where to look.

VARIANT_glance (of the sample: glance) chooses all moments at once: a judge that attends to every position teaches a
listener, which hears the sound alone through configs/preview.py, where to look: of a video with sound, images are
needed only there. --config.model.listens=both adds the images of every config.model.stride-th position.

features and features_glance are the two over features that somebody else made, from the run of
configs/finetune.py:features: --config.data.dir=DIR --config.student=RUN --config.run=RUN.

The variant closer does the same on small, far-away actions, and looks at each picture twice: whole, and at the region
that the state chooses, closer; glance_closer does so with a glance, and a judge of all regions teaches which one. Both
over the features of configs/extract.py:closer.

activitynet_r2plus1d152 and activitynet_released_judged are the paper's table with R(2+1)D-152, over the released
features: in the first it chooses and recognises, in the second image and sound choose and it recognises.

What the paper compares with, each over the same features: VARIANT_lstm runs over all positions in order, and
VARIANT_nonrecurrent asks a single learned query.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from configs.common import SAMPLE_MAKERS, variant_of

PLAIN = {"stride": 1, "fallback": 0}  # every position, videos with sound and without alike


def sample(c: ConfigDict) -> None:
    """A skimmer of width 128 with straight-through selection; the looks are weighed, the start is none of them."""
    c.task, c.makers = "skim", SAMPLE_MAKERS
    c.data.dir, c.run, c.student = "runs/sample/extract", "runs/sample/skim", "runs/sample/finetune"
    c.data.lengths = (64,)
    c.data.batch, c.data.eval_batch = 64, 64
    numbers = {"steps": 10, "hidden": 128, "key": 64, "query": 128}
    how = {"selection": "straight_through", "index_by": "both", "masking": True, "count_start": False, "weigh": True}
    c.model = ConfigDict({"name": "skimmer"} | numbers | how | PLAIN)
    c.optim.name, c.optim.lr, c.optim.lr_scale = "adamw", 2e-3, (("classifier/.*", 0.1),)
    c.epochs, c.eval_epochs, c.save_epochs = 30.0, 5.0, 10.0
    c.best, c.log_every = "", 10


def full(name: str) -> Callable[[ConfigDict], None]:
    """The released recipe, with bucketed lengths and the modality layer trained."""

    def change(c: ConfigDict) -> None:
        c.task = "skim"
        c.data.dir, c.run, c.student = f"runs/{name}/extract", f"runs/{name}/skim", f"runs/{name}/finetune"
        c.data.lengths = (200, 300, 400, 500)
        c.data.batch, c.data.eval_batch = 256, 256
        numbers = {"steps": 10, "hidden": 1024, "key": 512, "query": 1024}
        how = {"selection": "soft", "index_by": "both", "masking": True, "count_start": True, "weigh": False}
        c.model = ConfigDict({"name": "skimmer"} | numbers | how | PLAIN)
        c.optim.schedule, c.optim.milestones, c.optim.lr_scale = (
            "milestones",
            (15, 20),
            (("classifier/.*", 0.1),),
        )
        c.epochs = 25.0

    return change


def features(c: ConfigDict) -> None:
    """The sample's skimmer over features that somebody else made, see data_prep/features.py."""
    sample(c)
    c.makers = ()
    c.data.dir, c.run, c.student = "data/features", "runs/features/skim", "runs/features/finetune"
    c.data.lengths = (256,)
    c.best = "top1"


def features_glance(c: ConfigDict) -> None:
    """The glance over them; a video without sound is chosen for by the images of every fifth position."""
    features(c)
    c.run, c.mute = "runs/features/skim_glance", 0.25
    numbers = {"steps": c.model.steps, "hidden": 128, "stride": 5, "context": 9, "dropout": 0.5}
    c.model = ConfigDict({"name": "glance", "listens": "audio"} | numbers)


def activitynet_released(c: ConfigDict) -> None:
    """The released experiment on the released features, see data_prep/released_features.py."""
    full("activitynet")(c)
    c.data.dir, c.run = "data/activitynet_released", "runs/activitynet_released/skim"
    c.student = "runs/activitynet_released/student"


def activitynet_r2plus1d152(c: ConfigDict) -> None:
    """Over the released features of R(2+1)D-152 alone, of every tenth clip: the released code for one modality."""
    full("activitynet")(c)
    c.data.dir, c.run = "data/activitynet_r2plus1d152", "runs/activitynet_r2plus1d152/skim"
    c.student = "runs/activitynet_r2plus1d152/classifier"
    c.model.index_by, c.model.count_start, c.model.stride = "image", False, 10
    c.optim.lr_scale = ()


def activitynet_released_judged(c: ConfigDict) -> None:
    """The released image and sound features of every fifth position say where R(2+1)D-152 looks."""
    activitynet_released(c)
    c.run, c.recognition = "runs/activitynet_released/skim_judged", "data/activitynet_r2plus1d152"
    c.model.count_start, c.model.stride = False, 5
    c.optim.lr_scale = ()


def closer(c: ConfigDict) -> None:
    """The small skimmer, which chooses by sound alone (without sound, by every second image), looking closer."""
    sample(c)
    c.data.dir, c.run = "runs/sample/extract_closer", "runs/sample/skim_closer"
    c.student, c.mute = "runs/sample/finetune_closer", 0.25
    c.model.index_by, c.model.fallback, c.model.closer = "audio", 2, "state"


def glance(skim: Callable[[ConfigDict], None], stride: int) -> Callable[[ConfigDict], None]:
    """A judge over all positions teaches a listener, which chooses all moments at once by the preview's sound."""

    def change(c: ConfigDict) -> None:
        skim(c)
        c.data.dir, c.run, c.mute = f"{c.data.dir}_listen", f"{c.run}_glance", 0.25
        c.student = c.student.replace("finetune", "preview")
        numbers = {"steps": c.model.steps, "hidden": 128, "stride": stride, "context": 9, "dropout": 0.5}
        c.model = ConfigDict({"name": "glance", "listens": "audio"} | numbers)

    return change


def glance_closer(c: ConfigDict) -> None:
    """The glance on small, far-away actions; it sees one region of each picture that it reads closer."""
    glance(sample, stride=2)(c)
    c.data.dir, c.run = "runs/sample/extract_closer", "runs/sample/skim_glance_closer"
    c.student, c.model.closer = "runs/sample/finetune_closer", "judge"


def baseline(skim: Callable[[ConfigDict], None], name: str, keys: tuple[str, ...]) -> Callable[[ConfigDict], None]:
    """What the paper compares with: another model over the same features, with as many of the numbers as it has."""

    def change(c: ConfigDict) -> None:
        skim(c)
        c.run = f"{c.run}_{name}"
        c.model = ConfigDict({"name": name} | {key: c.model[key] for key in keys})
        c.optim.lr_scale = c.optim.lr_scale if name == "nonrecurrent" else ()  # the LSTM's own classifier is fresh

    return change


VARIANTS = {"sample": sample} | {name: full(name) for name in ("activitynet", "mini_sports1m")}
VARIANTS["activitynet_released"] = activitynet_released
FULL = tuple(VARIANTS)
VARIANTS |= {f.__name__: f for f in (activitynet_r2plus1d152, activitynet_released_judged)}
VARIANTS |= {f.__name__: f for f in (closer, features, features_glance, glance_closer)}
VARIANTS |= {"glance": glance(sample, stride=2)}
VARIANTS |= {f"{v}_glance": glance(VARIANTS[v], stride=5) for v in ("activitynet", "mini_sports1m")}
BASELINES = {"lstm": ("hidden",), "nonrecurrent": ("steps", "key")}
VARIANTS |= {f"{v}_{name}": baseline(VARIANTS[v], name, keys) for v in FULL for name, keys in BASELINES.items()}


WENT = {"listen": "glance"} | {f"{v}_listen": f"{v}_glance" for v in ("activitynet", "mini_sports1m")}


def get_config(variant: str = "sample") -> ConfigDict:
    if variant in WENT:
        own = f"skim:{variant} is no more: train skim:{WENT[variant]}, over the same features"
        raise ValueError(f"{own}; what {variant} trained still answers")
    return variant_of(variant, VARIANTS)
