"""Words: what states, outcomes and terms are called in front of people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from catalog.errors import say
from exchange import noticewords

Titles = Mapping[str, tuple[str, str]]

TERMS: Titles = MappingProxyType({
    "read": ("读取", "read"),
    "registered": ("登记", "registered"),
    "unchanged": ("无变化", "unchanged"),
    "echoed": ("回声", "echoed"),
    "superseded": ("被取代", "superseded"),
    "conflicted": ("冲突", "conflicted"),
    "quarantined": ("隔离", "quarantined"),
    "selected": ("选出", "selected"),
    "delivered": ("送达", "delivered"),
    "held": ("暂缓", "held"),
    "withheld": ("预校验扣留", "withheld"),
    "refused": ("当场拒收", "refused"),
    "accepted": ("接收", "accepted"),
    "refused_later": ("事后拒收", "refused later"),
    "pending": ("待回执", "pending"),
})  # fmt: skip
DIRECTIONS: Titles = MappingProxyType({
    "collect": ("归集", "collect"), "up": ("上报", "up"), "down": ("下发", "down"), "across": ("提供", "across"),
    "rule": ("裁定", "decision"),
})  # fmt: skip
STATES: Titles = MappingProxyType({
    "staged": ("已暂存", "staged"),
    "blocked": ("受阻", "blocked"),
    "closed": ("已办结", "closed"),
    "set_aside": ("已搁置", "set aside"),
    "sending": ("发送中", "sending"),
    "delivered": ("已送达", "delivered"),
    "settled": ("已结清", "settled"),
    "refused": ("被拒", "refused"),
    "cancelled": ("已取消", "cancelled"),
    "open": ("待办", "open"),
    "repaired": ("待批准", "repaired"),
    "approved": ("待重推", "approved"),
    "returned": ("已退回", "returned"),
    "replaying": ("重推中", "replaying"),
    "replayed": ("已重推", "replayed"),
    "discarded": ("已作废", "discarded"),
    "done": ("已办结", "done"),
    "lifted": ("已解除", "lifted"),
})  # fmt: skip
OUTCOMES: Titles = MappingProxyType({
    "done": ("完成", "done"),
    "unavailable": ("对方无应答", "unavailable"),
    "refused": ("对方拒绝", "refused"),
    "unreadable": ("无法读取", "unreadable"),
    "not_authorised": ("未授权", "not authorised"),
    "blocked": ("受阻", "blocked"),
    "lease_lost": ("他处在运行", "runs elsewhere"),
    "ledger": ("日志断链", "ledger broken"),
    "declaration": ("声明有误", "declaration wrong"),
    "disabled": ("已停用", "disabled"),
})  # fmt: skip
REVISIONS: Titles = MappingProxyType({
    "proposed": ("待批准", "proposed"), "approved": ("已批准", "approved"), "declined": ("已驳回", "declined"),
    "superseded": ("被后一次取代", "superseded"),
})  # fmt: skip
EVENTS: Titles = MappingProxyType({
    "entered": ("登记", "entered"),
    "waiting": ("待发", "waiting"),
    "sent": ("已发出", "sent"),
    "accepted": ("对方接收", "accepted"),
    "refused": ("对方拒收", "refused"),
    "unchanged": ("无变化", "unchanged"),
    "echoed": ("回声", "echoed"),
    "superseded": ("被取代", "superseded"),
    "merged": ("部分采纳", "taken in part"),
    "conflicted": ("冲突", "conflicted"),
    "cancelled": ("已取消", "cancelled"),
})  # fmt: skip
COPIES: Titles = MappingProxyType({
    "held": ("持有", "held"),
    "withdrawn": ("已撤回", "withdrawn"),
    "stale": ("待更新", "stale"),
    "maybe": ("未知", "unknown"),
    "conflicted": ("冲突", "conflicted"),
    "refused": ("拒收", "refused"),
})  # fmt: skip
OPERATIONS: Titles = MappingProxyType(
    {"i": ("新增", "insert"), "u": ("修改", "update"), "d": ("删除", "delete")}
)
DECISIONS: Titles = MappingProxyType({
    "sent": ("发送", "sent"), "masked": ("脱敏", "masked"), "withheld": ("不发", "withheld"),
})  # fmt: skip
LEVELS: Titles = MappingProxyType({
    "national": ("国家", "national"), "provincial": ("省级", "provincial"), "municipal": ("市级", "municipal"),
    "county": ("县级", "county"), "peer": ("同级部门", "peer"),
})  # fmt: skip
CASES: Titles = MappingProxyType({
    "quarantine": ("问题数据", "quarantine"),
    "conflict": ("冲突", "conflict"),
    "loop": ("循环", "loop"),
    "set_aside": ("搁置的文件", "set aside"),
    "blocked": ("受阻的批次", "blocked"),
    "withheld": ("预校验扣留", "withheld"),
    "refused": ("对方拒收", "refused"),
    "difference": ("核对差异", "difference"),
    "unanswered": ("逾期未答复", "unanswered"),
    "lag": ("滞后超限", "lag over its bound"),
    "recall": ("撤回未办结", "recall not done"),
    "dispute": ("校核待办", "dispute"),
    "agreement": ("授权申请待答复", "application to be answered"),
    "supplement": ("授权申请待补正", "application to be completed"),
    "provision": ("同意共享待提供", "consented data to be provided"),
    "expiry": ("共享授权将到期", "agreement about to end"),
    "drift": ("来件有未声明的内容", "undeclared content"),
    "ceiling": ("授权数量用完", "volume used up"),
    "gate": ("待放行的批次", "waits for a release"),
    "finding": ("疑点线索", "finding"),
    "stored": ("归集库内不合规则的记录", "records that break rules at rest"),
    "score": ("评分异议", "dispute of a mark"),
    "anomaly": ("异常波动", "anomaly"),
})  # fmt: skip
LETTERS: Titles = MappingProxyType({
    "application": ("申请函", "application"), "notice": ("补正告知函", "notice of missing materials"),
    "consent": ("同意共享的复函", "consent"), "refusal": ("不同意共享的复函", "refusal"),
})  # fmt: skip
STAGES: Titles = MappingProxyType({
    "collection": ("采集", "collection"), "storage": ("存储", "storage"), "processing": ("加工", "processing"),
    "use": ("使用", "use"), "maintenance": ("维护", "maintenance"),
})  # fmt: skip
SEVERITIES: Titles = MappingProxyType({
    "error": ("退回", "error"), "block": ("阻断", "block"), "warn": ("提示", "warn"),
})  # fmt: skip
SCORE_DISPUTES: Titles = MappingProxyType({
    "open": ("待答复", "open"), "upheld": ("成立", "upheld"), "declined": ("不成立", "declined"),
})  # fmt: skip
FINDINGS: Titles = MappingProxyType({
    "lead": ("疑点", "lead"), "evidence": ("取证", "evidence"), "rectification": ("整改", "rectification"),
    "closed": ("销号", "closed"), "dismissed": ("排除", "dismissed"), "gone": ("已消除", "gone"),
})  # fmt: skip
FINDING_STEPS: Titles = MappingProxyType({
    "evidence": ("取证", "evidence"), "rectify": ("整改", "rectify"), "close": ("销号", "close"),
    "dismiss": ("排除", "dismiss"),
})  # fmt: skip
MEASURES: Titles = noticewords.MEASURES
NOTICES: Titles = MappingProxyType({
    "waiting": ("待发", "waiting"), "over": ("超出限额, 待合并", "over the limit"), "gathered": ("已合并", "gathered"),
    "sent": ("已发出", "sent"), "failed": ("已放弃", "given up"),
})  # fmt: skip
NOTICE_KINDS: Titles = MappingProxyType({
    "gate": ("受阻的批次", "blocked batch"), "score": ("评分", "mark"), "anomaly": ("异常波动", "anomaly"),
    "digest": ("合并的通知", "digest"),
})  # fmt: skip
ANOMALIES: Titles = MappingProxyType(
    {"open": ("待说明", "to be explained"), "closed": ("已说明", "explained")}
)
DISPUTES: Titles = MappingProxyType({
    "open": ("待答复", "to be answered"), "upheld": ("维持", "stands"), "corrected": ("已更正, 送达中", "corrected, on its way"),
    "done": ("已更正", "corrected"),
})  # fmt: skip
BACKFILLS: Titles = MappingProxyType({
    "waiting": ("待做", "waiting"), "running": ("进行中", "running"), "failed": ("有失败", "failed"), "done": ("完成", "done"),
    "stopped": ("已停止", "stopped"),
})  # fmt: skip
CHOICES: Titles = MappingProxyType({
    "register": ("取归集库", "the register's"),
    "sender": ("取另一方", "the platform's"),
    "apart": ("各自保留", "each its own"),
    "value": ("另给", "another value"),
    "gone": ("已自行一致", "they agree again"),
})  # fmt: skip
MODES: Titles = MappingProxyType({"withdraw": ("撤回", "withdraw"), "amend": ("更正后重送", "amend")})
FOLLOWED: Titles = MappingProxyType({
    "asked": ("待发", "to be sent"),
    "sent": ("待回执", "sent"),
    "accepted": ("对方接收", "accepted"),
    "refused": ("对方拒收", "refused"),
    "unreachable": ("未能送达", "unreachable"),
    "withdrawn": ("此前已撤回", "withdrawn before"),
    "own": ("自己的记录", "its own"),
})  # fmt: skip


def seconds(count: int | None) -> str:
    """A span in its largest two units; a dash for none."""
    if count is None:
        return "-"
    units = (("天", "d", 86_400), ("时", "h", 3_600), ("分", "min", 60), ("秒", "s", 1))
    first = next((i for i, u in enumerate(units) if count >= u[2]), 3)
    parts: list[str] = []
    for zh, en, size in units[first : first + 2]:
        n, count = divmod(count, size)
        if n or not parts:
            parts.append(say(f"{n}{zh}", f"{n} {en}"))
    return say("", " ").join(parts)


def title(names: Titles, key: str | None) -> str:
    """What it is called; a name that has no title is its own."""
    if not key:
        return "-"
    return say(*names[key]) if key in names else key


def _sum(counts: Mapping[str, int], whole: str, parts: tuple[str, ...]) -> str:
    terms = [f"{title(TERMS, p)} {counts[p]}" for p in parts if counts.get(p)]
    return f"{title(TERMS, whole)} {counts.get(whole, 0)}" + (" = " + " + ".join(terms) if terms else "")


def equation(counts: Mapping[str, int], direction: str) -> str:
    """The terms as the equation that must close; empty where nothing is counted yet."""
    if not counts:
        return ""
    if direction == "collect":
        return _sum(
            counts, "read", ("registered", "unchanged", "echoed", "superseded", "conflicted", "quarantined")
        )
    text = _sum(counts, "selected", ("delivered", "held", "withheld", "refused"))
    if counts.get("delivered"):
        text += "; " + _sum(counts, "delivered", ("accepted", "refused_later", "pending"))
    return text


def yes(value: bool) -> str:
    return say("是", "yes") if value else say("否", "no")


def many(count: int, one: str) -> str:
    """An English count with its noun."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


