"""Keys: made once, kept closed; digests that mean content alone; seals that show any change."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import NotAuthorised, Unreadable
from catalog.keyring import Keyring
from exchange.keys import (
    FileKeyring,
    hmac_values,
    row_digests,
    seal,
    seal_values,
    tokens,
    uids,
    unseal,
    unseal_values,
)

AT = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
LATER = AT + dt.timedelta(days=90)
KEY = bytes(range(32))


def sm3_block_hmac(key: bytes, text: bytes) -> bytes:
    """HMAC-SM3 by another road: the standard library over OpenSSL's SM3."""
    return hmac.new(key, text, lambda data=b"": hashlib.new("sm3", data)).digest()


def test_a_key_is_made_once_and_kept_closed(tmp_path: Path) -> None:
    ring: Keyring = FileKeyring(tmp_path / "keys")
    key_id, key = ring.current("seal", "hub", AT)
    assert len(key) == 32
    assert FileKeyring(tmp_path / "keys").current("seal", "hub", LATER) == (key_id, key)
    assert FileKeyring(tmp_path / "keys").by_id(key_id) == key
    assert ring.current("seal", "deqing", AT)[1] != key
    assert ring.current("token", "hub", AT)[1] != key
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "keys").iterdir():
        assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(NotAuthorised, match="backup"):
        ring.by_id("0" * 16)


def test_processes_that_meet_agree_on_the_key(tmp_path: Path) -> None:
    code = (
        "import datetime, pathlib, sys; from exchange.keys import FileKeyring; "
        "print(FileKeyring(pathlib.Path(sys.argv[1])).current('uid', 'hub', datetime.datetime.now(datetime.UTC)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "keys")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({p.communicate(timeout=60)[0] for p in running}) == 1


def test_rotation_reaches_other_keyrings_and_leaves_the_past_readable(tmp_path: Path) -> None:
    one, other = FileKeyring(tmp_path), FileKeyring(tmp_path)
    old_id, _ = other.current("seal", "hub", AT)
    sealed = seal_values(other, "seal", "hub", AT, pa.array(["x", None]), b"here")
    new_id = one.rotate("seal", "hub", LATER)
    assert other.current("seal", "hub", LATER)[0] == new_id
    assert other.current("seal", "hub", LATER - dt.timedelta(seconds=1))[0] == old_id
    both = pa.concat_arrays([sealed, seal_values(one, "seal", "hub", LATER, pa.array(["y"]), b"here")])
    assert unseal_values(other, both, b"here").to_pylist() == ["x", None, "y"]
    for purpose in ("uid", "digest", "token", "ledger"):
        with pytest.raises(NotAuthorised, match="do not rotate"):
            one.rotate(purpose, "hub", LATER)


def test_a_keyring_that_others_may_read_or_that_is_damaged_is_not_used(tmp_path: Path) -> None:
    FileKeyring(tmp_path).current("seal", "hub", AT)
    file = tmp_path / "keyring.json"
    file.chmod(0o644)
    with pytest.raises(NotAuthorised, match="chmod 600"):
        FileKeyring(tmp_path).current("seal", "hub", AT)
    file.chmod(0o600)
    file.write_text(file.read_text()[:-20])
    with pytest.raises(NotAuthorised, match="damaged"):
        FileKeyring(tmp_path).current("seal", "hub", AT)


def test_hmac_and_uids_are_those_of_the_standard() -> None:
    values = pa.array(["雷", None, ""])
    assert hmac_values(KEY, values).to_pylist() == [
        sm3_block_hmac(KEY, "雷".encode()), None, sm3_block_hmac(KEY, b"")]  # fmt: skip
    assert tokens(KEY, values.cast(pa.large_string())).to_pylist() == hmac_values(KEY, values).to_pylist()
    digest = sm3_block_hmac(KEY, b"key_unit\x1fU1")
    assert uids(KEY, "key_unit", pa.array(["U1", None])).to_pylist() == [
        str(uuid.UUID(bytes=digest[:16])),
        None,
    ]


def digest_of(columns: dict[str, pa.Array]) -> bytes:
    made = row_digests(KEY, pa.record_batch(columns), list(columns))
    assert len(made) == 1
    return made[0].as_py()


def test_a_row_digest_means_the_content_and_not_its_dress() -> None:
    plain = digest_of(
        {"a": pa.array(["x"]), "n": pa.array([5], pa.int64()), "z": pa.array([None], pa.string())}
    )
    dressed = {
        "z": pa.array([None], pa.int32()),
        "n": pa.array([Decimal("5.000")], pa.decimal128(9, 3)),
        "a": pa.array(["x"]).dictionary_encode(),
    }
    assert digest_of(dressed) == plain
    whole = pa.timestamp("s", tz="Asia/Shanghai")
    instant = dt.datetime(2026, 5, 1, 16, tzinfo=dt.UTC)
    assert digest_of({"t": pa.array([instant], whole)}) == digest_of(
        {"t": pa.array([instant], pa.timestamp("us", "UTC"))}
    )
    for a, b in [("0.00", "0"), ("100.00", "100"), ("-0.50", "-0.5"), ("0.0000001", "0.00000010")]:
        wide, narrow = Decimal(a), Decimal(b)
        assert digest_of({"d": pa.array([wide])}) == digest_of({"d": pa.array([narrow])})
    assert digest_of({"d": pa.array([Decimal("10")], pa.decimal128(5, 0))}) != digest_of({"d": pa.array([1])})


def test_a_row_digest_looks_at_the_named_columns_alone() -> None:
    batch = pa.record_batch({"a": pa.array(["1", "1", "2"]), "b": pa.array(["x", "y", "x"])})
    one = row_digests(KEY, batch, ["a"]).to_pylist()
    assert one[0] == one[1] != one[2]
    assert len(set(row_digests(KEY, batch, ["b", "a"]).to_pylist())) == 3
    assert row_digests(KEY, batch, ["a", "b"]) == row_digests(KEY, batch, ["b", "a"])
    assert row_digests(KEY, batch.slice(2), ["a"]).to_pylist() == one[2:]
    assert len(row_digests(KEY, batch.slice(0, 0), ["a"])) == 0
    assert row_digests(os.urandom(32), batch, ["a"]).to_pylist() != one


TEXTS = st.none() | st.text(st.sampled_from(["0", "1", "2", ":", "-", "|", "a", "雷"]), max_size=4)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=2, max_size=8))
def test_different_rows_never_share_a_digest(rows: list[tuple[str | None, ...]]) -> None:
    batch = pa.record_batch({n: pa.array([r[i] for r in rows], pa.string()) for i, n in enumerate("abc")})
    digests = row_digests(KEY, batch, ["a", "b", "c"]).to_pylist()
    assert len(set(digests)) == len(set(rows))


