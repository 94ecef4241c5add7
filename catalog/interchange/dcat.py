"""The catalog as DCAT 3 (W3C Recommendation, 2024), JSON-LD with its context inside.

An entry is a dataset, a method of sharing a distribution, the contract the standard that it conforms to.
Access rights are the catalog's own share types: what any department may have is not yet public, so no
vocabulary of public access would be true of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.divisions import Divisions
from catalog.entry import OURS, Entry

FREQUENCY = "EU-frequency"  # scheme of CT_CYCLE: the EU Publications Office's codes, as DCAT-AP uses them
_FREQUENCIES = "http://publications.europa.eu/resource/authority/frequency/"
_WORDS = {
    "dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/",
    "skos": "http://www.w3.org/2004/02/skos/core#", "vcard": "http://www.w3.org/2006/vcard/ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#", "xsd": "http://www.w3.org/2001/XMLSchema#",
    "adms": "http://www.w3.org/ns/adms#",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """Whose catalog it is."""

    id: str  # of the node
    title: str
    title_en: str
    division: str  # six digits


def written(
    publisher: Publisher, entries: Iterable[Entry], contracts: Mapping[str, Contract], codes: CodeTables,
    divisions: Divisions, at: date,
) -> str:  # fmt: skip
    """The catalog as JSON-LD; ``entries`` as they are loaded, codes as of ``at``."""
    made: dict[str, Any] = {
        "@context": {**_WORDS, "@language": "zh"},
        "@id": f"urn:{OURS}:catalog:{publisher.id}",
        "@type": "dcat:Catalog",
        "dct:title": _spoken(publisher.title, publisher.title_en),
        "dct:publisher": {"@id": f"urn:{OURS}:node:{publisher.id}", "@type": "foaf:Organization",
                          "foaf:name": _spoken(publisher.title, publisher.title_en)},
        "dct:spatial": _place(publisher.division, divisions),
        "dct:issued": _day(at),
        "dcat:dataset": [_dataset(e, contracts.get(e.contract), codes, divisions, at) for e in entries],
    }  # fmt: skip
    return json.dumps(made, ensure_ascii=False, indent=2) + "\n"


def _dataset(
    entry: Entry, contract: Contract | None, codes: CodeTables, divisions: Divisions, at: date
) -> dict[str, Any]:
    rights = _share(entry.share_type, codes, at)
    made: dict[str, Any] = {
        "@id": f"urn:{OURS}:entry:{entry.id}",
        "@type": "dcat:Dataset",
        "dct:identifier": _plain(entry.code),
        "dcat:version": _plain(entry.version),
        "dct:title": _spoken(entry.title, entry.title_en),
        "dct:description": entry.summary,
        "dct:publisher": _organisation(entry.provider, entry.provider_uscc),
        "dct:issued": _day(entry.published_at),
        "dct:accrualPeriodicity": _cycle(entry.cycle, codes, at),
        "dcat:theme": {"@id": f"urn:{OURS}:entry:{entry.id}:theme", "@type": "skos:Concept", "skos:prefLabel": entry.category},
        "dct:spatial": _place(entry.scope.subtree, divisions),
        "dct:accessRights": rights,
        "adms:status": _code("CT_CAT_STATE", entry.state, codes),
        "dcat:distribution": [_distribution(entry, m, i, rights, codes) for i, m in enumerate(entry.method)],
    }  # fmt: skip
    terms = [entry.share_condition, *(_law(b) for b in entry.legal_basis)]
    if any(terms):
        made["dct:rights"] = {"@type": "dct:RightsStatement", "rdfs:label": "; ".join(t for t in terms if t)}
    if entry.related_codes:
        made["dct:relation"] = [
            {"@type": "dcat:Dataset", "dct:identifier": _plain(c)} for c in entry.related_codes
        ]
    if entry.dispute_contact is not None:
        who = {"@type": "vcard:Organization", "vcard:fn": entry.dispute_contact.department}
        if entry.dispute_contact.phone:
            who["vcard:tel"] = entry.dispute_contact.phone
        made["dcat:contactPoint"] = who
    if contract is not None:
        made["dct:conformsTo"] = {
            "@id": f"urn:{OURS}:contract:{contract.id}", "@type": "dct:Standard", "dcat:version": _plain(contract.version),
            "dct:identifier": _plain(contract.id), "dct:title": _spoken(contract.title, contract.title_en),
        }  # fmt: skip
    return made


def _distribution(entry: Entry, method: str, place: int, rights: Any, codes: CodeTables) -> dict[str, Any]:
    return {
        "@id": f"urn:{OURS}:entry:{entry.id}:distribution:{place + 1}",
        "@type": "dcat:Distribution",
        "dct:title": _title("CT_METHOD", method, codes),
        "dct:description": " / ".join(t for t in (_title("CT_NET", entry.channel.net, codes), entry.channel.node) if t),
        "dct:format": {"@type": "dct:MediaTypeOrExtent", "rdfs:label": entry.format},
        "dct:accessRights": rights,
    }  # fmt: skip


def _law(basis: Any) -> str:
    return f"《{basis.title}》" + "".join((f"({basis.number})" if basis.number else "", basis.article))


def _spoken(zh: str, en: str) -> Any:
    return [zh, {"@value": en, "@language": "en"}] if en else zh


def _plain(text: str) -> dict[str, Any]:
    return {"@value": text, "@type": "xsd:string"}  # a code is of no language


def _day(day: date) -> dict[str, str]:
    return {"@value": day.isoformat(), "@type": "xsd:date"}


def _organisation(name: str, uscc: str) -> dict[str, Any]:
    return {
        "@id": f"urn:{OURS}:uscc:{uscc}",
        "@type": "foaf:Organization",
        "foaf:name": name,
        "dct:identifier": _plain(uscc),
    }


def _place(division: str, divisions: Divisions) -> dict[str, Any]:
    title = "全国" if division == "000000" else divisions.title(division)
    named = {"skos:prefLabel": title} if title else {}
    return {
        "@id": f"urn:{OURS}:division:{division}",
        "@type": "dct:Location",
        "dct:identifier": _plain(division),
        **named,
    }


def _title(table: str, code: str, codes: CodeTables) -> str:
    return codes.titles(table).get(code, code)


def _code(table: str, code: str, codes: CodeTables) -> dict[str, Any]:
    return {"@id": f"urn:{OURS}:code:{table}:{code}", "@type": "skos:Concept", "skos:notation": _plain(code),
            "skos:prefLabel": _title(table, code, codes)}  # fmt: skip


def _cycle(code: str, codes: CodeTables, at: date) -> dict[str, Any]:
    theirs = {ours: word for word, ours in codes.canonical("CT_CYCLE", FREQUENCY, at).items()}
    if code in theirs:
        return {
            "@id": _FREQUENCIES + theirs[code],
            "@type": "dct:Frequency",
            "rdfs:label": _title("CT_CYCLE", code, codes),
        }
    return {**_code("CT_CYCLE", code, codes), "@type": "dct:Frequency"}


def _share(word: str, codes: CodeTables, at: date) -> dict[str, Any]:
    """The share type by the table's own code; an unknown one says no more than that."""
    code = codes.canonical("CT_SHARE", OURS, at).get(word, word)
    return {"@id": f"urn:{OURS}:code:CT_SHARE:{code}", "@type": "dct:RightsStatement",
            "rdfs:label": _title("CT_SHARE", code, codes)}  # fmt: skip
