"""Keys of the hub: the keyring on disk, and what is made with them (SM3, SM4, HMAC-SM3).

GB/T 32905 (SM3), GB/T 32907 (SM4). No certified module: a production hub brings its own Keyring.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from catalog.errors import LeishuError, NotAuthorised, Unreadable

NONCE, TAG = 12, 16
# A record's name and its digests must stay the same for as long as records are compared by them.
FIXED = frozenset({"uid", "digest", "token", "ledger"})


class FileKeyring:
    """Keys in one file (0600) of a folder (0700), made on first use; safe for several processes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "keyring.json"
        self._known: dict[str, bytes] = {}
        self._current: dict[tuple[str, str], list[tuple[datetime, str]]] = {}

    def current(self, purpose: str, owner: str, at: datetime) -> tuple[str, bytes]:
        """(key id, 32 bytes) to use for new work at ``at``; made if there is none yet."""
        found = self._at(purpose, owner, at)
        if found is None:
            self._load()
            found = self._at(purpose, owner, at)
        if found is None:
            with self._locked():
                self._load()
                found = self._at(purpose, owner, at) or self._add(purpose, owner, datetime(1970, 1, 1, tzinfo=UTC))
        return found, self._known[found]

    def by_id(self, key_id: str) -> bytes:
        """The key that bore this id; NotAuthorised where the keyring does not have it."""
        if key_id not in self._known:
            self._load()
        if key_id not in self._known:
            raise NotAuthorised(
                f"密钥环里没有密钥 {key_id}: 从备份恢复 {self._path.name}",
                f"the keyring has no key {key_id}: restore {self._path.name} from its backup",
            )
        return self._known[key_id]

    def rotate(self, purpose: str, owner: str, at: datetime) -> str:
        """A new key from ``at`` on; what older ones sealed stays readable."""
        if purpose in FIXED:
            raise NotAuthorised(f"用途 {purpose} 的密钥不轮换: 已有记录靠它比对",
                                f"keys for {purpose} do not rotate: records are compared by them")  # fmt: skip
        with self._locked():
            self._load()
            return self._add(purpose, owner, at)

    def _at(self, purpose: str, owner: str, at: datetime) -> str | None:
        begun = [k for since, k in self._current.get((purpose, owner), []) if since <= at]
        return begun[-1] if begun else None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.parent.chmod(0o700)
        with (self._path.parent / "lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _load(self) -> None:
        if not self._path.exists():
            return
        try:
            rows = json.loads(self._path.read_text(encoding="ascii"))
            self._known = {r["id"]: bytes.fromhex(r["key"]) for r in rows}
            self._current = {}
            for r in sorted(rows, key=lambda r: r["since"]):
                since = datetime.fromisoformat(r["since"])
                self._current.setdefault((r["purpose"], r["owner"]), []).append((since, r["id"]))
        except (ValueError, KeyError, TypeError):
            raise NotAuthorised(f"密钥环 {self._path.name} 写坏了: 从备份恢复",
                                f"the keyring {self._path.name} is damaged: restore it from its backup") from None  # fmt: skip

    def _add(self, purpose: str, owner: str, since: datetime) -> str:
        rows = json.loads(self._path.read_text(encoding="ascii")) if self._path.exists() else []
        row = {"id": secrets.token_hex(8), "purpose": purpose, "owner": owner,
               "since": since.astimezone(UTC).isoformat(), "key": secrets.token_hex(32)}  # fmt: skip
        fresh = self._path.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as out:
            json.dump([*rows, row], out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._path)
        self._load()
        return row["id"]


def _text(values: pa.Array) -> list[str | None]:
    out: list[str | None] = values.cast(pa.string()).to_pylist()
    return out


def hmac_values(key: bytes, values: pa.Array) -> pa.BinaryArray:
    """HMAC-SM3 of each value's UTF-8 bytes, 32 bytes; null stays null."""
    blank = hmac.HMAC(key, hashes.SM3())

    def one(value: str) -> bytes:
        mac = blank.copy()
        mac.update(value.encode())
        return mac.finalize()

    return pa.array([None if v is None else one(v) for v in _text(values)], pa.binary())


def uids(key: bytes, contract: str, keys: pa.Array) -> pa.StringArray:
    """record_uid: the first 128 bits of HMAC-SM3(contract, business key), written as a UUID."""
    blank = hmac.HMAC(key, hashes.SM3())
    blank.update(contract.encode() + b"\x1f")

    def one(value: str) -> str:
        mac = blank.copy()
        mac.update(value.encode())
        h = mac.finalize().hex()
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:32]}"

    return pa.array([None if v is None else one(v) for v in _text(keys)], pa.string())


