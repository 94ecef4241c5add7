"""SFTP peers that fail, and files that are not sound."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from catalog.errors import Refused, Unavailable, Unreadable
from connectors.credentials import Secret
from connectors.seam import Slice
from tests.conformance.test_connectors import payload, read_all, rows_of
from tests.conformance.worlds import SftpWorld, link, sftp_server

HEADER = "code,name,note,操作\r\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SftpWorld]:
    with sftp_server(tmp_path) as (port, key):
        made = SftpWorld(tmp_path, port, key)
        made.port, made.key = port, key  # type: ignore[attr-defined]
        with closing(made.link):
            yield made


def other(
    world: SftpWorld, *, login: str = "hub", password: str = "right", key: str = "", port: int = 0
) -> Secret:
    extra = {"port": str(port or world.port), "host_key": key or world.key}  # type: ignore[attr-defined]
    return Secret(login=login, password=password, extra=extra)


def test_a_wrong_password_is_refused_without_showing_it(world: SftpWorld) -> None:
    with closing(link("sftp", other(world, password="wrong-password"))) as refused:
        with pytest.raises(Refused, match="credential") as e:
            refused.source(world.out).extract(Slice(cursor=None))
        assert "wrong-password" not in e.value.zh + e.value.en
        *before, last = refused.test()
        assert all(s.ok for s in before)
        assert (last.name_en, last.ok) == ("login", False)


def test_a_host_key_that_changed_is_refused_with_both_fingerprints(world: SftpWorld, tmp_path: Path) -> None:
    with sftp_server(tmp_path) as (_, foreign):
        pass
    with closing(link("sftp", other(world, key=foreign))) as changed:
        with pytest.raises(Refused, match=r"SHA256:.* is declared, SHA256:.* was seen"):
            changed.sink(world.into).deliver(payload(world, []), key="b1")
        assert changed.test()[-1].name_en == "host key"
    assert world.writes() == 1  # the archive folder alone: nothing was sent, no login tried


def test_a_host_key_of_another_type_is_refused(world: SftpWorld, tmp_path: Path) -> None:
    with sftp_server(tmp_path, kind="ecdsa-sha2-nistp256") as (port, _):
        with closing(link("sftp", other(world, port=port))) as changed:
            with pytest.raises(Refused, match="host key"):
                changed.source(world.out).extract(Slice(cursor=None))


def test_no_host_key_is_no_connection(world: SftpWorld) -> None:
    secret = Secret(login="hub", password="right", extra={"port": str(world.port)})  # type: ignore[attr-defined]
    with pytest.raises(Refused, match="host_key"):
        link("sftp", secret).source(world.out).extract(Slice(cursor=None))


def test_a_server_that_is_down_or_mute_is_unavailable(world: SftpWorld) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        port = mute.getsockname()[1]
        with closing(link("sftp", other(world, port=port), read_seconds=0.5)) as silent:
            with pytest.raises(Unavailable):
                silent.source(world.out).extract(Slice(cursor=None))
    with closing(link("sftp", other(world, port=port))) as down:
        with pytest.raises(Unavailable, match=str(port)):
            down.source(world.out).extract(Slice(cursor=None))


def test_a_missing_folder_is_named(world: SftpWorld) -> None:
    with closing(link("sftp", other(world), out="no/such")) as lost:
        with pytest.raises(Refused, match="no/such"):
            lost.source(world.out).extract(Slice(cursor=None))
        assert not lost.test()[-1].ok


def test_a_connection_that_broke_is_made_again(world: SftpWorld) -> None:
    world.enter([("i", "A1", {"name": "甲"})])
    _, cursor, _ = rows_of(world, None)
    world.link.close()
    world.enter([("i", "A2", {"name": "乙"})])
    assert [r["_key"] for r in rows_of(world, cursor)[0]] == ["A2"]


SOUND = (HEADER + "A1,甲,,新增\r\n").encode("gb18030")
UNSOUND = {
    "cut in a cell": (SOUND[:-6], "", "cut short"),
    "cut behind a cell": (SOUND + b"A2,x", "", "cut short"),
    "cut in quotes": (SOUND + b'A2,x,"half\r\n', "", "cut short"),
    "rows missing": (SOUND, "2\n", "announces 2 rows and holds 1"),
    "marker is no count": (SOUND, "ok\n", "no count"),
    "wrong encoding": (SOUND.decode("gb18030").encode("utf-16"), "", "not in GB18030"),
    "utf-8 instead": ((HEADER + "A1,甲,,新增\r\n").encode(), "", ""),
    "another header": ("code,name,remark,操作\r\n".encode("gb18030"), "", "lacks note"),
    "a column more": ("code,name,note,操作,x\r\n".encode("gb18030"), "", "has x besides"),
    "no header": ("A1,张三,,新增\r\n".encode("gb18030"), "", "header"),
    "empty": (b"", "", "is empty"),
    "an unknown operation": (SOUND + "A2,乙,,作废\r\n".encode("gb18030"), "", "操作"),
    "a page instead": (b"<html>\n<body>busy</body>\n", "", "header"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_an_unsound_file_is_set_aside_and_the_next_one_read(world: SftpWorld, case: str) -> None:
    data, done, words = UNSOUND[case]
    world.give("unit_1.csv", data, done)
    world.give("unit_2.csv", SOUND, "1\n")
    with pytest.raises(Unreadable) as e:
        rows_of(world, None)
    assert "unit_1.csv" in e.value.zh
    assert words in e.value.en
    assert (e.value.unit, e.value.resume) == ("unit_1.csv", "unit_1.csv")
    assert not any(v in e.value.zh + e.value.en for v in ("甲", "乙", "张三", "half", "busy"))
    assert [r["_key"] for r in rows_of(world, e.value.resume)[0]] == ["A1"]


def test_a_file_without_its_marker_waits(world: SftpWorld) -> None:
    world.give("unit_1.csv", SOUND, None)
    world.give("unit_0.csv.part", SOUND, None)
    assert rows_of(world, None) == ([], None, False)
    world.give("unit_1.csv", SOUND, "")
    assert len(read_all(world)[0]) == 1


def test_names_of_the_server_lead_nowhere_else(world: SftpWorld) -> None:
    (world.root / "secret.csv").write_bytes(SOUND)
    (world.root / "out" / "unit_..%2f.csv").mkdir()
    (world.root / "out" / "unit_link.csv").symlink_to(world.root / "secret.csv")
    (world.root / "out" / "unit_link.csv.done").write_text("")
    (world.root / "out" / "unit_a\\b.csv").write_bytes(SOUND)
    (world.root / "out" / "unit_a\\b.csv.done").write_text("")
    assert rows_of(world, None)[0] == []


def test_read_files_move_to_the_archive_with_their_markers(world: SftpWorld) -> None:
    for _ in range(2):
        world.enter([("i", "A1", {"name": "甲"})])
    _, cursor, more = rows_of(world, None)
    assert more
    source = world.link.source(world.out)
    assert cursor is not None
    source.acknowledge(cursor)
    source.acknowledge(cursor)
    assert sorted(p.name for p in (world.root / "archive").iterdir()) == [cursor, f"{cursor}.done"]
    assert len(list((world.root / "out").iterdir())) == 2


def test_a_send_broken_off_between_file_and_marker_is_finished(world: SftpWorld) -> None:
    sent = payload(world, [{"_key": "A1", "name": "甲", "note": None}])
    sink = world.link.sink(world.into)
    first = sink.deliver(sent, key="b1")
    name = first.reference or ""
    marker = world.root / "in" / f"{name}.done"
    assert marker.read_text() == "1\n"
    marker.unlink()
    (world.root / "in" / f"{name}.part").write_bytes(b"half")
    assert sink.deliver(sent, key="b1") == first
    assert marker.read_text() == "1\n"


def test_a_file_that_the_platform_took_already_is_not_sent_again(world: SftpWorld) -> None:
    sent = payload(world, [{"_key": "A1", "name": "甲", "note": None}])
    sink = world.link.sink(world.into)
    name = sink.deliver(sent, key="b1").reference or ""
    for moved in (name, f"{name}.done"):
        (world.root / "in" / moved).rename(world.root / "in" / "archive" / moved)
    sink.deliver(sent, key="b1")
    assert [p.name for p in (world.root / "in").iterdir()] == ["archive"]


def test_characters_that_the_encoding_lacks_are_answered_singly(world: SftpWorld) -> None:
    records = [{"_key": "A1", "name": "雷⚡", "note": None}, {"_key": "A2", "name": "乙", "note": None},
               {"_key": None, "code": None, "name": "丙", "note": None}]  # fmt: skip
    with closing(link("sftp", other(world), encoding="GBK")) as narrow:
        receipt = narrow.sink(world.into).deliver(payload(world, records), key="b1")
    assert [(r["row"], r["field"], r["code"]) for r in receipt.rows.to_pylist()] == [
        (0, "name", "4"),
        (2, None, "4"),
    ]
    assert set(world.holds()) == {"A2"}
