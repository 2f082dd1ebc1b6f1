"""The endpoints of the service: what may be asked, what is refused and how."""

import asyncio
import contextlib
import dataclasses
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from l2l.media.decoding.decoder import DecoderError
from l2l.media.scan import MediaError
from l2l.serve import uploads
from l2l.serve.guard import AGAIN, CLOSE, Guard, SizeLimit, error
from l2l.serve.service import Service

FORM = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Listen to look</title>
<style>body { font: 1rem/1.5 system-ui; max-width: 40rem; margin: 3rem auto; color-scheme: light dark }</style>
<h1>Listen to look</h1>
<form method="post" action="classify" enctype="multipart/form-data">
<p><label>A video: <input type="file" name="video" accept="video/*" required></label> <button>Look</button>
</form></html>
"""
LOG = logging.getLogger("uvicorn.error")
AROUND = 1 << 16  # bytes of a form that are not the video: boundaries, headers, a path
# What Python knows as a charset need not be one of text, nor end in text that can be written again.
CHARSETS = (b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin-1", b"latin1", b"windows-1252", b"cp1252")


class BusyError(Exception):
    """As many requests are in progress as may be; the message is one line."""


def application(service: Service, root: Path | None, *, names: frozenset[str], token: bytes | None) -> FastAPI:
    """The application.

    Args:
      service: answers.
      root: folder, resolved, of the videos that may be named by their path; None if none may.
      names, token: see `Guard`.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with uploads.kept() as app.state.uploads:
            async with service.running():
                yield

    # Its pages of documentation would load scripts from elsewhere.
    app = FastAPI(title="Listen to look", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(SizeLimit, most=service.limits.upload + AROUND, metrics=service.metrics)
    app.add_middleware(Guard, names=names, token=token, metrics=service.metrics)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, problem: HTTPException) -> Response:
        return error(problem.status_code, "refused", problem.detail, problem.headers)

    @app.get("/", response_class=HTMLResponse)
    async def form() -> str:
        return FORM

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        return service.metrics.text()

    @app.post("/classify")
    async def classify(request: Request) -> Response:
        """A form with a file `video`, or with the `path` of one below the root -> JSON, or a page for a browser."""
        since = time.perf_counter()
        response: Response = error(500, "internal", "this should not have happened")
        try:
            response = await answered(service, root, request)
        finally:
            service.metrics.answered(response.status_code, time.perf_counter() - since)
        return response

    return app


async def answered(service: Service, root: Path | None, request: Request) -> Response:
    """The answer, or a refusal that says why."""
    try:
        async with asked(service, root, request) as (path, name):
            return await looked_at(service, path, name, page="text/html" in request.headers.get("accept", ""))
    except MediaError as problem:
        service.metrics.refused(problem.status)
        return error(422, problem.status, problem.reason)
    except HTTPException as problem:
        return error(problem.status_code, "refused", problem.detail, CLOSE)
    except (BusyError, DecoderError) as problem:
        return error(503, "busy", str(problem), AGAIN)
    except OSError as problem:
        if problem.errno not in uploads.FULL:
            raise
        LOG.warning("no space for an upload in %s: free some, or set TMPDIR", tempfile.gettempdir())
        return error(507, "full", "the service's disk is full: tell whoever runs it", CLOSE)


async def looked_at(service: Service, path: Path, name: str, *, page: bool) -> Response:
    result = dataclasses.replace(await service.classify(path), path=name)
    if page:
        return HTMLResponse(await service.page(path, result))
    return JSONResponse(result.to_json())


@contextlib.asynccontextmanager
async def asked(service: Service, root: Path | None, request: Request) -> AsyncIterator[tuple[Path, str]]:
    """(the file that a request is about, what the request calls it). An upload is a temporary file.

    Only what has come takes a place among those in progress: whoever sends slowly keeps nobody from work.

    Raises:
      BusyError: all places are taken.
      HTTPException: the request is not understood, takes too long to come, or names what it may not.
    """
    form = await received(service, request)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [x.file.close() for _, x in form.multi_items() if isinstance(x, UploadFile)])
        stack.enter_context(place(service))
        video, path = form.get("video"), form.get("path")
        if isinstance(video, UploadFile) and path is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=request.app.state.uploads))
            file = Path(folder) / "video"
            await run_in_threadpool(keep, video, file)
            service.metrics.received(file.stat().st_size)
            if file.stat().st_size > service.limits.upload:
                raise HTTPException(413, f"an upload may have {service.limits.upload:,} bytes")
            yield file, video.filename or ""
        elif isinstance(path, str) and video is None:
            yield inside(root, path), path
        else:
            raise HTTPException(400, "send a form with either a file `video` or a `path`")


async def received(service: Service, request: Request) -> FormData:
    """The form of a request. Raises HTTPException if it is none, takes too long to come or breaks off."""
    if parse_options_header(request.headers.get("content-type"))[1].get(b"charset", b"utf-8").lower() not in CHARSETS:
        raise HTTPException(415, "send the form as UTF-8")
    try:
        async with asyncio.timeout(service.limits.patience):
            return await request.form(max_files=1, max_fields=2)
    except ClientDisconnect:
        raise HTTPException(400, "the upload broke off") from None
    except TimeoutError:
        raise HTTPException(408, f"the upload took longer than {service.limits.patience:g} s") from None


@contextlib.contextmanager
def place(service: Service) -> Iterator[None]:
    """A place among the requests in progress. Raises BusyError if all are taken."""
    if service.metrics.in_progress >= service.limits.waiting:
        raise BusyError(f"{service.limits.waiting} requests are in progress: come again")
    service.metrics.entered(1)
    try:
        yield
    finally:
        service.metrics.entered(-1)


def keep(video: UploadFile, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(video.file, file)


def inside(root: Path | None, asked: str) -> Path:
    """The file at a path below the root, links followed.

    Raises:
      HTTPException: there is no root, the path leads out of it, or there is no such file.
    """
    if root is None:
        raise HTTPException(403, "this service takes no paths: start it with --root=FOLDER")
    try:
        path = (root / asked).resolve()
        if not path.is_relative_to(root):
            raise HTTPException(403, "the path leads out of the service's folder")
        there = path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, links in a circle
        there = False
    if not there:
        raise HTTPException(404, "there is no such file")
    return path
