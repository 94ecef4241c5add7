"""What each error means to Airflow: try again, fail for good, or step aside.

| raised            | outcome                         |
|-------------------|---------------------------------|
| Unavailable       | retried, with growing pauses    |
| LeaseLost         | skipped: another worker has it  |
| any other of ours | failed at once                  |
| anything else     | failed at once, its text unsaid |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from catalog.errors import (
    Blocked,
    DeclarationError,
    LeaseLost,
    LedgerError,
    LeishuError,
    NotAuthorised,
    Refused,
    Unavailable,
    Unreadable,
    say,
)

if TYPE_CHECKING:
    from exchange.hub import Hub

OUTCOMES: Final[Mapping[type[BaseException], type[AirflowException]]] = MappingProxyType(
    {
        DeclarationError: AirflowFailException,
        Unavailable: AirflowException,  # the only one that retries mend
        Refused: AirflowFailException,
        Unreadable: AirflowFailException,
        NotAuthorised: AirflowFailException,
        Blocked: AirflowFailException,
        LeaseLost: AirflowSkipException,
        LedgerError: AirflowFailException,
    }
)


@contextmanager
def outcome() -> Iterator[None]:
    """Turns what is raised inside into Airflow's word for it, with our sentence and nothing chained.

    The text of an error that is not ours may quote a record: the log gets its type and place alone.
    """
    try:
        yield
    except LeishuError as error:
        ours = next(kind for kind in type(error).__mro__ if kind in OUTCOMES)
        raise OUTCOMES[ours](str(error)) from None
    except AirflowException:
        raise
    except Exception as error:
        where = _where(error)
        raise AirflowFailException(
            say(
                f"程序出错: {type(error).__name__}, 位于 {where}; 用 leishu run 重现并看全文",
                f"an unexpected {type(error).__name__} at {where}; leishu run shows it in full",
            )
        ) from None


@contextmanager
def hub() -> Iterator[Hub]:
    """The Hub of this home, for one task; what it raises becomes Airflow's outcome."""
    with outcome():
        from exchange.hub import Hub  # heavy: in tasks alone, and the scheduler has it preloaded

        with Hub.open() as opened:
            yield opened


def _where(error: BaseException) -> str:
    """The innermost line that is ours, and the innermost of all."""
    root = Path(__file__).resolve().parents[2]
    steps = []
    step = error.__traceback__
    while step is not None:
        steps.append((Path(step.tb_frame.f_code.co_filename), step.tb_lineno))
        step = step.tb_next
    ours = [s for s in steps if s[0].is_relative_to(root) and ".venv" not in s[0].parts]
    shown = [*ours[-1:], *[s for s in steps[-1:] if s not in ours]]
    return " ← ".join(f"{path.name}:{line}" for path, line in reversed(shown)) or "?"
