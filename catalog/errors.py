"""The few errors of Leishu, named by what the caller does next.

Each carries its sentence twice, Chinese and English: what happened, to which thing, what to do.
No record's value stands in a sentence. Rows never raise: they are rejected with a reason.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass


def language() -> str:
    """``"en"`` where LEISHU_LANG or the locale asks for English, else ``"zh"``."""
    for name in ("LEISHU_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "en" if value.lower().startswith("en") else "zh"
    return "zh"


def say(zh: str, en: str) -> str:
    """The sentence in the language of this process."""
    return en if language() == "en" else zh


Reason = tuple[str, str]  # Chinese, English


class LeishuError(Exception):
    """Root of the tree; never raised itself."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(zh, en)
        self.zh = zh
        self.en = en

    def __str__(self) -> str:
        return say(self.zh, self.en)


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """One thing wrong in one declaration."""

    file: str  # as a person would type it, relative to the home
    line: int  # 1-based; 0 where the file as a whole is meant
    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {say(self.zh, self.en)}"


class DeclarationError(LeishuError):
    """A declaration is wrong; all problems at once. Disables only what names it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        zh = "\n".join(f"{p.file}:{p.line}: {p.zh}" for p in self.problems)
        en = "\n".join(f"{p.file}:{p.line}: {p.en}" for p in self.problems)
        super().__init__(zh, en)


class Unavailable(LeishuError):
    """The other side did not answer: try again."""

    def __init__(self, zh: str, en: str, *, retry_after: float | None = None) -> None:
        super().__init__(zh, en)
        self.retry_after = retry_after  # seconds, where the other side named them


class Refused(LeishuError):
    """The other side said no: fail, do not retry."""


class Unreadable(LeishuError):
    """What came cannot be read: set it aside whole, do not retry.

    ``resume`` is the cursor behind what was set aside (None where nothing lies behind it),
    ``unit`` names it (a file's name, say).
    """

    def __init__(self, zh: str, en: str, *, unit: str = "", resume: str | None = None) -> None:
        super().__init__(zh, en)
        self.unit = unit
        self.resume = resume


class NotAuthorised(LeishuError):
    """No agreement covers this: fail, tell its owner."""


class Blocked(LeishuError):
    """The gate did not open: stop before delivery."""


class LeaseLost(LeishuError):
    """Another worker has the route: write nothing; not a failure."""


class LedgerError(LeishuError):
    """The chain is broken: stop everything."""
