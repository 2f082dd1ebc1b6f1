"""Every key of a config with its default and its meaning. The experiments beside this file change a few of them."""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    """The defaults; keys without one (run, data.dir, model) are set by each experiment."""
    c = ConfigDict()
    c.mode = "train"  # train: a model; extract: the features of whole videos
    # classify: clips with labels; distill: clips and a teacher; preview: clips and a student, whose audio trunk it
    # imitates; skim: features of whole videos
    c.task = "classify"
    c.run = config_dict.placeholder(str)  # folder that this run writes
    c.seed = 0  # of initialisation, order and augmentation
    c.mesh = (-1, 1)  # devices on the axes (data, model); -1: all that the other axis leaves
    c.shard_min = 0  # parameters and optimiser state of at least so many values are split over the mesh; 0: none
    c.distributed = ""  # several processes: auto (TPU, Slurm, Open MPI), or HOST:PORT,INDEX,COUNT of this process
    c.patience = 180.0  # seconds that a process waits for the others to start
    c.dtype = "float32"  # inputs of convolutions and matrix products; or bfloat16 (GPU, TPU)
    c.multi_label = False  # several classes an example: each scored by itself (sigmoid), else all together (softmax)
    c.model = ConfigDict()  # name and numbers of the model, see l2l/models
    c.makers = ()  # (path, module with arguments) pairs: what makes the input at that path if it is missing

    # What the run builds on.
    c.teacher = ""  # distill: a finished clip model; preview: a finished student
    # distill: True asks the teacher once about the centre of every clip and keeps its answers beside the shards for all
    # epochs and students; a path keeps them there. False: it sees, at every step, the student's own random square.
    c.cache_teacher = config_dict.FieldReference(False, field_type=object)
    c.student = ""  # extract, skim: the finished clip model, a student as a rule, whose features are read
    # skim: a second directory of features of the same videos, extracted from any clip model, whose classifier then
    # answers at the positions that are picked; config.data.dir then only says where to look.
    c.recognition = ""
    c.init = ""  # finished runs whose variables this one starts from, in turn; several, of parts, with commas
    c.init_skip = ()  # patterns of variable paths that stay fresh nevertheless, e.g. (".*classifier/.*",)

    c.data = data_keys()
    c.optim = optim_keys()

    # How long, and how often.
    c.epochs = 10.0  # may be a fraction; more of them continue a run, unless its rate falls along a cosine
    c.eval_epochs = 1.0  # epochs from one look at the validation split to the next; 0: only at the end
    c.save_epochs = 1.0  # epochs from one checkpoint to the next; 0: only at the end
    c.log_every = 20  # steps from one line of metrics.jsonl to the next
    c.profile = False  # write a trace of a few steps to RUN/profile
    # Validation metric that picks the variables to keep: top1 (with multi_label mAP in its place), top5, mAP, mAP_micro
    # (of a skimmer trained with soft selection those of its soft answers), agree (with the teacher), or "" for the last
    # ones, which are also kept where there is no validation split.
    c.best = "top1"

    # What is optimised.
    c.distill_weight = 100.0  # lambda of the paper's distillation loss, the weight of its cross-entropy term
    c.distill_feature = 1.0  # weight of the L1 term of that loss, on features
    c.head = 0.0  # skim: weight of the per-step classifier's loss
    c.mute = 0.0  # skim: share of the training videos whose sound is left out, for model.fallback
    return c


def data_keys() -> ConfigDict:
    """config.data: what is read, and how."""
    c = ConfigDict()
    c.dir = config_dict.placeholder(str)  # directory of shards
    c.train = "train"  # the split to learn from
    # The split that the finished run reports, read once at the end; "": test where the data have it, else val.
    c.test = ""
    # The split that `best` chooses on, measured every eval_epochs; "": val where the data have it and it is not the one
    # that is reported, else none: then the last step is kept.
    c.val = ""
    c.batch = 32  # examples of a training batch, over all devices
    c.eval_batch = 64  # examples of a batch that is only predicted, over all devices
    # What an epoch of training has: video: one stored clip of every video, and another one in the next epoch; clip:
    # every stored clip. Of shards with one record a video, features among them, both are the same.
    c.draw = "video"
    # Fixed input streams that feed a batch, which they divide, as the processes divide them; 0: as many as fit, at most
    # 32. Another number is another order of examples.
    c.streams = 0
    c.shuffle = 1024  # records in the shuffle buffers of all streams together
    c.frames = 16  # images of a clip that are read
    c.crop = 112  # side of the square that the model sees, pixels
    c.resize = 128  # height that a stored image counts as, pixels; crop of these are seen
    c.scale = 0.8  # training: random zoom; the square's side is drawn from this share of the largest up to all of it
    c.flip = True  # training: mirror half of the clips
    c.mean = (0.485, 0.456, 0.406)  # of the channels red, green, blue, on the scale 0..1
    c.std = (0.229, 0.224, 0.225)  # standard deviation, likewise
    c.lengths = (64, 128, 256, 512)  # skim: numbers of positions that batches are padded to
    return c


