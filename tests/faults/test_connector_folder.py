"""Folders of this machine: paths that lead out, files that are none, a full disk, a ferry without an answer."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import Refused, Unavailable
from connectors.credentials import Secret
from connectors.seam import Slice
from tests.conformance.test_connectors import payload, read_all
from tests.conformance.worlds import FolderWorld, layout, link

ROWS = [{"_key": "A", "_op": "i", "code": "A", "name": "甲", "note": None}]


@pytest.fixture
def world(tmp_path: Path) -> FolderWorld:
    return FolderWorld(tmp_path / "ferry")


def other(world: FolderWorld, **settings: Any) -> Any:
    given = {"path": str(world.root), "encoding": "GB18030", "quoted_empty": "text", **settings}
    return link("folder", Secret(), **given)


@pytest.mark.parametrize("setting", ["out", "in", "archive"])
def test_a_folder_outside_of_the_root_is_refused(world: FolderWorld, setting: str) -> None:
    outside = world.root.parent / "outside"
    outside.mkdir()
    (world.root / "link").symlink_to(outside)
    (outside / "unit_1.csv").write_bytes(b"code,name,note\r\n")
    (outside / "unit_1.csv.done").write_bytes(b"")
    world.enter([("i", "A", {"name": "甲"})])
    for name in ("../outside", "link", str(outside)):
        led = other(world, **{setting: name})
        work: dict[str, Callable[[], Any]] = {
            "in": lambda led=led: led.sink(world.into).deliver(payload(world, ROWS), key="b1"),
            "out": lambda led=led: led.source(world.out).extract(Slice(cursor=None)),
            "archive": lambda led=led: led.source(world.out).acknowledge("unit_99999999.csv"),
        }
        with pytest.raises(Refused, match="outside of its root"):
            work[setting]()
        assert led.test()[-1].ok is False
    assert sorted(p.name for p in outside.iterdir()) == ["unit_1.csv", "unit_1.csv.done"]


def test_what_is_no_plain_file_is_passed_over(world: FolderWorld) -> None:
    secret = world.root.parent / "secret.csv"
    secret.write_text("code,name,note\r\nS,secret,\r\n")
    out = world.root / "out"
    (out / "unit_1.csv").symlink_to(secret)
    os.mkfifo(out / "unit_2.csv")
    (out / "unit_3.csv").mkdir()
    for n in (1, 2, 3):
        (out / f"unit_{n}.csv.done").write_bytes(b"")
    world.give("unit_4.csv", b"code,name,note\r\nA,x,\r\n", done=None)  # its marker is not there yet
    rows, cursor = read_all(world)
    assert (rows, cursor) == ([], None)


def test_a_link_put_in_place_of_a_file_is_not_followed(world: FolderWorld) -> None:
    victim = world.root.parent / "victim"
    victim.write_text("untouched")
    (world.root / "in" / "unit_2025013100001.csv.part").symlink_to(victim)
    with pytest.raises(Unavailable):
        world.link.sink(world.into).deliver(payload(world, ROWS), key="b1")
    assert victim.read_text() == "untouched"
    assert world.holds() == {}


def test_a_missing_folder_is_named(world: FolderWorld) -> None:
    (world.root / "out").rmdir()
    with pytest.raises(Refused, match=str(world.root / "out")):
        world.link.source(world.out).extract(Slice(cursor=None))
    assert [s.ok for s in world.link.test()] == [True, False]
    nowhere = link("folder", Secret(), path="/nowhere/at/all")
    assert nowhere.test()[-1].ok is False
    unset = link("folder", Secret())
    assert unset.test()[0].ok is False


def test_the_test_tries_to_write_and_leaves_nothing(world: FolderWorld) -> None:
    before = sorted(world.root.rglob("*"))
    assert [s.ok for s in world.link.test()] == [True, True, True]
    assert sorted(world.root.rglob("*")) == before


def test_a_full_disk_is_told_and_the_file_is_written_anew(
    world: FolderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="disk is full"):
            world.link.sink(world.into).deliver(payload(world, ROWS), key="b1")
    assert world.holds() == {}
    world.link.sink(world.into).deliver(payload(world, ROWS), key="b1")
    assert sorted(world.holds()) == ["A"]


def _dies(root: str) -> None:
    dying = FolderWorld(Path(root))

    def gone(file: int) -> None:
        os._exit(9)

    os.fsync = gone
    dying.link.sink(dying.into).deliver(payload(dying, ROWS), key="b1")


def test_a_worker_that_dies_leaves_no_file_that_looks_whole(world: FolderWorld) -> None:
    worker = multiprocessing.get_context("fork").Process(target=_dies, args=(str(world.root),))
    worker.start()
    worker.join()
    assert worker.exitcode == 9
    assert [p.name for p in (world.root / "in").glob("*.csv*")] == ["unit_2025013100001.csv.part"]
    world.link.sink(world.into).deliver(payload(world, ROWS), key="b1")
    assert sorted(world.holds()) == ["A"]
    assert not list((world.root / "in").glob("*.part"))


def test_a_ferry_tells_nothing_on_the_way(world: FolderWorld) -> None:
    ferry = other(world, answer="later")
    receipt = ferry.sink(world.into).deliver(payload(world, ROWS), key="b1")
    assert (receipt.others, receipt.rows.num_rows) == ("3", 0)
    assert ferry.sink(world.into).ask(receipt) == receipt, "there is nobody to ask"
    assert world.link.sink(world.into).deliver(payload(world, ROWS), key="b1").others == "1"
    assert sorted(world.holds()) == ["A"]


def _barred(root: str) -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)  # root may do anything
    barred = FolderWorld.__new__(FolderWorld)
    made = link("folder", Secret(), path=root, encoding="GB18030")
    barred.into = layout("peer.in", "unit_*.csv")
    try:
        made.sink(barred.into).deliver(payload(barred, ROWS), key="b1")
    except Refused as error:
        os._exit(3 if "leave to read, write and rename" in error.en else 4)
    os._exit(0)


def test_a_folder_that_is_not_ours_is_told(world: FolderWorld) -> None:
    (world.root / "in").chmod(0o500)
    worker = multiprocessing.get_context("fork").Process(target=_barred, args=(str(world.root),))
    worker.start()
    worker.join()
    assert worker.exitcode == 3
    assert world.holds() == {}
