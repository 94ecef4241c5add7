"""Strict CSV files: the declared encoding, exactly the layout's columns, whole, or Unreadable.

RFC 4180 in the encoding that the platform declares. A file that is not sound is refused as a whole,
with its name, what is wrong and what to do; never with a value of it.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from catalog import envelope
from catalog.contract import Layout, Operation
from catalog.errors import LeishuError, Unreadable
from connectors.rows import joined, pieces, said, without
from connectors.seam import INVALID

ENCODINGS = {"UTF-8": "utf-8", "GBK": "gbk", "GB18030": "gb18030"}
_CHUNK = 256 << 10  # bytes read at a time
_BLOCK = 4 << 20  # bytes of text parsed at a time; no single row may be larger
_HEADER = 1 << 20  # characters that a header may have at the most


class Bytes(Protocol):
    """What a file is read from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a platform writes its files."""

    encoding: str = "UTF-8"  # a key of ENCODINGS
    delimiter: str = ","
    quoted_empty: Literal["null", "text"] = "null"  # what "" means; a bare empty cell is always null
    most_bytes: int = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One file as sentences name it."""

    name: str  # the file's
    owner: str  # the platform's
    resume: str | None = None  # the cursor behind it

    def unreadable(self, zh: str, en: str) -> Unreadable:
        return Unreadable(
            f"{self.owner} 的文件 {self.name} {zh}",
            f"the file {self.name} of {self.owner} {en}",
            unit=self.name,
            resume=self.resume,
        )


def decode(
    raw: Bytes, layout: Layout, dialect: Dialect, sheet: Sheet, *, batch_rows: int, announced: int | None = None,
    rest: bool = False,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """The file's rows, the layout's columns in its order, all as text. Raises Unreadable, also at the end.

    ``rest``: other columns than those come in ``_rest``; else the file is unreadable.
    """
    text = _Text(raw, dialect, sheet)
    names = _header(text, dialect, layout, sheet, rest)
    rows = 0
    for batch in pieces(_parsed(text, names, dialect, sheet), batch_rows):
        rows += batch.num_rows
        own = batch.select(list(layout.names))
        yield own.append_column(envelope.REST, _rest(batch, layout)) if rest else own
    text.finish()
    if announced is not None and announced != rows:
        raise sheet.unreadable(
            f"声明 {announced} 行, 实有 {rows} 行: 文件不全或多出, 请对方重新生成",
            f"announces {announced} rows and holds {rows}: ask for the file again",
        )


def _rest(batch: pa.RecordBatch, layout: Layout) -> pa.StringArray:
    """The other columns' values as a JSON object a row; null where it has none."""
    strange = [n for n in batch.schema.names if n not in layout.by_name]
    if not strange:
        return pa.nulls(batch.num_rows, pa.string())
    frame = pl.DataFrame(pl.from_arrow(batch.select(strange)))
    some = pl.any_horizontal(pl.all().is_not_null())
    told = frame.select(pl.when(some).then(pl.struct(strange).struct.json_encode()).alias(envelope.REST))
    return told.to_series().to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())


def enveloped(batch: pa.RecordBatch, layout: Layout, sheet: Sheet) -> pa.RecordBatch:
    """The batch with the envelope in front, as the layout's key, operation and changed_at say."""
    n = batch.num_rows
    op = (
        _operations(batch.column(layout.operation.field), layout.operation, sheet)
        if layout.operation
        else None
    )
    version = batch.column(layout.changed_at) if layout.changed_at else pa.nulls(n, pa.string())
    own = {
        envelope.KEY: joined([batch.column(k) for k in layout.key]),
        envelope.OP: op if op is not None else pa.repeat(pa.scalar(envelope.UPDATE), n),
        envelope.VERSION: version,
        envelope.ORIGIN: pa.nulls(n, pa.string()),
        envelope.HOPS: pa.repeat(pa.scalar(0, pa.int32()), n),
    }
    fields = [envelope.SCHEMA.field(name) for name in own]
    return pa.RecordBatch.from_arrays(
        [*own.values(), *batch.columns], schema=pa.schema([*fields, *batch.schema])
    )


def _operations(column: pa.StringArray, declared: Operation, sheet: Sheet) -> pa.StringArray:
    """CT_OP from the platform's words; a missing word is an update."""
    said = pc.fill_null(pc.utf8_trim_whitespace(column), declared.update)
    op = pa.nulls(len(said), pa.string())
    for word, meaning in (
        (declared.insert, envelope.INSERT),
        (declared.update, envelope.UPDATE),
        (declared.delete, envelope.DELETE),
    ):
        op = pc.if_else(pc.equal(said, word), meaning, op)
    if op.null_count:
        raise sheet.unreadable(
            f"的列 {declared.field} 有接口规范之外的值: 只能是 {declared.insert}、{declared.update}、{declared.delete}, "
            "请对方改正",
            f"has a value in {declared.field} that the layout does not declare: "
            f"only {declared.insert}, {declared.update}, {declared.delete}; ask the platform to mend it",
        )
    return op


