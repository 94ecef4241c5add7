"""Whatever a platform says, in whatever order: the equation is exact, and states follow from the receipts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from connectors.seam import Receipt
from exchange import answers
from exchange import hub as hub_module
from exchange.batch import Counts
from exchange.hub import Hub
from exchange.settings import Settings
from tests import postgres, sites
from tests.late import COUNTY, NATION, LateSite, Said, derived, query, rows
from tests.sites import Sites

ROWS = 5
said = st.lists(
    st.tuples(
        st.integers(0, ROWS),  # one row that the batch does not have
        st.sampled_from([None, None, "name"]),
        st.sampled_from(["0", "1", "2", "3", "4", "9"]),
        st.sampled_from([None, "不合格"]),
    ),
    max_size=6,
)
steps = st.lists(
    st.tuples(st.sampled_from(["poll", "callback"]), said, st.sampled_from(["1", "3", "3"])), max_size=5
)


@dataclass(kw_only=True, repr=False)
class Place:
    """A hub whose nation answers late."""

    hub: Hub
    nation: LateSite
    county: sites.Site
    url: str
    made: int = 0

    def __repr__(self) -> str:
        return "place"


@pytest.fixture(scope="module")
def place(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    places = sites.fresh()
    nation = LateSite(name="nation", echo=False)
    places["nation"] = nation
    with postgres.scratch(postgres_server) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "default_registry", lambda: Sites(places))
        with Hub.open(Settings(home=sites.home(tmp_path_factory.mktemp("home")), url=url)) as hub:
            hub.init()
            yield Place(hub=hub, nation=nation, county=places["county"], url=url)


def model(states: list[str], once: set[int], told: list[Said], others: str) -> list[str]:
    """What becomes of the rows by one answer, said anew."""
    after = list(states)
    for row, state in enumerate(states):
        own = [t for t in told if t[0] == row]
        if any(t[2] in "249" for t in own):
            after[row] = "refused"
        elif any(t[1] is None and t[2] == "1" for t in own):
            after[row] = state if row in once else "accepted"
        elif state in ("waiting", "sent"):
            waits = any(t[1] is None and t[2] in "03" for t in own)
            after[row] = "sent" if waits or others == "3" else "accepted"
    return after


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(said, st.sampled_from(["1", "3"]), steps)
def test_states_follow_from_receipts_and_the_equation_is_exact(
    place: Place, first: list[Said], others: str, then: list[tuple[str, list[Said], str]]
) -> None:
    place.made += 1
    for n in range(ROWS):
        code = f"{place.made:04}{n}"
        place.county.enter({"code": code, "division_code": "330683", "name": "甲", "contact": "张三"})
    place.nation.others = "1" if others == "1" else "3"
    place.nation.at_once = first
    place.hub.run([COUNTY])
    (id,) = place.hub.prepare([NATION])
    place.hub.deliver([NATION])
    stores = place.hub._stores
    way = stores.declarations.way(NATION)

    states = model(["waiting"] * ROWS, set(), first, others)
    once = {row for row, s in enumerate(states) if s == "refused"}
    seen = {t for t in first if t[2] in "249"}
    check(place, id, states, once)
    for by, told, rest in then:
        receipt = Receipt(key="k", reference=None, others="1" if rest == "1" else "3", rows=rows(told), at=datetime.now(UTC))  # fmt: skip
        noted_before = {
            (r["row"], r["field"], r["code"], r["words"])
            for r in query(
                place.url,
                "SELECT m.row, r.field, r.code, r.words FROM leishu.receipts r JOIN leishu.movements m USING (batch, uid) "
                "WHERE r.batch = %s",
                id,
            )
        }
        news = [t for t in told if by == "callback" or t not in noted_before]
        name = f"answer/{id}"
        with (
            stores.leased(name) as token,
            stores.closing(name, token, batch=None, at=receipt.at) as (connection, _),
        ):
            answers.note(
                connection, way, id, receipt, by="poll" if by == "poll" else "callback", at=receipt.at
            )
        states = model(states, once, news, rest)
        seen |= set(told)
        check(place, id, states, once)
    assert place.hub.rebuild(check=True)["holdings"] == 0


def check(place: Place, id: int, states: list[str], once: set[int]) -> None:
    found = query(place.url, "SELECT row, uid, state FROM leishu.movements WHERE batch = %s ORDER BY row", id)
    assert [r["state"] for r in found] == states
    assert [derived(place.url, id)[row] for row in range(ROWS)] == states
    (batch,) = [b for b in place.hub.batches(route=NATION) if b.id == id]
    counts = Counts.from_dict(batch.counts)
    assert counts.closes()
    assert counts.selected == ROWS
    assert (counts.refused, counts.pending) == (len(once), states.count("sent"))
    assert (counts.accepted, counts.refused_later) == (
        states.count("accepted"),
        states.count("refused") - len(once),
    )
    assert batch.state == ("delivered" if counts.pending else "settled")
    held = {
        r["uid"]: r["state"]
        for r in query(
            place.url, "SELECT uid, state FROM leishu.holdings WHERE platform = 'nation' AND batch = %s", id
        )
    }
    assert held == {r["uid"]: "held" for r in found if r["state"] in ("sent", "accepted")}
