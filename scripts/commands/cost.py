"""`keyless cost`: what an environment costs in a month, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import (
    Project,
    account_of,
    aws_option,
    environment_option,
    json_option,
    pass_project,
)

if TYPE_CHECKING:
    from rich.table import Table

    from scripts.plan.cost import Estimate, Prices

EGRESS = ("public_ip", "endpoints", "nat")


@click.command("cost")
@click.option("--plan", "saved", is_flag=True, help="Price the saved plan, before and after it.")
@click.option(
    "--prices",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Price file in place of scripts/plan/prices.toml.",
)
@json_option
@environment_option
@aws_option
@pass_project
def cost(
    project: Project,
    environment: str,
    saved: bool,
    file: Path | None,
    as_json: bool,
    aws: bool,
) -> None:
    """Show what an environment costs in a month, by resource and by egress mode.

    \b
    keyless cost                 dev, from the code alone: no account is asked
    keyless cost -e prod         prod, line by line
    keyless cost --plan          what the saved plan of `keyless plan` changes
    keyless cost --prices my-region.toml

    List prices in USD without taxes, from a dated file that is yours to edit. Lines marked
    "assumed" rest on its [usage] table, since no plan knows how much will be stored or sent.
    """
    from scripts.plan.cost import load_prices

    prices = load_prices(file)
    if saved:
        _print_saved(project, environment, prices, aws, as_json)
    else:
        _print_offline(project, environment, prices, as_json)


def _print_offline(project: Project, environment: str, prices: Prices, as_json: bool) -> None:
    from scripts.console import stdout_console

    estimates, refused = offline(project.root, project.home, environment, prices)
    configured = estimates.pop("configured")
    if as_json:
        shown = {name: round(one.total, 2) for name, one in estimates.items()}
        document = as_document(environment, configured)
        click.echo(json.dumps(document | {"variants": shown, "refused": refused}, indent=2))
        return
    console = stdout_console()
    console.print(f"{environment} as configured, USD a month, list prices of {prices.date}\n")
    console.print(table_of(configured))
    console.print()
    console.print(_variants(environment, configured, estimates, refused))


def offline(
    root: Path, home: Path, environment: str, prices: Prices
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Price the code as it is, under each egress mode, and with parking the other way round.

    Returns estimates by variant (`configured` is one), and why a variant was refused.
    """
    from scripts.console import Phases
    from scripts.plan.cost import estimate
    from scripts.stack.offline import mocked_plans
    from scripts.stack.roots import variables_file
    from scripts.stack.tfvars import literals

    variables = variables_file(root / "terraform" / "platform", environment)
    parks = literals(variables.read_text()).get(("park",)) == "true"
    variants: dict[str, Mapping[str, Any]] = {"configured": {}}
    variants |= {f"egress_{mode}": {"egress": mode} for mode in EGRESS}
    # Last: with a standby the code refuses it, and nothing runs after a refusal.
    variants["always_on" if parks else "parked"] = {"park": not parks}
    with Phases() as phases, phases.phase("plan without an account") as phase:
        plans, failures = mocked_plans(root, home, environment, variants, phase.event)
    return {name: estimate(plan, prices) for name, plan in plans.items()}, failures


def _print_saved(
    project: Project, environment: str, prices: Prices, aws: bool, as_json: bool
) -> None:
    from scripts.account.deployment import saved_note
    from scripts.account.environment import platform_stack
    from scripts.console import Phases, stdout_console
    from scripts.plan.cost import estimate
    from scripts.plan.summary import cost_lines
    from scripts.stack.binary import find_binary

    account = account_of(project, environment, "plan-main", aws)
    note = saved_note(account, environment)
    stack = platform_stack(
        account, project.root, environment, find_binary(account.home), image_required=False
    )
    with Phases() as phases, phases.phase("read the saved plan"):
        plan = stack.show(account.plan_file(environment))
    before, after = estimate(plan, prices, before=True), estimate(plan, prices)
    if as_json:
        document = as_document(environment, after)
        click.echo(json.dumps(document | {"before": round(before.total, 2)}, indent=2))
        return
    console = stdout_console()
    console.print(f"{environment} after the plan of {note['made']}, USD a month\n")
    console.print(table_of(after))
    console.print()
    for line in cost_lines(before, after):
        console.print(line, markup=False, soft_wrap=True)


def as_document(environment: str, estimate: Estimate) -> dict[str, Any]:
    """One bill as JSON data; amounts in USD a month."""
    return {
        "environment": environment,
        "prices": estimate.prices.date,
        "total": round(estimate.total, 2),
        "lines": [
            {
                "address": line.address,
                "item": line.item,
                "amount": round(line.amount, 4),
                "basis": line.basis,
            }
            for line in estimate.lines
        ],
        "unpriced": [{"address": address, "why": why} for address, why in estimate.unpriced],
    }


def table_of(estimate: Estimate) -> Table:
    """The bill line by line, most expensive first, and what the price file has no price for."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_footer=True)
    table.add_column("resource", footer="a month", overflow="fold")
    table.add_column("what", footer="")
    table.add_column("USD", justify="right", footer=f"{estimate.total:.2f}")
    table.add_column("why", footer="")
    for line in estimate.lines:
        table.add_row(line.address, line.item, f"{line.amount:.2f}", line.basis)
    for address, why in estimate.unpriced:
        table.add_row(address, "not priced", "?", why)
    return table


def _variants(
    environment: str,
    configured: Estimate,
    estimates: Mapping[str, Estimate],
    refused: Mapping[str, str],
) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("with", "USD", "difference"):
        table.add_column(title, justify="left" if title == "with" else "right")
    for words, total, difference in _differences(configured, estimates):
        table.add_row(words, total, difference)
    for name, why in refused.items():
        reason = why.splitlines()[1] if "\n" in why else why
        table.add_row(f"{_words(name)}: not for {environment}, {reason}", "", "")
    return table


def _differences(
    configured: Estimate, estimates: Mapping[str, Estimate]
) -> Iterator[tuple[str, str, str]]:
    for name, one in estimates.items():
        yield _words(name), f"{one.total:.2f}", f"{one.total - configured.total:+.2f}"


def _words(variant: str) -> str:
    kind, _, mode = variant.partition("_")
    if kind == "egress":
        return f'egress = "{mode}"'
    return "park = true (off outside working hours)" if variant == "parked" else "park = false"
