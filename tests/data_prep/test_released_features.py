"""The released feature folders become shards that the released experiments train on."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from data_prep import released_features
from l2l import feature_classifier
from l2l.data import schema
from l2l.data.dataset import open_features, source_of
from l2l.runs import compatibility, run_folder
from l2l.train import assemble
from tests.golden import generator
from tests.helpers import small


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
            deep = rng.normal(size=(len(image), 32)).astype(np.float32)
            deep[:, label] += 2
            for modality, bank in (("image", image), ("audio", audio), ("r2plus1d152", deep)):
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
    config = small.load_config("configs/skim.py:activitynet_released")
    assert (config.data.batch, config.epochs, config.optim.lr, config.optim.momentum) == (256, 25, 0.01, 0.9)
    assert (tuple(config.optim.milestones), config.optim.schedule) == ((15, 20), "milestones")
    assert tuple(config.optim.lr_scale) == (("classifier/.*", 0.1),)
    config.data.dir, config.run, config.student = str(released / "out"), str(released / "skim"), str(student)
    config.data.batch, config.data.eval_batch, config.data.lengths, config.epochs = 8, 8, (16, 32), 2.0
    config.model.update({"steps": 3, "hidden": 16, "key": 8, "query": 16})
    run = run_folder.load_run(small.run(config))
    assert run.labels == ("0", "1", "2")
    kernel = run.variables["student"]["params"]["fusion"]["hidden"]["kernel"]
    assert np.array_equal(kernel, generator.weight("hidden", kernel.shape))


def shrunk(variant, data, run):
    config = small.load_config(f"configs/skim.py:{variant}")
    config.data.dir, config.run = str(data), str(run)
    config.data.batch, config.data.eval_batch, config.data.lengths, config.epochs = 8, 8, (32,), 1.0
    config.model.update({"steps": 3, "hidden": 16, "key": 8, "query": 16})
    return config


def features(directory, split):
    """(video id, its descriptors) in the order of the shards."""
    source = open_features(str(directory), lengths=(32,))
    for batch in source.eval(split, batch=1):
        valid = batch["valid"][0]
        yield batch["video_id"][0].decode(), {m: batch[m][0][valid] for m in ("image", "audio")}


def test_the_deep_features_are_read_and_fitted(released, capsys):
    """As the index, and as the judge of where images and sounds say to look: the two directories go together."""
    deep = released / "deep"
    for name, change in (("train/v_000", lambda x: x[:-2]), ("train/v_001", lambda x: x[:-3])):
        path = released / "r2plus1d152_features" / f"{name}.npy"
        np.save(path, change(np.load(path)))
    (released / "image_features/train/v_002.npy").unlink()
    assert convert(released, f"--out_r2plus1d152={deep}") == 0
    said = capsys.readouterr().out
    assert "of 1 videos the last positions, up to 2, are left out" in said
    assert f"{released / 'out'} and {deep} is finished: 3 classes, 2 videos set aside" in said
    index, other = schema.load_index(released / "out"), schema.load_index(deep)
    assert {x["path"]: x["status"] for x in other.failed} == {
        "train/v_001.npy": "undecodable",
        "train/v_002.npy": "missing",
    }
    assert (index.failed, index.notes, index.labels) == (other.failed, other.notes, other.labels)
    assert other.policy["widths"] == {"image": 32, "audio": 0}
    assert [x.records for x in other.splits["train"]] == [x.records for x in index.splits["train"]]
    for (name, pair), (same, bank) in zip(features(released / "out", "train"), features(deep, "train"), strict=True):
        assert name == same
        assert len(pair["image"]) == len(bank["image"])
        there = np.load(released / f"r2plus1d152_features/{name}.npy").astype(np.float16)
        assert np.array_equal(bank["image"], there[: len(pair["image"])])
    begin_with_its_classifier(released, deep, capsys)


def begin_with_its_classifier(released, deep, capsys):
    """A classifier is fitted to the deep features, and a skimmer of each kind begins with it."""
    head, student = released / "head", student_run(released / "student", width=8)
    with pytest.raises(
        run_folder.RunError, match=r"get a classifier by `python -m l2l.feature_classifier .*deep --out=RUN`"
    ):
        compatibility.recogniser_at(str(deep))
    assert feature_classifier.main([str(deep), f"--out={head}"]) == 0
    assert "train top-1 100.0 %, val top-1 100.0 %" in capsys.readouterr().out
    fitted = run_folder.load_run(head, part=True).variables["model"]["params"]["classifier"]
    assert fitted["kernel"][:3].argmax(0).tolist() == [0, 1, 2]  # the value that gives a class away speaks for it most
    assert feature_classifier.main([str(deep), f"--out={head}"]) == 1
    assert "was extracted with" in capsys.readouterr().err
    judged, alone = "activitynet_released_judged", "activitynet_r2plus1d152"
    for variant, data, whose, judge in (
        (judged, released / "out", student, "recogniser"),
        (alone, deep, head, "student"),
    ):
        config = shrunk(variant, data, released / variant)
        config.student, config.recognition = str(whose), str(deep) if judge == "recogniser" else ""
        other = {"student": run_folder.load_run(whose, part=True)}
        other |= {"recogniser": compatibility.recogniser_at(config.recognition)} if config.recognition else {}
        task, frozen = assemble.task_of(config, source_of(config, config.data.dir), other)
        assert (task.model.index_by, task.model.stride) == (("both", 5) if config.recognition else ("image", 10))
        assert np.array_equal(task._judge(frozen)["classifier"]["kernel"], fitted["kernel"])
        refuse_videos(config, judge, other, fitted)


def refuse_videos(config, judge, other, fitted):
    """A skimmer that would need the network of the deep features says that there is none."""
    held = {"student": {"params": {"image": {}, "audio": {}}}} | {judge: {"params": {"classifier": fitted}}}
    recogniser = {"config": other["recogniser"].config} if "recogniser" in other else None
    whole = small.plain(config)
    run = run_folder.Run(Path(config.run), whole, (), {}, "", held, other["student"].config, recogniser)
    with pytest.raises(
        run_folder.RunError, match="reads features of r2plus1d that were released without their network"
    ):
        run_folder.student_of(run)


def test_what_fits_no_such_network_gets_no_classifier(released, capsys):
    assert convert(released) == 0
    assert feature_classifier.main([str(released / "out"), f"--out={released / 'head'}"]) == 1
    assert "features of 16 values are not those of an R(2+1)D-152" in capsys.readouterr().err
    assert not (released / "head").exists()


def student_run(path, width):
    """Fusion and classifier of a student, as the released file holds them, for descriptors of this width."""
    config = small.load_config("configs/finetune.py:activitynet")
    config.model.update({"width": width // 8, "feature": 8})
    fusion = {
        "hidden": {"kernel": generator.weight("hidden", (2 * width, 1024)), "bias": np.zeros(1024, np.float32)},
        "output": {"kernel": generator.weight("output", (1024, 8)), "bias": np.zeros(8, np.float32)},
    }
    classifier = {"kernel": generator.weight("classifier", (8, 3)), "bias": np.zeros(3, np.float32)}
    record = {"config": small.plain(config), "labels": ["0", "1", "2"], "policy": {}, "student": None}
    run_folder.start(path, record | {"inputs": {}, "part": ["params/(fusion|classifier)/.*"]})
    run_folder.finish(path, {"model": {"params": {"fusion": fusion, "classifier": classifier}}}, {}, 0)
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
        (
            pickle.dumps((["a.npy", "b.npy", "x/imageAudio_features/a.npy"], [1, 1, 2])),
            "val.pkl, path 3: 'a.npy' stands",
        ),
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


def test_names_must_suffice_and_a_second_call_finds_nothing_to_do(released, capsys):
    names = released / "names.txt"
    names.write_text("swimming\nsleeping\n")
    assert convert(released, f"--labels={names}") == 1
    assert "class number 2, --labels names only 2" in capsys.readouterr().err
    names.write_text("swimming\nsleeping\nswimming\n")
    assert convert(released, f"--labels={names}") == 1
    assert "names.txt, line 3: 'swimming' stands already in" in capsys.readouterr().err
    assert released_features.main([f"--features={released}", f"--lists={released}"]) == 1
    assert "name a directory to make" in capsys.readouterr().err
    assert convert(released) == 0
    state = lambda: {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (released / "out").glob("[!.]*")}
    before = state()
    assert convert(released) == 0
    assert state() == before
