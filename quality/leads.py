"""The rules across records: leads to reports without an inspection, to expired leave, to work that was not done.

Each gives pairs of uids. Codes, days and speeds come from the declaration. Where a record lacks what a rule
compares, the contract's own rules have said so already, and it is asked nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import polars as pl

from quality.audit import FOUND, Asking, Lead, Tables

_DAY = "Asia/Shanghai"
_EARTH_KM = 6371.0


def _found(rows: pl.DataFrame | pl.LazyFrame, one: str = "one", other: str | None = "other") -> pl.DataFrame:
    second = pl.col(other) if other else pl.lit(None, pl.String)
    made = rows.lazy().select(pl.col(one).alias("one"), second.alias("other")).collect()
    return made.cast({n: FOUND[n] for n in FOUND.names()})


def _china(column: str) -> pl.Expr:
    return pl.col(column).dt.convert_time_zone(_DAY).dt.date()


def _listed(column: str) -> pl.Expr:
    """The texts of a JSON list, as conform let them in; what is no list of texts gives nothing."""
    whole = pl.col(column).str.strip_chars()
    return whole.str.extract_all(r'"(?:[^"\\]|\\.)*"').list.eval(
        pl.element().str.slice(1, pl.element().str.len_chars() - 2)
    )


def _certificate_valid(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X1: a certificate of the institution that held on the day."""
    reports, certificates = tables["inspection_report"], tables["inspection_institution"]
    joined = reports.join(_certificates(certificates), on="inst_uscc", how="left")
    holds = _holds(asking)
    good = joined.group_by("uid").agg(good=holds.fill_null(False).any(), other=pl.col("other").min())
    return _found(good.filter(~pl.col("good")), "uid")


def _certificates(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        "cert_issue_date", "cert_expire_date", "cert_status", "cert_level", inst_uscc="uscc", other="uid"
    )


def _holds(asking: Asking) -> pl.Expr:
    return pl.col("inspect_date").is_between("cert_issue_date", "cert_expire_date") & ~pl.col(
        "cert_status"
    ).is_in(asking.options["ended"])


