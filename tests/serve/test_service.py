"""The service over loopback: answers as infer's, paths stay below the root, strangers' files do no harm."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from concurrent import futures

import numpy as np
import pytest

import l2l
from l2l.serve import __main__ as serve
from tests.helpers import mutated, serve_load
from tests.helpers.served import BOUNDARY, HEADERS, ROOT, form, serving
from tests.helpers.untrained import skim_run
from tests.helpers.uploads import harmful
from tests.helpers.videos import write_video

SOAK = bool(os.environ.get("L2L_SOAK"))
BAD = 500 if SOAK else 50
SECONDS = 60 if SOAK else 6
LIMITS = ("--megabytes=1", "--seconds=20", "--patience=20", "--decoders=2")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A run, a root with a video in a folder, and a secret beside the root."""
    work = tmp_path_factory.mktemp("serve")
    skim_run(work / "run")
    (work / "shown/sub").mkdir(parents=True)
    write_video(work / "shown/sub/film.mp4", seconds=3.2, clicks=(0.4, 2.2))
    write_video(work / "shown/film <b>.mp4", seconds=1.5)
    write_video(work / "secret.mp4")
    (work / "shown/inward.mp4").symlink_to("sub/film.mp4")
    (work / "shown/outward.mp4").symlink_to(work / "secret.mp4")
    (work / "shown/above").symlink_to(work)
    (work / "shown/circle").symlink_to("circle")
    os.mkfifo(work / "shown/pipe")
    return work


@pytest.fixture(scope="module")
def client(work):
    flags = (f"--run={work / 'run'}", f"--root={work / 'shown'}", "--allowed_host=films.example", *LIMITS)
    with serving(*flags) as client:
        yield client


@pytest.fixture(scope="module")
def expected(work):
    return l2l.load(work / "run").classify(work / "shown/sub/film.mp4").to_json()


def film(work):
    return (work / "shown/sub/film.mp4").read_bytes()


def agree(found, expected):
    """Asserts that two objects of `infer --json` tell the same."""
    np.testing.assert_allclose([x["score"] for x in found["top"]], [x["score"] for x in expected["top"]], atol=1e-5)
    for key in ("moments", "top"):
        keys = {"label", "modality", "at"}
        assert [{k: x[k] for k in keys & x.keys()} for x in found[key]] == [
            {k: x[k] for k in keys & x.keys()} for x in expected[key]
        ]
    assert found.keys() == expected.keys()
    assert (found["run"], found["notes"]) == (expected["run"], expected["notes"])


def test_upload_and_path_say_what_infer_says(work, client, expected):
    status, found = client.classify(video=("film <b>.mp4", film(work)))
    assert (status, found["path"]) == (200, "film <b>.mp4")
    agree(found, expected)
    for path in ("sub/film.mp4", "sub/../sub/film.mp4", "inward.mp4", str(work / "shown/sub/film.mp4")):
        status, found = client.classify(path=path)
        assert (status, found["path"]) == (200, path)
        agree(found, expected)


def test_a_browser_gets_a_page(work, client):
    status, page = client.classify(accept="text/html,*/*", video=("<b>.mp4", film(work)))
    assert status == 200
    assert page.lower().startswith("<!doctype html>")
    assert "sound track is silent" not in page
    _, silent = client.classify(path="film <b>.mp4")
    assert (silent["has_audio"], silent["notes"][0]) == (False, "sound track is silent")
    assert {m["modality"] for m in silent["moments"]} == {"image"}
    assert "sound track is silent" in client.classify(accept="text/html", path="film <b>.mp4")[1]
    status, content = client.ask("GET", "/")
    assert status == 200
    assert b'enctype="multipart/form-data"' in content