RELATIONS: Titles = MappingProxyType({
    "same": ("同一主体", "one subject"), "succeeds": ("后者承继前者", "the second succeeds the first"),
    "concerns": ("后者涉及前者", "the second concerns the first"),
})  # fmt: skip
LINKS: Titles = MappingProxyType({
    "proposed": ("待决定", "proposed"), "accepted": ("已认定", "accepted"), "declined": ("不认定", "declined"),
    "gone": ("依据已无", "gone"),
})  # fmt: skip
EVIDENCE: Titles = MappingProxyType({
    "org_code": ("组织机构代码", "organisation code"), "reg_no": ("注册号", "registration number"),
    "person_token": ("证件号码相同", "one ID number"), "same_name": ("同县同名", "one name in one county"),
    "former_name": ("曾用名", "a former name"), "similar_name": ("同址名称相近", "similar names at one address"),
})  # fmt: skip
STANDINGS: Titles = MappingProxyType({
    "carried": ("随记录而来", "carried"), "provisional": ("暂编", "provisional"), "replaced": ("暂编, 已有国家码", "replaced"),
})  # fmt: skip
KIN: Titles = MappingProxyType({
    "branch": ("分支机构", "branch"), "parent": ("总机构", "parent"), "predecessor": ("前身", "predecessor"),
    "successor": ("承继者", "successor"),
})  # fmt: skip
ROLES: Titles = MappingProxyType({
    "self": ("本体", "itself"), "unit": ("受检或受监管单位", "unit"), "institution": ("检测机构", "institution"),
    "person": ("人员", "person"), "client": ("委托单位", "client"), "counterparty": ("行政相对人", "counterparty"),
    "reference": ("经由所属记录", "by a record that belongs"), "applicant": ("申请单位", "applicant"),
})  # fmt: skip
CODES: Titles = MappingProxyType({"person_token": ("身份标识", "person's token")})
KINDS: Titles = MappingProxyType({
    "unit": ("单位", "unit"), "institution": ("检测机构", "institution"), "person": ("人员", "person"), "site": ("场所", "site"),
})  # fmt: skip
