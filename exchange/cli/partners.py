"""Platforms: those that are declared, one in full, and the test of its connection."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import opening, outputs, words
from exchange.cli.overview import routes_sheet
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import title

if TYPE_CHECKING:
    from catalog.platform import Platform
    from exchange.hub import Hub


def known(hub: Hub, platform: str) -> Platform:
    """The declared platform; WrongUse where there is none of that name."""
    there: dict[str, Platform] = {p.id: p for p in hub.platforms()}
    if platform not in there:
        near = get_close_matches(platform, there, n=1)
        zh, en = (f"; 是不是 {near[0]}", f"; did you mean {near[0]}") if near else (
            "; 执行 leishu platforms list 看有哪些", "; leishu platforms list names them")  # fmt: skip
        raise WrongUse(f"没有可用的平台 {platform}{zh}", f"there is no sound platform {platform}{en}")
    return there[platform]


def route(hub: Hub, route: str) -> str:
    """The sound route; WrongUse where there is none of that name."""
    there = [*hub.routes("collect"), *hub.routes("share")]
    if route not in there:
        near = get_close_matches(route, there, n=1)
        zh, en = (f"; 是不是 {near[0]}", f"; did you mean {near[0]}") if near else ("", "")
        raise WrongUse(f"没有可用的交换任务 {route}{zh}", f"there is no sound route {route}{en}")
    return route


def _row(p: Platform) -> outputs.PlatformRow:
    return outputs.PlatformRow(
        id=p.id, title=p.title, title_en=p.title_en, level=p.level, division=p.division, department=p.department,
        kind=p.connector.kind, time_zone=p.time_zone,
    )  # fmt: skip


def _sheet(rows: list[outputs.PlatformRow]) -> Sheet:
    return Sheet(
        columns=(say("平台", "platform"), say("名称", "title"), say("层级", "level"), say("区划", "division"),
                 say("接入方式", "connector")),
        rows=[(r.id, say(r.title, r.title_en or r.title), title(words.LEVELS, r.level), r.division, r.kind) for r in rows],
    )  # fmt: skip


def listed() -> Answer:
    """Every declared platform."""
    with opening.opened() as hub:
        rows = [_row(p) for p in sorted(hub.platforms(), key=lambda p: str(p.id))]
    return Answer(
        output=outputs.PlatformsList(platforms=rows),
        sheets=[_sheet(rows)] if rows else [],
        words=[] if rows else [say("没有声明平台", "no platforms are declared")],
    )


def shown(platform: str) -> Answer:
    """One platform: its connector's settings, and how its routes stand."""
    with opening.opened() as hub:
        found = known(hub, platform)
        routes = [s for s in hub.status() if s.platform == platform]
    row, connector = _row(found), found.connector
    settings = Sheet(
        title=say("接入设置", "Settings"),
        columns=(say("设置", "setting"), say("值", "value")),
        rows=[
            (say("凭据名", "credential"), connector.credential or "-"),
            *((k, v if isinstance(v, str) else str(v)) for k, v in connector.settings.items()),
        ],
    )
    return Answer(
        output=outputs.PlatformsShow(
            platform=row, credential=connector.credential, settings=connector.settings, routes=routes
        ),
        sheets=[_sheet([row]), settings, *([routes_sheet(routes)] if routes else [])],
    )


def tested(platform: str) -> Answer:
    """Test the platform's connection step by step; exit code 3 where a step fails."""
    with opening.opened() as hub:
        known(hub, platform)
        steps = list(hub.test(platform))
    ok = all(s.ok for s in steps)
    sheet = Sheet(
        columns=(say("步骤", "step"), say("通过", "passed"), say("说明", "words")),
        rows=[(say(s.name, s.name_en), words.yes(s.ok), say(s.zh, s.en)) for s in steps],
    )
    return Answer(
        output=outputs.PlatformsTest(platform=platform, ok=ok, steps=steps),
        sheets=[sheet],
        words=[say(f"平台 {platform} 可用", f"platform {platform} can be used") if ok else
               say(f"平台 {platform} 接不通, 按说明处理后再试", f"platform {platform} cannot be used yet: do as the words say, test again")],
        code=Code.DONE if ok else Code.UNAVAILABLE,
    )  # fmt: skip