def test_it_is_called_by_its_names_and_from_its_own_page(client):
    for headers, status in (
        ({"Host": "films.example"}, 200),
        ({"Host": "films.example", "Origin": "https://films.example", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example", "Accept": "text/html"}, 403),
    ):
        assert client.ask("POST", "/classify", form(path="sub/film.mp4"), HEADERS | headers)[0] == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("../secret.mp4", 403),
        ("sub/../../secret.mp4", 403),
        ("/etc/passwd", 403),
        ("outward.mp4", 403),
        ("above/secret.mp4", 403),
        ("above/shown/sub/film.mp4", 200),  # leads out and back in: what counts is where it ends
        ("file:../secret.mp4", 404),
        ("%2e%2e/secret.mp4", 404),
        ("..\\secret.mp4", 404),
        ("circle", 404),
        ("pipe", 404),
        ("sub", 404),
        ("", 404),
        ("no.mp4", 404),
        ("nul\0.mp4", 404),
        ("x" * 5000, 404),
    ],
)
def test_paths_stay_below_the_root(client, path, status):
    found = client.classify(path=path)
    assert found[0] == status
    assert status == 200 or "secret" not in found[1]["error"]


def test_requests_that_are_not_understood(work, client):
    both = {"video": ("a.mp4", film(work)), "path": "sub/film.mp4"}
    assert client.classify(**both)[0] == 400
    assert client.classify(other="x")[0] == 400
    assert client.classify(video="no file")[0] == 400
    assert client.ask("POST", "/classify", b"", {})[0] == 400
    assert client.ask("POST", "/classify", b"\xff\0 junk", HEADERS)[0] == 400
    assert client.ask("POST", "/classify", form(path="x")[:-20], HEADERS)[0] in (400, 404)
    assert client.ask("POST", "/classify", b"{}", {"Content-Type": "application/json"})[0] == 400
    assert client.ask("GET", "/classify")[0] == 405
    assert client.ask("GET", "/../../etc/passwd")[0] == 404


def test_too_large_and_too_long(work, client):
    status, found = client.classify(video=("large.mp4", bytes(1_000_001)))
    assert (status, found["error"]) == (413, "an upload may have 1,000,000 bytes")
    write_video(work / "shown/long.mp4", seconds=21, fps=2, audio=False)
    status, found = client.classify(path="long.mp4")
    assert (status, found["status"]) == (422, "too_long")
    assert "21" in found["error"]


def test_endless_body_is_cut_off(client):
    """It says nothing of its length, so it is counted as it comes."""

    def endless():
        yield form(video=("a.mp4", b""))[: -len(BOUNDARY) - 8]
        while True:
            yield bytes(1 << 16)

    with pytest.raises((ConnectionError, TimeoutError)):
        client.ask("POST", "/classify", endless(), HEADERS)
    assert client.ask("GET", "/health") == (200, b'{"status":"ok"}')


@pytest.mark.soak
def test_bad_uploads(work, client):
    """Each is answered with what it holds or with a reason, and the service is as well as before."""
    dice, originals = random.Random(0), mutated.originals(work)
    broken = [mutated.mutated(dice.choice(originals), originals, dice) for _ in range(BAD)]
    claims = [mutated.claiming(originals, claim) for claim in mutated.CLAIMS]
    never = harmful(work).values()
    upload = lambda data: client.classify(video=("x", data))
    with futures.ThreadPoolExecutor(8) as threads:
        statuses = [status for status, _ in threads.map(upload, [*broken, *claims])]
        refused = list(threads.map(upload, never))
    assert set(statuses) == {200, 422}
    assert all(status == 422 for status, _ in refused), refused
    assert client.classify(path="sub/film.mp4")[0] == 200
    assert client.metric("l2l_in_progress") == 0


@pytest.mark.soak
def test_fifty_at_once(work, client):
    """No error, no growth of memory; every answer is the same but for rounding."""
    data, stop, times, answers = film(work), time.monotonic() + SECONDS, [], []

    def upload():
        while time.monotonic() < stop:
            since = time.monotonic()
            status, found = client.classify(video=("film.mp4", data))
            times.append(time.monotonic() - since)
            answers.append((status, *found["top"][0].values()))

    def memory():
        return client.metric("process_resident_memory_bytes")

    warm = threading.Timer(SECONDS / 3, lambda: before.append(memory()))
    before, threads = [], [threading.Thread(target=upload) for _ in range(50)]
    warm.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    warm.join()
    p50, p95 = np.percentile(times, (50, 95))
    growth = memory() / before[0] - 1
    print(
        f"\n{len(times)} uploads by 50 at once in {SECONDS} s: p50 {p50:.2f} s, p95 {p95:.2f} s, memory {growth:+.1%}"
    )
    statuses, labels, scores = map(list, zip(*answers, strict=True))
    assert {*statuses} == {200}
    assert len({*labels}) == 1
    assert max(scores) - min(scores) < 1e-3  # batches of other sizes round otherwise
    assert growth < 0.1
    assert client.metric("l2l_batches_total") < client.metric("l2l_videos_total")


