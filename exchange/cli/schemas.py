"""JSON Schemas of what ``--json`` prints: ``python -m exchange.cli.schemas [--check]``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from exchange.cli.outputs import COMMANDS
from exchange.settings import ROOT

FOLDER = ROOT / "docs" / "reference" / "schemas"


def schemas() -> dict[str, str]:
    """File name: the text of the schema, for every command."""
    made = {}
    for command, kind in COMMANDS:
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"leishu {command}"}
        schema |= msgspec.json.schema(kind)
        made[command.replace(" ", "-") + ".json"] = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
    return made


def stale(folder: Path) -> list[str]:
    """Files that differ from what would be written, and files that belong to no command."""
    made = schemas()
    there = {p.name: p.read_text(encoding="utf-8") for p in folder.glob("*.json")}
    return sorted(n for n in made.keys() | there.keys() if made.get(n) != there.get(n))


def main(arguments: list[str]) -> int:
    """Write the schemas, or with ``--check`` only name those that are not up to date (exit code 1)."""
    found = stale(FOLDER)
    for name in found:
        print(name, file=sys.stderr)
    if "--check" in arguments:
        return 1 if found else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = schemas()
    for name in found:
        if name in made:
            (FOLDER / name).write_text(made[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
