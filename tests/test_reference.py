"""The pages of docs/reference are what the code says, and the names that other pages give it are there."""

import argparse
import importlib
import re
from pathlib import Path

import pytest

from l2l.core import command
from scripts.reference import commands, configs, markdown
from scripts.reference.__main__ import FOLDER, PAGES
from tests.helpers.commands import ROOT

NAMING = ("docs/explanation/method.md", "docs/reference/glossary.md")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), f"docs/reference/{name} is old: make reference"


def test_flags_of_a_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", nargs="*", metavar="VIDEO", help="a file | a folder")
    parser.add_argument("--size", type=command.number(int, 1, 9), default=3, help="of <it> (default: %(default)s)")
    parser.add_argument("--way", choices=("a", "b"), required=True, help="see --size")
    parser.add_argument("--list", action="append", default=[])
    parser.add_argument("--ratio", type=float, default=0.5, help="a share")
    parser.add_argument("--place", type=Path, help="a folder (default: here)")
    assert commands._arguments(parser._actions) == [
        ("VIDEO ...", "text", "required", "a file | a folder"),
        ("`--size`", "whole number from 1 to 9", "3", "of &lt;it>"),
        ("`--way`", "one of `a`, `b`", "required", "see `--size`"),
        ("`--list`", "text (may be repeated)", "", ""),
        ("`--ratio`", "number", "0.5", "a share"),
        ("`--place`", "path", "here", "a folder"),
    ]


def test_keys_of_a_config():
    said = configs.meanings()
    assert said["seed"] == "of initialisation, order and augmentation"
    assert said["data.val"].startswith("The split that `best` chooses on")
    assert said["data.val"].endswith("is kept.")
    assert not [key for key in configs.flat(configs.common.get_config()) if not said.get(key)]
    assert list(configs._changes(importlib.import_module("configs.extract").get_config("activitynet"))) == [
        "`mode` extract",
        "`data.eval_batch` 512",
    ]


def test_docstrings_as_markdown():
    text = "One * of\n- a list\n  that goes on\n\n    code --flag\n\nSee python -m l2l.infer."
    expected = "One \\* of\n\n- a list\n  that goes on\n\n    code --flag\n\nSee `python -m l2l.infer`."
    assert markdown.prose(text) == expected
    assert markdown.attributes("A.\n\nAttributes:\n  a, b: one\n    thing.\n  c: more.\n\nRest") == {
        "a": "one thing",
        "b": "one thing",
        "c": "more",
    }


@pytest.mark.parametrize("page", NAMING)
def test_names_of_the_code_are_there(page):
    names = re.findall(r"`((?:l2l|data_prep)[\w.]*):([\w.]+)`", (ROOT / page).read_text(encoding="utf-8"))
    assert len(names) > 20
    for module, name in names:
        found = importlib.import_module(module)
        for part in name.split("."):
            there = hasattr(found, part) or part in getattr(found, "__dataclass_fields__", ())
            assert there, f"{page}: {module} has no {name}"
            found = getattr(found, part, None)
