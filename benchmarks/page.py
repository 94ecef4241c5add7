"""What a browser takes to open a quality report of 3,000 rules: ``python -m benchmarks.quality --page``.

Chromium, headless, draws the page and an empty one in turn, each in a new process with a new profile; what the
page takes is the difference. Where there is no Chromium on the machine this says so and measures nothing.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from exchange.cli.report import page
from quality.assessment import PROCESSING, Result, of_results
from quality.report import Heading, report

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
EMPTY = "about:blank"


def browser() -> str | None:
    """The browser, where there is one."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def html(results: tuple[Result, ...], rows: int) -> str:
    """The report of one batch that these rules were asked."""
    heading = Heading(
        batch=1, number="2026112600001", route="a.b.collect", platform="a", platform_title="某县", contract="b",
        contract_title="受检单位", suite="b", revision=None, outcome="passed", state="closed", why=None,
        at=datetime(2026, 11, 26, tzinfo=UTC), counts={},
    )  # fmt: skip
    made = of_results(PROCESSING, results, rows=rows, rejected=0)
    return page(report(heading, [made], scheme="seven", title="七维", order=[]))


def drawn(program: str, address: str, width: int) -> float:
    """Seconds from the browser's start to the picture and its end."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            f"--user-data-dir={folder}/profile", f"--window-size={width},900", f"--screenshot={folder}/shot.png",
            address,
        ]  # fmt: skip
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        took = time.perf_counter() - start
        assert Path(folder, "shot.png").stat().st_size, "it drew nothing"
        return took


def opening(results: tuple[Result, ...], rows: int, times: int) -> None:
    """Print the medians, or that there is no browser."""
    program = browser()
    if program is None:
        print(f"no browser on this machine ({', '.join(BROWSERS)}): nothing was measured")
        return
    start = time.perf_counter()
    made = html(results, rows)
    print(
        f"{len(results):,} rules: {len(made.encode()) / 2**20:.1f} MiB of HTML in {time.perf_counter() - start:.1f} s"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        file.write_text(made, encoding="utf-8")
        for width in (1280, 390):
            drawn(program, EMPTY, width)  # the first start reads the browser from the disk
            rounds = [
                (drawn(program, file.as_uri(), width), drawn(program, EMPTY, width)) for _ in range(times)
            ]
            whole, empty = (statistics.median(r[i] for r in rounds) for i in range(2))
            apart = sorted(a - b for a, b in rounds)
            print(
                f"{width} px wide: {whole:.2f} s, {EMPTY} {empty:.2f} s; the page {statistics.median(apart):.2f} s "
                f"({apart[0]:.2f} to {apart[-1]:.2f}, {times} rounds)"
            )
