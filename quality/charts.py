"""Charts as SVG, its text as text; the same figures, the same bytes."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FAMILY = "Noto Sans SC"
_INK, _FAINT, _BAR, _ALERT = "#1b2530", "#5b6875", "#2f6f9f", "#b3442f"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A picture, and its figures as text for whoever does not see it."""

    svg: str
    alt: str


def font() -> Path:
    """The Chinese font that zhplot brings (Noto Sans SC, SIL Open Font License 1.1)."""
    spec = find_spec("zhplot")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "fonts" / "NotoSansSC-Regular.ttf"


@cache
def _matplotlib() -> Any:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import font_manager

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    font_manager.fontManager.addfont(str(font()))
    return matplotlib


def bars(
    labels: Sequence[str],
    values: Sequence[float],
    figures: Sequence[str],
    *,
    title: str,
    most: float | None = None,
    alert: bool = False,
) -> Chart:
    """Bars that lie, the first on top, each with its figure. ``most``: what a whole bar stands for."""
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure

    style = {
        "font.family": FAMILY, "svg.fonttype": "none", "svg.hashsalt": "leishu", "text.parse_math": False, "axes.edgecolor": "#c3ccd5",
        "text.color": _INK, "axes.labelcolor": _FAINT, "xtick.color": _FAINT, "ytick.color": _INK, "font.size": 9,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(6.6, 0.55 + 0.29 * max(1, len(labels))), layout="constrained")
        axes = figure.add_subplot()
        drawn = axes.barh(range(len(labels)), values, color=_ALERT if alert else _BAR, height=0.62)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        top = most or max([*values, 1])
        axes.set_xlim(0, top * 1.16)
        axes.bar_label(drawn, labels=list(figures), padding=3)
        axes.xaxis.set_visible(False)
        for side in ("top", "right", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(left=False)
        axes.set_title(title, loc="left", fontsize=10)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    made = out.getvalue()
    told = "; ".join(f"{label} {figure}" for label, figure in zip(labels, figures, strict=True))
    return Chart(svg=made[made.index("<svg") :], alt=f"{title}: {told}")
