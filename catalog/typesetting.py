"""Typesetting: PDF pages from a Typst template and plain data; the same data, the same bytes.

Templates lie in catalog/templates and get the data as JSON: no value of it is ever read as markup.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("templates")


def pdf(template: str, data: Any, *, fonts: Sequence[Path]) -> bytes:
    """PDF/A-2a and PDF/UA-1 of this template: tagged, with its language, a text for each picture.

    ``fonts``: files of the fonts that it may use, none of the system's.
    """
    import typst

    folders = sorted({str(f.parent) for f in fonts})
    made: bytes = typst.compile(
        str(FOLDER / template),
        root=str(FOLDER),
        font_paths=folders,
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        pdf_standards=["a-2a", "ua-1"],
        timestamp=0,
    )
    return made
