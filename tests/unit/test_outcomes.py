"""Every error of ours has its outcome in Airflow."""

from __future__ import annotations

import traceback

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from catalog import errors
from exchange.airflow.outcomes import OUTCOMES, outcome

PROBLEM = errors.Problem(file="routes/a.yaml", line=3, zh="坏", en="bad")


def tree(kind: type[errors.LeishuError]) -> set[type[errors.LeishuError]]:
    found = set(kind.__subclasses__())
    return found.union(*(tree(sub) for sub in found))


def example(kind: type[errors.LeishuError]) -> errors.LeishuError:
    if issubclass(kind, errors.DeclarationError):
        return kind([PROBLEM])
    return kind("平台甲的一句话", "a sentence about platform A")


@pytest.mark.parametrize("kind", sorted(tree(errors.LeishuError), key=lambda k: k.__name__))
def test_each_error_is_mapped_and_keeps_its_sentence(kind: type[errors.LeishuError]) -> None:
    error = example(kind)
    with pytest.raises(AirflowException) as raised, outcome():
        raise error
    assert str(raised.value) == str(error)
    fails = isinstance(raised.value, AirflowFailException)
    skips = isinstance(raised.value, AirflowSkipException)
    assert skips == issubclass(kind, errors.LeaseLost)
    assert (not fails and not skips) == issubclass(kind, errors.Unavailable), "only Unavailable is retried"


def test_the_table_names_no_more_than_there_is() -> None:
    assert set(OUTCOMES) <= tree(errors.LeishuError)


def test_a_subclass_goes_the_way_of_its_parent() -> None:
    class Busy(errors.Unavailable):
        pass

    with pytest.raises(AirflowException) as raised, outcome():
        raise Busy("忙", "busy")
    assert not isinstance(raised.value, AirflowFailException)


def test_the_text_of_an_error_that_is_not_ours_is_not_told() -> None:
    with pytest.raises(AirflowFailException) as raised, outcome():
        raise ValueError("330683199001011234")
    told = "".join(traceback.format_exception(raised.value))
    assert "330683199001011234" not in told.replace('raise ValueError("330683199001011234")', "")
    assert "ValueError at test_outcomes.py:" in str(raised.value)


def test_airflows_own_words_pass() -> None:
    with pytest.raises(AirflowSkipException, match="nothing new"), outcome():
        raise AirflowSkipException("nothing new")