def tokens(key: bytes, values: pa.Array) -> pa.BinaryArray:
    """Keyed tokens to match sealed values by."""
    return hmac_values(key, values)


def row_digests(key: bytes, batch: pa.RecordBatch, names: Sequence[str]) -> pa.BinaryArray:
    """HMAC-SM3 over one unambiguous text of the named columns, in order of name.

    Each value goes as its length and its text, null as a dash: the same content gives the same
    digest whatever batch it comes in. Instants count as UTC microseconds, decimals without
    trailing zeros.
    """
    if not batch.num_rows:
        return pa.array([], pa.binary())
    frame = pl.DataFrame(pl.from_arrow(batch.select(sorted(names))))
    parts = [_canonical(frame, n) for n in frame.columns]
    text = frame.select(pl.concat_str([pl.lit("\x1f".join(frame.columns)), *parts])).to_series()
    return hmac_values(key, text.to_arrow(compat_level=pl.CompatLevel.oldest()))


def _canonical(frame: pl.DataFrame, name: str) -> pl.Expr:
    column, kind = pl.col(name), frame.schema[name]
    if kind == pl.Binary:
        text = column.bin.encode("hex")
    elif isinstance(kind, pl.Datetime):
        text = column.dt.cast_time_unit("us").cast(pl.Int64).cast(pl.String)
    elif isinstance(kind, pl.Decimal):
        text = column.cast(pl.String)
        if kind.scale:
            text = text.str.strip_chars_end("0").str.strip_chars_end(".")
    else:
        text = column.cast(pl.String)
    sized = pl.format("{}:{}", text.str.len_bytes(), text)
    return pl.when(column.is_null()).then(pl.lit("-")).otherwise(sized)


def _sm4(key: bytes) -> algorithms.SM4:
    mac = hmac.HMAC(key, hashes.SM3())
    mac.update(b"leishu sm4-gcm")
    return algorithms.SM4(mac.finalize()[:16])


def seal(key: bytes, plain: bytes, aad: bytes) -> bytes:
    """nonce || SM4-GCM(plain) || tag; ``aad`` says where it belongs and is checked on opening."""
    nonce = os.urandom(NONCE)
    worker = Cipher(_sm4(key), modes.GCM(nonce)).encryptor()
    worker.authenticate_additional_data(aad)
    return nonce + worker.update(plain) + worker.finalize() + worker.tag


def unseal(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """What was sealed; Unreadable where a bit, the key or the place is another."""
    if len(sealed) < NONCE + TAG:
        raise _damaged()
    worker = Cipher(_sm4(key), modes.GCM(sealed[:NONCE], sealed[-TAG:])).decryptor()
    worker.authenticate_additional_data(aad)
    try:
        return worker.update(sealed[NONCE:-TAG]) + worker.finalize()
    except InvalidTag:
        raise _damaged() from None


def _damaged() -> LeishuError:
    return Unreadable("密封内容被截断、改动或放错了位置", "what was sealed was cut, changed or moved")


def seal_values(keyring: FileKeyring, purpose: str, owner: str, at: datetime, values: pa.Array, aad: bytes
                ) -> pa.BinaryArray:  # fmt: skip
    """Each value sealed by itself, its key's id in front; null stays null."""
    if values.null_count == len(values):
        return pa.nulls(len(values), pa.binary())
    key_id, key = keyring.current(purpose, owner, at)
    name = bytes.fromhex(key_id)
    return pa.array([None if v is None else name + seal(key, v.encode(), aad) for v in _text(values)], pa.binary())


def unseal_values(keyring: FileKeyring, values: pa.Array, aad: bytes) -> pa.StringArray:
    """The values that ``seal_values`` sealed."""
    opened: list[str | None] = []
    for value in values.to_pylist():
        if value is None:
            opened.append(None)
        else:
            opened.append(unseal(keyring.by_id(value[:8].hex()), value[8:], aad).decode())
    return pa.array(opened, pa.string())


