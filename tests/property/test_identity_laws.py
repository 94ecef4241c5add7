"""Laws of identity: check characters, links without order, one valid credit code and nothing else makes a subject."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from catalog import declaration
from catalog.identity import ALPHABET, base31
from catalog.subject import IdentityTerms, Kind
from exchange.likeness import CLAIMS, pairs
from exchange.subjects import RECORD, grouped

ROOT = Path(__file__).parents[2]
TERMS, _ = declaration.load(ROOT / "catalog" / "identities" / "terms.yaml", IdentityTerms, root=ROOT)
KINDS = st.sampled_from(["unit", "institution", "person", "site"])
SUBJECTS = st.text(ALPHABET, min_size=18, max_size=18)


@given(
    kind=KINDS,
    subject=SUBJECTS,
    site=st.integers(0, 9999),
    at=st.integers(0, 25),
    other=st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"),
)
def test_a_provisional_code_is_known_and_a_changed_one_is_not(
    kind: Kind, subject: str, site: int, at: int, other: str
) -> None:
    assert TERMS is not None
    code = TERMS.code(kind, subject, site)
    assert TERMS.provisional(code)
    assert len(code) <= 32, "it fits the contracts' fields"
    if code[at] != other:
        assert not TERMS.provisional(code[:at] + other + code[at + 1 :])
    if code[at] != code[at + 1]:
        assert not TERMS.provisional(code[:at] + code[at + 1] + code[at] + code[at + 2 :])


@given(digest=st.binary(min_size=32, max_size=32))
def test_base31_is_the_number_of_the_digest(digest: bytes) -> None:
    text, number = base31(digest, 99), 0
    assert len(text) == 52
    for character in text:
        number = number * 31 + ALPHABET.index(character)
    assert number == int.from_bytes(digest, "big")
    assert base31(digest, 18) == text[:18]


VALUES = {
    "uscc": ["91330683MA2000019N", "92330683MA2000027X"], "org_code": ["MA200001-9", "MA2000027"], "reg_no": ["330683000012345", "/"],
    "name": ["红旗油库", "红旗 油库", "鹿山加油站有限公司"], "former_names": ["红旗油库"], "address": ["剡湖街道1号大院", "三江街道2号"],
    "id_no": ["aa", "bb"],
}  # fmt: skip
CLAIM = st.sampled_from([(by, v) for by, values in VALUES.items() for v in values])
RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["330683", "330521"]),
        st.sampled_from(["unit", "site", "person"]),
        st.sets(CLAIM, max_size=4),
    ),
    max_size=7,
)


def _claims(records: list[tuple[str, str, set[tuple[str, str]]]]) -> pl.DataFrame:
    rows = [
        ("c", f"u{n}", kind, division, by, by, value)
        for n, (division, kind, told) in enumerate(records)
        for by, value in [(RECORD, f"u{n}"), *sorted(dict(sorted(told)).items())]
    ]
    return pl.DataFrame(rows, schema=CLAIMS, orient="row")


@given(records=RECORDS, seed=st.integers(0, 2**16))
def test_the_order_of_records_proposes_nothing_else(
    records: list[tuple[str, str, set[tuple[str, str]]]], seed: int
) -> None:
    claims = _claims(records)
    found, _ = pairs(claims, likeness=0.6, crowd=50)
    shuffled, _ = pairs(claims.sample(fraction=1, shuffle=True, seed=seed), likeness=0.6, crowd=50)
    keys = ["one", "other", "kind"]
    assert found.select(keys).equals(shuffled.select(keys))
    assert all(one < other for one, other in found.select("one", "other").iter_rows())


@given(records=RECORDS)
def test_without_a_person_one_credit_code_alone_makes_a_subject(
    records: list[tuple[str, str, set[tuple[str, str]]]],
) -> None:
    claims = _claims(records)
    usccs = dict(claims.filter(pl.col("by") == "uscc").select("uid", "value").iter_rows())
    subject = dict(grouped(claims, []).iter_rows())
    for one in subject:
        for other in subject:
            together = usccs.get(one) is not None and usccs.get(one) == usccs.get(other)
            assert (subject[one] == subject[other]) == (together or one == other)
    found, _ = pairs(claims, likeness=0.6, crowd=50)
    for one, other in found.select("one", "other").iter_rows():
        assert usccs.get(one) is None or usccs.get(one) != usccs.get(other), "they are one already"
