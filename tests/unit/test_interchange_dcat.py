"""The catalog as JSON-LD, read by another's reader; contracts as the text of a standard."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pytest
from rdflib import DCAT, DCTERMS, RDF, Graph, Literal, URIRef

from catalog.interchange import dcat, standard
from exchange import declarations, documents
from exchange.declarations import Declarations
from exchange.settings import ROOT
from tests.contracts import SHIPPED

AT = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)  # the next day in Asia/Shanghai
DAY = date(2026, 3, 2)


@pytest.fixture(scope="module")
def declared() -> Declarations:
    return declarations.read(ROOT / "demo")


@pytest.fixture(scope="module")
def graph(declared: Declarations) -> Graph:
    (made,) = documents.written("dcat", declared, [], AT)
    assert made.name == f"{declared.node.id}.dcat.jsonld"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib against itself
        return Graph().parse(data=made.content.decode(), format="json-ld")


def test_every_entry_is_a_dataset_with_what_the_guide_asks_for(graph: Graph, declared: Declarations) -> None:
    datasets = set(graph.subjects(RDF.type, DCAT.Dataset))
    assert {str(d) for d in datasets} >= {f"urn:leishu:entry:{e}" for e in declared.entries}
    (catalog,) = graph.subjects(RDF.type, DCAT.Catalog)
    for entry in declared.entries.values():
        node = URIRef(f"urn:leishu:entry:{entry.id}")
        assert (catalog, DCAT.dataset, node) in graph
        assert Literal(entry.title, lang="zh") in set(graph.objects(node, DCTERMS.title))
        assert Literal(entry.title_en, lang="en") in set(graph.objects(node, DCTERMS.title))
        assert str(graph.value(node, DCTERMS.identifier)) == entry.code
        assert str(graph.value(node, DCTERMS.publisher)) == f"urn:leishu:uscc:{entry.provider_uscc}"
        assert str(graph.value(node, DCTERMS.conformsTo)) == f"urn:leishu:contract:{entry.contract}"
        assert str(graph.value(node, DCTERMS.spatial)) == f"urn:leishu:division:{entry.scope.subtree}"
        assert graph.value(node, DCTERMS.issued).toPython() == entry.published_at  # type: ignore[union-attr]
        assert len(set(graph.objects(node, DCAT.distribution))) == len(entry.method)


def test_rights_and_periodicity_come_from_the_code_tables(graph: Graph, declared: Declarations) -> None:
    for entry in declared.entries.values():
        node = URIRef(f"urn:leishu:entry:{entry.id}")
        code = {"unconditional": "1", "conditional": "2", "none": "3"}[entry.share_type]
        assert str(graph.value(node, DCTERMS.accessRights)) == f"urn:leishu:code:CT_SHARE:{code}"
        frequency = str(graph.value(node, DCTERMS.accrualPeriodicity))
        theirs = declared.codes.canonical("CT_CYCLE", dcat.FREQUENCY, DAY)
        assert theirs[frequency.rpartition("/")[2]] == entry.cycle


def test_nothing_of_it_is_looked_up_elsewhere(declared: Declarations) -> None:
    (made,) = documents.written("dcat", declared, ["key_unit"], AT)
    data = json.loads(made.content)
    assert isinstance(data["@context"], dict)
    assert [d["@id"] for d in data["dcat:dataset"]] == ["urn:leishu:entry:key_unit"]
    assert data["dct:issued"]["@value"] == "2026-03-02"


class Cells(HTMLParser):
    """The texts of the page's table cells; an unbalanced page fails."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


@pytest.mark.parametrize("id", ["rectification", "admin_decision", "inspection_personnel"])
def test_the_text_of_a_standard_has_its_parts(id: str, declared: Declarations) -> None:
    contract = SHIPPED[id]
    page = standard.rendered(contract, declared.contracts, declared.codes, DAY)
    reader = Cells()
    reader.feed(page)
    assert reader.open == []
    for part in ("1 范围", "2 规范性引用文件", "3 术语", "4 信息项", "5 代码表", "6 引用关系", "7 版本"):
        assert part in page
    for field in contract.fields:
        assert {field.name, field.title, field.sensitivity} <= set(reader.cells)
        for code in declared.codes.titles(field.code_table) if field.code_table else ():
            assert code in reader.cells
    for link in contract.references:
        assert {link.contract, SHIPPED[link.contract].title} <= set(reader.cells)
    assert "GB/T 2260 中华人民共和国行政区划代码" in page


def test_the_text_of_a_standard_says_who_refers_to_it_and_the_codes_of_several() -> None:
    codes = declarations.codes_of(ROOT / "demo")[0]
    assert codes is not None
    page = standard.rendered(SHIPPED["hazard"], SHIPPED, codes, DAY)
    assert "rectification" in page
    page = standard.rendered(SHIPPED["admin_decision"], SHIPPED, codes, DAY)
    assert "CT_PENALTY" in page
