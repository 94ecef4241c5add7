"""F18: what is staged is cut off or altered: no row of it is used, and whoever mends it goes on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.errors import Unreadable
from tests import workplaces
from tests.faults import doses
from tests.workplaces import COUNTY, TO_CITY, Place


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


@pytest.mark.parametrize("way", ["collect", "share"])
def test_no_cut_or_flipped_file_is_used(place: Place, way: str) -> None:
    draw, (cuts, flips) = random.Random(doses.seed()), doses.dose((6, 14), (100, 1000))
    for n in range(20):
        place.enter(f"{n:02d}")
    with place.hub() as hub:
        if way == "share":
            assert hub.run([COUNTY]).failed == {}
            assert hub.prepare([TO_CITY])
        else:
            assert hub.fetch([COUNTY])
        (name,) = {
            r["staged"] for r in place.query("SELECT staged FROM leishu.batches WHERE state <> 'closed'")
        }
        (path,) = [p for p in place.settings.var.rglob("*") if p.is_file() and str(p).endswith(name)]
        good = path.read_bytes()
        for n in range(cuts + flips):
            at = draw.randrange(len(good))
            bad = (
                good[:at]
                if n < cuts
                else good[:at] + bytes([good[at] ^ (1 << draw.randrange(8))]) + good[at + 1 :]
            )
            path.write_bytes(bad)
            with pytest.raises(Unreadable):
                hub.deliver([TO_CITY]) if way == "share" else hub.close([COUNTY])
            assert place.sites["city"].records == {}
            assert way == "share" or place.register() == {}
            place.query("DELETE FROM leishu.breakers RETURNING 1")
        path.write_bytes(good)
        assert hub.run([COUNTY]).failed == {}
        assert hub.run([TO_CITY]).failed == {}
    assert len(place.sites["city"].records) == 20
    assert place.sites["city"].writes == 20
    place.sound()
    doses.outcome(
        "F18",
        f"staged for {way}: {cuts} cuts, {flips:,} flips of a bit",
        "all refused as unreadable, then whole",
    )