def test_a_seal_shows_any_change() -> None:
    sealed = seal(KEY, b"330683", b"key_unit/7")
    assert b"330683" not in sealed
    assert sealed != seal(KEY, b"330683", b"key_unit/7")
    assert unseal(KEY, sealed, b"key_unit/7") == b"330683"
    for n in range(len(sealed)):
        bad = sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :]
        with pytest.raises(Unreadable):
            unseal(KEY, bad, b"key_unit/7")
        with pytest.raises(Unreadable):
            unseal(KEY, sealed[:n], b"key_unit/7")
    for key, aad in [(KEY, b"key_unit/8"), (bytes(32), b"key_unit/7")]:
        with pytest.raises(Unreadable):
            unseal(key, sealed, aad)


def test_sealed_values_refuse_what_they_did_not_seal(tmp_path: Path) -> None:
    ring = FileKeyring(tmp_path)
    assert seal_values(ring, "seal", "r", AT, pa.nulls(2, pa.string()), b"a").null_count == 2
    sealed = seal_values(ring, "seal", "r", AT, pa.array(["x"]), b"a")
    with pytest.raises(Unreadable):
        unseal_values(ring, sealed, b"b")
    with pytest.raises(Unreadable):
        unseal_values(ring, pa.array([b"short"], pa.binary()), b"a")
    with pytest.raises(NotAuthorised):
        unseal_values(ring, pa.array([b"\0" * 60], pa.binary()), b"a")


def test_a_folder_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way")
    ring = FileKeyring(tmp_path / "keys")
    for ask in (lambda: ring.by_id("x"), lambda: ring.current("seal", "hub", AT)):
        with pytest.raises(NotAuthorised, match="cannot be reached"):
            ask()
