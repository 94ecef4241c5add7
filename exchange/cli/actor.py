"""Actor: the person who acts. The machine's login, or who a front end in charge of logins says it is."""

from __future__ import annotations

import getpass
import os

ACTOR = "LEISHU_ACTOR"


def actor() -> str:
    """The name that the ledger keeps with what this person does."""
    named = os.environ.get(ACTOR, "").strip()
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return f"uid {os.getuid()}"
