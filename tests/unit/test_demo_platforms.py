"""The demonstration's platforms behave as real ones do, without any hub."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import paramiko
import psycopg
import pytest
import requests

from demo import acts, world
from demo.handles import PLATFORMS, Handles
from demo.platforms import deqing, tables
from demo.platforms.columns import COLUMNS, CONTRACTS
from demo.platforms.national import Bucket
from exchange import processes
from tests.platforms import platforms, running

__all__ = ["platforms"]


def until(happened: Callable[[], Any], seconds: float = 8.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := happened()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def secret(handles: Handles, platform: str) -> dict[str, Any]:
    path = handles.credentials / f"{platform}.json"
    assert path.stat().st_mode & 0o077 == 0
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@contextmanager
def login(handles: Handles, platform: str) -> Iterator[tables.Connection]:
    """As the hub comes in."""
    s = secret(handles, platform)
    url = psycopg.conninfo.make_conninfo(
        host=s["extra"]["host"], port=s["extra"]["port"], dbname=s["extra"]["database"], user=s["login"],
        password=s["password"],
    )  # fmt: skip
    with closing(tables.connect(url)) as connection:
        yield connection


@contextmanager
def sftp(
    handles: Handles, host_key: str | None = None, password: str | None = None
) -> Iterator[paramiko.SFTPClient]:
    s = secret(handles, "deqing")
    kind, text = (host_key or s["extra"]["host_key"]).split()
    with paramiko.Transport((s["extra"]["host"], int(s["extra"]["port"]))) as transport:
        key = paramiko.PKey.from_type_string(kind, base64.b64decode(text))
        transport.connect(hostkey=key, username=s["login"], password=password or s["password"])
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        yield client


class Nation:
    """The national platform's API."""

    def __init__(self, handles: Handles) -> None:
        s = secret(handles, "national")
        self.url = s["extra"]["url"]
        form = {"grant_type": "client_credentials", "client_id": s["login"], "client_secret": s["password"]}
        token = requests.post(f"{self.url}/oauth/token", data=form, timeout=5).json()
        assert token["expires_in"] > 0
        self.headers = {"Authorization": f"Bearer {token['access_token']}"}

    def send(self, resource: str, key: str, records: list[dict[str, Any]]) -> requests.Response:
        body = {
            "number": "2026110100001",
            "source": "330000",
            "at": "2026-11-01T00:00:00+08:00",
            "records": records,
        }
        headers = {**self.headers, "Idempotency-Key": key}
        return requests.post(f"{self.url}/{resource}/batches", json=body, headers=headers, timeout=5)

    def get(self, path: str, **query: Any) -> Any:
        answer = requests.get(f"{self.url}/{path}", params=query, headers=self.headers, timeout=5)
        answer.raise_for_status()
        return answer.json()

    def settled(self, receipt: str) -> dict[int, dict[str, Any]]:
        found = until(lambda: (r := self.get(f"receipts/{receipt}"))["status"] == "done" and r)
        return {r["row"]: r for r in found["results"]}

    def put(self, resource: str, key: str, records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
        return self.settled(self.send(resource, key, records).json()["receipt"])


def unit(code: str, **more: Any) -> dict[str, Any]:
    return {
        "unitCode": code,
        "divisionCode": "330683",
        "opAddress": "某镇某路1号",
        "unitName": "某站",
        **more,
    }


@pytest.fixture
def nation(platforms: Handles) -> Nation:
    return Nation(platforms)


# -- as a whole -----------------------------------------------------------------------------------


def test_each_holds_what_it_entered(platforms: Handles) -> None:
    made = platforms.world()
    for platform in ("shengzhou", "deqing", "shaoxing"):
        held = acts.snapshot(platforms, platform)
        for contract in CONTRACTS:
            wanted = made.rows(platform, contract)
            assert sorted(held[contract]["_key"]) == sorted(wanted["foreign_key"])


def test_again_leaves_all_as_it_is(platforms: Handles, postgres_server: str) -> None:
    before = {p: acts.writes(platforms, p) for p in PLATFORMS}
    pids = {p: processes.find(platforms.folder, p) for p in PLATFORMS}
    again = world.start(platforms.folder, postgres_server)
    assert again == platforms
    assert {p: processes.find(platforms.folder, p) for p in PLATFORMS} == pids
    assert {p: acts.writes(platforms, p) for p in PLATFORMS} == before


def test_no_personal_data_in_logs(platforms: Handles) -> None:
    made = platforms.world().personal
    text = "".join(p.read_text(encoding="utf-8") for p in platforms.folder.glob("*.log"))
    assert not [v for v in made.names | made.phones | made.id_numbers if v in text]


# -- 嵊州, the front-end database ------------------------------------------------------------------


def test_front_end_gives_changes_in_order(platforms: Handles) -> None:
    with login(platforms, "shengzhou") as hub:
        last = hub.execute("SELECT max(cd_seq) FROM ex_key_unit_out").fetchone()
        done = acts.insert_record(platforms, "shengzhou")
        acts.edit(platforms, "shengzhou", "key_unit", done.foreign_key, industry_code="5266")
        acts.delete(platforms, "shengzhou", "key_unit", done.foreign_key)
        rows = hub.execute(
            "SELECT cd_operation, cd_id, cd_source, cd_batch, hydm FROM ex_key_unit_out WHERE cd_seq > %s ORDER BY cd_seq",
            last,
        ).fetchall()
    assert [(r[0], r[1], r[2], r[4]) for r in rows] == [
        ("i", done.foreign_key, "330683", "5265"), ("u", done.foreign_key, "330683", "5266"),
        ("d", done.foreign_key, "330683", None),
    ]  # fmt: skip
    assert all(len(r[3]) == 13 and r[3].isdigit() for r in rows)


def _send_in(hub: tables.Connection, rows: list[tuple[str, str, str | None]]) -> None:
    for op, key, name in rows:
        hub.execute(
            "INSERT INTO ex_key_unit_in (cd_id, cd_source, cd_batch, cd_operation, dwmc)"
            " VALUES (%s, '330000', '2026110100001', %s, %s)", [key, op, name],
        )  # fmt: skip


def test_front_end_applies_in_order_and_gives_nothing_back(platforms: Handles) -> None:
    with (
        login(platforms, "shengzhou") as hub,
        closing(tables.connect(platforms.databases["shengzhou"])) as own,
    ):
        out = "SELECT count(*) FROM ex_key_unit_out"
        before = hub.execute(out).fetchone()
        with hub.transaction():
            _send_in(hub, [("i", "330000-a", "一"), ("u", "330000-a", "二"), ("i", "330000-b", "三"),
                           ("d", "330000-b", None), ("u", "330000-c", "四"), ("x", "330000-c", "五"),
                           ("d", "330000-none", None)])  # fmt: skip
        states = "SELECT cd_state FROM ex_key_unit_in WHERE cd_id LIKE '330000-%%' ORDER BY cd_seq"
        found = until(lambda: (s := [r[0] for r in hub.execute(states)]) and "0" not in s and s)
        assert found == ["1", "1", "1", "1", "1", "2", "1"]
        held = own.execute("SELECT cd_id, dwmc FROM t_zddw WHERE cd_id LIKE '330000-%' ORDER BY 1").fetchall()
        assert held == [("330000-a", "二"), ("330000-c", "四")]
        assert hub.execute(out).fetchone() == before
        for key in ("330000-a", "330000-c"):
            _send_in(hub, [("d", key, None)])
        assert until(lambda: not own.execute("SELECT 1 FROM t_zddw WHERE cd_id LIKE '330000-%'").fetchone())


def test_front_end_shows_the_hub_no_more_than_its_exchange_tables(platforms: Handles) -> None:
    with login(platforms, "shengzhou") as hub, pytest.raises(psycopg.errors.InsufficientPrivilege):
        hub.execute("SELECT * FROM t_jcry")


# -- 德清, files -----------------------------------------------------------------------------------


def test_sftp_shows_its_key_and_asks_a_password(platforms: Handles) -> None:
    other = paramiko.ECDSAKey.generate()
    with pytest.raises(paramiko.SSHException), sftp(platforms, f"{other.get_name()} {other.get_base64()}"):
        pass
    with pytest.raises(paramiko.AuthenticationException), sftp(platforms, password="wrong"):
        pass


def test_sftp_takes_the_hubs_key(platforms: Handles) -> None:
    s = secret(platforms, "deqing")
    key = paramiko.Ed25519Key.from_private_key_file(str(platforms.deqing / "hub_key"))
    with paramiko.Transport(("127.0.0.1", int(s["extra"]["port"]))) as transport:
        transport.connect(username=s["login"], pkey=key)
        assert transport.is_authenticated()


def test_sftp_keeps_to_its_folder(platforms: Handles) -> None:
    with sftp(platforms) as files:
        assert sorted(files.listdir("/")) == ["archive", "in", "out"]
        assert sorted(files.listdir("/../../..")) == ["archive", "in", "out"]
        with pytest.raises(OSError):
            files.open("/../records.db")


def _read(files: paramiko.SFTPClient, name: str) -> list[dict[str, str]]:
    with files.open(f"out/{name}") as file, files.open(f"out/{name}.done") as marker:
        text, count = file.read().decode("gbk"), int(marker.read())
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == count
    return rows


def test_files_are_gbk_first_whole_then_changes(platforms: Handles) -> None:
    with sftp(platforms) as files:
        first = sorted(n for n in files.listdir("out") if n.startswith("key_unit_") and n.endswith(".csv"))
        rows = _read(files, first[0])
        assert list(rows[0]) == deqing.header("key_unit")
        assert {r["操作"] for r in rows} == {"新增"}
        assert len(rows) == platforms.world().rows("deqing", "key_unit").height
        done = acts.insert_record(platforms, "deqing")
        acts.edit(platforms, "deqing", "key_unit", done.foreign_key, unit_category="11")
        acts.delete(platforms, "deqing", "key_unit", done.foreign_key)
        names = sorted(n for n in files.listdir("out") if n.startswith("key_unit_") and n.endswith(".csv"))[
            -3:
        ]
        changes = [_read(files, n)[0] for n in names]
    assert [(c["操作"], c["主键"], c["单位类别"]) for c in changes] == [
        ("新增", done.foreign_key, "油库"), ("修改", done.foreign_key, "气库"), ("删除", done.foreign_key, ""),
    ]  # fmt: skip


def test_files_in_are_taken_once_and_set_aside(platforms: Handles) -> None:
    def rows() -> dict[str, tuple[str | None, str | None]]:
        frame = acts.snapshot(platforms, "deqing")["key_unit"]
        return {k: (n, a) for k, n, a in frame.select("_key", "unit_name", "op_address").iter_rows()}

    def put(files: paramiko.SFTPClient, name: str, text: str, *, done: bool = True) -> None:
        with files.open(f"in/{name}.part", "wb") as out:
            out.write(text.encode("gbk"))
        files.posix_rename(f"in/{name}.part", f"in/{name}")
        if done:
            files.open(f"in/{name}.done", "wb").close()

    with sftp(platforms) as files:
        given = len(files.listdir("out"))
        put(
            files,
            "key_unit_2026110100001.csv",
            "主键,操作,单位名称,经营地址\nu-1,新增,甲站,某路1号\nu-2,新增,乙站,\n",
        )
        assert until(lambda: "u-1" in rows() and "u-2" in rows())
        assert rows()["u-2"] == ("乙站", None)
        put(files, "key_unit_2026110100002.csv", "主键,操作,单位名称\nu-1,修改,丙站\nu-2,删除,\n")
        assert until(lambda: "u-2" not in rows())
        assert rows()["u-1"] == ("丙站", "某路1号")  # a column that was not sent stays
        put(files, "key_unit_2026110100003.csv", "主键,操作\nu-1,删除\n", done=False)
        time.sleep(0.5)
        assert "u-1" in rows()
        files.open("in/key_unit_2026110100003.csv.done", "wb").close()
        assert until(lambda: "u-1" not in rows())
        assert until(lambda: files.listdir("in") == ["archive"])
        assert len([n for n in files.listdir("in/archive") if n.startswith("key_unit_20261101")]) == 6
        assert len(files.listdir("out")) == given


# -- 绍兴, tables ----------------------------------------------------------------------------------


def test_tables_stamp_every_write_and_keep_the_deleted(platforms: Handles) -> None:
    done = acts.insert_record(platforms, "shaoxing")
    ask = "SELECT del_flag, updated_at, biz_addr FROM lps_key_unit WHERE id = %s"
    with login(platforms, "shaoxing") as hub:
        one = hub.execute(ask, [done.foreign_key]).fetchone()
        hub.execute("UPDATE lps_key_unit SET biz_addr = '某路2号' WHERE id = %s", [done.foreign_key])
        two = hub.execute(ask, [done.foreign_key]).fetchone()
        acts.delete(platforms, "shaoxing", "key_unit", done.foreign_key)
        three = hub.execute(ask, [done.foreign_key]).fetchone()
    assert one is not None
    assert two is not None
    assert three is not None
    assert one[1] < two[1] < three[1]
    assert (one[0], two[0], three[0]) == ("0", "0", "1")
    assert done.foreign_key not in acts.snapshot(platforms, "shaoxing")["key_unit"]["_key"].to_list()


# -- the nation, an API ---------------------------------------------------------------------------


def test_api_asks_for_a_token(platforms: Handles, nation: Nation) -> None:
    assert requests.get(f"{nation.url}/key_unit/changes", timeout=5).status_code == 401
    form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
    assert requests.post(f"{nation.url}/oauth/token", data=form, timeout=5).status_code == 401


def test_api_answers_the_same_key_with_the_same_bytes(nation: Nation) -> None:
    records = [{"row": 0, "op": "i", "key": None, "record": unit("FL-same")}]
    first = nation.send("key_unit", "same/1", records)
    assert first.status_code == 202
    results = nation.settled(first.json()["receipt"])
    again = nation.send("key_unit", "same/1", [])
    assert (again.status_code, again.content) == (202, first.content)
    assert nation.settled(first.json()["receipt"]) == results
    assert nation.send("key_unit", "", records).status_code == 400
    assert nation.send("nothing", "n/1", records).status_code == 404
    assert nation.send("key_unit", "n/2", [{"op": "i"}]).status_code == 422


def test_api_answers_late_and_by_field(nation: Nation) -> None:
    answer = nation.send("key_unit", "late/1", [
        {"row": 7, "op": "i", "key": None, "record": unit("FL-late")},
        {"row": 9, "op": "i", "key": None, "record": unit("FL-none", opAddress="某镇某路")},
        {"row": 11, "op": "d", "key": None, "record": None},
    ]).json()  # fmt: skip
    assert (answer["status"], answer["results"]) == ("pending", [])
    found = nation.settled(answer["receipt"])
    assert (found[7]["code"], found[7]["key"][:2]) == ("1", "GJ")
    assert found[9]["code"] == "4"
    assert [(f["field"], f["code"]) for f in found[9]["fields"]] == [("opAddress", "4")]
    assert "某镇" not in json.dumps(found, ensure_ascii=False)
    assert found[11]["code"] == "2"
    long = {"reportNo": "R-late", "projectName": "长" * 61}
    refused = nation.put("inspection_report", "late/2", [{"row": 0, "op": "i", "key": None, "record": long}])
    assert [f["field"] for f in refused[0]["fields"]] == ["projectName"]


def test_api_finds_by_either_key_and_writes_what_is_there(platforms: Handles, nation: Nation) -> None:
    key = nation.put(
        "key_unit", "key/1", [{"row": 0, "op": "i", "key": None, "record": unit("FL-key", lon="120.5")}]
    )[0]["key"]
    by_key = nation.put(
        "key_unit", "key/2", [{"row": 0, "op": "u", "key": key, "record": {"unitName": "新名"}}]
    )
    by_code = nation.put(
        "key_unit",
        "key/3",
        [{"row": 0, "op": "u", "key": None, "record": {"unitCode": "FL-key", "crs": "4490"}}],
    )
    assert by_key[0]["key"] == by_code[0]["key"] == key
    held = acts.snapshot(platforms, "national")["key_unit"]
    row = held.filter(held["_key"] == key).row(0, named=True)
    assert (row["unit_name"], row["lon"], row["crs"]) == ("新名", "120.5", "4490")


def test_api_pages_changes_its_own_and_the_hubs(platforms: Handles, nation: Nation) -> None:
    sent = [{"row": i, "op": "i", "key": None, "record": unit(f"FL-page-{i}")} for i in range(5)]
    start = nation.get("key_unit/changes", limit=2000)["cursor"]
    keys = {r["key"] for r in nation.put("key_unit", "page/1", sent).values()}
    seen, cursor, more = [], start, True
    while more:
        page = nation.get("key_unit/changes", cursor=cursor, limit=2)
        seen += page["items"]
        cursor, more = page["cursor"], page["more"]
    assert {i["key"] for i in seen} == keys
    assert len(seen) == 5
    before = acts.writes(platforms, "national")
    nation.put("key_unit", "page/2", sent)
    assert acts.writes(platforms, "national") == before + 1  # the batch alone: no record changed
    assert nation.get("key_unit/changes", cursor=cursor) == {"items": [], "cursor": cursor, "more": False}
    acts.correct(platforms, "key_unit", "FL-page-3", division_code="330624")
    changed = nation.get("key_unit/changes", cursor=cursor)
    assert [(i["op"], i["record"]["divisionCode"]) for i in changed["items"]] == [("u", "330624")]
    nation.put(
        "key_unit", "page/3", [{"row": 0, "op": "d", "key": changed["items"][0]["key"], "record": None}]
    )
    gone = nation.get("key_unit/changes", cursor=changed["cursor"])
    assert [(i["op"], i["record"]) for i in gone["items"]] == [("d", None)]


def test_api_limits_its_callers(postgres_server: str, tmp_path: Path) -> None:
    with running(postgres_server, records=100, share_broken=0.02, folder=tmp_path,
                 options={"national": {"rate": 2, "burst": 3, "delay": 0}}) as handles:  # fmt: skip
        url = secret(handles, "national")["extra"]["url"]
        answers = [requests.get(f"{url}/key_unit/changes", timeout=5) for _ in range(5)]
        assert [a.status_code for a in answers] == [401, 401, 401, 429, 429]
        wait = int(answers[-1].headers["Retry-After"])
        assert 1 <= wait <= 2
        time.sleep(wait)
        assert requests.get(f"{url}/key_unit/changes", timeout=5).status_code == 401


def test_bucket_refills() -> None:
    now = [0.0]
    bucket = Bucket(rate=2, burst=2, clock=lambda: now[0])
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.5]
    now[0] = 0.5
    assert bucket.take() == 0.0
    now[0] = 100.0
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.5]


