"""No form loses anything of a contract: what is written is sound of its kind and read back as the same contract."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import declaration
from catalog.contract import Contract
from catalog.interchange import fieldtable, odcs, recordschema
from tests.contracts import SHIPPED, contracts

CLASSES = {c: c for c in ("L0", "L1", "L2", "L3")}
CODES = {"CT_RISK": {"1": "高"}}
LIGHT = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@LIGHT
@given(contracts())
def test_the_open_data_contract_standard_gives_back_every_contract(contract: Contract) -> None:
    # it checks the document by the standard's own schema first
    made = odcs.received(odcs.written(contract), file="x", classes=CLASSES)
    assert (made.contracts, made.problems, made.notes) == ((contract,), (), ())


@LIGHT
@given(contracts())
def test_json_schema_gives_back_every_contract(contract: Contract) -> None:
    # it checks the schema by its dialect's own first
    made = recordschema.received(recordschema.written(contract, {"CT_RISK": ["1"]}), file="x", stem="x")
    assert (made.contracts, made.problems, made.notes) == ((contract,), (), ())


@LIGHT
@given(contracts())
def test_the_table_of_fields_gives_back_every_contract(contract: Contract) -> None:
    made = fieldtable.received(fieldtable.written(contract, CODES), file="x", stem="x", codes=CODES)
    assert (made.contracts, made.problems, made.notes) == ((contract,), (), ())


JUNK = st.sampled_from([
    None, 1, -1, 1.5, True, "", "x", [], {}, [1], {"a": 1}, "L9", "number", 10**30, {"key": 5}, {"fields": [1]},
    [{"property": "leishu", "value": []}], {"authority": "x"}, "division_code",
])  # fmt: skip


def _places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in steps:
        yield (*at, key)
        yield from _places(value, (*at, key))


@LIGHT
@given(st.data())
def test_a_spoilt_document_makes_a_contract_or_problems_and_never_fails(data: st.DataObject) -> None:
    contract = SHIPPED["rectification"]
    document, _ = declaration.read(odcs.written(contract), file="x")
    assert document is not None
    schema = json.loads(recordschema.written(contract, {}))
    for whole in (copy.deepcopy(document.data), schema):
        *way, last = data.draw(st.sampled_from(list(_places(whole))))
        there = whole
        for step in way:
            there = there[step]
        there[last] = data.draw(JUNK)
        if whole is schema:
            made = recordschema.received(json.dumps(whole), file="x", stem="x")
        else:
            made = odcs.received(declaration.text_of(whole), file="x", classes=CLASSES)
        assert bool(made.contracts) != bool(made.problems)