def _level_allowed(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X1: the protection class is one that the certificate's level allows."""
    allowed = pl.DataFrame(
        [(level, c) for level, classes in asking.options["allowed"].items() for c in classes],
        schema={"cert_level": pl.String, "lp_class": pl.String},
        orient="row",
    ).with_columns(allowed=True)
    joined = (
        tables["inspection_report"]
        .join(_certificates(tables["inspection_institution"]), on="inst_uscc")
        .filter(_holds(asking))
        .join(allowed, on=["cert_level", "lp_class"], how="left")
    )
    good = joined.group_by("uid").agg(
        good=pl.col("allowed").fill_null(False).any(), other=pl.col("other").min()
    )
    return _found(good.filter(~pl.col("good")), "uid")


def _within_cycle(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X2: valid no longer than the unit's cycle, in months of the calendar."""
    units = tables["key_unit"].select("unit_code", "inspect_cycle_months", other="uid")
    joined = (
        tables["inspection_report"].join(units, on="unit_code").filter(pl.col("inspect_cycle_months") > 0)
    )
    months = pl.concat_str(pl.col("inspect_cycle_months"), pl.lit("mo"))
    return _found(joined.filter(pl.col("valid_to") > pl.col("inspect_date").dt.offset_by(months)), "uid")


def _people(tables: Tables) -> pl.DataFrame:
    """An activity's people, a row each."""
    activities = tables["inspection_activity"]
    return (
        activities.with_columns(person_code=_listed("person_codes"), day=_china("start_at"))
        .explode("person_code")
        .drop_nulls("person_code")
    )


def _employed(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X3: whoever inspects is employed by the institution on the day, and the ability is valid."""
    people = tables["inspection_personnel"].select(
        "person_code", "onboard_date", "leave_date", "ability_valid_to", employer="inst_uscc", other="uid"
    )
    joined = _people(tables).join(people, on="person_code")
    wrong = (
        (pl.col("employer") != pl.col("inst_uscc"))
        | (pl.col("day") < pl.col("onboard_date"))
        | (pl.col("day") > pl.col("leave_date")).fill_null(False)
        | (pl.col("day") > pl.col("ability_valid_to")).fill_null(False)
    )
    return _found(joined.filter(wrong), "uid")


def _one_employer(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X3: one person is with one institution at a time; known by the token of the ID number's hash."""
    people = (
        tables["inspection_personnel"]
        .drop_nulls("id_hash")
        .with_columns(ended=pl.col("leave_date").fill_null(pl.date(9999, 12, 31)))
    )
    pairs = people.join(people, on="id_hash", suffix="_2").filter(
        (pl.col("uid") < pl.col("uid_2"))
        & (pl.col("inst_uscc") != pl.col("inst_uscc_2"))
        & (pl.col("onboard_date") <= pl.col("ended_2"))
        & (pl.col("onboard_date_2") <= pl.col("ended"))
    )
    return _found(pairs, "uid", "uid_2")


def _too_far(moved: pl.DataFrame, by: str, tables: Tables, asking: Asking) -> pl.DataFrame:
    """Two activities of one mover, one after the other, farther apart than the time between them allows."""
    places = (
        tables["key_unit"]
        .select("unit_code", lon=pl.col("lon").cast(pl.Float64), lat=pl.col("lat").cast(pl.Float64))
        .drop_nulls()
    )
    ordered = moved.join(places, on="unit_code").sort(by, "start_at", "uid")
    last = {f"{n}_2": pl.col(n).shift(1).over(by) for n in ("uid", "unit_code", "end_at", "lon", "lat")}
    pairs = ordered.with_columns(**last).filter(
        pl.col("uid_2").is_not_null() & (pl.col("unit_code") != pl.col("unit_code_2"))
    )
    a, b = pl.col("lat").radians(), pl.col("lat_2").radians()
    half = ((b - a) / 2).sin() ** 2 + a.cos() * b.cos() * (
        (pl.col("lon_2").radians() - pl.col("lon").radians()) / 2
    ).sin() ** 2
    km = 2 * _EARTH_KM * half.sqrt().clip(0, 1).arcsin()
    hours = (pl.col("start_at") - pl.col("end_at_2")).dt.total_seconds() / 3600
    allowed = asking.options["slack_km"] + asking.options["km_per_hour"] * hours.clip(lower_bound=0)
    return _found(pairs.filter(km > allowed), "uid", "uid_2")


def _person_places(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X4 of people."""
    return _too_far(_people(tables), "person_code", tables, asking)


def _instruments(tables: Tables) -> pl.DataFrame:
    activities = tables["inspection_activity"]
    return (
        activities.with_columns(equip_code=_listed("equip_codes"), day=_china("start_at"))
        .explode("equip_code")
        .drop_nulls("equip_code")
    )


def _instrument_places(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X4 of instruments."""
    return _too_far(_instruments(tables), "equip_code", tables, asking)


def _calibrated(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X5: each instrument is calibrated on the day."""
    equipment = tables["inspection_equipment"].select(
        "equip_code", "calib_date", "calib_valid_to", other="uid"
    )
    joined = _instruments(tables).join(equipment, on="equip_code")
    return _found(joined.filter(~pl.col("day").is_between("calib_date", "calib_valid_to")), "uid")


def _series(reports: pl.DataFrame, key: str) -> pl.DataFrame:
    """uid and values: the numbers under a key of each measuring point, in order of size."""
    number = rf'"{key}"\s*:\s*(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)'
    values = (
        pl.col("points")
        .str.extract_all(number)
        .list.eval(pl.element().str.extract(number, 1).cast(pl.Float64))
    )
    return reports.drop_nulls("points").with_columns(values=values.list.sort())


def _points_counted(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X6: as many points as are said to be."""
    made = _series(tables["inspection_report"], asking.options["value_key"])
    return _found(made.filter(pl.col("values").list.len() != pl.col("n_points")), "uid", None)


def _series_of_its_own(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X8: no two reports have the same series of resistances; each of a group beside its first."""
    made = _series(tables["inspection_report"], asking.options["value_key"]).filter(
        pl.col("values").list.len() >= asking.options["least_points"]
    )
    named = made.select("uid", series=pl.col("values").list.eval(pl.element().cast(pl.String)).list.join("|"))
    pairs = named.with_columns(first=pl.col("uid").min().over("series")).filter(
        pl.col("uid") != pl.col("first")
    )
    return _found(pairs, "uid", "first")


def _failure_has_hazard(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X9: a report that failed is followed by a hazard within so many days."""
    days = pl.duration(days=asking.options["days"])
    failed = tables["inspection_report"].filter(
        pl.col("conclusion").is_in(asking.options["failed"]) & (pl.col("inspect_date") + days < asking.day)
    )
    hazards = tables["hazard"].select("unit_code", "source_ref", found=_china("found_at"))
    near = failed.join(hazards, on="unit_code").filter(
        pl.col("found").is_between("inspect_date", pl.col("inspect_date") + days)
        | (pl.col("source_ref") == pl.col("report_no"))
    )
    return _found(failed.join(near, on="uid", how="anti"), "uid", None)


def _major_has_criterion(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X9: a criterion of major hazards is named exactly where the hazard is major."""
    major = pl.col("hazard_level") == asking.options["major"]
    return _found(tables["hazard"].filter(major != pl.col("major_criterion").is_not_null()), "uid", None)


def _closed_after_recheck(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X10: a hazard is closed by a rectification that passed its recheck, and not before it was reported."""
    closed = tables["hazard"].filter(pl.col("hazard_status").is_in(asking.options["closed"]))
    passed = tables["rectification"].filter(
        pl.col("recheck_result").is_in(asking.options["passed"])
        & pl.col("closed_at").is_not_null()
        & (pl.col("closed_at") >= pl.col("submitted_at"))
    )
    return _found(closed.join(passed, on="hazard_no", how="anti"), "uid", None)


def _penalty_after_check(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X11: a penalty names a check that there is, and is decided on its day or later."""
    penalties = tables["admin_decision"].filter(pl.col("decision_kind").is_in(asking.options["penalties"]))
    checks = tables["enforcement_check"].select(
        "check_action_code", checked=_china("check_date"), other="uid"
    )
    joined = penalties.join(checks, on="check_action_code", how="left")
    wrong = pl.col("other").is_null() | (pl.col("decided_at") < pl.col("checked"))
    return _found(joined.filter(wrong), "uid")


def _officers_certified(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X13: so many officers at the least, each with a certificate of enforcement that is valid on the day."""
    checks = tables["enforcement_check"].with_columns(
        day=_china("check_date"), law_cert_no=_listed("officer_cert_nos")
    )
    few = checks.filter(_listed("officers").list.len() < asking.options["least"]).select(
        "uid", other=pl.lit(None, pl.String)
    )
    officers = tables["enforcement_officer"].select("law_cert_no", "law_cert_valid_to", other="uid")
    named = (
        checks.explode("law_cert_no").drop_nulls("law_cert_no").join(officers, on="law_cert_no", how="left")
    )
    expired = named.filter(
        pl.col("other").is_null() | (pl.col("day") > pl.col("law_cert_valid_to")).fill_null(False)
    )
    return pl.concat([_found(few, "uid"), _found(expired, "uid")])


def _party_document(tables: Tables, asking: Asking) -> pl.DataFrame:
    """X14: a citizen is named by another document than a credit code, a legal person by it."""
    checks = tables["enforcement_check"]
    code = pl.col("cp_cert_type").is_in(asking.options["credit_code"])
    citizen = pl.col("cp_nature").is_in(asking.options["citizen"])
    body = pl.col("cp_nature").is_in(asking.options["legal_person"])
    return _found(checks.filter((citizen & code) | (body & ~code)), "uid", None)


def _division_goes_on(contract: str, tables: Tables, asking: Asking) -> pl.DataFrame:
    """X15: the record's division is in force or has one that took its place: else it reaches nobody below."""
    codes = tables[contract]["division_code"].unique()
    lost = [c for c in codes if c is not None and not asking.divisions.successors(c)]
    return _found(tables[contract].filter(pl.col("division_code").is_in(lost)), "uid", None)


def _leads() -> dict[str, Lead]:
    report, unit, activity = "inspection_report", "key_unit", "inspection_activity"
    institution, person, equipment = "inspection_institution", "inspection_personnel", "inspection_equipment"
    hazard, mended, check, decision = "hazard", "rectification", "enforcement_check", "admin_decision"
    certificates = ("uscc", "cert_level", "cert_issue_date", "cert_expire_date", "cert_status")
    travel = {"km_per_hour": float, "slack_km": float}
    moved = ("unit_code", "start_at", "end_at")

    made = [
        Lead(name="certificate_valid", one=report, other=institution, options={"ended": list}, ask=_certificate_valid,
             needs={report: ("inst_uscc", "inspect_date"), institution: certificates}),
        Lead(name="level_allowed", one=report, other=institution, options={"ended": list, "allowed": dict},
             ask=_level_allowed, needs={report: ("inst_uscc", "inspect_date", "lp_class"), institution: certificates}),
        Lead(name="within_cycle", one=report, other=unit, options={}, ask=_within_cycle,
             needs={report: ("unit_code", "inspect_date", "valid_to"), unit: ("unit_code", "inspect_cycle_months")}),
        Lead(name="employed", one=activity, other=person, options={}, ask=_employed,
             needs={activity: ("inst_uscc", "person_codes", "start_at"),
                    person: ("person_code", "inst_uscc", "onboard_date", "leave_date", "ability_valid_to")}),
        Lead(name="one_employer", one=person, other=person, options={}, ask=_one_employer,
             needs={person: ("id_hash", "inst_uscc", "onboard_date", "leave_date")}),
        Lead(name="person_places", one=activity, other=activity, options=travel, ask=_person_places,
             needs={activity: (*moved, "person_codes"), unit: ("unit_code", "lon", "lat")}),
        Lead(name="instrument_places", one=activity, other=activity, options=travel, ask=_instrument_places,
             needs={activity: (*moved, "equip_codes"), unit: ("unit_code", "lon", "lat")}),
        Lead(name="calibrated", one=activity, other=equipment, options={}, ask=_calibrated,
             needs={activity: ("equip_codes", "start_at"), equipment: ("equip_code", "calib_date", "calib_valid_to")}),
        Lead(name="points_counted", one=report, other=None, options={"value_key": str}, ask=_points_counted,
             needs={report: ("points", "n_points")}),
        Lead(name="series_of_its_own", one=report, other=report, options={"value_key": str, "least_points": int},
             ask=_series_of_its_own, needs={report: ("points",)}),
        Lead(name="failure_has_hazard", one=report, other=None, options={"failed": list, "days": int},
             ask=_failure_has_hazard, needs={report: ("report_no", "unit_code", "conclusion", "inspect_date"),
                                             hazard: ("unit_code", "source_ref", "found_at")}),
        Lead(name="major_has_criterion", one=hazard, other=None, options={"major": str}, ask=_major_has_criterion,
             needs={hazard: ("hazard_level", "major_criterion")}),
        Lead(name="closed_after_recheck", one=hazard, other=None, options={"closed": list, "passed": list},
             ask=_closed_after_recheck, needs={hazard: ("hazard_no", "hazard_status"),
                                               mended: ("hazard_no", "recheck_result", "submitted_at", "closed_at")}),
        Lead(name="penalty_after_check", one=decision, other=check, options={"penalties": list}, ask=_penalty_after_check,
             needs={decision: ("decision_kind", "check_action_code", "decided_at"), check: ("check_action_code", "check_date")}),
        Lead(name="officers_certified", one=check, other="enforcement_officer", options={"least": int},
             ask=_officers_certified, needs={check: ("officers", "officer_cert_nos", "check_date"),
                                             "enforcement_officer": ("law_cert_no", "law_cert_valid_to")}),
        Lead(name="party_document", one=check, other=None,
             options={"citizen": list, "legal_person": list, "credit_code": list}, ask=_party_document,
             needs={check: ("cp_nature", "cp_cert_type")}),
        *(Lead(name=f"division_goes_on_{c}", one=c, other=None, options={}, needs={c: ()},
               ask=partial(_division_goes_on, c)) for c in (unit, report, hazard)),
    ]  # fmt: skip
    return {lead.name: lead for lead in made}


LEADS: Mapping[str, Lead] = MappingProxyType(_leads())
