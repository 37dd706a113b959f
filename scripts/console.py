"""What the user sees: live phases, the final table, and errors that name their fix."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

REFRESHES_PER_SECOND = 8
WIDTH_OF_A_PIPE = 10_000
"""Wider than any row: a name that is folded in two is found by no grep."""


INTERRUPTED = 130
"""The exit code of what Ctrl-C ended, as shells have it: 128 and the number of SIGINT."""


class UserError(Exception):
    """A foreseeable failure: what failed, `why`, and the `fix`: the command to run.

    The `keyless` command prints it without a stack trace and ends with `exit_code`: 1 for work
    that failed, 2 for wrong usage or input, `INTERRUPTED` for Ctrl-C.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "", exit_code: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what


@dataclass
class Phase:
    """One piece of work: who does it, since when, and what it said last. Times are monotonic."""

    name: str
    role: str | None
    started: float
    ended: float | None = None
    outcome: Literal["running", "done", "failed"] = "running"
    last_event: str = ""
    _listener: Callable[[Phase, str], None] | None = field(default=None, repr=False, compare=False)

    def event(self, text: str) -> None:
        """Say what the phase is doing now, in one line."""
        lines = text.strip().splitlines()
        if not lines or lines[-1] == self.last_event:
            return
        self.last_event = lines[-1]
        if self._listener is not None:
            self._listener(self, self.last_event)

    @property
    def seconds(self) -> float:
        """Duration so far, or in the end."""
        return (time.monotonic() if self.ended is None else self.ended) - self.started


class Phases:
    """Show phases as they run, side by side if they overlap.

        with Phases() as phases:
            with phases.phase("Apply the platform", role="apply") as phase:
                phase.event("aws_vpc.main: creating")
        console.print(phases.table())

    On a terminal the running phases are live lines (spinner, seconds, role, last event) that turn
    into one permanent line each; elsewhere everything is a timestamped log. Threads may run phases
    at once.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = stderr_console() if console is None else console
        self.phases: list[Phase] = []
        self.started = time.monotonic()
        self._ended: float | None = None
        self._lock = threading.RLock()
        self._live: Live | None = None

    def __enter__(self) -> Phases:
        from rich.live import Live

        self.started = time.monotonic()
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = Live(
                _Running(self),
                console=self.console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended = time.monotonic()
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextmanager
    def phase(self, name: str, role: str | None = None) -> Iterator[Phase]:
        """Time the block as a phase; an exception marks it failed and passes on."""
        phase = Phase(name, role, time.monotonic(), _listener=self._heard)
        with self._lock:
            self.phases.append(phase)
            if self._live is None:
                self._log(phase, "started" + (f" as {role}" if role else ""))
        try:
            yield phase
        except BaseException:
            self._end(phase, "failed")
            raise
        self._end(phase, "done")

    def event(self, text: str) -> None:
        """Print one line that belongs to no phase."""
        with self._lock:
            if self._live is None:
                self.console.print(f"{_clock()}  {text}", markup=False, highlight=False)
            else:
                self.console.print(f"  {text}", markup=False, highlight=False)

    @property
    def seconds(self) -> float:
        """Wall-clock time of all phases together."""
        return (time.monotonic() if self._ended is None else self._ended) - self.started

    def table(self) -> Table:
        """Phase, role, when it started and how long it took."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_footer=True)
        table.add_column("phase", footer="whole run, phases overlap" if self._overlap() else "all")
        table.add_column("role", footer="")
        table.add_column("start", justify="right", footer="")
        table.add_column("took", justify="right", footer=duration(self.seconds))
        for phase in self.phases:
            name = Text(phase.name)
            if phase.outcome == "failed":
                name.append("  failed", style="bold red")
            table.add_row(
                name,
                Text(phase.role or "", style="cyan"),
                Text(f"+{duration(phase.started - self.started)}", style="dim"),
                duration(phase.seconds),
            )
        return table

    def running(self) -> list[Phase]:
        """Phases that have not ended, oldest first.

        Takes no lock: the live region asks while it holds the console's, for which whoever ends a
        phase waits with ours.
        """
        return [phase for phase in tuple(self.phases) if phase.ended is None]

    def _overlap(self) -> bool:
        return any(
            later.started < (earlier.ended or self.started + self.seconds)
            for earlier, later in zip(self.phases, self.phases[1:], strict=False)
        )

    def _heard(self, phase: Phase, text: str) -> None:
        with self._lock:
            if self._live is None:
                self._log(phase, text)

    def _end(self, phase: Phase, outcome: Literal["done", "failed"]) -> None:
        with self._lock:
            phase.ended, phase.outcome = time.monotonic(), outcome
            if self._live is None:
                self._log(phase, f"{outcome} after {duration(phase.seconds)}")
            else:
                self.console.print(_ended_line(phase, ascii_only(self.console)))

    def _log(self, phase: Phase, text: str) -> None:
        self.console.print(
            f"{_clock()}  {phase.name}: {text}", markup=False, highlight=False, soft_wrap=True
        )


class _Running:
    """The live region: one line a running phase, cut to the terminal's width."""

    def __init__(self, phases: Phases) -> None:
        from rich.spinner import Spinner

        self.phases = phases
        self.spinner = Spinner("line" if ascii_only(phases.console) else "dots", style="cyan")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.table import Table
        from rich.text import Text

        running = self.phases.running()
        if not running:
            return
        table = Table.grid(padding=(0, 1, 0, 0), expand=True)
        for _ in range(4):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        for phase in running:
            table.add_row(
                self.spinner,
                Text(f"{phase.seconds:5.0f} s", style="bold"),
                Text(phase.name),
                Text(phase.role or "", style="cyan"),
                Text(phase.last_event, style="dim"),
            )
        yield table


def duration(seconds: float) -> str:
    """Write a duration for people: `0.4 s`, `12.3 s`, `2 min 05 s`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def stdout_console() -> Console:
    """The console for results; a pipe or file gets whole lines, not a terminal's 80 columns."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_OF_A_PIPE
    # An ARN of Secrets Manager has `:secret:` in it, which is also the name of an emoji.
    return Console(file=sys.stdout, highlight=False, emoji=False, width=width)


def stderr_console() -> Console:
    """The console for progress and errors, so that results can be piped."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, emoji=False)


def ascii_only(console: Console) -> bool:
    """Whether the terminal's encoding has no room for check marks."""
    return not (console.encoding or "").lower().startswith("utf")


def print_error(error: UserError, console: Console | None = None) -> None:
    """Print what failed, why, and the command that fixes it."""
    from rich.text import Text

    console = stderr_console() if console is None else console
    console.print(Text.assemble(("error: ", "bold red"), (error.what, "bold")), soft_wrap=True)
    if error.why:
        # Not wrapped either: an ARN or a path in it stays whole.
        why = error.why.replace("\n", "\n       ")
        console.print(Text.assemble(("  why  ", "dim"), why), soft_wrap=True)
    if error.fix:
        # Not wrapped, so that the command can be copied.
        console.print(Text.assemble(("  fix  ", "dim"), (error.fix, "green")), soft_wrap=True)


def _ended_line(phase: Phase, plain: bool) -> Text:
    from rich.text import Text

    done = phase.outcome == "done"
    mark = ("ok" if plain else "✓") if done else ("failed" if plain else "✗")
    line = Text.assemble(
        (mark, "green" if done else "bold red"),
        f" {duration(phase.seconds):>10}  {phase.name}",
    )
    if phase.role:
        line.append(f"  {phase.role}", style="cyan")
    return line


def _clock() -> str:
    return datetime.now(UTC).strftime("%H:%M:%SZ")
