"""A film looked at closer: as the prepared path says, no more than is chosen, and shown to people."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from configs import extract, finetune, skim
from data_prep.datasets.rows import Row
from data_prep.shards.prepare import write_dataset
from l2l.core import sharding
from l2l.data.dataset import source_of
from l2l.evaluate import model_macs, predict
from l2l.evaluate.evaluation import evaluate
from l2l.export import writer
from l2l.inference import from_run, scoring
from l2l.inference.model import load
from l2l.media import policy
from l2l.media.decoding import cut_film
from l2l.media.decoding.asking import FarFilm
from l2l.media.decoding.decoder import Decoder
from l2l.media.picture.jpeg import encode_jpeg
from l2l.models.regions import Regions
from l2l.report import region_pictures, video_page
from l2l.runs.run_folder import RunError, load_run
from tests.helpers import small
from tests.helpers.videos import write_video

LABELS = ("clapping", "tuning", "resting")
POLICY = policy.ClipPolicy(frames=1, hop=1.0, fps=10, short_side=48)
VIDEOS = {
    "long": {"seconds": 9.3, "fps": 10, "clicks": (0.3, 1.5, 2.6, 2.8, 3.2, 4.9, 5.0, 5.4, 6.1, 7.0, 8.8)},
    "silent": {"seconds": 7.2, "fps": 10, "audio": False},
    "other": {"seconds": 6, "fps": 10, "size": (64, 104), "clicks": (0.8, 1.1, 2.3, 3.6, 4.4, 4.5, 5.7)},
}
STEPS, FALLBACK, CROP, ACROSS = 3, 2, 16, 3


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Videos, their shards, and the runs student (untrained), features and skim, which looks closer."""
    work = tmp_path_factory.mktemp("closer")
    for name, how in VIDEOS.items():
        write_video(work / f"{name}.mp4", **how)
    rows = [
        Row(str(work / f"{name}.mp4"), (LABELS[i],), split, video_id=f"{split}/{name}")
        for split in ("train", "val")
        for i, name in enumerate(VIDEOS)
    ]
    write_dataset(rows, LABELS, work / "shards", POLICY, shards=2)
    clips = {"data.dir": str(work / "shards"), "data.crop": CROP, "data.resize": CROP, "data.eval_batch": 8}
    sizes = {"model.width": 8, "model.preview": 2, "model.regions": ACROSS, "init": "", "epochs": 0.0}
    batches = {"data.batch": 8, "data.streams": 2}
    small.stage(finetune.get_config("closer"), work / "student", **clips | sizes | batches)
    student = {"student": str(work / "student")}
    where = {"data.dir": str(work / "shards"), "data.eval_batch": 8}
    small.stage(extract.get_config("closer"), work / "features", **student | where)
    sizes = {"model.hidden": 16, "model.key": 8, "model.query": 16, "model.steps": STEPS, "model.fallback": FALLBACK}
    videos = {"data.dir": str(work / "features"), "data.test": "val", "data.lengths": (4, 8, 16), "epochs": 8.0}
    more = student | sizes | videos | batches | {"data.eval_batch": 8, "optim.lr": 3e-2}
    small.stage(skim.get_config("closer"), work / "skim", **more)
    return work


@pytest.fixture(scope="module")
def skimmer(work):
    return load(work / "skim")


@pytest.fixture(scope="module")
def prepared(work):
    """What the prepared path says of split val, by name."""
    run = load_run(work / "skim")
    task, variables, frozen = predict.predictor(run)
    mesh = sharding.make_mesh((-1, 1))
    source = source_of(run.config, str(work / "features"))
    arrays = evaluate(predict.jit_predict(task, mesh), variables, frozen, source, "val", batch=8, mesh=mesh)
    names = [video_id.decode().split("/")[1] for video_id in arrays["video_id"]]
    return {name: {key: x[i] for key, x in arrays.items()} for i, name in enumerate(names)}


TIE = 2e-3  # what attention differs by between the two paths: no more decides which of two is chosen


def check(found, expected):
    """A result beside the prepared path's row of its video, up to a look where a tie fell differently; its number."""
    scores = np.exp(np.float64(expected["step_logits"]))
    looks = expected["counted"]
    assert len(found.evidence) == looks.sum()
    (attention,) = found.attention.values()
    boxes = Regions(POLICY.short_side, CROP, ACROSS).boxes
    for t in range(looks.sum()):
        weights, closer = (expected[name][t] for name in ("weights_audio", "closer"))
        np.testing.assert_allclose(attention[t], weights[: len(found.times)], atol=TIE)
        picked = int(np.argmin(np.abs(found.times - found.moments[t].seconds)))
        if picked != expected["picked_audio"][t]:
            assert weights[picked] > weights.max() - TIE
            return t
        np.testing.assert_allclose(found.closer.attention[t], closer, atol=TIE)
        region = int(np.argmin(np.abs(boxes - found.moments[t].region).sum(1)))
        if region != expected["region"][t]:
            assert closer[region] > closer.max() - TIE
            return t
        np.testing.assert_allclose(found.moments[t].region, boxes[region], atol=1e-3)
        np.testing.assert_allclose(found.evidence[t], scores[t] / scores[t].sum(), atol=2e-3)
    return looks.sum()


