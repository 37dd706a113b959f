"""Rows of docs/trade-offs.md: labs, settings and tests exist; the dollars are the price file's."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

import pytest

from pipeline.settings import Settings
from scripts.labs.lab import labs
from scripts.plan.cost import load_prices
from tests import ROOT

PAGE = (ROOT / "docs" / "trade-offs.md").read_text()
VARIABLES = (ROOT / "terraform" / "platform" / "variables.tf").read_text()


class Row(NamedTuple):
    choice: str
    dollars: str
    effort: str
    buys: str
    measured: str
    lab: str
    setting: str


ROWS = [
    Row(*(cell.strip() for cell in line.strip("|").split("|")))
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| choice |")
]
EVERY = [pytest.param(row, id=row.choice[:40]) for row in ROWS]


def test_the_table_is_read_whole() -> None:
    assert len(ROWS) >= 18
    assert len({row.choice for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", EVERY)
def test_a_row_leaves_nothing_out(row: Row) -> None:
    assert all(row)
    assert re.match(r"\+?\d+(\.\d\d)?\b", row.dollars), row.dollars


@pytest.mark.parametrize("row", EVERY)
def test_a_row_is_measured_or_cited(row: Row) -> None:
    cited = "https://" in row.measured + row.effort
    priced = "keyless cost" in row.measured
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row.measured)
    assert cited or priced or named
    for file, name in named:
        module = ast.parse((ROOT / file).read_text())
        assert name in {one.name for one in module.body if isinstance(one, ast.FunctionDef)}


@pytest.mark.parametrize("row", EVERY)
def test_the_labs_of_a_row_exist(row: Row) -> None:
    named = [int(number) for number in re.findall(r"lab (\d+)", row.lab)]
    assert set(named) <= {lab.number for lab in labs()}
    assert named or row.lab.startswith("no lab")


def test_every_lab_shows_a_choice() -> None:
    named = {int(number) for row in ROWS for number in re.findall(r"lab (\d+)", row.lab)}
    assert {lab.number for lab in labs()} - named == set()


def variable(name: str) -> str:
    """A variable of the platform as it is declared; empty if there is none."""
    found = re.search(rf'(?ms)^variable "{name}" \{{.*?^\}}', VARIABLES)
    return found[0] if found else ""


@pytest.mark.parametrize("row", EVERY)
def test_the_settings_of_a_row_exist(row: Row) -> None:
    names = re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)`", row.setting)
    for name in names:
        if name == "repository_id":  # a claim, not a setting
            continue
        head, *rest = name.split(".")
        if head in Settings.model_fields and "pipeline.toml" in row.setting:
            section = Settings.model_fields[head].annotation
            assert section is not None
            assert rest[0] in section.model_fields
            continue
        declared = variable(head)
        assert declared, name
        assert all(re.search(rf"\b{part}\s*=", declared) for part in rest), name
    assert names or row.setting == "none"


@pytest.mark.parametrize("row", EVERY)
def test_a_value_that_turns_a_choice_off_is_one_that_the_variable_takes(row: Row) -> None:
    for name, value in re.findall(r'`([a-z_]+)` = "(\w+)"', row.setting):
        assert f'"{value}"' in variable(name)


def dollars(begin: str) -> str:
    """The dollars of the one row whose choice begins so."""
    (row,) = [row for row in ROWS if row.choice.startswith(begin)]
    return row.dollars


def test_the_dollars_are_those_of_keyless_cost() -> None:
    """The table of docs/terraform.md is held against the code by tests/plan/test_cost.py."""
    table = (ROOT / "docs" / "terraform.md").read_text().partition("<!-- cost -->")[2]
    cells = re.findall(r'`egress = "(\w+)"` \| ([\d.]+) \| ([\d.]+)', table)
    dev = {name: float(one) for name, one, _ in cells}
    prod = {name: float(other) for name, _, other in cells}
    for mode, begin in (("endpoints", "no route"), ("nat", "NAT in place")):
        told = f"+{dev[mode] - dev['public_ip']:.2f} against"
        assert dollars(begin).startswith(told)
        assert prod[mode] - prod["public_ip"] == pytest.approx(dev[mode] - dev["public_ip"])

    prices = load_prices().tables
    hours = 730
    endpoint = 2 * hours * prices["network_hour"]["interface_endpoint"]
    assert f"{2 * endpoint:.2f} of the" in dollars("no inbound path")
    standby = hours * prices["database_hour"]["db.t4g.small"]
    standby += 20 * prices["storage_gib_month"]["database_gp3"]
    assert dollars("a standby").startswith(f"+{standby:.2f}")
    assert dollars("a key of the environment").startswith(f"{prices['month']['kms_key']:.2f}")
    assert dollars("RDS keeps").startswith(f"{prices['month']['secret']:.2f}")
