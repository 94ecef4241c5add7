"""Links are proposed with evidence and decided by people; codes are issued once and stay resolvable; the dossier."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import stdnum.iso7064.mod_37_36

from catalog.errors import NotAuthorised, Refused
from catalog.identity import id_check_digit, org_check_digit, uscc_check_digit
from exchange.hub import Hub
from exchange.identity import Link
from tests import postgres
from tests.enterings import Book

NOON = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
CONTRACTS = (
    "key_unit", "inspection_institution", "inspection_personnel", "inspection_equipment", "inspection_activity",
    "inspection_report", "hazard", "rectification", "credit_info", "enforcement_check", "admin_decision",
    "spot_check_object", "enforcement_officer", "balloon_release",
)  # fmt: skip


def uscc(kind: str, serial: int) -> str:
    first = f"{kind}330683MA2{serial:05}"
    first += org_check_digit(first[8:16])
    return first + uscc_check_digit(first)


def id_no(serial: int) -> str:
    first = f"33068319850101{serial:03}"
    return first + id_check_digit(first)


STATION, FORMER, TRADER, LAB, BRANCH = (
    uscc(k, n) for k, n in (("91", 1), ("92", 2), ("92", 3), ("91", 4), ("91", 5))
)
HERE = {"division_code": "330683"}


@pytest.fixture(scope="module")
def shared(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Book, Hub]]:
    with postgres.scratch(postgres_server) as url:
        book = Book(tmp_path_factory.mktemp("home"), url, NOON)
        with book.opened(*CONTRACTS) as opened:
            yield book, opened


@pytest.fixture
def book(shared: tuple[Book, Hub]) -> Book:
    """The shared hub's, with nothing in its register."""
    shared[0].clear()
    shared[0].at = NOON
    return shared[0]


@pytest.fixture
def hub(shared: tuple[Book, Hub], book: Book) -> Hub:
    return shared[1]


def site(code: str, name: str, **more: Any) -> dict[str, Any]:
    return {"unit_code": code, "unit_name": name, "site_no": "0001", "unit_status": "1", **HERE, **more}


def proposed(hub: Hub) -> dict[tuple[str, str], set[str]]:
    """(relation, state): kinds of evidence, of all links."""
    found: dict[tuple[str, str], set[str]] = {}
    for link in hub.identities.listed(state=None):
        found.setdefault((link.relation, link.state), set()).update(e.kind for e in link.evidence)
    return found


def only(hub: Hub, state: str | None = "proposed") -> Link:
    (link,) = hub.identities.listed(state=state)
    return link


