"""What the commands of ``leishu identity`` and ``leishu dossier`` print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.dossier import Dossier
from exchange.identity import Link, Proposed, Resolved


@dataclass(frozen=True, kw_only=True)
class IdentityPropose:
    """leishu identity propose"""

    done: Proposed


@dataclass(frozen=True, kw_only=True)
class IdentityLinks:
    """leishu identity links"""

    links: list[Link]


@dataclass(frozen=True, kw_only=True)
class IdentityLink:
    """leishu identity show, accept, decline: where the link stands then"""

    link: Link


@dataclass(frozen=True, kw_only=True)
class IdentityResolve:
    """leishu identity resolve"""

    code: str
    records: list[Resolved]


@dataclass(frozen=True, kw_only=True)
class DossierShow:
    """leishu dossier"""

    dossier: Dossier
    file: str | None  # the page that was written
