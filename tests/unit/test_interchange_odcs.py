"""Foreign documents of the Open Data Contract Standard: what is taken, what is refused and where."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.contract import Contract
from catalog.interchange import odcs
from tests.contracts import SHIPPED

CLASSES = {"public": "L0", "restricted": "L3"}
FOREIGN = """\
apiVersion: v3.1.0
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
name: orders
version: 2.1.0
status: active
servers:
- {server: prod, type: postgres, host: db.example.org, port: 5432, database: x, schema: y}
schema:
- name: order_line
  businessName: Order line
  properties:
  - {name: order_no, logicalType: string, primaryKey: true, primaryKeyPosition: 2, logicalTypeOptions: {maxLength: 20, pattern: "^O"}, classification: public}
  - {name: line_no, logicalType: integer, primaryKey: true, primaryKeyPosition: 1, classification: public}
  - {name: division_code, logicalType: string, required: true, physicalType: varchar(6), classification: public}
  - {name: amount, logicalType: number, physicalType: "NUMERIC(18, 6)", classification: restricted}
  - {name: told_at, logicalType: timestamp, required: true}
  - {name: goods, logicalType: array, items: {logicalType: string}, classification: public}
  - name: order
    logicalType: string
    classification: public
    relationships: [{to: order_head.number}]
"""


def read(text: str = FOREIGN) -> Any:
    return odcs.received(text, file="o.yaml", classes=CLASSES)


def test_each_shipped_contract_comes_back_whole() -> None:
    classes = {c: c for c in ("L0", "L1", "L2", "L3")}
    for contract in SHIPPED.values():
        made = odcs.received(odcs.written(contract), file="x", classes=classes)
        assert (made.contracts, made.problems, made.notes) == ((contract,), (), ())


def test_a_foreign_document_is_read_as_far_as_it_goes() -> None:
    made = read()
    assert made.problems == ()
    (contract,) = made.contracts
    assert isinstance(contract, Contract)
    assert (contract.id, contract.title, contract.version, contract.key) == (
        "order_line", "Order line", "2.1.0", ("line_no", "order_no"),
    )  # fmt: skip
    assert contract.authority == ()  # nobody decides before a person did
    told = {
        f.name: (f.type, f.length, f.precision, f.scale, f.required, f.sensitivity) for f in contract.fields
    }
    assert told == {
        "order_no": ("string", 20, None, None, True, "L0"),
        "line_no": ("integer", None, None, None, True, "L0"),
        "division_code": ("division", 6, None, None, True, "L0"),
        "amount": ("decimal", None, 18, 6, False, "L3"),
        "told_at": ("datetime", None, None, None, True, "L2"),  # without a class: masked until it is reviewed
        "goods": ("json", None, None, None, False, "L0"),
        "order": ("string", None, None, None, False, "L0"),
    }
    assert [(r.field, r.contract, r.target) for r in contract.references] == [
        ("order", "order_head", "number")
    ]


def test_what_is_left_aside_is_named_by_its_line() -> None:
    notes = {(n.line, n.en) for n in read().notes}
    assert (7, "servers: left aside: servers, a matter of platforms and layouts") in notes
    assert (13, "schema.0.properties.0.logicalTypeOptions: left aside: pattern, a matter of suites") in notes
    assert any(line == 18 and "inner structure" in en for line, en in notes)
    assert any("1 fields came without a class" in en for _, en in notes)
    assert any("no authority" in en for _, en in notes)


@pytest.mark.parametrize(
    "old, new, line, words",
    [
        ("apiVersion: v3.1.0", "apiVersion: v2.2.2", 1, "version 3 alone"),
        ("kind: DataContract", "kind: Contract", 2, "not of ODCS"),
        ("status: active\n", "", 1, "'status' is a required property"),
        ("name: order_no", "name: orderNo", 13, "a field's name is of small letters"),
        ("logicalType: timestamp", "logicalType: time", 17, "no type that can be taken: time"),
        ('physicalType: "NUMERIC(18, 6)"', "physicalType: money", 16, "decimal(precision,scale)"),
        ("classification: restricted", "classification: secret", 16, "unknown class secret"),
        ("to: order_head.number", "to: schema/a/properties/b", 22, "as object.property"),
        ("name: division_code", "name: place", 10, "no field division_code"),
        ("primaryKey: true, primaryKeyPosition: 2, ", "", 10, None),
        ("name: line_no", "name: order_no", 14, "field declared twice"),
        ("businessName: Order line", "logicalTyp: object", 10, "not of ODCS"),
        ("version: 2.1.0", "version: 2.1.0\nversion: 3", 6, "stands twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_with_its_place(
    old: str, new: str, line: int, words: str | None
) -> None:
    assert FOREIGN.count(old) == 1
    made = read(FOREIGN.replace(old, new))
    if words is None:
        assert made.contracts[0].key == ("line_no",)
        return
    assert made.contracts == ()
    assert [(p.file, p.line) for p in made.problems if words in p.en] == [("o.yaml", line)], made.problems


def test_one_object_that_cannot_be_taken_leaves_the_others() -> None:
    second = (
        FOREIGN[FOREIGN.index("- name: order_line") :]
        .replace("order_line", "other")
        .replace("timestamp", "time")
    )
    made = read(FOREIGN + second)
    assert [c.id for c in made.contracts] == ["order_line"]
    assert {p.line for p in made.problems} == {30}


def test_our_part_of_a_document_is_checked_as_a_declaration_is() -> None:
    text = odcs.written(SHIPPED["hazard"])
    for old, new, words in (
        ("type: code", "type: number", "Invalid enum value"),
        ("title_en: Number of the hazard", "titel: x", "unknown keys: titel"),
        ("family: inspection", "family: [1]", "Expected `str`"),
        ("family: inspection", "family: inspection\n      fields: []", "must not say fields otherwise"),
        ("title_en: Number of the hazard", "sensitivity: L0", "must not say sensitivity otherwise"),
        ("title_en: Number of the hazard", "name: other", "must not say name otherwise"),
    ):
        assert old in text
        made = odcs.received(
            text.replace(old, new, 1), file="x", classes={c: c for c in ("L0", "L1", "L2", "L3")}
        )
        assert made.contracts == ()
        assert words in made.problems[0].en
        assert made.problems[0].line > 1
