"""Every command that README, docs/ and docstrings show would run, and those for one's own videos do, to their end."""

import contextlib
import glob
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from data_prep import verify, write_shards
from l2l import infer, main
from l2l.data import schema
from l2l.report import __main__ as report
from l2l.runs import run_folder
from tests.helpers import commands, prepared, report_page
from tests.helpers.commands import Mistake
from tests.helpers.videos import write_video

TEXTS = {name: text for name, text in commands.texts().items() if re.search(r"python -m|make |\bl2l \w", text)}
OWN = ("docs/tutorials/own_videos.md", "Prepare and train")


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_text_shows_is_there(name):
    """Every command would run, and what stands alone between backticks is the name of something."""
    text, mistakes = TEXTS[name], []
    calls, pieces = list(commands.commands(text)), list(commands.pieces(text))
    for check, found in [*((commands.check, x) for x in calls), *((commands.check_mention, x) for _, x in pieces)]:
        try:
            check(found)
        except Mistake as mistake:
            mistakes.append(f"{found}: {mistake}")
    assert mistakes == []
    programs = [x.source for x in calls] + [x for _, x in pieces if commands.NAMED.fullmatch(x)]
    assert " ".join(text.split()).count("python -m ") == sum(x.startswith("python -m ") for x in programs), (
        "some are not found"
    )


def test_a_shell_reads_every_command():
    lines = [command.source for text in TEXTS.values() for command in commands.commands(text)]
    assert len(lines) > 100
    done = subprocess.run(["bash", "-n"], input="\n".join(lines), capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("python -m l2l.nothing", "there is no command l2l.nothing"),
        ("python -m l2l.report runs/a", "the following arguments are required: --out"),
        ("python -m l2l.report runs/a --out=b --picture", "unrecognized arguments: --picture"),
        ("python -m l2l.report runs/a --out=b --table=chairs", "there is no table chairs"),
        ("python -m l2l.sweep --sweep=configs/sweep_nothing.py --out=b", "there is no configs/sweep_nothing.py"),
        ("python -m data_prep.write_shards --dataset=nothing --videos=a --out=b", "invalid choice: 'nothing'"),
        ("python -m data_prep.write_shards --videos=a --out=b --fold=1", "unrecognized arguments: --fold=1"),
        ("python -m data_prep.beam --videos=a --oat=b -- --runner=c", "the following arguments are required: --out"),
        ("python -m l2l.main --config=configs/nothing.py", "configs/nothing.py does not exist"),
        ("python -m l2l.main --config=configs/skim.py:nothing", "unknown variant 'nothing'"),
        ("python -m l2l.main --config=configs/skim.py --config.epoch=3", "no config.epoch; did you mean epochs"),
        ("python -m l2l.main --config=configs/skim.py --config.epochs=few", "could not convert string to float: 'few'"),
        ("python -m l2l.main --config=configs/skim.py --configs.epochs=3", "Unknown command line flag"),
        ("python -m l2l.main --config=configs/skim.py now", "unexpected argument 'now'"),
        ("python -m l2l.main --config configs/skim.py:nothing", "unknown variant 'nothing'"),
        ("l2l infr film.mp4", "there is no command l2l infr"),
        ("l2l infer film.mp4", "the following arguments are required: --run"),
        ("l2l train --config=skimm", "there is no config skimm"),
        ("l2l train --config=skim:nothing", "unknown variant 'nothing'"),
        ("l2l train --config nothing", "there is no config nothing"),
        ("l2l sweep --sweep=nothing --out=b", "there is no sweep_nothing"),
        ("python -m l2l.main configs/skim.py", "say which stage: --config=configs/STAGE.py"),
        ("python -c 'print('", "was never closed"),
        ("make nothing", "No rule to make target"),
        ("pytest tests/test_nothing.py", "there is no tests/test_nothing.py"),
        ("scripts/nothing.sh --help", "there is no scripts/nothing.sh"),
        ("scripts/multi_gpu.sh --gpus=all -- --config=configs/skim.py", "--gpus=all is no list of numbers"),
        ("scripts/multi_gpu.sh --gpus=0 -- --config=configs/skim.py:nothing", "unknown variant 'nothing'"),
        ("sbatch --nodes=2", "sbatch is given no script"),
        ("sbatch --noodles=2 scripts/slurm/train.sh --config=configs/skim.py", "says nothing of --noodles=2"),
        ("sbatch scripts/slurm/train.sh --config=configs/skim.py --config.data.stream=2", "no config.data.stream"),
        ("python -m l2l.evaluate RUN --data=HERE", "HERE stands for nothing that is known"),
        ("python -m l2l.evaluate $OTHER --data=a", "$OTHER is not defined"),
        ("python -m l2l.evaluate [RUN --data=a", "a square bracket is left open"),
        ("python -m l2l.evaluate 'RUN --data=a", "No closing quotation"),
    ],
)
def test_a_command_that_would_not_run_is_found(line, says):
    with pytest.raises(Mistake, match=re.escape(says)):
        commands.check(*commands.commands(f"So:\n\n    {line}\n\nand no more."))


