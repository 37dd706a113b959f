"""Every endpoint of the locked MLflow, and which permission set may call it.

python -m scripts.maintenance.mlflow_access            writes docs/mlflow-operations.md
python -m scripts.maintenance.mlflow_access --json     prints the endpoints
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "terraform" / "modules" / "mlflow_server" / "files" / "server"
PAGE = ROOT / "docs" / "mlflow-operations.md"
HEAD = (
    "# MLflow's operations and the permission sets\n\n"
    "Generated from MLflow {version} and "
    "`terraform/modules/mlflow_server/files/server/permissions.toml` by "
    "`python -m scripts.maintenance.mlflow_access`; [mlflow-access.md](mlflow-access.md) explains "
    "it. An operation is the function of `mlflow.server` that serves an endpoint, so every version "
    "of a path and the UI's twin of it are one operation. {endpoints} endpoints, {operations} "
    "operations, none unknown.\n\n"
)
TITLES = {
    "rule": "By a rule",
    "change": "Changes without a rule",
    "read": "Reads, for every set",
    "off": "Off on every port",
}


@dataclass(frozen=True)
class Endpoint:
    """One method and path of the server, and the operation that serves it."""

    method: str
    path: str
    operation: str
    application: str


def endpoints() -> list[Endpoint]:
    """What the installed MLflow serves, from a process that is set up as the server's worker."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "scripts.maintenance.mlflow_access", "--json"],
        cwd=ROOT,
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise click.ClickException(done.stderr[-2000:])
    return [Endpoint(*row) for row in json.loads(done.stdout)]


def _imported() -> Iterator[Endpoint]:
    import uvicorn  # noqa: F401 - MLflow's modules ask whether a server imports them

    sys.path.insert(0, str(SERVER))
    from front import native_routes
    from mlflow.server import app, fastapi_app

    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield Endpoint(method, rule.rule, rule.endpoint.lstrip("_"), "Flask")
    for methods, pattern, operation in native_routes(fastapi_app.app):
        for method in methods:
            yield Endpoint(method, pattern.pattern, operation, "FastAPI")


def table(found: Sequence[Endpoint]) -> str:
    """The page: operations by kind, who may, and one of the paths."""
    sys.path.insert(0, str(SERVER))
    import guard
    import mlflow.version

    permissions = guard.Permissions({})
    by_operation: dict[str, list[Endpoint]] = {}
    for one in sorted(found, key=astuple):
        by_operation.setdefault(one.operation, []).append(one)
    kinds: dict[str, list[str]] = {kind: [] for kind in TITLES}
    for operation, served in sorted(by_operation.items()):
        place = _place(served)
        if operation in permissions.off:
            kinds["off"].append(f"| `{operation}` | {permissions.off[operation]} | {place} |")
            continue
        sets = permissions.allowed.get(operation, frozenset())
        marks = " | ".join("yes" if name in sets else "" for name in permissions.sets)
        kind = "read" if operation in permissions.reads else "change"
        kind = "rule" if operation in guard.RULES else kind
        row = (
            f"| `{operation}` | {place} |"
            if kind == "read"
            else f"| `{operation}` | {marks} | {place} |"
        )
        kinds[kind].append(row)
    names = " | ".join(permissions.sets)
    heads = {
        "rule": f"| operation | {names} | endpoint |\n|---|---|---|---|---|---|",
        "change": f"| operation | {names} | endpoint |\n|---|---|---|---|---|---|",
        "read": "| operation | endpoint |\n|---|---|",
        "off": "| operation | why | endpoint |\n|---|---|---|",
    }
    sections = [
        f"## {TITLES[kind]}\n\n{heads[kind]}\n" + "\n".join(rows) + "\n"
        for kind, rows in kinds.items()
    ]
    head = HEAD.format(
        version=mlflow.version.VERSION, endpoints=len(found), operations=len(by_operation)
    )
    return head + "\n".join(sections)


def _place(served: Sequence[Endpoint]) -> str:
    """The REST path if there is one, else the UI's; how many more there are."""
    first = next((one for one in served if one.path.startswith("/api/")), served[0])
    more = f" and {len(served) - 1} more" if len(served) > 1 else ""
    return f"`{first.method} {first.path.strip('^$')}`{more}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the endpoints and write nothing.")
def main(as_json: bool) -> None:
    """Write the page, or print what it is made from."""
    if as_json:
        click.echo(json.dumps([astuple(one) for one in _imported()]))
        return
    PAGE.write_text(table(endpoints()))
    click.echo(PAGE)


if __name__ == "__main__":
    main()
