"""One Terraform root: init, plan, apply, outputs, destroy, through python-terraform."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from python_terraform import IsFlagged

from scripts.stack.binary import Binary, StackError
from scripts.stack.process import Driver

Event = Mapping[str, Any]
Listener = Callable[[Event], None]
WHOLE_ERRORS = 5
LAST_LINES = 40
"""How much of a failure of Terraform is shown: it tells the same of each resource."""


@dataclass(frozen=True)
class Change:
    """One planned change: `actions` is Terraform's word (create, update, delete, replace …)."""

    address: str
    action: str


@dataclass
class Applied:
    """What an apply or destroy did."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    changes: list[Change] = field(default_factory=list)


class Stack:
    """A Terraform root with its variables, its backend and the environment its runs get.

    `data_dir` holds `.terraform`, so that nothing is written into the root itself. With
    `backend=None` the state is the file `state`.
    """

    def __init__(
        self,
        root: Path,
        *,
        binary: Binary,
        environment: Mapping[str, str],
        data_dir: Path,
        variables: Mapping[str, Any] | None = None,
        var_files: Sequence[Path] = (),
        backend: Mapping[str, str] | None = None,
        state: Path | None = None,
    ) -> None:
        self.root = root
        self.name = root.name
        self.data_dir = data_dir
        self.variables = dict(variables or {})
        self.var_files = [str(path.resolve()) for path in var_files]
        self.backend = backend
        self.state = state
        data_dir.mkdir(parents=True, exist_ok=True)
        self._driver = Driver(
            binary.path,
            root,
            {
                **environment,
                "TF_DATA_DIR": str(data_dir.resolve()),
                "TF_IN_AUTOMATION": "1",
                "TF_INPUT": "0",
                "CHECKPOINT_DISABLE": "1",
            },
        )

    @property
    def initialised(self) -> bool:
        """Whether an earlier `init` left its providers and backend in the data folder."""
        return (self.data_dir / "providers").is_dir()

    @property
    def ended_by_itself(self) -> bool:
        """Whether the last command came to its end, good or bad: nobody killed it.

        An interrupt that is its end came before Terraform listens for one: nothing had begun.
        """
        process = self._driver.process
        code = None if process is None else process.returncode
        return code is not None and (code >= 0 or code == -signal.SIGINT)

    def init(self) -> None:
        """Install providers and configure the backend. Raises StackError."""
        options: dict[str, Any] = {"input": False, "no_color": IsFlagged, "lockfile": "readonly"}
        if self.backend is not None:
            options |= {"backend_config": dict(self.backend), "reconfigure": IsFlagged}
        code, out, errors = self._driver.cmd("init", **options)
        if code != 0:
            raise self._failure("init", errors or out)

    def move_state(self, backend: Mapping[str, str]) -> None:
        """Move the state from where it is into `backend`, which the root must declare by now.

        Terraform finds the old state where its default is: `terraform.tfstate` in the root.
        Raises StackError.
        """
        options: dict[str, Any] = {"input": False, "no_color": IsFlagged, "lockfile": "readonly"}
        options |= {"migrate_state": IsFlagged, "force_copy": IsFlagged}
        code, out, errors = self._driver.cmd("init", **options, backend_config=dict(backend))
        if code != 0:
            raise self._failure("init", errors or out)
        self.backend, self.state = backend, None

    def apply(self, listener: Listener | None = None) -> Applied:
        """Apply what differs; `listener` gets every event. Raises StackError."""
        return self._change("apply", listener)

    def save_plan(
        self,
        path: Path,
        listener: Listener | None = None,
        *,
        destroy: bool = False,
        lock: bool = True,
    ) -> dict[str, Any]:
        """Plan into the file `path` and return the plan as `terraform show -json` describes it.

        The file and what is returned hold the values of the state, sensitive ones in the clear:
        the file gets mode 0600, and what is returned is not for printing. `lock=False` is for
        roles that may read the state and not write its lock. Raises StackError.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Terraform keeps the mode of a file that is there.
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        options = self._arguments() | {"out": str(path.resolve())}
        if destroy:
            options["destroy"] = IsFlagged
        if not lock:
            options["lock"] = False
        try:
            self._events("plan", listener or (lambda _: None), **options)
            return self.show(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def show(self, plan: Path) -> dict[str, Any]:
        """A saved plan as `terraform show -json` describes it. Raises StackError."""
        code, out, errors = self._driver.cmd("show", str(plan.resolve()), json=IsFlagged)
        if code != 0:
            raise self._failure("show", errors or out)
        found: dict[str, Any] = json.loads(out)
        return found

    def apply_plan(self, path: Path, listener: Listener | None = None) -> Applied:
        """Apply exactly the plan in `path`. Raises StackError, for a stale plan too."""
        return self._change("apply", listener, saved=path)

    def destroy(self, listener: Listener | None = None) -> Applied:
        """Remove every resource of the root. Raises StackError."""
        return self._change("destroy", listener)

    def plan(self, listener: Listener | None = None) -> list[Change]:
        """The changes that an apply would make, without making them. Raises StackError."""
        found: list[Change] = []

        def note(event: Event) -> None:
            if event.get("type") == "planned_change":
                change = event["change"]
                found.append(Change(change["resource"]["addr"], change["action"]))
            if listener is not None:
                listener(event)

        self._events("plan", note, **self._arguments())
        return found

    def test_plans(
        self, folder: str, listener: Listener | None = None
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Run the tests in `folder` of the root; plans and failures by the name of the run.

        The plans are those of `terraform show -json`, as far as a run has one.
        Raises StackError where no run began.
        """
        plans: dict[str, Any] = {}
        failures: dict[str, str] = {}
        general: list[str] = []

        def note(line: str) -> None:
            event = _parse(line) or {}
            name = event.get("@testrun")
            if listener is not None:
                listener(event)
            if event.get("type") == "test_plan" and name:
                plans[name] = event["test_plan"]
            elif event.get("type") == "diagnostic" and event["diagnostic"]["severity"] == "error":
                text = _describe(event["diagnostic"])
                if name:
                    failures[name] = text
                general.append(text)

        options = {"json": IsFlagged, "verbose": IsFlagged, "test_directory": folder}
        _, out, errors = self._driver.cmd("test", on_line=note, var_file=self.var_files, **options)
        if not plans:
            raise self._failure("test", "\n".join(general) or errors or out)
        return plans, failures

    def outputs(self) -> dict[str, Any]:
        """Every output's value by name. Raises StackError."""
        code, out, errors = self._driver.cmd("output", json=IsFlagged, **self._state_option())
        if code != 0:
            raise self._failure("output", errors or out)
        return {name: entry["value"] for name, entry in json.loads(out).items()}

    def resources(self) -> list[str]:
        """Addresses in the state. Raises StackError."""
        code, out, errors = self._driver.cmd("state list", **self._state_option())
        if code != 0:
            if "No state file was found" in errors:
                return []
            raise self._failure("state list", errors or out)
        return out.split()

    def forget(self, address: str) -> None:
        """Take a resource out of the state; it goes on existing. Raises StackError."""
        options = {**self._state_option(), "lock_timeout": "60s"}
        code, out, errors = self._driver.cmd("state rm", address, **options)
        if code != 0:
            raise self._failure("state rm", errors or out)

    def kill(self) -> None:
        """End the running command, if any, at once: for when its account no longer answers."""
        self._driver.kill()

    def _change(
        self, command: str, listener: Listener | None, saved: Path | None = None
    ) -> Applied:
        done = Applied()

        def note(event: Event) -> None:
            if event.get("type") == "apply_complete":
                hook = event["hook"]
                done.changes.append(Change(hook["resource"]["addr"], hook["action"]))
            elif event.get("type") == "change_summary" and event["changes"]["operation"] != "plan":
                changes = event["changes"]
                done.added, done.changed = changes["add"], changes["change"]
                done.removed = changes["remove"]
            if listener is not None:
                listener(event)

        if saved is None:
            self._events(command, note, **self._arguments(), auto_approve=IsFlagged)
        else:  # variables are in the plan
            options = {"input": False, "lock_timeout": "60s", **self._state_option()}
            self._events(command, note, str(saved.resolve()), **options)
        return done

    def _events(self, command: str, listener: Listener, *arguments: str, **options: Any) -> None:
        diagnostics: list[Event] = []

        def note(line: str) -> None:
            event = _parse(line)
            if event is None:
                return
            if event.get("type") == "diagnostic" and event.get("@level") == "error":
                diagnostics.append(event["diagnostic"])
            listener(event)

        code, out, errors = self._driver.cmd(
            command, *arguments, on_line=note, json=IsFlagged, **options
        )
        if code != 0:
            text = "\n".join(_described(diagnostics)) or _end(errors or out)
            raise self._failure(command, text)

    def _arguments(self) -> dict[str, Any]:
        return {
            "input": False,
            "var": self.variables or None,
            "var_file": self.var_files,
            "lock_timeout": "60s",
            **self._state_option(),
        }

    def _state_option(self) -> dict[str, Any]:
        return {"state": str(self.state.resolve())} if self.state is not None else {}

    def _failure(self, command: str, text: str) -> StackError:
        fix = "run `keyless doctor`, then the same command again"
        if "Failed to query available provider packages" in text or "registry" in text.lower():
            fix = (
                "connect to the internet, or set TF_CLI_CONFIG_FILE to a configuration with a "
                "provider mirror; `keyless doctor` shows what was found"
            )
        return StackError(f"terraform {command} of {self.name} failed", why=text.strip(), fix=fix)


def _parse(line: str) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _described(diagnostics: Sequence[Event]) -> Iterator[str]:
    """Each error once: the first ones whole, of the others what and where."""
    whole = list(dict.fromkeys(_describe(entry) for entry in diagnostics))
    yield from whole[:WHOLE_ERRORS]
    yield from (one.partition("\n")[0] for one in whole[WHOLE_ERRORS:])


def _end(text: str) -> str:
    lines = text.strip().splitlines()
    left_out = ["..."] if len(lines) > LAST_LINES else []
    return "\n".join(left_out + lines[-LAST_LINES:])


def _describe(diagnostic: Event) -> str:
    # An address is in whatever Terraform was doing, a range is what it could not read.
    at = diagnostic.get("address")
    if not at and (found := diagnostic.get("range")):
        at = f"{found['filename']} line {found['start']['line']}"
    head = f"{diagnostic.get('summary', '')}" + (f" ({at})" if at else "")
    detail = str(diagnostic.get("detail", "")).strip()
    return f"{head}\n{detail}" if detail else head


def messages(event: Event) -> Iterator[str]:
    """An event as one short line for people, or none."""
    kind, hook = event.get("type"), event.get("hook", {})
    address = hook.get("resource", {}).get("addr", "")
    if kind == "apply_start":
        yield f"{hook['action']} {address}"
    elif kind == "apply_progress":
        yield f"{address} ({hook.get('elapsed_seconds', 0):.0f} s)"
    elif kind == "apply_complete":
        yield f"{address} done"


def reporting(report: Callable[[str], None]) -> Listener:
    """A listener that passes each event on as lines for people."""

    def listen(event: Event) -> None:
        for line in messages(event):
            report(line)

    return listen
