"""A recall, whatever happened before and whoever dies on the way: nobody holds the record, or it is listed; once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from catalog.errors import LeishuError
from exchange import collect, follow, recall, settle, share
from tests import postgres
from tests.desks import COUNTY, Desk, desk
from tests.sites import CONTRACT

ROUTES = {n: f"{n}.{CONTRACT}" for n in ("county", "city", "nation")}


class Died(BaseException):
    """The worker is gone."""


@dataclass(kw_only=True)
class Doom:
    """At which kill points workers die, counted from the recall on."""

    at: frozenset[int] = frozenset()
    passed: int = -1_000_000
    names: list[str] = field(default_factory=list)

    def point(self, name: str) -> None:
        self.passed += 1
        if self.passed in self.at:
            self.names.append(name)
            raise Died(name)


@contextmanager
def doomed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Doom]:
    doom = Doom()
    with monkeypatch.context() as patch:
        for module in (follow, recall, share, settle, collect):
            patch.setattr(module, "kill_point", doom.point)
        yield doom


def before(at: Desk, acts: list[str]) -> None:
    """What happened until then: some of it shared, some on its way, some edited elsewhere."""
    for act in acts:
        at.tick(minutes=2)
        match act.split():
            case ["edit", site]:
                place = at.sites[site]
                key = place.key("A")
                if key:
                    place.edit(key, name=f"{site}{len(place.feed)}")
            case ["collect", site]:
                at.hub.run([f"{ROUTES[site]}.collect"])
            case ["share", site]:
                at.hub.run([f"{ROUTES[site]}.share"])
            case ["prepare", site]:
                at.hub.prepare([f"{ROUTES[site]}.share"])
            case ["late", site]:
                at.sites[site].late = not at.sites[site].late


def holds(at: Desk, id: int) -> None:
    """Who has it is listed with a state that says so."""
    listed = {p.platform: p.state for p in at.hub.recalls.show(id).platforms}
    for name in at.holders():
        assert listed.get(name) in {"asked", "sent", "refused", "unreachable", "own"}, (name, listed)


acts = st.lists(
    st.sampled_from(
        [f"{a} {s}" for a in ("edit", "collect", "share", "prepare") for s in ROUTES] + ["late city"]
    ),
    max_size=7,
)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    acts=acts,
    deaths=st.frozensets(st.integers(1, 14), max_size=4),
    down=st.frozensets(st.sampled_from(["city", "nation"])),
    refuses=st.frozensets(st.sampled_from(["city", "nation"])),
)
def test_after_a_recall_nobody_holds_the_record_or_it_is_listed(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch, acts: list[str], deaths: frozenset[int],
    down: frozenset[str], refuses: frozenset[str],
) -> None:  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.scratch(postgres_server) as url,
        desk(Path(folder), url) as at,
        doomed(monkeypatch) as doom,
    ):
        at.sites["county"].enter(COUNTY)
        before(at, ["collect county", "share nation", *acts])
        for name in down:
            at.sites[name].down = True
        for name in refuses:
            at.sites[name].refuses = "d"
        id = until_it_lives(at, doom, deaths)
        holds(at, id)
        at.pump(1)  # other routes go on
        holds(at, id)
        for site in at.sites.values():
            site.down, site.refuses, site.late = False, "", False
        until_it_lives(at, doom, deaths)
        at.pump(1)
        at.tick(hours=1)
        at.hub.maintain()
        made = at.hub.recalls.open("A", reason="有误", by="李四")
        states = {p.platform: p.state for p in made.platforms}
        assert set(states.values()) <= {"accepted", "withdrawn", "own"}, states
        assert at.holders() <= {p for p, s in states.items() if s == "own"} | {"county"}, states
        assert "nation" not in at.holders()
        assert len(at.entries("recall_opened")) == 1
        assert at.hub.verify(None) == []
        assert at.hub.rebuild(check=True)["holdings"] == 0


def until_it_lives(at: Desk, doom: Doom, deaths: frozenset[int]) -> int:
    """The recall, asked for until the worker that does it lives to the end; every death leaves what it left."""
    doom.at, doom.passed = deaths, 0
    try:
        return _asked_for(at)
    finally:
        doom.at = frozenset()


def _asked_for(at: Desk) -> int:
    while True:
        at.query("UPDATE leishu.leases SET expires_at = now() - interval '1 second'")
        at.tick(minutes=1)
        try:
            return at.hub.recalls.open("A", reason="有误", by="张三").id
        except Died:
            continue
        except LeishuError as error:  # another platform's batch in front may say no
            raise AssertionError(str(error)) from error
