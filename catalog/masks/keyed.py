"""Pseudonyms and sealed values: what a key of the recipient makes of a value."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import polars as pl
import pyarrow as pa
from cryptography.hazmat.primitives import hashes, hmac

from catalog import sealing
from catalog.errors import NotAuthorised
from catalog.keyring import Keyring
from catalog.masked import PSEUDONYM, SEALED
from catalog.masks.mask import Options, Outgoing

# Purposes in the keyring, a key an owner (the recipient). None of them is the hub's own, for SEAL_KEYS are handed over.
PSEUDONYM_KEYS, SEAL_KEYS = "pseudonym", "recipient"
_BYTES = 10  # of a pseudonym: with its mark the 18 characters of an ID number


def pseudonym(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """80 bits of HMAC-SM3 under the recipient's key, once a distinct value."""
    _, key = _keyring(outgoing).current(PSEUDONYM_KEYS, outgoing.recipient, outgoing.at)
    blank = hmac.HMAC(key, hashes.SM3())

    def token(value: str) -> str:
        mac = blank.copy()
        mac.update(value.encode())
        return PSEUDONYM + base64.b32encode(mac.finalize()[:_BYTES]).decode("ascii")

    coded = array.dictionary_encode()
    made = pa.array([None if v is None else token(v) for v in coded.dictionary.to_pylist()], array.type)
    return made.take(coded.indices)


def seal(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """Each value under SM4-GCM for the recipient, bound to recipient, contract, field and record.

    The same value of the same record is sealed alike, so that sending it again is seen to change nothing.
    """
    keys = _keyring(outgoing)
    if outgoing.rows is None:
        raise NotAuthorised(
            f"密封 {outgoing.field} 需要记录的业务主键,但没有给出。本批不发送。",
            f"to seal {outgoing.field} the records' keys are needed and were not given; nothing is sent.",
        )
    key_id, key = keys.current(SEAL_KEYS, outgoing.recipient, outgoing.at)
    sm4, nonces, front = sealing.cipher(key), sealing.nonces(key), f"{SEALED}{key_id}."
    head = place(outgoing.recipient, outgoing.contract, outgoing.field)

    def one(value: str, row: str) -> str:
        made = sealing.seal_same(sm4, nonces, value.encode(), head + row.encode())
        return front + base64.urlsafe_b64encode(made).decode("ascii")

    pairs = zip(array.to_pylist(), outgoing.rows.to_pylist(), strict=True)
    return pa.array([None if v is None else one(v, row or "") for v, row in pairs], array.type)


def place(recipient: str, contract: str, field: str) -> bytes:
    """What a sealed value is bound to, before its record's name."""
    return sealing.netstrings(p.encode() for p in ("leishu-seal-1", recipient, contract, field))


def row_names(batch: pa.RecordBatch, key: Iterable[str]) -> pa.Array:
    """Each record's name: its key fields as netstrings, in the contract's order."""
    frame = pl.DataFrame({n: pl.from_arrow(batch.column(n)) for n in key})
    texts = [pl.col(n).cast(pl.String).fill_null("") for n in frame.columns]
    named = frame.select(pl.concat_str([pl.format("{}:{}", t.str.len_bytes(), t) for t in texts]).alias("v"))
    return named["v"].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())


def _keyring(outgoing: Outgoing) -> Keyring:
    if outgoing.keys is None:
        raise NotAuthorised(
            "按需求部门脱敏需要密钥,但没有密钥环。请检查密钥环配置。",
            "a mask of the recipient's own needs a key and there is no keyring: look at the keyring's settings.",
        )
    return outgoing.keys