@pytest.mark.parametrize(
    "piece",
    [
        "configs/skim.py:nothing",
        "skim:nothing",
        "--config.data.stream=1",
        "--config.seed=no",
        "data.stream",
        "--nothing",
        "python -m l2l.nothing",
        "l2l nothing",
        "scripts/nothing.sh",
    ],
)
def test_a_name_of_nothing_is_found(piece):
    with pytest.raises(Mistake):
        commands.check_mention(piece)


def test_how_a_text_is_read():
    text = """Prose with `make demo` and `python -m
l2l.doctor --json`, | cells with `python -m l2l.infer VIDEO... --run=RUN [--json] [--html=DIR]` |.

    export TPU_NAME=a TPU_ZONE="b c"   # exported
    WORDS="--x=1 --y='2 3'"

    make test  # a remark with WORDS
    python -m one $WORDS \\
        --z
    echo python -m two
"""
    found = [(x.line, x.words, x.exported) for x in commands.commands(text)]
    exported = {"TPU_NAME": "a", "TPU_ZONE": "b c"}
    assert found == [
        (7, ("make", "test"), exported),
        (8, ("python", "-m", "one", "--x=1", "--y=2 3", "--z"), exported),
        (1, ("make", "demo"), {}),
        (1, ("python", "-m", "l2l.doctor", "--json"), {}),
        (2, ("python", "-m", "l2l.infer", "film.mp4", "--run=runs/sample/skim", "--json", "--html=data/mine"), {}),
    ]


@pytest.mark.parametrize("module", [x for x in commands.modules() if x not in ("l2l.main", "data_prep.beam")])
def test_help(module, capsys):
    with pytest.raises(SystemExit) as end:
        commands.loaded(module).parser().parse_args(["--help"])
    assert end.value.code == 0
    assert f"usage: python -m {module} " in capsys.readouterr().out


def test_help_of_the_stages():
    done = commands.called([sys.executable, "-m", "l2l.main", "--help"], dict(os.environ))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{main.__doc__}\n")


SMALL = ("--config.epochs=1", "--config.data.crop=16", "--config.data.resize=18")
CLIPS = (*SMALL, "--config.model.width=4", "--config.model.stages=(1,)")
STUDENT = (*CLIPS, "--config.model.feature=4")
SKIM = ("--config.model.steps=2", "--config.model.hidden=16", "--config.model.key=8", "--config.model.query=16")
# What the test adds to a command so that it takes seconds, or so that what it says can be read.
ADDED = {
    "--config=teacher": CLIPS,
    "--config=distill": STUDENT,
    "--config=finetune": STUDENT,
    "--config=skim": (*SMALL, *SKIM, "--config.data.lengths=(8,)"),
    "l2l.infer": ("--json",),
    "data_prep.verify": ("--workers=1",),
}
RUNNERS = {
    "data_prep.write_shards": write_shards.main,
    "data_prep.verify": verify.main,
    "l2l.main": lambda words: main.run(commands.config_of(*words)),
    "l2l.infer": infer.main,
    "l2l.report": report.main,
}
CLASSES = ("some_class", "another", "one_more")
FILMS, SECONDS = 5, 3  # of a class; of a film, and so many positions


