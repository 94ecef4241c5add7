"""Laws 1, 4 and 7 of mappings: every row once; the output conforms to its target; dumps load again."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import declaration
from catalog.errors import DeclarationError
from catalog.shape import Field, Shape
from mappings.check import check
from mappings.codemap import CodeMap, Pair
from mappings.mapper import bind
from mappings.mapping import Expression, Mapping

TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"}, "date": {"type": "date"}, "datetime": {"type": "datetime"}, "integer": {"type": "integer"},
    "decimal": {"type": "decimal", "precision": 7, "scale": 2}, "boolean": {"type": "boolean"},
}  # fmt: skip
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(
        ["", " ", "/", "甲", "1", "0", "-7", "1.5", "1.50", "1.555", "123456.1", "2025-02-28", "2025/2/8", "20250228",
         "2025-02-30", "2025-02-28 08:00:00", "true", "是", "１", "99999999999999999999", "a\0"]
    ) | st.text(max_size=6),
    "date": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "datetime": st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(lambda d: d.replace(tzinfo=UTC)),  # noqa: DTZ001
    "integer": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, 12]),
    "decimal": st.decimals(-99999, 99999, places=2).map(lambda d: Decimal(d).quantize(Decimal("0.01"))),
    "boolean": st.booleans(),
}  # fmt: skip
CODES = {"few": CodeMap(id="few", pairs=(Pair(scheme="s", code="甲", canonical="1", title="甲"),
                                         Pair(scheme="s", code="0", canonical="2", title="零")))}  # fmt: skip
SOURCE = Shape(id="s", title="s", key=("text",),
               fields=tuple(Field(name=n, title=n, **t) for n, t in TYPES.items()))  # fmt: skip
TARGET = Shape(id="t", title="t", key=("a_text",),
               fields=tuple(Field(name=f"a_{n}", title=n, **t) for n, t in TYPES.items()))  # fmt: skip

formats = st.lists(st.sampled_from(["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%Y年%m月%d日", "%Y-%m-%dT%H:%M:%S%z"]),
                   min_size=1, max_size=3, unique=True).map(tuple)  # fmt: skip
columns = st.sampled_from(list(TYPES))
expressions = st.one_of(
    columns,
    st.builds(
        Expression, from_=columns, as_=st.none() | st.sampled_from(["text", "date", "datetime", "integer", "decimal", "boolean"]),
        formats=st.none() | formats, code=st.none() | st.just("few"), null_if=st.none() | st.just(("/",)),
        trim=st.booleans(), upper=st.booleans(), scale=st.none() | st.sampled_from(["0.01", "100", "-1.5"]),
    ),
    st.builds(Expression, from_=st.just(("text", "integer", "date")), join=st.sampled_from(["", "-"])),
    st.builds(Expression, coalesce=st.lists(columns, min_size=1, max_size=2, unique=True).map(tuple)),
    st.builds(Expression, value=st.sampled_from(["x", "1", "2025-01-01", 1, True])),
)  # fmt: skip
mappings = st.builds(
    Mapping, id=st.just("m"), title=st.just("对照"), kind=st.sampled_from(["collect", "share"]), source=st.just("s"),
    target=st.just("t"), fields=st.dictionaries(st.sampled_from(TARGET.names), expressions, min_size=1),
)  # fmt: skip
lines = st.lists(
    st.fixed_dictionaries({n: st.none() | v for n, v in VALUES.items()} | {"_op": st.sampled_from("iiud")}),
    max_size=6,
)


def sound(mapping: Mapping) -> Mapping:
    """The mapping without the fields that check finds something against."""

    def fits(name: str) -> bool:
        single = Mapping(
            id="m", title="m", kind=mapping.kind, source="s", target="t", fields={name: mapping.fields[name]}
        )
        try:
            bind(single, SOURCE, TARGET, CODES)
        except DeclarationError:
            return False
        return True

    kept = {n: e for n, e in mapping.fields.items() if fits(n)}
    return Mapping(
        id="m", title="m", kind=mapping.kind, source="s", target="t", fields=kept or {"a_text": "text"}
    )


@settings(deadline=None, max_examples=120)
@given(mapping=mappings, records=lines)
def test_every_row_once_and_the_output_conforms_to_its_target(
    mapping: Mapping, records: list[dict[str, Any]]
) -> None:
    made = sound(mapping)
    batch = pa.RecordBatch.from_pylist(
        [{**r, "_row": i, "_key": f"k{i}", "_hops": 1} for i, r in enumerate(records)],
        schema=SOURCE.batch_schema(),
    )
    mapper = bind(made, SOURCE, TARGET, CODES)
    verdict = mapper.map(batch)
    assert verdict.passed.schema == TARGET.batch_schema(list(mapper.covers))
    verdict.passed.validate(full=True)
    assert sorted(verdict.passed.column("_row").to_pylist() + verdict.rejected.to_pylist()) == list(
        range(len(records))
    )
    assert {v["row"] for v in verdict.violations.to_pylist()} == set(verdict.rejected.to_pylist())
    assert {v["rule"] for v in verdict.violations.to_pylist()} <= {
        "date",
        "number",
        "boolean",
        "text",
        "code_unmapped",
    }
    assert {v["field"] for v in verdict.violations.to_pylist()} <= mapper.covers
    gone = {i for i, r in enumerate(records) if r["_op"] == "d"}
    assert not gone & set(verdict.rejected.to_pylist())
    halves = [mapper.map(batch.slice(0, 2)), mapper.map(batch.slice(2))]
    assert [r for h in halves for r in h.passed.to_pylist()] == verdict.passed.to_pylist()


@settings(deadline=None, max_examples=80)
@given(mapping=mappings)
def test_a_mapping_comes_back_from_its_dump(mapping: Mapping) -> None:
    assert declaration.parse(declaration.dump(mapping), Mapping, file="m.yaml", id="m") == (mapping, [])


@settings(deadline=None, max_examples=60)
@given(mapping=mappings)
def test_check_answers_and_never_raises(mapping: Mapping) -> None:
    assert all(zh and en for zh, en in check(mapping, SOURCE, TARGET, {}))


@settings(deadline=None, max_examples=60)
@given(days=st.lists(st.dates(date(1, 1, 1), date(9999, 12, 31)), min_size=1, max_size=5), shown=formats)
def test_days_written_are_read_back(days: list[date], shown: tuple[str, ...]) -> None:
    one = (shown[0].split(" ")[0].split("T")[0],)
    day = Shape(id="d", title="d", key=("d",), fields=(Field(name="d", title="d", type="date"),))
    text = Shape(id="x", title="x", key=("d",), fields=(Field(name="d", title="d"),))
    fields: dict[str, Expression | str] = {"d": Expression(from_="d", formats=one)}
    there = bind(
        Mapping(id="m", title="m", kind="share", source="d", target="x", fields=fields), day, text, {}
    )
    back = bind(
        Mapping(id="m", title="m", kind="collect", source="x", target="d", fields=fields), text, day, {}
    )
    batch = pa.RecordBatch.from_pylist([{"_row": i, "_op": "i", "_hops": 0, "d": d} for i, d in enumerate(days)],
                                       schema=day.batch_schema())  # fmt: skip
    assert back.map(there.map(batch).passed).passed.equals(batch)
