"""Pauses: a person stops the exchange with a platform for a while, and lets it go on."""

from __future__ import annotations

from catalog.errors import say
from exchange.cli import opening, outputs, partners
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.given import instant
from exchange.cli.task import Answer, Code


def pause(platform: str, *, until: str | None, reason: str) -> Answer:
    """Pause the platform until then, or until somebody resumes."""
    end = None if until is None else instant("--until", until)
    with opening.opened() as hub:
        partners.known(hub, platform)
        id = hub.pauses.pause(platform, until=end, reason=reason, by=actor())
    to = (
        say("到有人恢复为止", "until somebody resumes")
        if end is None
        else say(f"至 {moment(end)}", f"until {moment(end)}")
    )
    return Answer(
        output=outputs.Pause(platform=platform, id=id, until=end),
        words=[say(f"已暂停平台 {platform}, {to}", f"platform {platform} is paused {to}")],
    )


def resume(platform: str) -> Answer:
    """End the platform's pauses; its declared windows still hold. Exit code 1 where there was none."""
    with opening.opened() as hub:
        partners.known(hub, platform)
        ended = hub.pauses.resume(platform, by=actor())
        why = hub.pauses.shut().get(platform)
    said = [
        say(f"已结束平台 {platform} 的 {ended} 次暂停", f"{ended} pauses of platform {platform} ended")
        if ended
        else say(f"平台 {platform} 没有被暂停", f"platform {platform} was not paused")
    ]
    if why is not None:
        said.append(say(f"仍不能调用: {why.zh}", f"it may not be called yet: {why.en}"))
    return Answer(
        output=outputs.Resume(platform=platform, ended=ended),
        words=said,
        code=Code.DONE if ended else Code.FINDING,
    )