def test_looking_closer_agrees_with_the_prepared_path(work, skimmer, prepared):
    same = [check(skimmer.classify(work / f"{name}.mp4"), prepared[name]) for name in VIDEOS]
    assert sum(same) > STEPS, "most looks were ties: nothing was compared"


def test_a_film_that_was_cut_ahead_gives_the_same(work, skimmer):
    path, how = work / "other.mp4", {"policy": POLICY, "frames": 1, "stride": 1, "longest": 60.0}
    with Decoder() as decoder:
        film = cut_film.cut(decoder, path, **how)
    one, other = skimmer.classify(path), skimmer.classify(film)
    assert [m.region for m in one.moments] == [m.region for m in other.moments]
    np.testing.assert_allclose(one.evidence, other.evidence, atol=2e-3)


def test_every_frame_is_read_once_and_of_it_one_region(work, skimmer, monkeypatch):
    asked, squares = [], []
    seen, look = FarFilm.seen, skimmer.programs.closer.look
    spy = lambda film, positions, n: (asked.extend(positions), seen(film, positions, n))[1]
    monkeypatch.setattr(FarFilm, "seen", spy)
    watched = dataclasses.replace(skimmer.programs.closer, look=lambda batch: (squares.append(batch), look(batch))[1])
    monkeypatch.setattr(skimmer, "programs", dataclasses.replace(skimmer.programs, closer=watched))
    found = skimmer.classify(work / "long.mp4")
    assert len(asked) == len(set(asked)) == len(squares) == found.looks == STEPS
    assert squares[0]["squares"].shape[1:] == (CROP, CROP, 3)


def test_cost_is_two_pictures_a_look(work, skimmer):
    trunks = model_macs.trunk_macs(load_run(work / "skim").student)
    found = skimmer.classify(work / "long.mp4")
    assert found.gmacs["indexing"] * 1e9 == pytest.approx(10 * trunks["audio"])
    assert found.gmacs["recognition"] * 1e9 == pytest.approx(2 * STEPS * trunks["image"])
    silent = skimmer.classify(work / "silent.mp4")
    assert silent.gmacs["recognition"] * 1e9 == pytest.approx(STEPS * trunks["image"])


def test_people_are_shown_where_it_looked(work, skimmer):
    found = skimmer.classify(work / "long.mp4")
    assert [m["region"] for m in found.to_json()["moments"]] == [m.region for m in found.moments]
    html = video_page.html_of(found, work / "long.mp4")
    assert html.count('<ol class="moments closer">') == 1
    assert len(region_pictures.gallery(skimmer.decoders, found, work / "long.mp4")) == STEPS
    assert "moments closer" not in video_page.html_of(dataclasses.replace(found, closer=None), work / "long.mp4")


def test_regions_are_told_of_the_whole_middle_square(skimmer):
    """Also where the model sees only the 40 pixels in the middle of 48."""
    regions = Regions(40, CROP, ACROSS)
    programs = dataclasses.replace(
        skimmer.programs, closer=dataclasses.replace(skimmer.programs.closer, regions=regions)
    )
    boxes = scoring.closer_of(programs, {"closer": np.ones((2, ACROSS**2))}, 1).boxes
    np.testing.assert_allclose(boxes[0] * POLICY.short_side, [4, 4, CROP], atol=1e-4)
    np.testing.assert_allclose(boxes[-1] * POLICY.short_side, [28, 28, CROP], atol=1e-4)


def test_what_was_attended_to_is_bright_and_what_was_chosen_framed():
    boxes = Regions(40, 16, 2).boxes  # of a picture that is shown at 80 x 120
    jpeg = encode_jpeg(np.full((80, 120, 3), 200, np.uint8), 95)
    drawn = region_pictures.drawn(jpeg, boxes, np.array([0, 0.5, 0.5, 0]), tuple(boxes[1]))
    pixels = np.asarray(Image.open(io.BytesIO(drawn)), np.float32)
    light = lambda y, x: pixels[y - 2 : y + 3, x - 2 : x + 3].mean()
    assert light(16, 84) == pytest.approx(200, abs=6)  # the second region: above, at the right
    assert light(64, 36) == pytest.approx(200, abs=6)
    for place in ((16, 36), (64, 84), (40, 60), (40, 8)):
        assert light(*place) == pytest.approx(200 * region_pictures.DARK, abs=6), place
    assert np.abs(pixels[1, 70:98] - region_pictures.FRAME).mean() < 60
    heat = region_pictures.heat(boxes, np.array([1, 0, 0, 3]), 40)
    assert (heat[8, 8], heat[32, 32], heat[8, 32]) == (pytest.approx(1 / 3), 1, 0)


def test_what_does_not_listen_first_or_is_exported_says_so(work, tmp_path):
    with pytest.raises(ValueError, match="cannot be exported"):
        writer.export(str(work / "skim"), str(tmp_path / "x.l2l"))
    run = load_run(work / "skim")
    by_image = run.config["model"] | {"index_by": "image", "fallback": 0}
    with pytest.raises(RunError, match="looks closer without listening first"):
        from_run.of_run(dataclasses.replace(run, config=run.config | {"model": by_image}))
