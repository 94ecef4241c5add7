"""What a platform was sent masked is not collected from it: said when declarations load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from exchange import declarations
from tests import sites

LON = {"name": "lon", "title": "经度", "title_en": "Longitude", "type": "decimal", "precision": 9, "scale": 6,
       "sensitivity": "L2"}  # fmt: skip
COLLECT, SHARE = "nation.thing.collect", "nation.thing.share"


def edit(home: Path, path: str, change: Callable[[Any], None]) -> None:
    file = home / path
    what = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(what)
    file.write_text(yaml.safe_dump(what, allow_unicode=True, sort_keys=False), encoding="utf-8")


def with_longitudes(folder: Path, mask: dict[str, Any]) -> Path:
    """The nation is sent longitudes under a mask."""
    home = sites.home(folder)
    edit(home, "catalog/contracts/thing.yaml", lambda c: c["fields"].append(LON))
    edit(home, "catalog/entries/thing.yaml", lambda e: e["fields"].append({"name": "lon", "share_type": "conditional"}))  # fmt: skip
    edit(home, "catalog/agreements/nation.thing.yaml", lambda a: a["fields"].append({"name": "lon", **mask}))
    for way in ("in", "out"):
        edit(home, f"catalog/layouts/nation.thing.{way}.yaml", lambda y: y["fields"].append({"name": "lon", "title": "经度"}))  # fmt: skip
    edit(home, "mappings/nation.thing.in.yaml", lambda m: m["fields"].update(lon="lon"))
    return home


def test_coordinates_that_were_sent_with_fewer_decimals_are_not_read_back(tmp_path: Path) -> None:
    home = with_longitudes(tmp_path, {"mask": "coordinate", "options": {"decimals": 3}})
    assert declarations.read(home, sites.Sites(sites.fresh())).problems == ()
    edit(home, "mappings/nation.thing.out.yaml", lambda m: m["fields"].update(lon="lon"))
    read = declarations.read(home, sites.Sites(sites.fresh()))
    assert set(read.disabled) == {COLLECT}
    (problem,) = read.problems
    assert problem.en == "the mapping reads back fields that were sent masked: lon"
    assert "lon" in problem.zh
    assert (problem.file, problem.line > 0) == (f"routes/{COLLECT}.yaml", True)
    assert SHARE in read.ways


def test_what_was_sent_as_it_is_may_come_back(tmp_path: Path) -> None:
    home = with_longitudes(tmp_path, {})
    edit(home, "mappings/nation.thing.out.yaml", lambda m: m["fields"].update(lon="lon"))
    assert declarations.read(home, sites.Sites(sites.fresh())).problems == ()


def test_a_column_that_holds_a_masked_value_is_read_into_no_other_field(tmp_path: Path) -> None:
    home = sites.home(tmp_path)
    edit(home, "mappings/nation.thing.out.yaml", lambda m: m["fields"].update(name="contact"))
    read = declarations.read(home, sites.Sites(sites.fresh()))
    assert [p.en for p in read.disabled[COLLECT]] == [
        "the mapping reads back fields that were sent masked: name"
    ]


def test_a_mask_or_an_option_that_nobody_knows_is_told_by_file_and_line(tmp_path: Path) -> None:
    home = with_longitudes(tmp_path, {})
    for given, words in (
        ({"mask": "blur"}, "no mask blur"), ({"mask": "coordinate", "options": {"places": 3}}, "no option places"),
        ({"mask": "coordinate", "options": {"decimals": 6}}, "nothing is masked"),
        ({"mask": "keep_first"}, "does not go on a field of type decimal"),
        ({"options": {"decimals": 3}}, "options and no mask"),
    ):  # fmt: skip
        edit(home, "catalog/agreements/nation.thing.yaml",
             lambda a, given=given: a["fields"].__setitem__(-1, {"name": "lon", **given}))  # fmt: skip
        read = declarations.read(home, sites.Sites(sites.fresh()))
        told = [p for p in read.problems if words in p.en]
        assert told, (words, read.problems)
        assert told[0].file == "catalog/agreements/nation.thing.yaml"
        assert told[0].line > 0
        assert SHARE in read.disabled
