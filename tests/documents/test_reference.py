"""The pages that are made from the declarations are those that would be made now."""

from __future__ import annotations

import json

import jsonschema
import pytest

from exchange.cli.reference import FOLDER, KINDS, stale


def test_the_reference_is_made_from_what_ships() -> None:
    assert stale(FOLDER) == [], "run make docs"


@pytest.mark.parametrize("kind", KINDS)
def test_each_schema_for_editors_is_sound(kind: str) -> None:
    schema = json.loads((FOLDER / "declarations" / f"{kind}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
