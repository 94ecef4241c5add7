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
import pyarrow.compute as pc
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import algorithms

from catalog import sealing
from catalog.errors import NotAuthorised
from catalog.identity import base31

_ID = 8  # bytes of a key's id in front of a sealed value
# Records are named, compared and matched by these, and the chain is verified with one key: they stay.
FIXED = frozenset({"uid", "digest", "token", "person", "ledger"})
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)  # a purpose's first key holds for all time before the second


class FileKeyring:
    """Keys in one file (0600) of a folder (0700), made on first use; safe for several processes.

    Keys by (purpose, owner, at). Those of FIXED do not rotate: a new uid key would give every record a
    second name, a new digest key would make every holding look changed.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "keyring.json"
        self._read: tuple[int, int] | None = None  # inode and time of the file that was read
        self._known: dict[str, bytes] = {}
        self._current: dict[tuple[str, str], list[tuple[datetime, str]]] = {}

    def has(self, purpose: str, owner: str) -> bool:
        """Whether there is a key for this already."""
        self._load()
        return (purpose, owner) in self._current

    def current(self, purpose: str, owner: str, at: datetime) -> tuple[str, bytes]:
        """(key id, 32 bytes) to use for new work at ``at``; made if there is none yet."""
        self._load()
        found = self._at(purpose, owner, at)
        if found is None:
            with self._locked():
                self._load()
                found = self._at(purpose, owner, at) or self._add(purpose, owner, _FIRST)
        return found, self._known[found]

    def owned(self, purpose: str, owner: str) -> list[tuple[datetime, str]]:
        """(from when on, key id) of the keys that there are, in order of time."""
        self._load()
        return list(self._current.get((purpose, owner), []))

    def by_id(self, key_id: str) -> bytes:
        """The key that bore this id; NotAuthorised where the keyring does not have it."""
        if key_id not in self._known:
            self._load()
        if key_id not in self._known:
            raise NotAuthorised(
                f"密钥环里没有密钥 {key_id}：从备份恢复 {self._path.name}",
                f"the keyring has no key {key_id}: restore {self._path.name} from its backup",
            )
        return self._known[key_id]

    def rotate(self, purpose: str, owner: str, at: datetime) -> str:
        """A new key from ``at`` on, and its id; what older ones sealed stays readable."""
        if purpose in FIXED:
            raise NotAuthorised(
                f"用途 {purpose} 的密钥不轮换：已有记录靠它命名或比对",
                f"keys for {purpose} do not rotate: records are named or compared by them",
            )
        with self._locked():
            self._load()
            if self._at(purpose, owner, at) is None:
                self._add(purpose, owner, _FIRST)
            return self._add(purpose, owner, at)

    def _at(self, purpose: str, owner: str, at: datetime) -> str | None:
        begun = [k for since, k in self._current.get((purpose, owner), []) if since <= at]
        return begun[-1] if begun else None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
            lock = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._out_of_reach(error) from None
        with os.fdopen(lock, "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _load(self) -> None:
        """Read the file, unless it is the one that was read last."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._out_of_reach(error) from None
        if self._read == (stat.st_ino, stat.st_mtime_ns):
            return
        if stat.st_mode & 0o077:
            raise NotAuthorised(
                f"密钥环 {self._path.name} 对他人可读：chmod 600，并考虑更换密钥",
                f"others may read the keyring {self._path.name}: chmod 600, and consider new keys",
            )
        try:
            known: dict[str, bytes] = {}
            current: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
            for row in sorted(self._rows(), key=lambda r: datetime.fromisoformat(r["since"])):
                known[row["id"]] = bytes.fromhex(row["key"])
                owned = current.setdefault((row["purpose"], row["owner"]), [])
                owned.append((datetime.fromisoformat(row["since"]), row["id"]))
        except OSError as error:
            raise self._out_of_reach(error) from None
        except (ValueError, KeyError, TypeError):
            raise NotAuthorised(
                f"密钥环 {self._path.name} 写坏了：从备份恢复",
                f"the keyring {self._path.name} is damaged: restore it from its backup",
            ) from None
        self._known, self._current, self._read = known, current, (stat.st_ino, stat.st_mtime_ns)

    def _out_of_reach(self, error: OSError) -> NotAuthorised:
        return NotAuthorised(
            f"密钥环 {self._path.name} 读写不了({error.strerror})：检查 var/keys 的目录与权限，或从备份恢复",
            f"the keyring {self._path.name} cannot be reached ({error.strerror}): check the folder var/keys and its "
            "permissions, or restore it from its backup",
        )

    def _rows(self) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = []
        if self._path.exists():
            rows = json.loads(self._path.read_text(encoding="ascii"))
        return rows

    def _add(self, purpose: str, owner: str, since: datetime) -> str:
        if self._known and not self._path.exists():
            raise NotAuthorised(
                f"密钥环 {self._path.name} 不见了：从备份恢复，不另造新密钥",
                f"the keyring {self._path.name} is gone: restore it from its backup; no new one is made",
            )
        row = {
            "id": secrets.token_hex(8),
            "purpose": purpose,
            "owner": owner,
            "since": since.astimezone(UTC).isoformat(),
            "key": secrets.token_hex(32),
        }
        fresh = self._path.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as out:
            json.dump([*self._rows(), row], out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._path)
        sync_folder(self._path.parent)
        self._load()
        return row["id"]


