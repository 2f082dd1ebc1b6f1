"""Requests of a moment share a call; nobody's error or departure is another's."""

import asyncio
import re

import pytest

from l2l.media.decoding import decoder
from l2l.media.policy import ClipPolicy
from l2l.serve.batching import Batcher
from l2l.serve.metrics import Metrics
from l2l.serve.service import How, Limits, Service
from tests.helpers.videos import write_video


def run(scenario, answer, **limits):
    """Runs `scenario(batcher)` beside a batcher that answers."""

    async def both():
        batcher = Batcher(answer, **{"window": 0.05, "most": 4} | limits)
        answering = asyncio.create_task(batcher.run())
        try:
            return await asyncio.wait_for(scenario(batcher), 30)
        finally:
            answering.cancel()

    return asyncio.run(both())


def test_answers_go_to_who_asked_and_calls_are_shared():
    calls = []

    def answer(items):
        calls.append(len(items))
        return [10 * item for item in items]

    async def scenario(batcher):
        return await asyncio.gather(*(batcher(i) for i in range(10)))

    assert run(scenario, answer) == [10 * i for i in range(10)]
    assert calls == [4, 4, 2]


def test_a_lone_request_waits_no_longer_than_the_window():
    async def scenario(batcher):
        since = asyncio.get_running_loop().time()
        assert await batcher(1) == 1
        return asyncio.get_running_loop().time() - since

    assert run(scenario, list, window=0.05) < 5


def test_an_error_reaches_its_batch_and_no_other():
    def answer(items):
        if "bad" in items:
            raise ValueError("no good")
        return items

    async def scenario(batcher):
        first = await asyncio.gather(batcher("bad"), batcher("beside"), return_exceptions=True)
        return first, await batcher("after")

    first, after = run(scenario, answer)
    assert [str(x) for x in first] == ["no good", "no good"]
    assert after == "after"


def test_whoever_leaves_takes_nobody_along():
    async def scenario(batcher):
        leaving = asyncio.create_task(batcher("leaving"))
        await asyncio.sleep(0)
        staying = asyncio.create_task(batcher("staying"))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert run(scenario, list) == "staying"


def test_metrics_are_what_prometheus_reads():
    metrics = Metrics()
    for status, seconds in ((200, 0.05), (200, 0.3), (422, 100.0)):
        metrics.answered(status, seconds)
    metrics.entered(1)
    metrics.refused("undecodable")
    metrics.connected(1)
    metrics.ended("slow")
    metrics.batched(3)
    lines = metrics.text().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values['l2l_requests_total{status="200"}'] == "2"
    assert values['l2l_refused_total{reason="undecodable"}'] == "1"
    assert values['l2l_connections_ended_total{reason="slow"}'] == values["l2l_connections"] == "1"
    assert values['l2l_request_seconds_bucket{le="0.05"}'] == "1"
    assert values['l2l_request_seconds_bucket{le="0.5"}'] == "2"
    assert values['l2l_request_seconds_bucket{le="+Inf"}'] == values["l2l_request_seconds_count"] == "3"
    assert float(values["l2l_request_seconds_sum"]) == pytest.approx(100.35)
    assert (values["l2l_in_progress"], values["l2l_batches_total"], values["l2l_videos_total"]) == ("1", "1", "3")
    assert int(values["process_resident_memory_bytes"]) > 1 << 20
    for name in {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}:
        family = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        assert any(line.startswith(f"# TYPE {family} ") for line in lines), name


@pytest.mark.parametrize(("kept", "replaced"), [(decoder.KEPT, 0), (-1, 3)])
def test_decoders_that_keep_memory_are_replaced_and_counted(tmp_path, monkeypatch, kept, replaced):
    """And every request is answered."""
    monkeypatch.setattr(decoder, "KEPT", kept)
    film, limits = write_video(tmp_path / "a.mp4"), Limits(1 << 20, 20, 1 << 30, 2, 60, 8)
    count = lambda films: [len(film.content) for film in films]
    how = How(ClipPolicy(frames=1, hop=0.25), 1, 1)
    service = Service(how, count, None, limits=limits, decoders=1, window=0, most=1)

    async def asked():
        async with service.running():
            return [await service.classify(film) for _ in range(3)]

    assert asyncio.run(asked()) == [4, 4, 4]
    assert re.findall(r"^l2l_decoders_replaced_total (\d+)$", service.metrics.text(), re.MULTILINE) == [str(replaced)]
