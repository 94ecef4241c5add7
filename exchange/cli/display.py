"""Display: JSON for programs, tables for a screen, plain aligned text for a pipe."""

from __future__ import annotations

import sys
import unicodedata
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from exchange.cli.task import Sheet

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
    plain = msgspec.to_builtins(output, builtin_types=(datetime,))
    return msgspec.json.format(msgspec.json.encode(_local(plain)), indent=2).decode()


def as_json(output: Any) -> None:
    """Write JSON, in UTF-8 whatever the locale, to standard output."""
    text = json_text(output) + "\n"
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    buffer.write(text.encode())
    buffer.flush()


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
