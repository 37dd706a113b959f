"""Prices of a plan: each resource by the file, the change that a plan makes, the two budgets."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.cli import ROOT, keyless
from scripts.commands.cost import offline
from scripts.console import UserError
from scripts.plan.cost import PRICES, Estimate, estimate, load_prices
from scripts.plan.summary import cost_lines

DEV_ALWAYS_ON_USD = 35
DEV_PARKED_USD = 20

GROUP = {"desired_capacity": 1, "min_size": 1, "max_size": 1}
TEMPLATE: dict[str, Any] = {
    "instance_type": "t4g.small",
    "block_device_mappings": [{"ebs": [{"volume_size": 10}]}],
    "network_interfaces": [{"associate_public_ip_address": "true"}],
}
DATABASE = {"instance_class": "db.t4g.micro", "allocated_storage": 20, "multi_az": False}


def entry(address: str, after: Any, before: Any = None, module: str = "module.m") -> dict[str, Any]:
    kind, _, name = address.partition(".")
    return {
        "address": f"{module}.{address}",
        "module_address": module,
        "mode": "managed",
        "type": kind,
        "name": name.partition("[")[0],
        "change": {"before": before, "after": after, "actions": ["update"]},
    }


def bill(*entries: dict[str, Any], before: bool = False) -> Estimate:
    return estimate({"resource_changes": list(entries)}, load_prices(), before=before)


def server(template: dict[str, Any] = TEMPLATE) -> list[dict[str, Any]]:
    return [
        entry("aws_autoscaling_group.server", GROUP),
        entry("aws_launch_template.server", template),
    ]


@pytest.mark.parametrize(
    ("resources", "usd"),
    [
        (server(), 730 * 0.0168 + 10 * 0.08 + 730 * 0.005),
        (server(TEMPLATE | {"network_interfaces": []}), 730 * 0.0168 + 10 * 0.08),
        # Model servers: the set that answers is paid for, the idle one is not.
        (
            [
                entry('aws_autoscaling_group.serve["blue"]', GROUP),
                entry(
                    'aws_autoscaling_group.serve["green"]', {"desired_capacity": 0, "min_size": 0}
                ),
                entry('aws_launch_template.serve["blue"]', TEMPLATE),
                entry('aws_launch_template.serve["green"]', TEMPLATE),
                entry('aws_lb_target_group.serve["blue"]', {}),
            ],
            730 * 0.0168 + 10 * 0.08 + 730 * 0.005,
        ),
        ([entry("aws_db_instance.d", DATABASE)], 730 * 0.016 + 20 * 0.115),
        ([entry("aws_db_instance.d", DATABASE | {"multi_az": True})], 2 * (730 * 0.016 + 2.3)),
        (
            [entry("aws_db_instance.d", DATABASE | {"manage_master_user_password": True})],
            730 * 0.016 + 2.3 + 0.4,
        ),
        ([entry("aws_eip.nat", {})], 3.65),
        ([entry("aws_nat_gateway.main", {})], 730 * 0.045 + 2 * 0.045),
        (
            [
                entry(
                    "aws_vpc_endpoint.logs",
                    {"vpc_endpoint_type": "Interface", "subnet_ids": [None, None]},
                )
            ],
            2 * 730 * 0.01 + 2 * 0.01,
        ),
        ([entry("aws_vpc_endpoint.s3", {"vpc_endpoint_type": "Gateway"})], 0),
        ([entry("aws_kms_key.k", {})], 1),
        ([entry("aws_secretsmanager_secret.s", {})], 0.4),
        ([entry("aws_cloudwatch_metric_alarm.a", {})], 0.1),
        ([entry("aws_cloudwatch_metric_alarm.a", {"metric_query": [{"metric": [1]}] * 2})], 0.2),
        ([entry("aws_s3_bucket.artifacts", {})], 5 * 0.023),
        ([entry("aws_lb.l", {})], 730 * (0.0225 + 0.008)),
        ([entry(f"aws_cloudwatch_dashboard.d{n}", {}) for n in range(3)], 0),
        ([entry(f"aws_cloudwatch_dashboard.d{n}", {}) for n in range(4)], 3),
        ([entry("aws_iam_role.r", {})], 0),
    ],
)
def test_a_resource_costs_what_the_price_file_says(
    resources: list[dict[str, Any]], usd: float
) -> None:
    found = bill(*resources)
    assert found.total == pytest.approx(usd)
    assert not found.unpriced


def test_endpoints_whose_subnets_are_not_known_yet_are_counted_by_the_private_ones() -> None:
    interface = {"vpc_endpoint_type": "Interface"}
    subnets = [entry(f"aws_subnet.private[{n}]", {}) for n in range(3)]
    subnets.append(entry("aws_subnet.public[0]", {}))
    found = bill(entry("aws_vpc_endpoint.ssm", interface), *subnets)
    assert found.lines[0].amount == pytest.approx(3 * 7.3)


def parked() -> list[dict[str, Any]]:
    cron = {"start": "30 7 * * MON-FRI", "stop": "30 19 * * MON-FRI"}
    return [
        entry(f'aws_autoscaling_schedule.parking["{name}"]', {"recurrence": expression})
        for name, expression in cron.items()
    ]


def test_a_parked_server_is_paid_for_the_hours_it_runs() -> None:
    on, off = bill(*server()), bill(*server(), *parked())
    assert off.total == pytest.approx(on.total * 60 / 168)


def test_a_parked_databases_storage_is_paid_all_the_time() -> None:
    schedules = [
        entry(
            f'aws_scheduler_schedule.parking["{name}"]',
            {"schedule_expression": f"cron({time} ? * MON-FRI *)"},
        )
        for name, time in (("start", "30 7"), ("stop", "30 19"))
    ]
    found = bill(entry("aws_db_instance.d", DATABASE), *schedules)
    assert found.total == pytest.approx(730 * 0.016 * 60 / 168 + 2.3)


def test_what_the_file_does_not_price_is_named_with_what_to_add() -> None:
    found = bill(
        entry("aws_db_instance.d", DATABASE | {"instance_class": "db.r6g.large"}),
        entry("aws_quantum_computer.q", {}),
    )
    assert dict(found.unpriced) == {
        "module.m.aws_db_instance.d": 'add "db.r6g.large" to [database_hour] in prices.toml',
        "module.m.aws_quantum_computer.q": "aws_quantum_computer is not known here",
    }


def test_what_is_not_known_before_the_apply_is_listed_and_stops_nothing() -> None:
    found = bill(
        entry("aws_db_instance.d", {"instance_class": "db.t4g.micro", "allocated_storage": None}),
        entry("aws_autoscaling_group.alone", GROUP, module="module.other"),
        entry("aws_kms_key.k", {}),
    )
    assert found.total == 1
    assert dict(found.unpriced) == {
        "module.m.aws_db_instance.d": "its size is not known before the apply",
        "module.other.aws_autoscaling_group.alone": "its launch template is not in the plan",
    }


def test_the_difference_of_a_change_is_shown_by_resource() -> None:
    bigger = DATABASE | {"instance_class": "db.t4g.small"}
    plan = [
        entry("aws_db_instance.d", bigger, before=DATABASE),
        entry("aws_eip.gone", None, before={}),
        entry("aws_kms_key.k", {}, before={}),
    ]
    lines = list(cost_lines(bill(*plan, before=True), bill(*plan)))
    assert lines[0].startswith("18.63 to 26.66 USD a month (+8.03)")
    assert lines[1:] == ["- +11.68 `module.m.aws_db_instance.d`", "- -3.65 `module.m.aws_eip.gone`"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text.replace("[month]", "[moon]"), "month is missing"),
        (lambda text: text.replace("kms_key = 1.00", 'kms_key = "free"'), "month.kms_key must be"),
        (lambda text: text.replace("kms_key = 1.00", "kms_key = -1"), "month.kms_key must be"),
        (lambda text: "no toml", "line 1"),
    ],
)
def test_a_price_file_that_is_wrong_is_told_where(edit: Any, words: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(edit(PRICES.read_text()))
    with pytest.raises(UserError) as refused:
        load_prices(file)
    assert words in refused.value.why
    assert refused.value.exit_code == 2


def test_the_price_file_says_when_and_where_it_was_read() -> None:
    tables = tomllib.loads(PRICES.read_text())
    assert tables["date"].startswith("20")
    assert tables["region"] == "us-east-1"


def test_every_type_that_terraform_makes_is_priced_or_known_to_be_free() -> None:
    from scripts.plan.cost import _PRICED

    found = subprocess.run(
        ["grep", "-rhoE", '^resource "aws_[a-z0-9_]+"', str(ROOT / "terraform")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    types = {word.strip('"') for word in found if word != "resource"}
    assert len(types) > 20
    assert not types - _PRICED.keys() - set(load_prices().tables["free_types"])


def test_an_environment_without_tfvars_is_told_which_there_are(tmp_path: Path) -> None:
    result = CliRunner().invoke(keyless, ["--home", str(tmp_path), "cost", "-e", "nowhere"])
    assert result.exit_code == 2
    assert "dev, prod" in result.stderr


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Estimate]:
    found, refused = offline(ROOT, tmp_path_factory.mktemp("home"), "dev", load_prices())
    assert not refused
    return found


@pytest.mark.terraform
@pytest.mark.xdist_group("cost")
def test_dev_stays_within_its_budget_always_on_and_parked(variants: dict[str, Estimate]) -> None:
    assert 20 < variants["configured"].total <= DEV_ALWAYS_ON_USD
    assert 5 < variants["parked"].total <= DEV_PARKED_USD
    assert not any(one.unpriced for one in variants.values())


@pytest.mark.terraform
@pytest.mark.xdist_group("cost")
def test_the_egress_modes_differ_as_their_parts_do(variants: dict[str, Estimate]) -> None:
    """With several endpoints in two zones, a NAT gateway is the cheaper one."""
    total = {name: one.total for name, one in variants.items()}
    assert total["egress_public_ip"] == pytest.approx(total["configured"])
    assert total["egress_public_ip"] < total["egress_nat"] < total["egress_endpoints"]
    nat = 730 * (0.045 + 0.005) + 2 * 0.045 - 730 * 0.005
    assert total["egress_nat"] - total["egress_public_ip"] == pytest.approx(nat)


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    arguments = ["--home", str(home), "cost", "-e", "prod", "--json"]
    result = CliRunner().invoke(keyless, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    shown: dict[str, Any] = json.loads(result.stdout)
    return shown


@pytest.mark.terraform
@pytest.mark.xdist_group("cost")
def test_the_documentation_tells_what_the_code_costs(
    variants: dict[str, Estimate], prod: dict[str, Any]
) -> None:
    page = (ROOT / "docs" / "terraform.md").read_text()
    table = page.partition("<!-- cost -->")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if "." in line]
    names = ("configured", "egress_public_ip", "egress_nat", "egress_endpoints")
    theirs = [f"{prod['total']:.2f}", *(f"{prod['variants'][name]:.2f}" for name in names[1:])]
    wanted = [
        (f"{variants[name].total:.2f}", other) for name, other in zip(names, theirs, strict=True)
    ]
    wanted.append((f"{variants['parked'].total:.2f}", "refused"))
    assert [tuple(row[1:]) for row in rows] == wanted


@pytest.mark.terraform
@pytest.mark.xdist_group("cost")
def test_prod_is_explained_line_by_line_and_not_parked(prod: dict[str, Any]) -> None:
    shown = prod
    assert shown["total"] == pytest.approx(sum(one["amount"] for one in shown["lines"]), abs=0.01)
    assert all(one["basis"] and one["item"] for one in shown["lines"])
    items = " ".join(one["item"] for one in shown["lines"])
    for part in ("t4g.medium", "db.t4g.small in two zones", "ssmmessages in 2 zones"):
        assert part in items
    assert "multi_az" in shown["refused"]["parked"]
    assert not shown["unpriced"]