def optim_keys() -> ConfigDict:
    """config.optim: how the parameters are changed."""
    c = ConfigDict()
    c.name = "sgd"  # with Nesterov momentum; or adamw
    c.lr = 0.01  # the largest learning rate
    c.momentum = 0.9  # sgd only
    c.weight_decay = 1e-4  # acts on kernels only
    c.schedule = "cosine"  # how the rate falls: to 0 along a cosine, at milestones, or never (constant)
    c.warmup_epochs = 0.0  # epochs in which the rate rises to its largest value
    c.milestones = ()  # milestones: epochs at which the rate is multiplied by factor
    c.factor = 0.1  # milestones: by how much
    c.clip_norm = 0.0  # largest global gradient norm; 0: no limit
    c.accumulate = 1  # parts that a batch is computed in, one after another; BatchNorm sees one part at a time
    c.lr_scale = ()  # (pattern of parameter paths, factor) pairs; 0 freezes
    return c


def variant_of(name: str, variants: Mapping[str, Callable[[ConfigDict], None]]) -> ConfigDict:
    """The defaults changed by one of the variants.

    Raises:
      ValueError: no such variant.
    """
    if name not in variants:
        raise ValueError(f"unknown variant {name!r}: choose from {', '.join(variants)}")
    config = get_config()
    variants[name](config)
    return config


SAMPLE = "data_prep.sample --out=data/sample"
SAMPLE_MAKERS = (
    ("data/sample/source", f"{SAMPLE} --parts=source --seed=0"),
    ("data/sample/trimmed", f"{SAMPLE} --parts=trimmed --seed=0"),
    ("data/sample/untrimmed", f"{SAMPLE} --parts=untrimmed --seed=0"),
    ("data/sample/untrimmed_large", f"{SAMPLE} --parts=untrimmed_large --seed=0"),
    ("data/sample/untrimmed_large_clips", f"{SAMPLE} --parts=untrimmed_large_clips --seed=0"),
    ("data/sample/untrimmed_pairs", f"{SAMPLE} --parts=untrimmed_pairs --seed=0"),
    ("data/sample/far_clips", f"{SAMPLE} --parts=far_clips --seed=0"),
    ("data/sample/far", f"{SAMPLE} --parts=far --seed=0"),
    ("runs/sample/teacher", "l2l.main --config=configs/teacher.py:sample"),
    ("runs/sample/distill", "l2l.main --config=configs/distill.py:sample"),
    ("runs/sample/finetune", "l2l.main --config=configs/finetune.py:sample"),
    ("runs/sample/extract", "l2l.main --config=configs/extract.py:sample"),
    ("runs/sample/preview", "l2l.main --config=configs/preview.py:sample"),
    ("runs/sample/extract_listen", "l2l.main --config=configs/extract.py:listen"),
    ("runs/sample/finetune_closer", "l2l.main --config=configs/finetune.py:closer"),
    ("runs/sample/extract_closer", "l2l.main --config=configs/extract.py:closer"),
)


def small_clips(c: ConfigDict, directory: str, frames: int) -> None:
    """The built-in set: 64 pixel clips, sized for two CPU cores, and AdamW, which learns it in few steps."""
    c.makers = SAMPLE_MAKERS
    c.data.dir = directory
    c.data.frames = frames
    c.data.crop, c.data.resize, c.data.scale = 48, 56, 1.0
    c.data.batch, c.data.eval_batch = 16, 64
    c.optim.name, c.optim.weight_decay, c.optim.warmup_epochs = "adamw", 1e-3, 1.0
    c.log_every = 50


def small_student() -> ConfigDict:
    """The student for the built-in set; its feature is as wide as the small teacher's."""
    return ConfigDict({"name": "student", "width": 8, "stages": (1, 1, 1, 1), "modality": "both", "feature": 64})


def full_student() -> ConfigDict:
    """The paper's student."""
    return ConfigDict({"name": "student", "width": 64, "stages": (2, 2, 2, 2), "modality": "both", "feature": 512})
