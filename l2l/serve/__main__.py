"""A small service: a video in, what is in it out, as JSON or as a page.

    python -m l2l.serve --run=RUN [--root=FOLDER] [--port=8000]

    curl -F video=@film.mp4 http://127.0.0.1:8000/classify      # JSON, as infer --json prints it
    curl -F path=holiday/film.mp4 http://127.0.0.1:8000/classify # a file below --root
    /        a form; a browser that sends it gets the page
    /health  {"status": "ok"} once it answers
    /metrics counters and times, for Prometheus

It answers one machine (127.0.0.1) unless --host says otherwise, to requests that call it localhost, by its address or
by an --allowed_host, and to no page of another site. With --token_file all but /health needs the token; a browser asks
for it as a password. It knows no users and no encryption, which is what a proxy before it is for. RUN is a finished run
or an exported file; the latter is a program, to be taken only from people whom you trust.
"""

import argparse
import functools
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l2l.core import command, distribution

MISSING = f"error: the service needs FastAPI and uvicorn: {distribution.install('serve')}"


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=command.program("l2l.serve"), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, number = functools.partial(result.add_argument, metavar="N"), command.number
    result.add_argument("--run", required=True, help="folder of a finished run, or an exported file")
    result.add_argument("--root", type=Path, help="videos below this folder may be named by path (default: none may)")
    result.add_argument("--host", default="127.0.0.1", help="address to answer at (default: %(default)s)")
    result.add_argument(
        "--allowed_host", action="append", default=[], metavar="NAME", help="it may be called by, too; may be repeated"
    )
    result.add_argument("--token_file", type=Path, metavar="FILE", help="its first line must come with every request")
    add("--port", type=number(int, 0, 65_535), default=8000, help="0 for any that is free (default: %(default)s)")
    add(
        "--stride",
        type=number(int, 1, 1e6),
        help="of a skimmer: describe every N-th position (default: as it was trained)",
    )
    add("--megabytes", type=number(float, 0.001, 1e6), default=200, help="of an upload (default: %(default)s)")
    add("--seconds", type=number(float, 0.1), default=600, help="that a video may last (default: %(default)s)")
    add(
        "--patience",
        type=number(float, 0.1, 1e6),
        default=60,
        help="seconds to upload, decode, or read (default: %(default)s)",
    )
    add(
        "--memory",
        type=number(float, 0.1, 1e6),
        default=4,
        help="GiB that decoding a video may take (default: %(default)s)",
    )
    add(
        "--waiting",
        type=number(int, 1),
        default=64,
        help="received requests in progress; others get 503 (default: %(default)s)",
    )
    add(
        "--connections",
        type=number(int, 1),
        default=128,
        help="open at once; idle ones make room (default: %(default)s)",
    )
    add("--decoders", type=number(int, 1, 1024), default=os.cpu_count() or 1, help="processes (default: one per core)")
    add(
        "--window",
        type=number(float, 0, 1e6),
        default=0.02,
        help="seconds in which requests are batched (default: %(default)s)",
    )
    add("--most", type=number(int, 1), default=16, help="videos of a batch (default: %(default)s)")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    try:
        import uvicorn

        app, protocol = prepared(args)
        family, shown = (socket.AF_INET6, f"[{args.host}]") if ":" in args.host else (socket.AF_INET, args.host)
        with socket.create_server((args.host, args.port), family=family) as listening:
            print(f"http://{shown}:{listening.getsockname()[1]}", flush=True)
            config = uvicorn.Config(app, http=protocol, ws="none", log_level="warning", timeout_graceful_shutdown=5)
            uvicorn.Server(config).run([listening])
    except ImportError as problem:
        print(f"{MISSING} ({problem})", file=sys.stderr)
        return 1
    except (ValueError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def prepared(args: argparse.Namespace) -> tuple[Any, Any]:
    """(the application, with a model that is loaded and compiled; what makes a connection, as uvicorn asks for it).

    Raises:
      ValueError: the run, the root, a name or the token cannot be used.
      OSError: the token cannot be read.
    """
    import l2l
    from l2l.runs import fits, run_folder
    from l2l.serve.app import application
    from l2l.serve.connections import Connection
    from l2l.serve.guard import names, token_in
    from l2l.serve.service import How, Limits, Service

    if args.root and not args.root.is_dir():
        raise ValueError(f"--root={args.root} is no folder")
    called, token = names(args.host, args.allowed_host), args.token_file and token_in(args.token_file)
    if Path(args.run).is_dir():
        fits.check(run_folder.load_run(args.run))  # now, and not when the first video comes
    model = l2l.load(args.run, stride=args.stride)
    model.decoders.close()  # the service has decoding processes with limits of its own
    parts = model.programs
    if parts.recogniser:
        raise ValueError(f"another model judges the looks of {args.run}: `infer` takes it, the service does not")
    memory = round(args.memory * 2**30)
    limits = Limits(round(args.megabytes * 1e6), args.patience, memory, args.waiting, args.seconds, args.connections)
    service = Service(
        How(parts.policy, parts.frames, model.stride),
        model.classify,
        drawn,
        limits=limits,
        decoders=args.decoders,
        window=args.window,
        most=args.most,
    )
    app = application(service, args.root and args.root.resolve(), names=called, token=token)
    return app, functools.partial(Connection, limits=limits, metrics=service.metrics)


def drawn(path: str, result: Any, decoder: Any) -> str:
    """The page of a video, which does not say where that lies."""
    from l2l.report import video_page

    return video_page.html_of(result, path, folder=None, decoder=decoder)


if __name__ == "__main__":
    command.run(main)
