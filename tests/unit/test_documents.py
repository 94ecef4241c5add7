"""Each document is recognised as of its own kind, and as of no other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchange import declarations, documents
from exchange.declarations import Declarations
from exchange.settings import ROOT

AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def declared() -> Declarations:
    return declarations.read(ROOT / "demo")


@pytest.mark.parametrize("kind", documents.IMPORTS)
def test_what_is_written_is_recognised_and_says_nothing_new(kind: str, declared: Declarations) -> None:
    for made in documents.written(kind, declared, ["key_unit"], AT):
        seen = [k for k, one in documents.IMPORTS.items() if one.recognised(made.name, made.content)]
        assert seen == [kind]
        read = documents.read(kind, made.name, made.content, declared, AT)
        assert read.problems == ()
        assert {c.state for c in documents.changes(ROOT / "demo", read.files)} <= {"same"}


def test_what_is_of_no_kind_is_not_guessed() -> None:
    for content in (b"", b"a: b\n", b"{}", b"\xff\xfe", b"PK\x03\x04", b"a,b\n1,2\n"):
        assert documents.recognised("x", content) is None
