"""What a command line becomes: a task, its answer, and the errors of use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from catalog.errors import (
    Blocked,
    LeaseLost,
    LedgerError,
    LeishuError,
    NotAuthorised,
    Refused,
    Unavailable,
    say,
)


class Code(IntEnum):
    """Exit codes. A script decides by them what to do next."""

    DONE = 0
    FINDING = 1  # done, and something was found: a problem, no such record, an equation that does not close
    USE = 2  # the command line or the home is wrong
    UNAVAILABLE = 3  # the other side did not answer: try again
    REFUSED = 4  # refused, not authorised or blocked: do not try again
    LEDGER = 5  # the chain is broken: stop
    FAULT = 70  # the program is at fault (EX_SOFTWARE)
    INTERRUPTED = 130  # by Ctrl-C


_ORDER = (Code.LEDGER, Code.UNAVAILABLE, Code.REFUSED, Code.FINDING)


def code_of(error: LeishuError) -> Code:
    """What this error makes of the exit code; a lease that another worker holds is no failure."""
    if isinstance(error, LeaseLost):
        return Code.DONE
    if isinstance(error, LedgerError):
        return Code.LEDGER
    if isinstance(error, Unavailable):
        return Code.UNAVAILABLE
    if isinstance(error, Refused | NotAuthorised | Blocked):
        return Code.REFUSED
    return Code.FINDING  # a declaration, or a file that was set aside


def gravest(codes: list[Code]) -> Code:
    """The one code of several: the ledger first, then what may be tried again."""
    return next((c for c in _ORDER if c in codes), Code.DONE)


class WrongUse(Exception):
    """The command line cannot be carried out as it stands: exit code 2."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(zh, en)
        self.zh = zh
        self.en = en

    def __str__(self) -> str:
        return say(self.zh, self.en)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table for people."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    title: str = ""
    numbers: frozenset[int] = frozenset()  # columns that are set to the right
    bare: bool = False  # no header and "place: words" a line, as compilers write
    below: int | None = None  # on a screen this last column goes under the cell of that one


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command has to say: to programs, to people, and by its exit code."""

    output: Any  # a dataclass of exchange.cli.outputs
    sheets: list[Sheet] = field(default_factory=list)  # standard output
    words: list[str] = field(default_factory=list)  # standard error
    code: Code = Code.DONE


@dataclass(frozen=True, kw_only=True)
class Task:
    """A command line that was understood; ``work`` carries it out."""

    name: str
    json: bool
    work: Callable[[], Answer]
