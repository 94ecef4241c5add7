"""The demonstration: real components on their own schedules, watched from outside.

It starts processes, enters one act of changes at the platforms, and reads the hub's views. It triggers
no run: what moves the records is what would move them in use.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from catalog.errors import Refused, say
from demo import acts, world
from demo.handles import Handles
from demo.report import show
from exchange import embedded
from exchange.airflow import services
from exchange.hub import Hub
from exchange.settings import Settings

ACTS = ("load", "changes")


@dataclass(kw_only=True)
class Progress:
    """What has happened in this home so far; kept beside its databases."""

    path: Path
    seconds: dict[str, float] = field(default_factory=dict)  # by act, measured when it first ran
    done: list[dict[str, object]] = field(default_factory=list)  # the changes that were entered

    @classmethod
    def read(cls, path: Path) -> Progress:
        data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return cls(path=path, **data)

    def write(self) -> None:
        text = json.dumps({"seconds": self.seconds, "done": self.done}, ensure_ascii=False)
        self.path.write_text(text, encoding="utf-8")


def tell(zh: str, en: str) -> None:
    """A line of progress, on standard error."""
    print(f"{datetime.now():%H:%M:%S} {say(zh, en)}", file=sys.stderr, flush=True)  # noqa: DTZ005


@contextmanager
def step(zh: str, en: str) -> Iterator[None]:
    began = time.monotonic()
    tell(f"{zh} …", f"{en} …")
    yield
    tell(f"{zh}: {time.monotonic() - began:.1f} 秒", f"{en}: {time.monotonic() - began:.1f} s")


def demo(records: int, timeout: float) -> int:
    """0 where every equation closes and every delivery is settled, else 1."""
    began = time.monotonic()
    settings = Settings.read()
    settings.var.mkdir(parents=True, exist_ok=True)
    _start_anew_if(settings, records)
    progress = Progress.read(settings.var / "demo.json")
    with step("启动数据库", "starting the database"):
        admin = os.environ.get("LEISHU_DATABASE_URL") or embedded.start(settings.var / "postgres").url()
    with step("启动四个平台(嵊州、德清、绍兴、国家)", "starting the four platforms"):
        handles = world.start(settings.var / "platforms", admin, records=records)
    with Hub.open(settings) as hub:
        problems = hub.problems()
        for problem in problems:
            print(problem, file=sys.stderr)
        hub.init()
        with step("启动 Airflow", "starting Airflow"):
            services.start(settings)
            services.wait_healthy(settings)
        if "load" not in progress.seconds:
            progress.seconds["load"] = _until_quiet(
                hub, datetime.now(UTC), timeout, "首次归集与下发", "the first load"
            )
            progress.write()
        if "changes" not in progress.seconds:
            since = datetime.now(UTC)
            made = acts.day_of_changes(handles)
            progress.done = [{k: v for k, v in asdict(d).items() if k != "changes"} for d in made]
            tell(f"已在平台上改动 {len(made)} 条记录(县级修改、国家更正、删除)",
                 f"{len(made)} records changed at the platforms (county edits, national corrections, deletes)")  # fmt: skip
            progress.seconds["changes"] = _until_quiet(hub, since, timeout, "变更互通", "the changes")
            progress.write()
        else:
            _until_quiet(hub, datetime.now(UTC), timeout, "核对没有新的变化", "seeing that nothing changed")
        code = show(hub, handles, settings, progress.seconds, progress.done)
    tell(f"共 {time.monotonic() - began:.0f} 秒", f"{time.monotonic() - began:.0f} s in all")
    return code if not problems else 1


def stop() -> int:
    """End Airflow, the platforms and the embedded database of this home."""
    settings = Settings.read()
    services.stop(settings)
    world.stop(settings.var / "platforms")
    embedded.stop(settings.var / "postgres")
    tell("已全部停止; 数据留在 " + str(settings.var), "all stopped; the data stay in " + str(settings.var))
    return 0


def _start_anew_if(settings: Settings, records: int) -> None:
    """Another number of records is another demonstration: its databases and keys are made anew."""
    try:
        handles = Handles.read(settings.var / "platforms")
    except FileNotFoundError:
        return
    if handles.records == records:
        return
    if os.environ.get("LEISHU_DATABASE_URL"):
        raise Refused(
            f"这里已有 {handles.records} 条记录的示范; 在自备数据库上先清空它的库再换 RECORDS",
            f"a demonstration of {handles.records} records stands here: empty your own database first",
        )
    tell(f"RECORDS 由 {handles.records} 改为 {records}: 清空示范数据, 重新开始",
         f"RECORDS was {handles.records}, now {records}: the demonstration starts anew")  # fmt: skip
    stop()
    embedded.erase(settings.var / "postgres")
    for name in ("airflow", "keys", "staging", "witness", "credentials", "platforms", "demo.json"):
        path = settings.var / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _until_quiet(hub: Hub, since: datetime, timeout: float, zh: str, en: str) -> float:
    """Seconds until every collect has run since then and nothing waits: to be closed, sent or answered."""
    began, shown = time.monotonic(), ""
    collects = set(hub.routes("collect"))
    while True:
        states = hub.status()
        fresh = {
            s.route
            for s in states
            if s.route in collects and s.started_at and s.ended_at and s.ended_at >= s.started_at > since
        }
        waiting, pending = sum(s.waiting for s in states), sum(s.pending for s in states)
        behind = len(hub.due("share")) + len(hub.due("settle"))
        failing = [s for s in states if s.outcome not in (None, "done")]
        line = say(
            f"{zh}: 归集 {len(fresh)}/{len(collects)}, 在途批次 {waiting}, 待发任务 {behind}, 待回执 {pending} 行",
            f"{en}: collected {len(fresh)}/{len(collects)}, batches on their way {waiting}, routes to send {behind}, "
            f"rows to be answered {pending}",
        )
        if line != shown:
            print(f"{datetime.now():%H:%M:%S}   {line}", file=sys.stderr, flush=True)  # noqa: DTZ005
            shown = line
        if fresh == collects and not (waiting or pending or behind):
            seconds = time.monotonic() - began
            tell(f"{zh}: {seconds:.0f} 秒", f"{en}: {seconds:.0f} s")
            return seconds
        if time.monotonic() - began > timeout:
            for state in failing:
                words = state.words or {}
                tell(
                    f"{state.route}: {words.get('zh', state.outcome)}",
                    f"{state.route}: {words.get('en', state.outcome)}",
                )
            tell("等不到全部结清, 先显示现状", "not all has settled in time: this is how it stands")
            return time.monotonic() - began
        time.sleep(1.0)
