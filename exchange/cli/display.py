"""Display: JSON for programs, tables for a screen, plain aligned text for a pipe."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from exchange.cli.task import Sheet

_AT_ONCE = 10_000  # items of a long sequence that are written together
SHANGHAI = ZoneInfo("Asia/Shanghai")


def moment(at: datetime | None) -> str:
    """The instant on the clock of Asia/Shanghai; a dash where there is none."""
    return "-" if at is None else at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _local(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(SHANGHAI).isoformat()
    if isinstance(value, dict):
        return {k: _local(v) for k, v in value.items()}
    return [_local(v) for v in value] if isinstance(value, list) else value


def json_text(output: Any) -> str:
    """The output as JSON; instants bear Asia/Shanghai's offset."""
    return "".join(_pieces(output, ""))


def as_json(output: Any) -> None:
    """Write JSON, in UTF-8 whatever the locale, to standard output, long sequences a piece at a time."""
    buffer = getattr(sys.stdout, "buffer", None)
    sys.stdout.flush()
    for piece in chain(_pieces(output, ""), ["\n"]):
        if buffer is None:
            sys.stdout.write(piece)
        else:
            buffer.write(piece.encode())
    if buffer is not None:
        buffer.flush()


def _pieces(value: Any, pad: str) -> Iterator[str]:
    """The text of the value, whose lines after the first begin with ``pad``."""
    if not _long(value):
        yield _formatted(value).replace("\n", "\n" + pad)
        return
    inner = pad + "  "
    if is_dataclass(value):
        for n, name in enumerate(f.name for f in fields(value)):
            yield f"{',' if n else '{'}\n{inner}{_formatted(name)}: "
            yield from _pieces(getattr(value, name), inner)
        yield f"\n{pad}}}"
    elif isinstance(value, list):
        for n, one in enumerate(value):
            yield f"{',' if n else '['}\n{inner}"
            yield from _pieces(one, inner)
        yield f"\n{pad}]"
    else:
        each, mark = iter(value), "["
        while some := list(islice(each, _AT_ONCE)):
            yield mark + _formatted(some)[1:-2].replace("\n", "\n" + pad)
            mark = ","
        yield "[]" if mark == "[" else f"\n{pad}]"


def _long(value: Any) -> bool:
    """True for a sequence that is made while it is walked over, and for what holds one."""
    if is_dataclass(value):
        return any(_long(getattr(value, f.name)) for f in fields(value))
    if isinstance(value, list):
        return bool(value) and is_dataclass(value[0]) and any(map(_long, value))
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, tuple))


def _formatted(value: Any) -> str:
    plain = msgspec.to_builtins(value, builtin_types=(datetime,))
    return msgspec.json.format(msgspec.json.encode(_local(plain)), indent=2).decode()


def _shown(cell: str) -> str:
    """One line without control characters: a peer's words must not steer the terminal."""
    return "".join(
        " " if c in "\n\t" else c for c in cell if c in "\n\t" or not unicodedata.category(c).startswith("C")
    )


def as_tables(sheets: list[Sheet]) -> None:
    """Write tables to standard output."""
    if sys.stdout.isatty() and not any(s.bare for s in sheets):
        _screen(sheets)
    else:
        sys.stdout.write("\n".join(plain(s) for s in sheets))


def plain(sheet: Sheet) -> str:
    """Columns aligned by spaces, one row a line."""
    from rich.cells import cell_len

    if sheet.bare:
        return "".join(": ".join(_shown(c) for c in row) + "\n" for row in sheet.rows)
    rows = [[_shown(c) for c in row] for row in (sheet.columns, *sheet.rows)]
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(sheet.columns))]
    lines = [sheet.title] if sheet.title else []
    for row in rows:
        cells = []
        for i, cell in enumerate(row):
            gap = " " * (widths[i] - cell_len(cell))
            cells.append(gap + cell if i in sheet.numbers else cell + gap)
        lines.append("  ".join(cells).rstrip())
    return "".join(line + "\n" for line in lines)


def _screen(sheets: list[Sheet]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    for i, sheet in enumerate(sheets):
        if i:
            console.print()
        if sheet.title:
            console.print(Text(sheet.title, style="bold"))
        console.print(_table(sheet))


def _table(sheet: Sheet) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    below = sheet.below
    shown = len(sheet.columns) - (below is not None)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for i, title in enumerate(sheet.columns[:shown]):
        table.add_column(Text(title), justify="right" if i in sheet.numbers else "left", overflow="fold")
    for row in sheet.rows:
        cells = [Text(_shown(c)) for c in row[:shown]]
        if below is not None and row[-1]:
            cells[below].append("\n" + _shown(row[-1]), style="dim")
        table.add_row(*cells)
    return table