@pytest.mark.soak
def test_videos_beside_what_is_damaged_odd_or_made_to_do_harm(work, client):
    """Twenty clients: every video is answered as if it came alone, nothing is an error of the service's, memory stays.

    Damaged films may be 200: of some of them enough can be read.
    """
    films, acts = serve_load.films(work), serve_load.acts(work, BAD)
    alone = {name: client.classify(video=(name, content))[1]["top"][0] for name, content in films.items()}
    first = serve_load.run(client, films, acts, SECONDS / 3)
    before = serve_load.memory(client)
    told = serve_load.run(client, films, acts, SECONDS)
    growth = serve_load.memory(client) / before - 1
    bad = {kind: {status for of, status in first.bad + told.bad if of == kind} for kind, _ in first.bad + told.bad}
    print(f"\n{len(told.good)} videos beside {told.bad.total()} others: {dict(told.bad)}, memory {growth:+.1%}")
    for video in first.good + told.good:
        assert (video.status, video.best[0]) == (200, alone[video.name]["label"])
        assert abs(video.best[1] - alone[video.name]["score"]) < 1e-3  # batches of other sizes round otherwise
    assert bad.pop("damaged") <= {200, 422}
    assert bad == {"harmful": {422}, "odd": {0}, "slow": {0}, "dropped": {0}}
    assert growth < 0.15
    assert client.metric("l2l_in_progress") == 0


def test_more_than_may_wait_are_sent_away(work):
    slow = write_video(work / "slow.mp4", seconds=15, size=(640, 480)).read_bytes()
    with (
        serving(f"--run={work / 'run'}", "--waiting=1", "--decoders=1", "--connections=9") as client,
        futures.ThreadPoolExecutor(4) as pool,
        contextlib.ExitStack() as idle,
    ):
        for _ in range(20):
            idle.enter_context(socket.create_connection(("127.0.0.1", client.port)))
        statuses = sorted(status for status, _ in pool.map(lambda _: client.classify(video=("x", slow)), range(4)))
        assert statuses[0] == 200
        assert statuses[-1] == 503
        assert client.metric("l2l_connections_ended_total") >= 11
        assert client.classify(path="x") == (
            403,
            {"error": "this service takes no paths: start it with --root=FOLDER", "status": "refused"},
        )


def test_decoding_that_takes_too_long_ends_and_a_token_is_asked_for(work):
    (work / "token").write_text("secret\n")
    flags = (f"--run={work / 'run'}", f"--root={work / 'shown'}", f"--token_file={work / 'token'}", "--patience=2")
    os.truncate(write_video(work / "shown/hang.avi", codec="mpeg4", audio_codec="mp3", sample_format="s16p"), 1 << 40)
    with serving(*flags) as client:
        assert client.classify(path="sub/film.mp4")[0] == 401
        client.headers["Authorization"] = "Bearer secret"
        status, found = client.classify(path="hang.avi")
        assert (status, found["status"]) == (422, "timed_out")
        assert client.classify(path="sub/film.mp4")[0] == 200


def test_command_needs_its_packages_and_a_run(work, tmp_path, capsys):
    code = "import sys; sys.modules['uvicorn'] = None; from l2l.serve.__main__ import main; sys.exit(main(['--run=x']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith('error: the service needs FastAPI and uvicorn: pip install ".[serve]"')
    assert serve.main([f"--run={tmp_path}"]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path} is not a run folder\n"
    assert serve.main([f"--run={work / 'run'}", f"--root={tmp_path / 'no'}"]) == 1
    assert "is no folder" in capsys.readouterr().err


def test_it_answers_this_machine_alone_by_default():
    assert serve.parser().parse_args(["--run=x"]).host == "127.0.0.1"
