"""Sheets: tables as XLSX for people, and XLSX or CSV files of strangers as text by cell.

What is written has no formula in it. What is read is small, plain and checked: a number that a spreadsheet
made of a code is refused with its cell, never guessed.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import openpyxl
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Protection, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from catalog.errors import Problem, Unreadable

MOST_BYTES = 20 * 2**20
MOST_PLAIN = 200 * 2**20  # unpacked
MOST_ROWS = 200_000
MOST_COLUMNS = 500
MOST_TEXT = 32_000  # characters of a cell
EXACT = 15  # digits that a spreadsheet's numbers keep
HEADER_WITHIN = 10  # lines from the top
_STEERS = re.compile(r"'*[ \u3000]*[=+\-@\t\r\n]")  # a formula, or one that ``plain`` has met before
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3}[0-9]{1,7}:[A-Z]{1,3}[0-9]{1,7})"')
_LINE = Side(style="thin", color="9AA5B1")
_BORDER = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
_A4 = 9  # paper, as the format numbers it
_MOST_CHOICES = 255  # characters that a list of choices may have in the file

Value = str | int | float | date | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table that is written."""

    title: str
    width: float = 16  # characters
    choices: tuple[str, ...] = ()  # offered in a list to whoever fills it in


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One sheet of a workbook that is written: a heading, a header that stays in sight, rows."""

    name: str  # at most 31 characters
    heading: str = ""
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Value]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a file that is read: its cells as text, blanks around them gone, "" where empty."""

    line: int  # from 1
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One sheet of a file that is read, without its empty lines."""

    name: str  # "" for CSV
    rows: tuple[Row, ...]
    merged: tuple[str, ...] = ()  # ranges of cells that show one value, as B7:B9


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line under a header: its cells by the name of their column."""

    line: int
    cells: Mapping[str, str]
    places: Mapping[str, str]  # name: the cell's address, as C7


