"""What a plan costs in a month: each resource by the price file, before the change and after it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.console import UserError
from scripts.plan.schedule import share_of_week

PRICES = Path(__file__).with_name("prices.toml")


@dataclass(frozen=True)
class Prices:
    """One price file. Amounts in USD; hours, GiB and months as the tables' names say."""

    path: Path
    tables: Mapping[str, Any]

    @property
    def date(self) -> str:
        """Month that the prices were read in, and their region."""
        return f"{self.tables['date']}, {self.tables['region']}"

    @property
    def hours(self) -> float:
        """Hours of a month."""
        return float(self.tables["hours_per_month"])

    def __call__(self, table: str, item: str) -> float:
        """One amount. Raises Unpriced, which says what to add where."""
        try:
            return float(self.tables[table][item])
        except KeyError:
            raise Unpriced(f'add "{item}" to [{table}] in {self.path.name}') from None


class Unpriced(Exception):
    """The price file has no price for something; the message says what to add."""


@dataclass(frozen=True)
class Line:
    """One position of the bill. `assumed` ones rest on [usage] of the price file."""

    address: str
    item: str
    amount: float
    why: str
    assumed: bool = False

    @property
    def basis(self) -> str:
        """`why`, and that it is an assumption where it is one."""
        return f"{self.why}, assumed" if self.assumed else self.why


@dataclass(frozen=True)
class Estimate:
    """A month's bill in USD. `unpriced`: (address, reason) of each resource without a price."""

    lines: tuple[Line, ...]
    unpriced: tuple[tuple[str, str], ...]
    prices: Prices = field(repr=False)

    @property
    def total(self) -> float:
        """Sum of all lines, USD a month."""
        return sum(line.amount for line in self.lines)

    def by_address(self) -> dict[str, float]:
        """USD a month of each resource."""
        found: dict[str, float] = {}
        for line in self.lines:
            found[line.address] = found.get(line.address, 0.0) + line.amount
        return found


def load_prices(path: Path | None = None) -> Prices:
    """Read a price file. Raises UserError (exit code 2) that names what is wrong in it."""
    path = path or PRICES
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, ValueError) as failure:
        raise UserError(f"{path} is no price file", why=str(failure), exit_code=2) from None
    wanted = tomllib.loads(PRICES.read_text())
    missing = [name for name in wanted if name not in tables]
    wrong = [
        f"{table}.{item}"
        for table, items in tables.items()
        if isinstance(items, dict)
        for item, amount in items.items()
        if isinstance(amount, bool) or not isinstance(amount, int | float) or amount < 0
    ]
    if missing or wrong:
        raise UserError(
            f"{path} is no price file",
            why="; ".join(
                [f"{name} is missing" for name in missing]
                + [f"{name} must be a number, 0 or more" for name in wrong]
            ),
            fix=f"start from a copy of {PRICES.name}",
            exit_code=2,
        )
    return Prices(path, tables)


@dataclass(frozen=True)
class _Resource:
    address: str
    type: str
    name: str
    module: str
    values: Mapping[str, Any]


def estimate(plan: Mapping[str, Any], prices: Prices, *, before: bool = False) -> Estimate:
    """Price what stands after the plan's changes, or what stands `before` them.

    `plan` is what `terraform show -json` says of a saved plan, or what `terraform test` says of a
    mocked one: both list every resource, changed or not.
    """
    side = "before" if before else "after"
    resources = [
        _Resource(
            entry["address"],
            entry["type"],
            entry.get("name", ""),
            entry.get("module_address", ""),
            entry["change"][side],
        )
        for entry in plan.get("resource_changes", ())
        if entry.get("mode") != "data" and isinstance(entry["change"].get(side), dict)
    ]
    context = _Context(resources, prices)
    lines: list[Line] = []
    unpriced: list[tuple[str, str]] = []
    for resource in resources:
        price = _PRICED.get(resource.type)
        if price is None:
            if resource.type not in prices.tables["free_types"]:
                unpriced.append((resource.address, f"{resource.type} is not known here"))
            continue
        try:
            lines += list(price(resource, context))
        except Unpriced as absent:
            unpriced.append((resource.address, str(absent)))
        except (KeyError, TypeError, ValueError):
            unpriced.append((resource.address, "its size is not known before the apply"))
    lines = [line for line in lines if line.amount > 0]
    lines.sort(key=lambda line: (-line.amount, line.address))
    return Estimate(tuple(lines), tuple(unpriced), prices)