class _Text(io.RawIOBase):
    """The file's text as UTF-8; remembers what was wrong with it, whatever its reader makes of that."""

    def __init__(self, raw: Bytes, dialect: Dialect, sheet: Sheet) -> None:
        super().__init__()
        self._raw, self._dialect, self._sheet = raw, dialect, sheet
        codec = ENCODINGS[dialect.encoding]
        self._decoder = codecs.getincrementaldecoder(codec)("strict")
        self._utf8 = codecs.getincrementaldecoder("utf-8")("strict") if codec != "utf-8" else None
        self._foreign = False  # a character beyond ASCII was seen
        self._taken = 0
        self._rest = ""
        self._bytes = b""
        self._last = ""
        self._quotes = 0
        self._over = False
        self.failed: LeishuError | None = None

    def readable(self) -> bool:
        return True

    def text(self) -> str:
        """The next piece; empty at the end."""
        if self._rest:
            piece, self._rest = self._rest, ""
            return piece
        while not self._over:
            try:
                data = self._raw.read(_CHUNK)
            except LeishuError as e:
                self.failed = e
                raise
            self._over = not data
            self._taken += len(data)
            if self._taken > self._dialect.most_bytes:
                self._fail(
                    f"超过 {self._dialect.most_bytes} 字节的上限: 请对方分成多个文件, 或提高设置 most_bytes",
                    f"exceeds {self._dialect.most_bytes} bytes: ask for several files, or raise most_bytes",
                )
            try:
                piece = self._decoder.decode(data, final=self._over)
            except UnicodeDecodeError:
                self._wrong_encoding()
            self._look(data)
            if piece:
                self._last = piece[-1]
                self._quotes += piece.count('"')
                return piece
        return ""

    def push(self, piece: str) -> None:
        """Puts a piece back in front."""
        self._rest = piece + self._rest

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._bytes) < size:
            piece = self.text()
            if not piece:
                break
            self._bytes += piece.encode("utf-8", "replace")
        if size < 0:
            size = len(self._bytes)
        data, self._bytes = self._bytes[:size], self._bytes[size:]
        return data

    def unread(self, data: bytes) -> None:
        """Puts bytes back in front."""
        self._bytes = data + self._bytes

    def finish(self) -> None:
        """Raises Unreadable for a text that was cut short, or that bears another encoding."""
        while self.text():
            pass
        if self._utf8 is not None and self._foreign:
            self._wrong_encoding()
        if self._last not in ("\n", "\r") or self._quotes % 2:
            self._fail(
                "末行没有换行或引号未闭合, 文件可能被截断: 请对方重新生成",
                "has no newline at its end, or an open quote, and may be cut short: ask for the file again",
            )

    def _look(self, data: bytes) -> None:
        """Text beyond ASCII that is UTF-8 to the last byte is not GBK."""
        if self._utf8 is None:
            return
        try:
            self._utf8.decode(data, final=self._over)
        except UnicodeDecodeError:
            self._utf8 = None
        else:
            self._foreign = self._foreign or not data.isascii()

    def _wrong_encoding(self) -> NoReturn:
        e = self._dialect.encoding
        self._fail(
            f"不是 {e} 编码: 请对方按 {e} 生成, 或改正平台声明的 encoding",
            f"is not in {e}: ask for {e}, or correct the platform's encoding",
        )

    def _fail(self, zh: str, en: str) -> NoReturn:
        self.failed = self._sheet.unreadable(zh, en)
        raise self.failed from None


