"""A checkout with the launch scripts, stand-ins for what they call, and what these noted."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = {"TPU_NAME": "tpu", "TPU_ZONE": "us-central2-b", "TPU_TYPE": "v4-16"}


class Bench:
    """`root` is the checkout, `folder` what tests/helpers/stand_in.py calls $STAND_INS."""

    def __init__(self, folder: Path):
        self.folder = folder / "stand-ins"
        self.root = folder / "my checkout"
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        subprocess.run(["git", "init", "--quiet", str(self.root)], check=True)
        self.write(".gitignore", "data/\nruns/\n.venv/\n")
        self.write("requirements.txt", "")
        self.write("l2l/main.py", "")
        self.put(self.folder / "bin", "gcloud", "srun", "scontrol", "nvidia-smi")
        self.put(self.folder / "worker_bin", "python3", "sudo", "gcsfuse", "mountpoint", "curl")
        self.prepare("mountpoint.code", 1)

    def put(self, folder: Path, *names: str) -> None:
        """Stand-ins of these names. Isolated from site-packages, Python starts in a few milliseconds."""
        folder.mkdir(parents=True, exist_ok=True)
        text = f"#!{sys.executable} -IS\n" + (ROOT / "tests/helpers/stand_in.py").read_text()
        for name in names:
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def prepare(self, name: str, content: object) -> None:
        (self.folder / name).write_text(json.dumps(content))

    def start(self, script: str, *arguments: str, **variables: str) -> subprocess.Popen:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("TPU_", "SLURM_"))}
        own = {"PATH": f"{self.folder / 'bin'}:{clean['PATH']}", "STAND_INS": str(self.folder), "TPU_POLL": "0"}
        command = [str(self.root / "scripts" / script), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=clean | own | NAMES | variables, cwd=self.root, **pipes)

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        return ended(self.start(script, *arguments, **variables))

    def calls(self, name: str = "gcloud") -> list[list[str]]:
        path = self.folder / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call[1:] for call in map(json.loads, lines) if call[0] == name]

    def story(self, first: int = 0) -> list[str]:
        """Every call of gcloud in two words, three for worker.sh, from number `first` on."""
        words = lambda x: [*x[2:4], *(y.split()[2] for y in x if y.startswith("--command=bash"))]
        return [" ".join(words(call)) for call in self.calls()[first:]]


def ended(process: subprocess.Popen) -> subprocess.CompletedProcess:
    out, error = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def wait(condition) -> None:
    """Returns once the condition holds; fails after a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
