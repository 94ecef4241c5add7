"""Processes that outlive their starter, started for real."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from exchange import processes


def begin(folder: Path, name: str, script: str) -> processes.Process:
    return processes.start(folder, name, ["sh", "-c", script], env=dict(os.environ), cwd=folder)


def test_starts_once_and_ends_with_all_that_it_started(tmp_path: Path) -> None:
    first = begin(tmp_path, "one", "echo hello; sleep 60 & sleep 60")
    assert begin(tmp_path, "one", "sleep 60") == first
    deadline = time.monotonic() + 5
    while len(processes.members(first)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(processes.members(first)) == 3
    assert (tmp_path / "one.log").read_text() == "hello\n"

    assert processes.stop(tmp_path, ["one", "never"]) == ["one"]
    assert processes.members(first) == set()
    assert processes.find(tmp_path, "one") is None
    assert processes.stop(tmp_path, ["one"]) == []


def test_one_that_will_not_go_is_killed(tmp_path: Path) -> None:
    deaf = begin(tmp_path, "deaf", "trap '' TERM; while :; do sleep 1; done")
    time.sleep(0.1)
    started = time.monotonic()
    processes.stop(tmp_path, ["deaf"], grace=0.2)
    assert processes.members(deaf) == set()
    assert time.monotonic() - started < 6


def test_a_number_that_another_process_has_by_now_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "gone.pid").write_text(f"{os.getpid()} 1\n")
    assert processes.find(tmp_path, "gone") is None
    assert processes.stop(tmp_path, ["gone"]) == []


@pytest.mark.parametrize("content", ["", "nonsense", "12"])
def test_a_broken_pid_file_is_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "odd.pid").write_text(content)
    assert processes.find(tmp_path, "odd") is None