class _Context:
    """What the price of one resource must know of the others."""

    def __init__(self, resources: Sequence[_Resource], prices: Prices) -> None:
        self.resources = resources
        self.prices = prices
        self.dashboards = 0

    def of(self, kind: str, beside: _Resource | None = None) -> list[_Resource]:
        """Resources of a type; `beside` narrows to those of the same module."""
        return [
            one
            for one in self.resources
            if one.type == kind and (beside is None or one.module == beside.module)
        ]

    def hours(self, beside: _Resource, schedules: str, attribute: str) -> tuple[float, str]:
        """Hours of a month that something with start and stop schedules runs, and in words."""
        expressions = {
            one.address.rpartition("[")[2].strip('"]'): str(one.values.get(attribute) or "")
            for one in self.of(schedules, beside)
        }
        share = share_of_week(expressions.get("start", ""), expressions.get("stop", ""))
        hours = self.prices.hours * share
        return hours, f"{hours:.0f} h" + (" of working hours" if share < 1 else "")

    @property
    def server_share(self) -> float:
        """How much of a month the servers run, for what only they cause."""
        groups = self.of("aws_autoscaling_group")
        if not groups:
            return 1.0
        return (
            max(self.hours(group, "aws_autoscaling_schedule", "recurrence")[0] for group in groups)
            / self.prices.hours
        )


_Pricing = Callable[[_Resource, _Context], Iterator[Line]]


def _server(group: _Resource, context: _Context) -> Iterator[Line]:
    """Instances of an Auto Scaling group, by the launch template of the same module."""
    prices = context.prices
    templates = context.of("aws_launch_template", group)
    named = [one for one in templates if one.name == group.name] or templates
    if not named:
        raise Unpriced("its launch template is not in the plan")
    template = named[0].values
    count = max(int(group.values.get("desired_capacity") or 0), int(group.values["min_size"]))
    hours, words = context.hours(group, "aws_autoscaling_schedule", "recurrence")
    if count == 0 and hours < prices.hours:
        count = 1  # planned while it is parked
    kind = str(template["instance_type"])
    price = prices("instance_hour", kind)
    yield Line(group.address, f"{count} x {kind}", count * hours * price, f"{words} at {price}")
    for block in template.get("block_device_mappings") or ():
        for disk in block.get("ebs") or ():
            gib, per = float(disk["volume_size"]), prices("storage_gib_month", "volume_gp3")
            amount = count * gib * per * hours / prices.hours
            yield Line(group.address, f"volume of {gib:.0f} GiB", amount, f"at {per} a month")
    for interface in template.get("network_interfaces") or ():
        if str(interface.get("associate_public_ip_address")).lower() == "true":
            per = prices("network_hour", "public_ipv4")
            yield Line(
                group.address, "public IPv4 address", count * hours * per, f"{words} at {per}"
            )


def _database(database: _Resource, context: _Context) -> Iterator[Line]:
    prices, values = context.prices, database.values
    copies = 2 if values.get("multi_az") else 1
    where = " in two zones" if copies == 2 else ""
    hours, words = context.hours(database, "aws_scheduler_schedule", "schedule_expression")
    kind = str(values["instance_class"])
    price = prices("database_hour", kind)
    yield Line(
        database.address, f"{kind}{where}", copies * hours * price, f"{words} at {price * copies}"
    )
    gib, per = float(values["allocated_storage"]), prices("storage_gib_month", "database_gp3")
    yield Line(
        database.address,
        f"storage of {gib:.0f} GiB{where}",
        copies * gib * per,
        f"at {per * copies:g} a month, running or not; backups up to this size are free",
    )
    if values.get("manage_master_user_password"):
        per = prices("month", "secret")
        yield Line(database.address, "its managed secret", per, "a month")
    if values.get("monitoring_interval"):
        gib = prices("usage", "enhanced_monitoring_gib") * hours / prices.hours
        per = prices("logs", "ingested_gib")
        yield Line(
            database.address,
            "enhanced monitoring",
            gib * per,
            f"{gib:g} GiB of logs at {per}",
            True,
        )


def _endpoint(endpoint: _Resource, context: _Context) -> Iterator[Line]:
    if endpoint.values.get("vpc_endpoint_type") != "Interface":
        return
    prices = context.prices
    zones = len(endpoint.values.get("subnet_ids") or ()) or max(
        1, len([one for one in context.of("aws_subnet", endpoint) if one.name == "private"])
    )
    per = prices("network_hour", "interface_endpoint")
    amount = zones * prices.hours * per
    service = str(endpoint.values.get("service_name")).rpartition(".")[2]
    yield Line(
        endpoint.address,
        f"{service} in {zones} zones",
        amount,
        f"{prices.hours:.0f} h at {per * zones:g}",
    )
    interfaces = [
        one
        for one in context.of("aws_vpc_endpoint", endpoint)
        if one.values.get("vpc_endpoint_type") == "Interface"
    ]
    gib = prices("usage", "egress_gib") * context.server_share / len(interfaces)
    per = prices("network_gib", "interface_endpoint")
    yield Line(endpoint.address, f"{service}: data", gib * per, f"{gib:.2g} GiB at {per}", True)


