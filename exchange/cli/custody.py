"""Keys of recipients: by id, into a file for their owner, and new ones."""

from __future__ import annotations

from pathlib import Path

from catalog.errors import say
from exchange.cli import opening, partners
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.keys_outputs import KeysExport, KeysList, KeysRotate
from exchange.cli.task import Answer, Sheet
from exchange.cli.words import many, title

PURPOSES = {"recipient": ("密封值", "sealed values"), "pseudonym": ("假名", "pseudonyms")}


def listed(platform: str) -> Answer:
    """The platform's keys; none is made."""
    with opening.opened() as hub:
        partners.known(hub, platform)
        keys = hub.custody.keys(platform)
    columns = (say("密钥标识", "key id"), say("用途", "purpose"), say("自", "since"))
    rows = [(k.id, title(PURPOSES, k.purpose), moment(k.since) if k.since.year > 1970 else "") for k in keys]
    words = [] if rows else [say(f"平台 {platform} 还没有密钥", f"platform {platform} has no key yet")]
    sheets = [Sheet(columns=columns, rows=rows)] if rows else []
    return Answer(output=KeysList(platform=platform, keys=keys), sheets=sheets, words=words)


def export(platform: str, *, out: Path) -> Answer:
    """Write the keys of the platform's sealed values to a new file."""
    with opening.opened() as hub:
        partners.known(hub, platform)
        keys = hub.custody.export(platform, out, by=actor())
    words = say(
        f"已把平台 {platform} 的 {len(keys)} 把密钥写入 {out}: 经可靠的途径交给对方, 然后删除",
        f"{many(len(keys), 'key')} of platform {platform} written to {out}: hand it over by a safe way, then delete it",
    )
    return Answer(output=KeysExport(platform=platform, file=str(out), keys=keys), words=[words])


def rotate(platform: str, *, purpose: str) -> Answer:
    """A new key for the platform from now on."""
    with opening.opened() as hub:
        partners.known(hub, platform)
        made = hub.custody.rotate(platform, purpose, by=actor())
    words = say(
        f"平台 {platform} 的{title(PURPOSES, purpose)}从现在起用密钥 {made}",
        f"{title(PURPOSES, purpose)} of platform {platform} are made under key {made} from now on",
    )
    if purpose == "recipient":
        words += say("; 用 leishu keys export 交给对方", "; hand it over by leishu keys export")
    return Answer(output=KeysRotate(platform=platform, purpose=purpose, key=made), words=[words])