# -- echo, and the second act ---------------------------------------------------------------------


def test_echo_is_a_setting(postgres_server: str) -> None:
    options = {p: {"echo": True, "seconds": 0.1} for p in ("shengzhou", "deqing")}
    with running(postgres_server, records=100, share_broken=0.02, options=options) as handles:
        with login(handles, "shengzhou") as hub:
            _send_in(hub, [("i", "330000-a", "一")])
            ask = "SELECT cd_operation FROM ex_key_unit_out WHERE cd_id = '330000-a'"
            assert until(lambda: hub.execute(ask).fetchone()) == ("i",)
        with sftp(handles) as files:
            names = files.listdir("out")
            with files.open("in/key_unit_1.csv", "wb") as out:
                out.write("主键,操作,单位名称\nu-1,新增,甲站\n".encode("gbk"))
            files.open("in/key_unit_1.csv.done", "wb").close()
            assert until(lambda: len(files.listdir("out")) == len(names) + 2)


def test_day_of_changes(platforms: Handles, nation: Nation) -> None:
    made = platforms.world()
    codes = [*made.sound("shengzhou", "key_unit")["unit_code"]]
    nation.put(
        "key_unit",
        "day/1",
        [{"row": i, "op": "i", "key": None, "record": unit(c)} for i, c in enumerate(codes)],
    )
    done = acts.day_of_changes(platforms, edits=3, corrections=2, deletes=2)
    assert [(d.platform, d.contract, d.op) for d in done] == (
        [("shengzhou", "key_unit", "u")] * 3 + [("national", "key_unit", "u")] * 4
        + [("deqing", "inspection_report", "d")] * 2
    )  # fmt: skip
    moved = [d for d in done if "division_code" in d.changes]
    assert [d.changes["division_code"] for d in moved] == ["330624", "330521"]
    assert len({d.business_key for d in done}) == len(done)
    broken = {b.foreign_key for b in made.labels} | {r.business_key for r in made.refusals}
    assert not broken & {d.foreign_key for d in done} | broken & {d.business_key for d in done}
    held = acts.snapshot(platforms, "national")["key_unit"]
    own = COLUMNS["national"]["key_unit"]["division_code"]
    assert own == "divisionCode"
    for one in moved:
        row = held.filter(held["unit_code"] == one.business_key)
        assert row["division_code"].to_list() == [one.changes["division_code"]]