def _nat(gateway: _Resource, context: _Context) -> Iterator[Line]:
    prices = context.prices
    per = prices("network_hour", "nat_gateway")
    yield Line(gateway.address, "NAT gateway", prices.hours * per, f"{prices.hours:.0f} h at {per}")
    gateways = len(context.of("aws_nat_gateway"))
    gib = prices("usage", "egress_gib") * context.server_share / gateways
    per = prices("network_gib", "nat_gateway")
    yield Line(gateway.address, "data through it", gib * per, f"{gib:.2g} GiB at {per}", True)


def _address(address: _Resource, context: _Context) -> Iterator[Line]:
    per, hours = context.prices("network_hour", "public_ipv4"), context.prices.hours
    yield Line(address.address, "public IPv4 address", hours * per, f"{hours:.0f} h at {per}")


def _load_balancer(balancer: _Resource, context: _Context) -> Iterator[Line]:
    prices = context.prices
    per = prices("network_hour", "load_balancer")
    yield Line(
        balancer.address, "load balancer", prices.hours * per, f"{prices.hours:.0f} h at {per}"
    )
    units = prices("usage", "load_balancer_capacity_units")
    per = prices("network_hour", "load_balancer_capacity_unit")
    amount = units * prices.hours * per
    yield Line(balancer.address, "capacity units", amount, f"{units:g} at {per} an hour", True)


def _bucket(bucket: _Resource, context: _Context) -> Iterator[Line]:
    logs = "log" in bucket.name
    gib = context.prices("usage", "access_logs_gib" if logs else "artifacts_gib")
    per = context.prices("storage_gib_month", "s3_standard")
    yield Line(bucket.address, "objects", gib * per, f"{gib:g} GiB at {per} a month", True)


def _log_group(group: _Resource, context: _Context) -> Iterator[Line]:
    """The assumed logs, shared evenly by the groups; flow logs by what they record."""
    prices = context.prices
    per = prices("logs", "ingested_gib")
    if "flow" in group.name:
        flows = context.of("aws_flow_log", group)
        rejects = bool(flows) and all(one.values.get("traffic_type") == "REJECT" for one in flows)
        gib = prices("usage", "flow_logs_gib") * (0.05 if rejects else 1.0)
    else:
        others = [one for one in context.of("aws_cloudwatch_log_group") if "flow" not in one.name]
        gib = prices("usage", "logs_gib") / len(others)
    gib *= context.server_share
    yield Line(group.address, "logs", gib * per, f"{gib:.2g} GiB at {per}", True)


def _alarm(alarm: _Resource, context: _Context) -> Iterator[Line]:
    metrics = [one for one in alarm.values.get("metric_query") or () if one.get("metric")]
    count = max(1, len(metrics))
    per = context.prices("month", "alarm")
    yield Line(
        alarm.address,
        "alarm",
        count * per,
        f"on {count} metric{'s' * (count > 1)} at {per} a month",
    )


def _dashboard(dashboard: _Resource, context: _Context) -> Iterator[Line]:
    context.dashboards += 1
    if context.dashboards > context.prices("month", "free_dashboards"):
        yield Line(dashboard.address, "dashboard", context.prices("month", "dashboard"), "a month")


def _monthly(item: str, word: str) -> _Pricing:
    def price(resource: _Resource, context: _Context) -> Iterator[Line]:
        yield Line(resource.address, word, context.prices("month", item), "a month")

    return price


_PRICED: dict[str, _Pricing] = {
    "aws_autoscaling_group": _server,
    "aws_cloudwatch_dashboard": _dashboard,
    "aws_cloudwatch_log_group": _log_group,
    "aws_cloudwatch_metric_alarm": _alarm,
    "aws_db_instance": _database,
    "aws_eip": _address,
    "aws_kms_key": _monthly("kms_key", "key"),
    "aws_lb": _load_balancer,
    "aws_nat_gateway": _nat,
    "aws_s3_bucket": _bucket,
    "aws_secretsmanager_secret": _monthly("secret", "secret"),
    "aws_vpc_endpoint": _endpoint,
}
