"""The three lists: what we provide, what departments asked for, what is not shared, as it all stands now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from catalog.lists import Lists, Stands, lists
from exchange.agreements import Agreements
from exchange.stores import Stores


class ListsDesk:
    """The desk of the three lists."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._agreements = Agreements(stores, clock)

    def all(self) -> Lists:
        """Supply, demand and negative list of the sound declarations and of where agreements stand."""
        declared = self._stores.declarations
        standings = {
            a.agreement: Stands(life=a.life, number=a.number or "", due_at=a.due_at)
            for a in self._agreements.listed()
        }
        return lists(
            declared.entries, declared.agreements, standings, declared.contracts,
            list(declared.platforms.values()), declared.codes,
        )  # fmt: skip
