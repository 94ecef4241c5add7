"""No form loses anything of a contract: what is written is read back as the same contract."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
from hypothesis import HealthCheck, given, settings

from catalog import declaration
from catalog.contract import Contract
from catalog.interchange import odcs, recordschema
from tests.contracts import contracts

CLASSES = {c: c for c in ("L0", "L1", "L2", "L3")}
LIGHT = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ODCS = jsonschema.Draft201909Validator(
    json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8"))
)


@LIGHT
@given(contracts())
def test_the_open_data_contract_standard_gives_back_every_contract(contract: Contract) -> None:
    text = odcs.written(contract)
    document, problems = declaration.read(text, file="x")
    assert document is not None, problems
    assert [e.message for e in ODCS.iter_errors(document.data)] == []
    made = odcs.received(text, file="x", classes=CLASSES)
    assert (made.contracts, made.problems, made.notes) == ((contract,), (), ())


@LIGHT
@given(contracts())
def test_json_schema_gives_back_every_contract(contract: Contract) -> None:
    text = recordschema.written(contract, {"CT_RISK": ["1", "2"]})
    jsonschema.Draft202012Validator.check_schema(json.loads(text))
    made = recordschema.received(text, file="x", stem="x")
    assert (made.contracts, made.problems, made.notes) == ((contract,), (), ())
