"""F16: the witness, the disk or the keys fail: nothing goes out unlogged, and work goes on once they are mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from catalog.errors import LeishuError
from tests.faults import doses
from tests.faults.rig import PATIENCE, Rig, rigged
from tests.faults.test_kills import act, begin


def moved(path: Path) -> Callable[[], None]:
    """The folder is gone and a file stands in its way; the returned function puts it back."""
    aside = path.with_name(path.name + ".aside")
    path.rename(aside)
    path.write_text("in the way")

    def mend() -> None:
        path.unlink()
        aside.rename(path)

    return mend


def tried(made: Rig) -> None:
    """A round in this process, as far as it comes."""
    try:
        with made.hub() as hub:
            hub.run(made.routes())
    except LeishuError:
        pass  # it does not even open


def full(made: Rig) -> None:
    """A round in a process that can write no more than 100 bytes into a file."""
    worker: Any = made.start(file_size=100)
    worker.join(PATIENCE)
    assert not worker.is_alive()


def test_what_cannot_be_logged_is_not_sent(postgres_server: str, tmp_path: Path) -> None:
    times, day = doses.dose(1, 5), 0
    with rigged(postgres_server, tmp_path) as made:
        begin(made)
        var = made.settings.var
        kinds: dict[str, tuple[Callable[[], Callable[[], None]], Callable[[Rig], None]]] = {
            "the witness is unwritable": (lambda: moved(var / "witness"), tried),
            "the keys are gone": (lambda: moved(var / "keys"), tried),
            "the staging folder is unwritable": (lambda: moved(var / "staging"), tried),
            "the disk is full": (lambda: lambda: None, full),
        }
        for spoil, work in kinds.values():
            for _ in range(times):
                day += 1
                act(made, day)
                before = made.query("SELECT count(*) FROM applied", peers=True)
                mend = spoil()
                work(made)
                assert made.query("SELECT count(*) FROM applied", peers=True) == before, "something was sent"
                mend()
                made.lapse()
                made.rest()
                assert made.query("SELECT count(*) FROM applied", peers=True) > before, "it went on by itself"
        made.check()
    doses.outcome(
        "F16", f"{len(kinds)} kinds × {times}", "0 unlogged deliveries, nothing sent meanwhile, resumed alone"
    )