def own_videos(folder: Path) -> None:
    """Three classes; every second film has no sound, and one file is no film at all."""
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(FILMS):
            write_video(folder / label / f"{number}.mp4", seconds=SECONDS, fps=8, clicks=(0.5,), audio=number % 2 == 0)
    (folder / CLASSES[1] / "broken.mp4").write_bytes(b"no film")


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def run(words: list[str]) -> str:
    """Runs `l2l NAME ...` to its end in this process, quickly; returns what it printed."""
    module, *rest = commands.known(words[1]), *words[2:]
    more = next((ADDED[word] for word in (module, *rest) if word in ADDED), ())
    rest = [name for word in rest for name in (sorted(glob.glob(word)) if "*" in word else [word])]
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(out):
        code = RUNNERS[module]([*rest, *more])
    out.seek(0)
    assert not code, (words, code)
    return out.read()


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Iterator[dict[str, str]]:
    """What each command said while those for one's own videos ran, in the folder that is then the working one."""
    folder, said = tmp_path_factory.mktemp("own"), {}
    own_videos(folder / "my_videos")
    (folder / "configs").symlink_to(commands.ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        one = jax.devices()[:1]  # as most people have
        patch.setattr(jax, "devices", lambda: one)
        path, title = OWN
        for command in commands.commands(section(TEXTS[path], title)):
            said[command.words[1]] = run(list(command.words))
        yield said


def test_own_shards_account_for_every_video(own):
    index = schema.load_index("data/mine")
    stored = {name for split in index.splits for name in prepared.stored("data/mine", index, split)}
    failed = {str(Path(x["path"]).relative_to("my_videos")) for x in index.failed}
    assert failed == {f"{CLASSES[1]}/broken.mp4"}
    assert stored == {f"{label}/{number}.mp4" for label in CLASSES for number in range(FILMS)}
    assert index.labels == tuple(sorted(CLASSES))
    assert all(index.videos(split) for split in index.splits)
    assert f"data/mine is whole: {len(CLASSES)} labels" in own["verify"]


def test_own_runs_are_finished(own):
    built_on = {"distill": "teacher", "finetune": "distill", "extract": "finetune", "skim": "extract"}
    hashes = {name: run_folder.hash_at(f"runs/mine/{name}") for name in ("teacher", *built_on)}
    for name, before in built_on.items():
        inputs = json.loads(Path(f"runs/mine/{name}/config.json").read_text())["inputs"]
        assert hashes[before] in {x["hash"] for x in inputs.values()}
    for name in ("teacher", "distill", "finetune", "skim"):
        run, split = run_folder.load_run(f"runs/mine/{name}"), schema.load_index("data/mine").splits
        assert list(run.labels) == sorted(CLASSES)
        assert run.config["data"]["test"] in split


def test_own_videos_are_answered(own):
    found = [json.loads(line) for line in own["infer"].splitlines()]
    assert [x["path"] for x in found] == [f"my_videos/{CLASSES[0]}/{number}.mp4" for number in range(FILMS)]
    assert [x["has_audio"] for x in found] == [number % 2 == 0 for number in range(FILMS)]
    for answer in found:
        assert {x["label"] for x in answer["top"]} == set(CLASSES)
        assert np.isclose(sum(x["score"] for x in answer["top"]), 1, atol=1e-5)
        assert answer["positions"] == SECONDS


def test_own_report_shows_every_run(own):
    page = Path(own["report"].strip())
    shown = report_page.runs_of(page)
    assert {name: row["stage"] for name, row in shown.items()}.items() <= report_page.DEMO.items()
    assert set(shown) >= {"teacher", "distill", "finetune", "skim"}
    assert all(row["hash"] == run_folder.hash_at(f"runs/mine/{name}") for name, row in shown.items())
    with pytest.raises(SystemExit, match="not"):  # of the demo's page more is asked
        report_page.main(str(page))


def test_a_page_of_the_demo(tmp_path, capsys):
    row = "<tr><th>{}<div>1a2b</div></th><td>{}</td></tr>"
    rows = [row.format(name, stage) for name, stage in report_page.DEMO.items()]
    head = '<h2 id="runs">Runs</h2><table><tr><th>run</th><th>stage</th></tr>'
    page = tmp_path / "page.html"
    page.write_text(f"{head}{''.join(rows)}</table><table><tr><td>else</td></tr></table>")
    report_page.main(str(page))
    assert "teacher, distill, finetune, extract, skim" in capsys.readouterr().out
    for text in (head + "".join(rows[1:]) + "</table>skim", "".join(rows), ""):
        page.write_text(text)
        with pytest.raises(SystemExit, match="page.html shows the runs"):
            report_page.main(str(page))
