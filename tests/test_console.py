"""What the user sees: live on a terminal, a log elsewhere, a table, errors with their fix."""

import io
import re
import threading
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.table import Table

from scripts.console import (
    Phase,
    Phases,
    UserError,
    duration,
    print_error,
    stderr_console,
    stdout_console,
)


def console(*, terminal: bool, width: int = 100) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, legacy_windows=False,
        _environ={"TERM": "xterm-256color"},
    )  # fmt: skip


def written(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", to.file.getvalue())


def test_without_a_terminal_every_line_is_timestamped() -> None:
    out = console(terminal=False)
    with Phases(out) as phases, phases.phase("Apply", role="apply") as phase:
        phase.event("aws_vpc.main: creating\n")
        phases.event("a notice")
    lines = written(out).splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\dZ  ", line) for line in lines)
    assert [line[11:] for line in lines][:3] == [
        "Apply: started as apply",
        "Apply: aws_vpc.main: creating",
        "a notice",
    ]
    assert re.fullmatch(r"Apply: done after 0\.\d s", lines[3][11:])


def test_a_log_line_is_never_wrapped_or_taken_for_markup() -> None:
    out = console(terminal=False, width=20)
    with Phases(out) as phases, phases.phase("Apply") as phase:
        phase.event("module.x[0] [bold]" + "y" * 80)
    assert "module.x[0] [bold]" + "y" * 80 in written(out)


def test_on_a_terminal_running_phases_are_live_with_role_seconds_and_last_event() -> None:
    out = console(terminal=True)
    with Phases(out) as phases, phases.phase("Apply", role="apply") as phase:
        phase.event("first")
        phase.event("aws_vpc.main: creating")
        assert phases._live is not None
        phases._live.refresh()
        shown = written(out)
    assert re.search(r"0 s +Apply +apply +aws_vpc.main: creating", shown)
    assert re.search(r"✓ +0\.\d s +Apply +apply", written(out))


def test_the_live_lines_wait_for_nobody_who_waits_for_them() -> None:
    """Whoever ends a phase holds the phases' lock and prints; a refresh prints and reads them."""
    with Phases(console(terminal=True)) as phases, phases.phase("Apply"):
        assert phases._live is not None
        refresh = threading.Thread(target=phases._live.refresh, daemon=True)
        with phases._lock:
            refresh.start()
            refresh.join(timeout=30)
            waiting = refresh.is_alive()
    assert not waiting


def test_a_live_line_is_cut_to_the_terminal() -> None:
    out = console(terminal=True, width=40)
    with Phases(out) as phases, phases.phase("Apply", role="apply") as phase:
        phase.event("x" * 300)
        assert phases._live is not None
        phases._live.refresh()
    assert max(len(line) for line in written(out).splitlines()) <= 40


def test_parallel_phases_are_shown_side_by_side_and_timed_on_their_own() -> None:
    out = console(terminal=True)
    both = threading.Barrier(3)
    shown = ""
    with Phases(out) as phases:

        def work(name: str) -> None:
            with phases.phase(name, role=name.lower()):
                both.wait(10)
                both.wait(10)

        threads = [threading.Thread(target=work, args=(name,)) for name in ("One", "Two")]
        for thread in threads:
            thread.start()
        both.wait(10)
        assert {phase.name for phase in phases.running()} == {"One", "Two"}
        assert phases._live is not None
        phases._live.refresh()
        shown = written(out)
        both.wait(10)
        for thread in threads:
            thread.join()
    assert "One" in shown
    assert "Two" in shown
    assert [phase.outcome for phase in phases.phases] == ["done", "done"]


def test_a_failing_phase_is_marked_and_its_error_passes_on() -> None:
    out = console(terminal=True)
    phases = Phases(out)
    with pytest.raises(ZeroDivisionError), phases, phases.phase("Apply"):
        raise ZeroDivisionError
    assert phases.phases[0].outcome == "failed"
    assert "✗" in written(out)


def test_the_terminal_is_given_back_when_a_phase_fails() -> None:
    out = console(terminal=True)
    with pytest.raises(KeyboardInterrupt), Phases(out) as phases, phases.phase("Apply"):
        raise KeyboardInterrupt
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue().rfind("\x1b[?25h") > out.file.getvalue().rfind("\x1b[?25l")


def test_the_table_has_phase_role_start_and_duration() -> None:
    phases = Phases(console(terminal=False))
    phases.started = 100.0
    phases.phases = [
        Phase("Bootstrap", "administrator", 100.0, 112.34, "done"),
        Phase("Platform", "apply", 112.4, 212.4, "failed"),
    ]
    phases._ended = 213.0
    out = console(terminal=False)
    out.print(phases.table())
    rows = [line.split() for line in written(out).splitlines()]
    assert rows == [
        ["phase", "role", "start", "took"],
        ["Bootstrap", "administrator", "+0.0", "s", "12.3", "s"],
        ["Platform", "failed", "apply", "+12.4", "s", "1", "min", "40", "s"],
        ["all", "1", "min", "53", "s"],
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (12.34, "12.3 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"),
     (125, "2 min 05 s"), (3600, "60 min 00 s")],
)  # fmt: skip
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_long_fix_stays_on_one_line_and_a_long_why_is_indented() -> None:
    out = console(terminal=False, width=40)
    fix = "terraform -chdir=terraform/platform providers mirror FOLDER"
    print_error(UserError("It broke", why="first line\nsecond line", fix=fix), out)
    assert [line.rstrip() for line in written(out).splitlines()] == [
        "error: It broke",
        "  why  first line",
        "       second line",
        f"  fix  {fix}",
    ]


def test_a_terminal_without_utf8_gets_plain_marks() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    out = Console(file=file, force_terminal=True, legacy_windows=False)
    with Phases(out) as phases, phases.phase("Apply"):
        assert phases._live is not None
        phases._live.refresh()
    file.seek(0)
    assert "ok" in file.read()


@pytest.mark.parametrize("make", [stdout_console, stderr_console])
def test_an_arn_is_printed_as_it_is(
    make: Callable[[], Console], capsys: pytest.CaptureFixture[str]
) -> None:
    """Rich takes `:secret:` for the name of an emoji, in tables and with markup=False too."""
    arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:rds!db-1"
    table = Table()
    table.add_column("ARN", no_wrap=True)
    table.add_row(arn)
    to = make()
    to.print(arn, markup=False, soft_wrap=True)
    to.print(table)
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count(arn) == 2


def test_a_pipe_gets_every_name_whole(capsys: pytest.CaptureFixture[str]) -> None:
    table, name = Table(), "arn:aws:s3:::bucket/" + "long-key/" * 40
    table.add_column("resource", overflow="fold")
    table.add_row(name)
    stdout_console().print(table)
    assert name in capsys.readouterr().out