def text(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def test_one_valid_uscc_is_one_subject_and_needs_no_link(book: Book, hub: Hub) -> None:
    book.enter(
        hub, "key_unit", [site("N1", "城东加油站", uscc=STATION), site("N2", "城西加油站", uscc=STATION)]
    )
    book.enter(
        hub, "spot_check_object", [{"pri_pid": "p1", "ent_name": "城东加油站", "uni_code": STATION, **HERE}]
    )
    assert hub.identities.propose().new == 0
    assert hub.identities.listed(state=None) == []
    found = hub.dossiers.of(STATION, by="王五")
    assert [(p.contract, p.total) for p in found.parts] == [("spot_check_object", 1), ("key_unit", 2)]
    assert hub.dossiers.of("N1", by="王五").parts == found.parts


def test_a_uscc_that_is_not_valid_joins_nothing(book: Book, hub: Hub) -> None:
    wrong = STATION[:-1] + ("0" if STATION[-1] != "0" else "1")
    book.enter(hub, "key_unit", [site("N1", "城东加油站", uscc=wrong)])
    book.enter(hub, "spot_check_object", [{"pri_pid": "p1", "ent_name": "别名", "uni_code": wrong, **HERE}])
    hub.identities.propose()
    assert [p.contract for p in hub.dossiers.of("N1", by="王五").parts] == ["key_unit"]


@pytest.mark.parametrize("one, other, kind", [
    ({"ent_name": "甲", "reg_no": "330683000012345"}, {"ent_name": "乙", "reg_no": "330683000012345"}, "reg_no"),
    ({"ent_name": "嵊州市（城东）加油站"}, {"ent_name": "嵊州市(城东) 加油站"}, "same_name"),
])  # fmt: skip
def test_equal_values_are_proposed_not_linked(
    book: Book, hub: Hub, one: dict[str, str], other: dict[str, str], kind: str
) -> None:
    book.enter(
        hub, "spot_check_object", [{"pri_pid": "p1", **HERE, **one}, {"pri_pid": "p2", **HERE, **other}]
    )
    assert hub.identities.propose().new == 1
    assert proposed(hub) == {("same", "proposed"): {kind}}
    parts = hub.dossiers.of("p1", by="王五")
    assert (parts.parts[0].total, parts.proposed) == (1, 1)


def test_no_evidence_no_link(book: Book, hub: Hub) -> None:
    """The same name elsewhere, a number that is no registration number, similar names at two addresses."""
    book.enter(hub, "spot_check_object", [
        {"pri_pid": "p1", "ent_name": "红旗村委会", "division_code": "330683", "reg_no": "/"},
        {"pri_pid": "p2", "ent_name": "红旗村委会", "division_code": "330521", "reg_no": "/"},
    ])  # fmt: skip
    book.enter(hub, "key_unit", [site("N1", "嵊州市化工有限公司一厂", op_address="剡湖街道经济开发区1号"),
                                 site("N2", "嵊州市化工有限公司二厂", op_address="三江街道经济开发区9号"),
                                 site("N3", "越剧小镇景区", op_address="剡湖街道经济开发区1号")])  # fmt: skip
    assert hub.identities.propose().new == 0


def test_similar_names_at_one_address_and_former_names(book: Book, hub: Hub) -> None:
    book.enter(hub, "key_unit", [
        site("N1", "嵊州市化工有限公司一厂", op_address="剡湖街道 经济开发区1号"),
        site("N2", "嵊州市化工有限公司二厂", op_address="剡湖街道经济开发区1号"),
        site("N3", "剡溪油库", former_names='[{"name": "鹿山油库", "until": "2020-01-01"}]'),
    ])  # fmt: skip
    book.enter(hub, "spot_check_object", [{"pri_pid": "p1", "ent_name": "鹿山油库", **HERE}])
    hub.identities.propose()
    kinds = sorted(tuple(e.kind for e in link.evidence) for link in hub.identities.listed())
    assert kinds == [("former_name",), ("similar_name",)]


def test_a_name_that_the_register_saw_counts_as_a_former_name(book: Book, hub: Hub) -> None:
    book.enter(hub, "key_unit", [site("N1", "鹿山油库")])
    book.later()
    book.enter(hub, "key_unit", [site("N1", "剡溪油库")], op="u")
    book.enter(hub, "spot_check_object", [{"pri_pid": "p1", "ent_name": "鹿山油库", **HERE}])
    hub.identities.propose()
    assert [e.kind for e in only(hub).evidence] == ["former_name"]
    names = hub.dossiers.of("N1", by="王五").names
    assert [(n.name, n.former, n.since, n.until) for n in names] == [
        ("鹿山油库", True, NOON, book.at), ("剡溪油库", False, book.at, None),
    ]  # fmt: skip


def test_two_credit_codes_are_never_merged_but_may_follow_one_another(book: Book, hub: Hub) -> None:
    first, second = book.enter(hub, "spot_check_object", [
        {"pri_pid": "p1", "ent_name": "城东加油站", "uni_code": TRADER, **HERE},
        {"pri_pid": "p2", "ent_name": "城东加油站", "uni_code": STATION, **HERE},
    ])  # fmt: skip
    hub.identities.propose()
    link = only(hub)
    assert (link.relation, link.before[1], link.after[1]) == ("succeeds", first, second), "个体户 came first"
    hub.identities.accept(link.id, by="王五", reason="个转企")
    before, after = hub.dossiers.of(TRADER, by="王五"), hub.dossiers.of(STATION, by="王五")
    assert [(r.kind, r.uid) for r in before.relations] == [("successor", second)]
    assert [(r.kind, r.uid) for r in after.relations] == [("predecessor", first)]
    assert before.parts[0].total == after.parts[0].total == 1
    hub.identities.decline(link.id, by="王五", reason="核错了")
    turned = hub.identities.accept(link.id, by="王五", turned=True)
    assert (turned.before[1], turned.after[1]) == (second, first)


def test_a_chain_of_links_that_would_join_two_credit_codes_is_refused(book: Book, hub: Hub) -> None:
    book.enter(hub, "key_unit", [site("N1", "无码景区甲", uscc=None, op_address="剡湖街道1号大院")])
    book.enter(hub, "spot_check_object", [
        {"pri_pid": "p1", "ent_name": "无码景区甲", "uni_code": TRADER, **HERE},
        {"pri_pid": "p2", "ent_name": "无码景区甲", "uni_code": STATION, **HERE},
    ])  # fmt: skip
    hub.identities.propose()
    one, other = (link for link in hub.identities.listed() if link.relation == "same")
    hub.identities.accept(one.id, by="王五")
    with pytest.raises(Refused, match=r"two subjects|不是一个主体"):
        hub.identities.accept(other.id, by="王五")


def test_an_organisation_code_inside_a_uscc_is_evidence(book: Book, hub: Hub) -> None:
    (folder := book.folder / "catalog" / "contracts").mkdir(parents=True)
    shipped = Path(__file__).parents[2] / "catalog" / "contracts" / "balloon_release.yaml"
    own = (
        shipped.read_text(encoding="utf-8")
        .replace("id: balloon_release", "id: old_unit")
        .replace("family: balloon", "family: old")
    )
    head, rest = own.split("subjects:\n")
    told = "subject: unit\nsubjects:\n- {role: self, by: org_code, field: permit_no}\n- {role: self, by: name, field: activity_name}\n"
    (folder / "old_unit.yaml").write_text(head + told + rest[rest.index("summary:") :], encoding="utf-8")
    with book.opened("old_unit") as again:  # a contract of the home's own takes part by its YAML alone
        book.enter(
            again, "spot_check_object", [{"pri_pid": "p1", "ent_name": "新名", "uni_code": STATION, **HERE}]
        )
        written = f"{STATION[8:16]}-{STATION[16]}"
        book.enter(again, "old_unit", [{"permit_no": written, "activity_name": "旧名", **HERE}])
        again.identities.propose()
        link = only(again)
        assert [e.kind for e in link.evidence] == ["org_code"]
        again.identities.accept(link.id, by="王五")
        assert {p.contract for p in again.dossiers.of(STATION, by="王五").parts} == {
            "old_unit",
            "spot_check_object",
        }


def test_an_old_record_without_a_credit_code_is_proposed_by_its_older_codes(book: Book, hub: Hub) -> None:
    book.enter(
        hub,
        "spot_check_object",
        [{"pri_pid": "p1", "ent_name": "甲", "uni_code": STATION, "reg_no": "330683000012345", **HERE}],
    )
    old = {"decide_org_uscc": "x", **HERE}
    book.enter(hub, "admin_decision", [
        {**old, "doc_no": "1", "cp_org_code": f"{STATION[8:16]}-{STATION[16]}"},
        {**old, "doc_no": "2", "cp_reg_no": "330683000012345"},
        {**old, "doc_no": "3", "cp_reg_no": "330683000012345", "cp_uscc": TRADER},  # it says whom it means
    ])  # fmt: skip
    hub.identities.propose()
    found = hub.identities.listed()
    assert {(link.relation, link.before[0], link.after[0]) for link in found} == {
        ("concerns", "spot_check_object", "admin_decision")
    }
    assert sorted(link.evidence[0].kind for link in found) == ["org_code", "reg_no"]
    assert [p.contract for p in hub.dossiers.of(STATION, by="王五").parts] == ["spot_check_object"]
    for link in found:
        hub.identities.accept(link.id, by="王五")
    parts = {
        p.contract: [(line.number, line.roles) for line in p.lines]
        for p in hub.dossiers.of(STATION, by="王五").parts
    }
    assert parts["admin_decision"] == [("x / 1", ["counterparty"]), ("x / 2", ["counterparty"])]
    assert hub.identities.propose().new == 0


def test_decisions_are_reversible_and_a_declined_link_comes_back_with_other_evidence_alone(
    book: Book, hub: Hub
) -> None:
    rows = [{"pri_pid": p, "ent_name": "红旗油库", **HERE} for p in ("p1", "p2")]
    book.enter(hub, "spot_check_object", rows)
    hub.identities.propose()
    id = only(hub).id
    with pytest.raises(Refused):
        hub.identities.decline(id, by="王五", reason=" ")
    hub.identities.decline(id, by="王五", reason="两家")
    again = hub.identities.propose()
    assert (again.new, again.again, hub.identities.listed()) == (0, 0, [])
    book.enter(hub, "spot_check_object", [r | {"reg_no": "330683000012345"} for r in rows], op="u")
    assert hub.identities.propose().again == 1
    hub.identities.accept(id, by="李四")
    assert hub.dossiers.of("p1", by="王五").parts[0].total == 2
    with pytest.raises(Refused):
        hub.identities.accept(id, by="李四")
    hub.identities.decline(id, by="赵六", reason="误认")
    assert hub.dossiers.of("p1", by="王五").parts[0].total == 1
    with psycopg.connect(book.url) as connection:
        kept = connection.execute(
            "SELECT kind, facts ->> 'by' FROM leishu.entries WHERE kind LIKE 'link%' ORDER BY position"
        ).fetchall()
        told = connection.execute("SELECT string_agg(facts::text, '') FROM leishu.entries").fetchone()
    assert kept == [
        ("links_proposed", None),
        ("link_declined", "王五"),
        ("links_proposed", None),
        ("link_accepted", "李四"),
        ("link_declined", "赵六"),
    ]
    assert told is not None
    assert "红旗油库" not in told[0]
    assert "330683000012345" not in told[0]


def test_accepted_links_are_made_anew_from_the_ledger(book: Book, hub: Hub) -> None:
    rows = [
        {"pri_pid": f"p{n}", "ent_name": name, **HERE}
        for n, name in enumerate(("红旗油库", "红旗油库", "鹿山油库", "鹿山油库"))
    ]
    book.enter(hub, "spot_check_object", rows)
    hub.identities.propose()
    one, other = hub.identities.listed()
    hub.identities.accept(one.id, by="王五")
    hub.identities.accept(other.id, by="王五")
    hub.identities.decline(other.id, by="王五", reason="误认")
    assert hub.rebuild(check=True)["links"] == 0
    with psycopg.connect(book.url) as connection:
        connection.execute("DELETE FROM leishu.links WHERE id = %s", [one.id])
        connection.execute("UPDATE leishu.links SET state = 'accepted' WHERE id = %s", [other.id])
    assert hub.rebuild(check=False)["links"] == 2
    assert hub.rebuild(check=True)["links"] == 0
    assert [(link.before, link.after) for link in hub.identities.listed(state="accepted")] == [
        (one.before, one.after)
    ]


def test_a_pass_over_an_unchanged_register_writes_nothing(book: Book, hub: Hub) -> None:
    book.enter(
        hub, "spot_check_object", [{"pri_pid": p, "ent_name": "红旗油库", **HERE} for p in ("p1", "p2")]
    )
    first = hub.identities.propose()
    assert (first.new, first.issued) == (1, 2)

    def entries() -> int:
        with psycopg.connect(book.url) as connection:
            row = connection.execute("SELECT count(*) FROM leishu.entries").fetchone()
            return int(row[0]) if row else 0

    before = entries()
    second = hub.identities.propose()
    assert (second.new, second.again, second.gone, second.issued, second.tokens, second.replaced) == (0,) * 6
    assert entries() == before
    book.enter(hub, "spot_check_object", [{"pri_pid": "p2", "ent_name": "红旗油库", **HERE}], op="d")
    assert hub.identities.propose().gone == 1


def test_values_stand_in_show_alone(book: Book, hub: Hub) -> None:
    people = [{"person_code": f"P{n}", "person_name": "欧阳明", "id_no": id_no(7), **HERE} for n in (1, 2)]
    book.enter(hub, "inspection_personnel", people)
    hub.identities.propose()
    link = only(hub)
    assert {e.kind for e in link.evidence} == {"person_token", "same_name"}
    assert "欧阳明" not in text(link)
    shown = hub.identities.show(link.id)
    assert [(e.one_value, e.other_value) for e in shown.evidence if e.kind == "same_name"] == [
        ("欧阳明", "欧阳明")
    ]
    assert id_no(7) not in text(shown)


def test_only_who_is_authorised_decides(tmp_path: Path, database_url: str) -> None:
    book = Book(tmp_path, database_url, NOON, {"approvers": [{"name": "李四", "routes": ["identity"]}]})
    with book.opened("spot_check_object") as hub:
        book.enter(
            hub, "spot_check_object", [{"pri_pid": p, "ent_name": "红旗油库", **HERE} for p in ("p1", "p2")]
        )
        hub.identities.propose()
        with pytest.raises(NotAuthorised):
            hub.identities.accept(1, by="王五")
        assert hub.identities.accept(1, by="李四").state == "accepted"


def test_a_name_that_many_bear_says_nothing(book: Book, hub: Hub) -> None:
    book.enter(
        hub, "spot_check_object", [{"pri_pid": f"p{n}", "ent_name": "加油站", **HERE} for n in range(60)]
    )
    done = hub.identities.propose()
    assert (done.new, done.crowded) == (0, 1)


def test_provisional_codes_are_issued_once_and_give_way_to_the_national_one(book: Book, hub: Hub) -> None:
    book.enter(hub, "spot_check_object", [
        {"pri_pid": "p1", "ent_name": "甲", "uni_code": STATION, **HERE}, {"pri_pid": "p2", "ent_name": "村委会", **HERE},
    ])  # fmt: skip
    assert hub.identities.propose().issued == 2
    code = next(c.code for c in hub.dossiers.of(STATION, by="王五").codes if c.by == "provisional")
    assert code is not None
    assert code.startswith(f"FLXE{STATION}0000")
    assert stdnum.iso7064.mod_37_36.is_valid(code)
    terms = hub._stores.declarations.identities["terms"]
    assert terms.provisional(code)
    assert not any(
        terms.provisional(code[:i] + ("7" if code[i] != "7" else "8") + code[i + 1 :])
        for i in range(len(code))
    )
    (one,) = hub.identities.resolve(code)
    assert (one.standing, one.contract, one.live) == ("provisional", "spot_check_object", True)
    book.enter(
        hub, "inspection_institution", [{"inst_code": "国家码1", "uscc": STATION, "inst_name": "甲", **HERE}]
    )
    again = hub.identities.propose()
    assert (again.issued, again.replaced) == (0, 1)
    (one,) = hub.identities.resolve(code)
    assert (one.standing, one.national) == ("replaced", "国家码1")
    assert {(r.standing, r.contract) for r in hub.identities.resolve("国家码1")} == {
        ("replaced", "spot_check_object"), ("carried", "inspection_institution"),
    }  # fmt: skip
    book.enter(
        hub, "spot_check_object", [{"pri_pid": "p1", "ent_name": "甲", "uni_code": STATION, **HERE}], op="d"
    )
    assert [(r.standing, r.live) for r in hub.identities.resolve(code)] == [("replaced", False)]
    hub.identities.propose()
    assert len({r.code for r in hub.identities.resolve(code)}) == 1
    assert hub.identities.resolve("没有") == []


def test_persons_have_tokens_made_by_a_key_of_their_own_and_never_their_number(book: Book, hub: Hub) -> None:
    book.enter(hub, "enforcement_officer", [
        {"officer_no": "a", "name": "王明", "id_no": id_no(1), **HERE}, {"officer_no": "b", "name": "李强", "id_no": id_no(1), **HERE},
        {"officer_no": "c", "name": "赵刚", "id_no": id_no(2), **HERE},
    ])  # fmt: skip
    book.enter(
        hub, "admin_decision", [{"decide_org_uscc": "x", "doc_no": "1", "person_id_no": id_no(2), **HERE}]
    )
    assert hub.identities.propose().tokens == 2
    with psycopg.connect(book.url) as connection:
        tokens = [r[0] for r in connection.execute("SELECT token FROM leishu.person_tokens")]
    assert all(len(t) == 18 and not set(t) & set("IOSVZ") for t in tokens)
    found = [hub.dossiers.of(t, by="王五") for t in tokens]
    assert {p.contract for d in found for p in d.parts} == {"enforcement_officer", "admin_decision"}
    said = text(found)
    assert id_no(1) not in said
    assert "王明" not in said
    shown = hub.dossiers.of(
        next(t for t, d in zip(tokens, found, strict=True) if len(d.parts) == 2), by="王五", reveal=True
    )
    assert id_no(2) in text(shown)
    assert "赵刚" in text(shown)
    with psycopg.connect(book.url) as connection:
        noted = connection.execute(
            "SELECT facts::text FROM leishu.entries WHERE kind = 'dossier_revealed'"
        ).fetchall()
    assert len(noted) == 1
    assert "王五" in noted[0][0]
    assert id_no(2) not in noted[0][0]


def test_the_dossier_has_what_is_declared_to_belong_and_nothing_else(book: Book, hub: Hub) -> None:
    book.enter(hub, "key_unit", [site("N1", "城东油库", uscc=STATION), site("N9", "别家", uscc=TRADER)])
    book.enter(hub, "inspection_institution", [
        {"inst_code": "I1", "uscc": LAB, "inst_name": "剡溪防雷", "cert_no": "C1", **HERE},
        {"inst_code": "I2", "uscc": BRANCH, "inst_name": "剡溪防雷分公司", "parent_uscc": LAB, **HERE},
    ])  # fmt: skip
    book.enter(
        hub,
        "inspection_personnel",
        [{"person_code": "P1", "person_name": "甲", "inst_uscc": LAB, "id_no": id_no(3), **HERE}],
    )
    book.enter(
        hub,
        "inspection_activity",
        [{"activity_no": "A1", "unit_code": "N1", "inst_uscc": LAB, "person_codes": '["P1", "P2"]', **HERE}],
    )
    book.enter(hub, "inspection_report", [
        {"report_no": "R1", "unit_code": "N1", "inst_uscc": LAB, "conclusion": "2", **HERE},
        {"report_no": "R2", "unit_code": "N9", "inst_uscc": BRANCH, **HERE},
    ])  # fmt: skip
    book.enter(
        hub,
        "hazard",
        [{"hazard_no": "H1", "unit_code": "N1", **HERE}, {"hazard_no": "H2", "unit_code": "N9", **HERE}],
    )
    book.enter(
        hub,
        "rectification",
        [{"rect_no": "X1", "hazard_no": "H1", **HERE}, {"rect_no": "X2", "hazard_no": "H2", **HERE}],
    )
    book.enter(hub, "enforcement_check", [{"check_action_code": "E1", "cp_code": STATION, **HERE}])
    book.enter(hub, "admin_decision", [
        {"decide_org_uscc": "x", "doc_no": "1", "check_action_code": "E1", **HERE}, {"decide_org_uscc": "x", "doc_no": "2", "cp_uscc": TRADER, **HERE},
    ])  # fmt: skip
    book.enter(hub, "credit_info", [{"credit_no": "K1", "subject_uscc": STATION, **HERE}])
    book.enter(hub, "balloon_release", [{"permit_no": "B1", "applicant_uscc": STATION, **HERE}])
    unit = hub.dossiers.of(STATION, by="王五")
    assert {p.contract: [(line.number, line.roles) for line in p.lines] for p in unit.parts} == {
        "key_unit": [("N1", ["self"])], "inspection_activity": [("A1", ["unit"])], "inspection_report": [("R1", ["unit"])],
        "hazard": [("H1", ["unit"])], "rectification": [("X1", ["reference"])], "enforcement_check": [("E1", ["counterparty"])],
        "admin_decision": [("x / 1", ["reference"])], "credit_info": [("K1", ["unit"])], "balloon_release": [("B1", ["applicant"])],
    }  # fmt: skip
    report = next(p for p in unit.parts if p.contract == "inspection_report").lines[0]
    assert report.summary["检测结论"] == "不合格"
    lab = hub.dossiers.of("C1", by="王五")
    assert {p.contract for p in lab.parts} == {
        "inspection_institution",
        "inspection_personnel",
        "inspection_activity",
        "inspection_report",
    }
    assert [(r.kind, r.name) for r in lab.relations] == [("branch", "剡溪防雷分公司")]
    assert [(r.kind, r.name) for r in hub.dossiers.of(BRANCH, by="王五").relations] == [
        ("parent", "剡溪防雷")
    ]
    person = hub.dossiers.of("P1", by="王五")
    assert {p.contract for p in person.parts} == {"inspection_personnel", "inspection_activity"}
    assert person.names[0].name is None, "a name of class L2 was not asked for"
    for nobody in ("没有", uscc("91", 99)):
        with pytest.raises(Refused):
            hub.dossiers.of(nobody, by="王五")
