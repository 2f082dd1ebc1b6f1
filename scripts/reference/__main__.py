"""Writes the pages of docs/reference that are made from parsers, configs and the tables of rules.

python -m scripts.reference     # or: make reference
"""

from pathlib import Path

from scripts.reference.commands import commands
from scripts.reference.configs import configs
from scripts.reference.records import records
from scripts.reference.run_folder import run_folder

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES = {"commands.md": commands, "configs.md": configs, "records.md": records, "run_folder.md": run_folder}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
        print(FOLDER.relative_to(Path.cwd()) / name if FOLDER.is_relative_to(Path.cwd()) else FOLDER / name)


if __name__ == "__main__":
    main()