def sync_folder(folder: Path) -> None:
    """A file's new name is on disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def hmac_values(key: bytes, values: pa.Array) -> pa.BinaryArray:
    """HMAC-SM3 of each value's bytes (text in UTF-8), 32 bytes; null stays null."""
    blank = hmac.HMAC(key, hashes.SM3())

    def one(value: bytes) -> bytes:
        mac = blank.copy()
        mac.update(value)
        return mac.finalize()

    return pa.array([None if v is None else one(v) for v in _bytes(values)], pa.binary())


def _bytes(values: pa.Array) -> list[bytes | None]:
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = values.view(pa.binary() if pa.types.is_string(kind) else pa.large_binary())
    elif not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        values = values.cast(pa.string()).view(pa.binary())
    out: list[bytes | None] = values.to_pylist()
    return out


def uids(key: bytes, contract: str, keys: pa.Array) -> pa.StringArray:
    """record_uid: the first 128 bits of HMAC-SM3(contract, business key), written as a UUID."""
    blank = hmac.HMAC(key, hashes.SM3())
    blank.update(contract.encode() + b"\x1f")

    def one(value: bytes) -> str:
        mac = blank.copy()
        mac.update(value)
        h = mac.finalize().hex()
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:32]}"

    return pa.array([None if v is None else one(v) for v in _bytes(keys)], pa.string())


def tokens(key: bytes, values: pa.Array) -> pa.BinaryArray:
    """Keyed tokens to match sealed values by."""
    return hmac_values(key, values)


def person_tokens(key: bytes, values: pa.Array, length: int) -> pa.StringArray:
    """The first characters, of 31, of HMAC-SM3 of each ID number; made once a distinct value, null stays null."""
    column = values.dictionary_encode()
    made = [base31(m, length) for m in hmac_values(key, column.dictionary).to_pylist()]
    return pc.take(pa.array(made, pa.string()), column.indices)


def row_digests(key: bytes, batch: pa.RecordBatch, names: Sequence[str]) -> pa.BinaryArray:
    """HMAC-SM3 over one unambiguous text of the named columns, in order of name.

    Names and values go each as length and text, null as a dash: the same content gives the same digest
    whatever batch, column order or width of type it comes in. Instants count as UTC microseconds,
    dates as ISO 8601, decimals without trailing zeros, bytes as hex.
    """
    if not batch.num_rows:
        return pa.array([], pa.binary())
    frame = pl.DataFrame(pl.from_arrow(batch.select(sorted(names))))
    head = "".join(f"{len(n.encode())}:{n}" for n in frame.columns) + "|"
    text = frame.select(
        pl.concat_str([pl.lit(head), *(_canonical(frame, n) for n in frame.columns)])
    ).to_series()
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


def seal(key: bytes, plain: bytes, aad: bytes) -> bytes:
    """``sealing.seal`` under a key of the keyring: nonce || SM4-GCM(plain) || tag."""
    return sealing.seal(sealing.cipher(key), plain, aad)


def unseal(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """What was sealed; Unreadable where a bit, the key or the place is another."""
    return sealing.unseal(sealing.cipher(key), sealed, aad)


def seal_values(
    keyring: FileKeyring, purpose: str, owner: str, at: datetime, values: pa.Array, aad: bytes
) -> pa.BinaryArray:
    """Each value sealed by itself, its key's id (8 bytes) in front; null stays null."""
    if values.null_count == len(values):
        return pa.nulls(len(values), pa.binary())
    key_id, key = keyring.current(purpose, owner, at)
    name, cipher = bytes.fromhex(key_id), sealing.cipher(key)
    sealed = [None if v is None else name + sealing.seal(cipher, v, aad) for v in _bytes(values)]
    return pa.array(sealed, pa.binary())


def unseal_values(keyring: FileKeyring, values: pa.Array, aad: bytes) -> pa.StringArray:
    """The values that ``seal_values`` sealed. Unreadable or NotAuthorised (no such key) on the first bad one."""
    ciphers: dict[bytes, algorithms.SM4] = {}

    def one(value: bytes) -> str:
        name = value[:_ID]
        if len(name) < _ID:
            raise sealing.damaged()
        if name not in ciphers:
            ciphers[name] = sealing.cipher(keyring.by_id(name.hex()))
        return sealing.unseal(ciphers[name], value[_ID:], aad).decode()

    return pa.array([None if v is None else one(v) for v in values.to_pylist()], pa.string())
