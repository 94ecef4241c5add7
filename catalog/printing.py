"""Printing: pages for paper and screen, each one HTML file that needs nothing else.

Templates lie in catalog/templates; each extends ``print.html``, which has the page (A4), the fonts and the
tables. Values are escaped; a value that the template names and does not get is an error.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

FOLDER = Path(__file__).with_name("templates")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> str:
    """The page that this template of catalog/templates makes of the values."""
    return _environment().get_template(template).render(**values)
