"""Lookout: where marks stand that must not stand there. What is looked at is kept whole until then, as bytes."""

from __future__ import annotations

import gzip
import io
import logging
import re
import traceback
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import msgspec
import polars as pl

from exchange.marks import Mark, forms

LONGEST = 24  # characters of a text that are looked for: what is longer is known by its beginning
AT_A_TIME = 60  # marks looked for in one pass: the search keeps every form of each in memory
_CHANCE = re.compile(r"[0-9a-f.]{0,11}")  # short enough to come about inside a digest


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Something that was written, sent or said, and where."""

    sink: str  # payload, ledger, log, …
    place: str  # the table, file or view; names of ours alone
    data: bytes
    cells: frozenset[str] = frozenset()  # its single values as text, where it has such


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A mark seen in a piece."""

    sink: str
    place: str
    mark: Mark
    form: str  # text, json, base64, …
    whole: bool  # the value; else a part of it


def text(value: Any) -> bytes:
    """Whatever a function gave, as text."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except (TypeError, ValueError, RecursionError):
        return repr(value).encode(errors="backslashreplace")


def seen(pieces: Sequence[Piece], marks: Iterable[Mark]) -> list[Sighting]:
    """Every mark that stands in a piece, once a piece: whole where it is there whole."""
    read, every = [_plain(p.data) for p in pieces], list(marks)
    return [
        one
        for first in range(0, len(every), AT_A_TIME)
        for one in _seen(pieces, read, every[first : first + AT_A_TIME])
    ]


def _seen(pieces: Sequence[Piece], read: Sequence[str], marks: Sequence[Mark]) -> list[Sighting]:
    known: dict[str, list[tuple[Mark, str, bool]]] = {}
    whole_cells: dict[str, list[Mark]] = {}
    for mark in marks:
        for words, whole in ((mark.whole, True), (mark.parts, False)):
            for word in words:
                whole_cells.setdefault(word, []).append(mark) if whole else None
                if not mark.faint:
                    for made, form in forms(word[:LONGEST]).items():
                        known.setdefault(made.decode("latin-1"), []).append((mark, form, whole))
    found: dict[tuple[int, Mark], Sighting] = {}
    hits = (
        pl.Series(read, dtype=pl.String).str.extract_many(list(known), overlapping=True).to_list()
        if known and read
        else [[] for _ in read]
    )
    for at, (piece, words) in enumerate(zip(pieces, hits, strict=True)):
        for word in dict.fromkeys(words):
            if _CHANCE.fullmatch(word) and not re.search(
                rf"(?<![0-9a-z]){re.escape(word)}(?![0-9a-z])", read[at]
            ):
                continue
            for mark, form, whole in known[word]:
                if whole or (at, mark) not in found:
                    found[at, mark] = Sighting(sink=piece.sink, place=piece.place, mark=mark, form=form, whole=whole)  # fmt: skip
        for cell in piece.cells & whole_cells.keys():
            for mark in whole_cells[cell]:
                found.setdefault(
                    (at, mark),
                    Sighting(sink=piece.sink, place=piece.place, mark=mark, form="cell", whole=True),
                )
    return list(found.values())


def _plain(data: bytes) -> str:
    """Small letters, packed files unpacked, one backslash for several (escapes of escapes)."""
    whole = b"\n".join(_unpacked(data)).lower()
    if b"\\\\" in whole:
        whole += b"\n" + re.sub(rb"\\+", rb"\\", whole)
    return whole.decode("latin-1")


def _unpacked(data: bytes) -> Iterator[bytes]:
    yield data
    if data[:2] == b"PK":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                for name in packed.namelist():
                    yield name.encode()
                    yield from _unpacked(packed.read(name))
        except zipfile.BadZipFile:
            return
    elif data[:2] == b"\x1f\x8b":
        try:
            yield from _unpacked(gzip.decompress(data))
        except (OSError, EOFError):
            return


@dataclass(kw_only=True)
class Heard:
    """What was said and given out while it was listened to."""

    pieces: list[Piece] = field(default_factory=list)
    errors: dict[str, BaseException] = field(default_factory=dict)  # by the place where it was raised

    def call(self, place: str, work: Callable[[], Any]) -> Any:
        """What the work gives, kept as what a task would hand on (XCom); None where it raised."""
        try:
            made = work()
        except Exception as error:
            self.errors[place] = error
            self.pieces.append(Piece(sink="error", place=place, data=told(error)))
            return None
        self.pieces.append(Piece(sink="xcom", place=place, data=text(made)))
        return made


@contextmanager
def listening() -> Iterator[Heard]:
    """All that anyone logs (at DEBUG), prints or raises meanwhile; nothing of it is shown.

    Loggers that pass nothing on are listened to as well.
    """
    heard, log, out = Heard(), io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)s"))
    loggers = [logging.getLogger()] + [
        one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger) and not one.propagate
    ]  # fmt: skip
    before = [(one, one.level, one.handlers[:], one.disabled) for one in loggers]
    for one in loggers:
        one.handlers[:], one.disabled = [handler], False
        one.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(out), redirect_stderr(out):
            yield heard
    finally:
        for one, level, handlers, disabled in before:
            one.handlers[:], one.disabled = handlers, disabled
            one.setLevel(level)
        heard.pieces.append(
            Piece(sink="log", place="log", data=log.getvalue().encode(errors="backslashreplace"))
        )
        heard.pieces.append(
            Piece(sink="log", place="output", data=out.getvalue().encode(errors="backslashreplace"))
        )


def told(error: BaseException) -> bytes:
    """All that an error says, and those that hang on it, even where they would not be printed."""
    lines: list[str] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        lines += [type(one).__name__, str(one), repr(one), repr(one.args), repr(vars(one))]
        lines += getattr(one, "__notes__", [])
        lines += traceback.format_exception(one, chain=False)
        waiting += [one.__cause__, one.__context__]
        waiting += getattr(one, "exceptions", ())
    return "\n".join(lines).encode(errors="backslashreplace")


def cells(rows: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The single values of some rows, as text."""
    return frozenset(str(v) for row in rows for v in row.values() if v is not None)
