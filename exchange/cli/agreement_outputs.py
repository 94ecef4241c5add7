"""What ``--json`` prints of agreements, one dataclass a command."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.agreements import AgreementStanding
from exchange.copies import TakenBack


@dataclass(frozen=True, kw_only=True)
class AgreementsList:
    """leishu agreements list"""

    agreements: list[AgreementStanding]


@dataclass(frozen=True, kw_only=True)
class AgreementStep:
    """leishu agreements apply, review, supply, suspend, resume, withdraw: where it stands then"""

    agreement: AgreementStanding


@dataclass(frozen=True, kw_only=True)
class AgreementRecall:
    """leishu agreements recall"""

    agreement: str
    routes: list[TakenBack]


@dataclass(frozen=True, kw_only=True)
class AgreementLetter:
    """leishu agreements letter"""

    agreement: str
    kind: str  # application, answer
    file: str | None  # where it was written
    html: str | None  # the page, where no file was named