def written(*sheets: Sheet) -> bytes:
    """The workbook: every text stays text, A4 across, the header on each printed page."""
    book = openpyxl.Workbook(write_only=True)
    for one in sheets:
        _sheet(book.create_sheet(one.name), one)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sheet(sheet: Any, one: Sheet) -> None:
    top = 2 if one.heading else 1
    for number, column in enumerate(one.columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = column.width
    sheet.freeze_panes = f"A{top + 1}"
    sheet.print_title_rows = f"{top}:{top}"
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", _A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.oddFooter.center.text = "&P / &N"
    for number, column in enumerate(one.columns, 1):
        if column.choices and len(",".join(column.choices)) < _MOST_CHOICES:
            letter = get_column_letter(number)
            offered = DataValidation(type="list", formula1=f'"{",".join(column.choices)}"', allow_blank=True)
            offered.add(f"{letter}{top + 1}:{letter}{top + max(len(one.rows), 1) + 200}")
            sheet.data_validations.append(offered)
    if one.heading:
        heading = WriteOnlyCell(sheet, plain(one.heading))
        heading.font = Font(bold=True, size=14)
        sheet.append([heading])
    sheet.append([head(sheet, c.title) for c in one.columns])
    texts, figures = Style(sheet, ruled=True), Style(sheet, ruled=True, text=False)
    for row in one.rows:
        sheet.append([_cell(texts, figures, v) for v in row])


def head(sheet: Any, text: str) -> Cell:
    """A header's cell."""
    cell: Cell = WriteOnlyCell(sheet, text)
    cell.font, cell.fill, cell.border = Font(bold=True), PatternFill("solid", fgColor="DDE6F0"), _BORDER
    cell.alignment = Alignment(vertical="center", wrap_text=True)
    return cell


class Style:
    """How cells of one kind look. Made once a sheet: to dress each cell anew is most of the work of writing it."""

    def __init__(
        self,
        sheet: Any,
        *,
        text: bool = True,
        ruled: bool = False,
        fill: str | None = None,
        open: bool = False,
    ) -> None:
        """``fill``: RGB in hex. ``open``: may be filled in where the sheet is protected."""
        self._sheet = sheet
        cell = WriteOnlyCell(sheet)
        cell.alignment = Alignment(vertical="top", wrap_text=text)
        if text:
            cell.number_format = "@"
        if ruled:
            cell.border = _BORDER
        if fill is not None:
            cell.fill = PatternFill("solid", fgColor=fill)
        if open:
            cell.protection = Protection(locked=False)
        self._dress = cell._style

    def text(self, value: str) -> Cell:
        """Text, whatever it looks like: never a number, a date or a formula."""
        cell = self._cell(plain(value))
        cell.data_type = "s"
        return cell

    def number(self, value: float) -> Cell:
        """A number to reckon with."""
        return self._cell(value)

    def _cell(self, value: str | float) -> Cell:
        cell: Cell = WriteOnlyCell(self._sheet, value)
        cell._style = self._dress
        return cell


def _cell(texts: Style, figures: Style, value: Value) -> Cell:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return figures.number(value)
    return texts.text("" if value is None else str(value))


def plain(text: str) -> str:
    """The text without what steers a spreadsheet: an apostrophe in front of a formula's first character."""
    text = _CONTROL.sub("\ufffd", text)[:MOST_TEXT]
    return "'" + text if _STEERS.match(text) else text


def unplain(text: str) -> str:
    """The text that ``plain`` was given."""
    return text[1:] if text.startswith("'") and _STEERS.match(text) else text


def opened(content: bytes) -> Any:
    """The workbook, read as a stranger's; Unreadable where it is none, is damaged or unpacks to too much."""
    if len(content) > MOST_BYTES:
        raise Unreadable(f"文件超过 {MOST_BYTES >> 20} MB", f"the file is larger than {MOST_BYTES >> 20} MB")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(i.file_size for i in packed.infolist()) > MOST_PLAIN:
                raise Unreadable("文件解压后过大", "the file unpacks to too much")
        return openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
    except Unreadable:
        raise
    except Exception:  # a damaged file fails anywhere in zipfile, openpyxl and expat
        raise Unreadable("不是可读的 XLSX 文件", "this is no XLSX file that can be read") from None


def read(content: bytes, *, file: str) -> tuple[list[Table], list[Problem]]:
    """Every table of an XLSX or CSV file as text, and what is wrong in which cell.

    XLSX: days as yyyy-mm-dd, whole numbers without a point. CSV: UTF-8 or GB18030, split by commas or tabs.
    A formula, an error of the spreadsheet's, a number of more digits than it can keep: a problem.
    """
    found: list[Problem] = []
    try:
        if content[:4] == b"PK\x03\x04":
            book = opened(content)
            try:
                return [
                    _table(s.title, _of_sheet(s, file, found), _merged(s)) for s in book.worksheets
                ], found
            except Unreadable:
                raise
            except Exception:
                raise Unreadable("工作表读不下去, 可能已损坏",
                                 "a sheet cannot be read to its end; it may be damaged") from None  # fmt: skip
            finally:
                book.close()
        return [_table("", _of_text(content))], found
    except Unreadable as error:
        return [], [*found, Problem(file=file, line=0, zh=error.zh, en=error.en)]


def _table(name: str, lines: Iterator[tuple[int, list[str]]], merged: tuple[str, ...] = ()) -> Table:
    return Table(
        name=name, rows=tuple(Row(line=n, cells=tuple(c)) for n, c in lines if any(c)), merged=merged
    )


def _of_sheet(sheet: Any, file: str, found: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    for line, cells in enumerate(sheet.iter_rows(), 1):
        _bounded(line, len(cells))
        yield line, [_text(c, file, found) for c in cells]


def _merged(sheet: Any) -> tuple[str, ...]:
    """The ranges that were merged; a sheet that is only read does not tell them itself."""
    found: dict[bytes, None] = {}
    with sheet._get_source() as source:
        before = b""
        while part := source.read(2**20):
            found |= dict.fromkeys(_MERGED.findall(before + part))
            before = part[-200:]
    return tuple(r.decode() for r in found)


def _of_text(content: bytes) -> Iterator[tuple[int, list[str]]]:
    if len(content) > MOST_BYTES:
        raise Unreadable(f"文件超过 {MOST_BYTES >> 20} MB", f"the file is larger than {MOST_BYTES >> 20} MB")
    if b"\0" in content:
        raise Unreadable("既不是 XLSX 也不是文本文件", "this is neither an XLSX nor a text file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError:
            raise Unreadable("文字编码既不是 UTF-8 也不是 GB18030",
                             "its text is neither UTF-8 nor GB18030") from None  # fmt: skip
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",", strict=True)
    try:
        for cells in reader:
            _bounded(reader.line_num, len(cells))
            yield reader.line_num, [unplain(c.strip()) for c in cells]
    except csv.Error:
        raise Unreadable(f"第 {reader.line_num} 行起读不下去: 引号不成对或字段过长",
                         f"it cannot be read from line {reader.line_num} on: a quote is open or a field too long") from None  # fmt: skip


def _bounded(line: int, columns: int) -> None:
    if line > MOST_ROWS or columns > MOST_COLUMNS:
        raise Unreadable(f"超过 {MOST_ROWS} 行或 {MOST_COLUMNS} 列",
                         f"it has more than {MOST_ROWS} lines or {MOST_COLUMNS} columns")  # fmt: skip


def _text(cell: Any, file: str, found: list[Problem]) -> str:
    value = cell.value
    if value is None:
        return ""
    wrong: tuple[str, str] | None = None
    if cell.data_type == "f" or (isinstance(value, str) and value.startswith("=")):
        wrong = ("是公式, 请填文字", "holds a formula: write plain text")
    elif cell.data_type == "e":
        wrong = ("是错误值, 请填文字", "holds an error of the spreadsheet's: write plain text")
    elif isinstance(value, int | float) and abs(value) >= 10**EXACT:
        wrong = (f"是 {EXACT} 位以上的数字, 末尾已失真: 设为文本格式后重填",
                 f"is a number of more than {EXACT} digits, its end is lost: make it text and write it anew")  # fmt: skip
    if wrong is not None:
        found.append(problem(file, cell.row, cell.coordinate, *wrong))
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        midnight = value.hour == value.minute == value.second == value.microsecond == 0
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    return unplain(str(value).strip())


def problem(file: str, line: int, place: str, zh: str, en: str) -> Problem:
    """What is wrong in one cell."""
    return Problem(file=file, line=line, zh=f"单元格 {place} {zh}", en=f"cell {place} {en}")


def headed(
    table: Table, titles: Mapping[str, Sequence[str]], *, needed: Sequence[str], file: str
) -> tuple[list[Record], list[Problem]]:
    """The lines under the header by the names of ``titles`` (name: the titles that its column may bear).

    The header is the first of the top lines that has every needed column. A column of another title is left
    out; a title that stands twice is a problem.
    """
    names = {title.strip(): name for name, some in titles.items() for title in some}
    for index, row in enumerate(table.rows):
        if row.line > HEADER_WITHIN:
            break
        places = {names[c]: i for i, c in reversed(list(enumerate(row.cells))) if c in names}
        if not set(needed) <= places.keys():
            continue
        met = [names[c] for c in row.cells if c in names]
        twice = sorted({titles[n][0] for n in met if met.count(n) > 1})
        if twice:
            told = ", ".join(twice)
            return [], [Problem(file=file, line=row.line, zh=f"表头重复: {told}", en=f"columns stand twice: {told}")]  # fmt: skip
        return [_record(r, places) for r in table.rows[index + 1 :]], []
    told = "、".join(titles[n][0] for n in needed)
    where = f"工作表 {table.name} " if table.name else ""
    return [], [Problem(file=file, line=0, zh=f"{where}前 {HEADER_WITHIN} 行里没有含这些列的表头: {told}",
                        en=f"no header in the first {HEADER_WITHIN} lines has these columns: {told}")]  # fmt: skip


def _record(row: Row, places: Mapping[str, int]) -> Record:
    return Record(
        line=row.line,
        cells={n: row.cells[i] if i < len(row.cells) else "" for n, i in places.items()},
        places={n: f"{get_column_letter(i + 1)}{row.line}" for n, i in places.items()},
    )
