"""No form loses anything of a contract: what is written is sound of its kind and read back as the same contract."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from catalog.contract import Contract
from catalog.interchange import fieldtable, odcs, recordschema
from tests.contracts import contracts

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