def _header(text: _Text, dialect: Dialect, layout: Layout, sheet: Sheet, others: bool) -> list[str]:
    """The file's column names, in its order: the layout's, each once, and ``others`` where they may."""
    head = ""
    while "\n" not in head and len(head) < _HEADER:
        piece = text.text()
        if not piece:
            break
        head += piece
    line, newline, rest = head.removeprefix("\ufeff").partition("\n")
    if not line.strip():
        raise sheet.unreadable("是空文件: 请对方重新生成", "is empty: ask for the file again")
    text.push(rest)
    try:
        names = next(csv.reader([line.rstrip("\r")], delimiter=dialect.delimiter, strict=True))
    except (csv.Error, StopIteration):
        names = []
    lacking = [n for n in layout.names if n not in names]
    extra = [n for n in names if n not in layout.by_name and not (others and n.strip())]
    if not newline and not lacking and not extra:
        text.finish()
    if lacking or extra or len(set(names)) != len(names):
        zh = [f"缺少 {', '.join(lacking)}"] if lacking else []
        en = [f"lacks {', '.join(lacking)}"] if lacking else []
        if extra:  # what stands there may be a record where the header was left out: not repeated
            zh.append(f"多出 {len(extra)} 列" if lacking else f"多出 {', '.join(extra)}")
            en.append(f"has {len(extra)} unknown columns" if lacking else f"has {', '.join(extra)} besides")
        if not zh:
            zh, en = ["有重复的列名"], ["names a column twice"]
        raise sheet.unreadable(
            f"的表头与接口规范 {layout.id} 不符({'; '.join(zh)}): 请对方改正表头, 或更新接口规范",
            f"has another header than the layout {layout.id} ({'; '.join(en)}): "
            "ask for the declared header, or update the layout",
        )
    return names


def _parsed(text: _Text, names: list[str], dialect: Dialect, sheet: Sheet) -> Iterator[pa.RecordBatch]:
    bad: list[int] = []

    def invalid(row: pacsv.InvalidRow) -> str:
        bad.append(row.number or 0)
        return "error"

    schema = pa.schema([pa.field(n, pa.string()) for n in names])
    first = text.read(1)
    if not first:
        return
    text.unread(first)
    try:
        reader = pacsv.open_csv(
            pa.PythonFile(text, mode="r"),
            read_options=pacsv.ReadOptions(column_names=names, block_size=_BLOCK, use_threads=False),
            parse_options=pacsv.ParseOptions(
                delimiter=dialect.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(names) > 1,
                invalid_row_handler=invalid,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=schema,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=dialect.quoted_empty == "null",
            ),
        )
        for batch in reader:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
        return
    except (pa.ArrowException, UnicodeError, OSError, LeishuError):
        pass  # their text may hold a value
    if text.failed:
        raise text.failed from None
    where = f"第 {bad[0]} 条记录" if bad and bad[0] else "某条记录"
    place = f"record {bad[0]}" if bad and bad[0] else "a record"
    raise sheet.unreadable(
        f"{where}的列数与表头不符或引号未闭合, 文件可能被截断: 请对方重新生成",
        f"has another number of columns in {place} than in its header, or an open quote, "
        "and may be cut short: ask for the file again",
    )


def encode(
    batch: pa.RecordBatch, names: Sequence[str], columns: Sequence[pa.Array], dialect: Dialect, *, header: bool
) -> tuple[bytes, pa.RecordBatch]:  # fmt: skip
    """(the rows as CSV, receipt rows for those that the encoding has no characters for: left out)."""
    rows = pa.RecordBatch.from_arrays([batch.column(envelope.ROW), *columns], names=[envelope.ROW, *names])
    bad = said(rows.column(envelope.ROW).slice(0, 0), INVALID)
    data = _written(rows, dialect)
    codec = ENCODINGS[dialect.encoding]
    try:
        encoded = data.decode("utf-8").encode(codec)
    except UnicodeEncodeError:
        bad = _unencodable(rows, dialect.encoding)
        encoded = _written(without(rows, bad.column("row")), dialect).decode("utf-8").encode(codec)
    if header:
        line = io.StringIO()
        csv.writer(line, delimiter=dialect.delimiter, lineterminator="\n").writerow(names)
        encoded = line.getvalue().encode(codec) + encoded
    return encoded, bad


def _written(rows: pa.RecordBatch, dialect: Dialect) -> bytes:
    out = io.BytesIO()
    options = pacsv.WriteOptions(include_header=False, delimiter=dialect.delimiter)
    pacsv.write_csv(rows.drop_columns([envelope.ROW]), out, options)
    return out.getvalue()


def _unencodable(rows: pa.RecordBatch, encoding: str) -> pa.RecordBatch:
    parts = []
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        if pa.types.is_string(column.type):
            bad = pa.array([not _fits(v, ENCODINGS[encoding]) for v in column.to_pylist()], pa.bool_())
            at = rows.column(envelope.ROW).filter(bad)
            parts.append(said(at, INVALID, f"文件编码 {encoding} 没有其中的字符", name))
    return pa.concat_batches(parts)


def _fits(value: str | None, codec: str) -> bool:
    try:
        (value or "").encode(codec)
    except UnicodeEncodeError:
        return False
    return True
