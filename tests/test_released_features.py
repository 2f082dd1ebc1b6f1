"""The released feature folders become shards that the released experiment trains on."""

import pickle

import numpy as np
import pytest

from data_prep import released_features
from l2l import runs
from l2l.data import schema
from tests import small
from tests.golden import generator


@pytest.fixture
def released(tmp_path):
    """Folders and lists as they were published: 24 + 9 videos of 3 classes, one of which gives the class away."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 9)):
        paths = [f"/checkpoint/someone/imageAudio_features/{split}/v_{i:03d}.npy" for i in range(count)]
        labels = [i % 3 for i in range(count)]
        with open(tmp_path / f"{split}.pkl", "wb") as file:
            pickle.dump((paths, labels), file, 2)
        for path, label in zip(paths, labels, strict=True):
            image, audio = rng.normal(size=(2, int(rng.integers(5, 30)), 8)).astype(np.float32)
            image[2, label] += 6
            for modality, bank in (("image", image), ("audio", audio)):
                file = tmp_path / f"{modality}_features" / split / path.rsplit("/", 1)[1]
                file.parent.mkdir(parents=True, exist_ok=True)
                np.save(file, bank)
    return tmp_path


def convert(folder, *more):
    flags = [f"--features={folder}", f"--lists={folder}", f"--out={folder / 'out'}"]
    return released_features.main([*flags, *more])


def test_the_released_experiment_trains_on_the_released_features(released, capsys):
    assert convert(released) == 0
    assert "3 classes, 0 videos set aside" in capsys.readouterr().out
    index = schema.load_index(released / "out", kind="features")
    assert (index.videos("train"), index.videos("val"), index.labels) == (24, 9, ("0", "1", "2"))
    assert index.policy["widths"] == {"image": 8, "audio": 8}
    student = student_run(released / "student", width=8)
    config = small.inputs.load_config("configs/skim.py:activitynet_released")
    assert (config.data.batch, config.epochs, config.optim.lr, config.optim.momentum) == (256, 25, 0.01, 0.9)
    assert (tuple(config.optim.milestones), config.optim.schedule) == ((15, 20), "milestones")
    assert tuple(config.optim.lr_scale) == (("classifier/.*", 0.1),)
    config.data.dir, config.run, config.student = str(released / "out"), str(released / "skim"), str(student)
    config.data.batch, config.data.eval_batch, config.data.lengths, config.epochs = 8, 8, (16, 32), 2.0
    config.model.update({"steps": 3, "hidden": 16, "key": 8, "query": 16})
    run = runs.load_run(small.run(config))
    assert run.labels == ("0", "1", "2")
    kernel = run.variables["student"]["params"]["fusion"]["hidden"]["kernel"]
    assert np.array_equal(kernel, generator.weight("hidden", kernel.shape))


def student_run(path, width):
    """Fusion and classifier of a student, as the released file holds them, for descriptors of this width."""
    config = small.inputs.load_config("configs/finetune.py:activitynet")
    config.model.update({"width": width // 8, "feature": 8})
    fusion = {
        "hidden": {"kernel": generator.weight("hidden", (2 * width, 1024)), "bias": np.zeros(1024, np.float32)},
        "output": {"kernel": generator.weight("output", (1024, 8)), "bias": np.zeros(8, np.float32)},
    }
    classifier = {"kernel": generator.weight("classifier", (8, 3)), "bias": np.zeros(3, np.float32)}
    record = {"config": small.inputs.plain(config), "labels": ["0", "1", "2"], "policy": {}, "student": None}
    runs.start(path, record | {"inputs": {}, "part": ["params/(fusion|classifier)/.*"]})
    runs.finish(path, {"model": {"params": {"fusion": fusion, "classifier": classifier}}}, {}, 0)
    return path


def test_what_cannot_be_used_is_set_aside_with_its_reason(released, capsys):
    folder = released / "image_features" / "train"
    (folder / "v_000.npy").unlink()
    (folder / "v_001.npy").write_bytes(b"no array")
    np.save(folder / "v_002.npy", np.full((9, 8), np.nan, np.float32))
    np.save(folder / "v_003.npy", np.zeros((3, 9), np.float32))
    np.save(folder / "v_004.npy", np.array([{"an": "object"}]), allow_pickle=True)
    assert convert(released) == 0
    failed = {x["path"]: x for x in schema.load_index(released / "out").failed}
    assert set(failed) == {f"train/v_{i:03d}.npy" for i in range(5)}
    assert failed["train/v_000.npy"]["status"] == "missing"
    assert {x["status"] for name, x in failed.items() if "000" not in name} == {"undecodable"}
    assert "19 videos" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no list of the release"),
        (pickle.dumps(["a.npy"]), "no list of the release"),
        (pickle.dumps((["a.npy"], [1, 2])), "as many paths as class numbers"),
        (pickle.dumps((["imageAudio_features/../../secret.npy"], [1])), "outside of the feature folders"),
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
    ],
)
def test_a_bad_list_is_one_line(released, capsys, content, words):
    (released / "val.pkl").write_bytes(content)
    assert convert(released) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "val.pkl" in said
    assert said.count("\n") == 1
    assert not (released / "out").exists()


def test_nothing_is_overwritten_and_names_must_suffice(released, capsys):
    names = released / "names.txt"
    names.write_text("swimming\nsleeping\n")
    assert convert(released, f"--labels={names}") == 1
    assert "class number 2, --labels names only 2" in capsys.readouterr().err
    assert convert(released) == 0
    assert convert(released) == 1
    assert "is finished" in capsys.readouterr().err
