"""What the commands about profiles print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass

from quality.propose import Proposal, Unproposed
from quality.showing import Seen


@dataclass(frozen=True, kw_only=True)
class QualityProfile:
    """leishu quality profile: counts, and no value but those that may be shown"""

    source: str  # a file's name or a route
    rows: int  # records looked at
    whole: bool  # all there was, not the first rows
    unfit: int  # rows of a route that its layout cannot read, not among ``rows``
    terms: str
    columns: list[Seen]
    proposals: list[Proposal]
    unproposed: list[Unproposed]
    file: str | None  # the draft that was written


@dataclass(frozen=True, kw_only=True)
class QualityAccept:
    """leishu quality accept"""

    file: str
    suite: str
    by: str
    accepted: list[str]  # proposals that are in the suite now
    there: list[str]  # that were in it already
    rules: int  # of the suite
