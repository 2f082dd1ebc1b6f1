"""An executable that stands in for the programs which scripts/ call, under the name that it is copied to.

Every call is noted in $STAND_INS/calls.jsonl as [name, *arguments]. What it then does:

- gcloud: plays $STAND_INS/answers.json, {"tpu-vm ssh": [[exit code, stdout, stderr], null, ...], ...}, an answer a
  call. For null, where there is none, and before one that has the fourth entry "after", it acts as if a TPU VM of two
  workers could be had at once: `create` makes their home folders under $STAND_INS/workers, `delete` removes them,
  `describe` tells of them, `scp` copies there, and `ssh` runs its command there and exits, as gcloud does, with the
  first code that is not 0.
- python3 on a worker: `python3 -m uv venv PATH` makes PATH/bin/python, a stand-in for l2l.main.
- python, which is that: exits with $STAND_INS/codes.json[N][worker] at the N-th attempt; "wait" waits for SIGTERM.
- any other: exits with $STAND_INS/NAME.code, or 0.
"""

import json
import os
import sys

# The rest is imported where it is used: there are hundreds of calls.
HERE = os.environ["STAND_INS"]
WORKERS = f"{HERE}/workers"


def note(call: list[str]) -> None:
    with open(f"{HERE}/calls.jsonl", "a") as file:
        file.write(json.dumps(call) + "\n")


def loaded(name: str, default):
    path = f"{HERE}/{name}"
    if not os.path.exists(path):
        return default
    with open(path) as file:
        return json.load(file)


def scripted(words: str) -> list | None:
    answers = loaded("answers.json", {})
    answer = answers[words].pop(0) if answers.get(words) else None
    with open(f"{HERE}/answers.json", "w") as file:
        json.dump(answers, file)
    return answer


def gcloud(arguments: list[str]) -> int:
    collection, verb, name = arguments[2:5]
    code, out, error, *after = scripted(f"{collection} {verb}") or [0, "", "", "after"]
    print(out, end="")
    print(error, end="", file=sys.stderr)
    acted = act(collection, verb, name, arguments) if after else 0
    return code or acted


def act(collection: str, verb: str, name: str, arguments: list[str]) -> int:
    import shutil

    if verb == "create":
        for worker in "01":
            os.makedirs(f"{WORKERS}/{worker}")
    elif verb == "delete":
        shutil.rmtree(WORKERS)
    elif verb == "describe" and not os.path.exists(WORKERS):
        print(f"ERROR: (gcloud) NOT_FOUND: Resource 'projects/p/{name}' was not found.", file=sys.stderr)
        return 1
    elif verb == "describe":
        print({"queued-resources": "ACTIVE", "tpu-vm": "READY"}[collection])
    elif verb == "scp":
        for worker in os.listdir(WORKERS):
            for file in arguments[4:-3]:
                shutil.copy(file, f"{WORKERS}/{worker}")
    elif verb == "ssh":
        return on_workers(next(x.removeprefix("--command=") for x in arguments if x.startswith("--command=")))
    return 0


def on_workers(command: str) -> int:
    import subprocess

    started = []
    for worker in sorted(os.listdir(WORKERS)):
        home = f"{WORKERS}/{worker}"
        own = {"HOME": home, "HOSTNAME": f"vm-w-{worker}", "PATH": f"{HERE}/worker_bin:{os.environ['PATH']}"}
        started.append(subprocess.Popen(["bash", "-c", command], cwd=home, env=os.environ | own))
    return next((code for code in [x.wait() for x in started] if code), 0)


def python3(arguments: list[str]) -> int:
    import shutil

    if arguments[:3] == ["-m", "uv", "venv"]:
        os.makedirs(f"{arguments[-1]}/bin")
        shutil.copy(sys.argv[0], f"{arguments[-1]}/bin/python")
    return 0


def python(arguments: list[str]) -> int:
    """Attempts are counted by the size of a file."""
    worker = os.path.basename(os.environ["HOME"])
    with open(f"{HERE}/attempts.{worker}", "a") as file:
        attempt = file.tell()
        file.write("x")
    print(f"attempt {attempt}", flush=True)
    code = loaded("codes.json", [])[attempt][int(worker)]
    if code == "wait":
        wait_for_sigterm(f"{HERE}/waiting.{worker}")
    return code


def wait_for_sigterm(sign: str) -> None:
    """Makes the file `sign` and waits; exits with 75, as l2l.main does after saving."""
    import signal
    import time

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    open(sign, "w").close()
    while True:
        time.sleep(60)


def main() -> int:
    name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    note([name, *arguments])
    play = {"gcloud": gcloud, "python3": python3, "python": python}.get(name)
    return play(arguments) if play else loaded(f"{name}.code", 0)


if __name__ == "__main__":
    sys.exit(main())
