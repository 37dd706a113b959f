"""The frame: help without imports, verbs by file, failures as advice."""

import errno
import os
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from click.testing import CliRunner
from packaging.requirements import Requirement

from scripts import cli
from scripts.commands import Project, pass_project
from scripts.console import UserError
from scripts.signals import run_attended

HEAVY = ("boto3", "botocore", "mlflow", "moto", "pandas", "rich", "pydantic", "python_terraform")


def failing(failure: Exception) -> Callable[..., click.Command]:
    @click.command("doctor")
    def command() -> None:
        raise failure

    return lambda self, ctx, name: command


def run_failing(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr(cli.Verbs, "get_command", failing(failure))
    result = CliRunner().invoke(cli.keyless, ["doctor"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stderr


def test_every_verb_can_be_loaded_and_shows_help() -> None:
    context = click.Context(cli.keyless)
    names = cli.keyless.list_commands(context)
    assert {"doctor", "outputs", "token", "whoami", "tunnel"} <= set(names)
    for name in names:
        result = CliRunner().invoke(cli.keyless, [name, "--help"])
        assert result.exit_code == 0, (name, result.output)


def test_help_lists_every_verb_with_its_first_line() -> None:
    shown = CliRunner().invoke(cli.keyless, ["--help"]).output
    for name in cli.keyless.list_commands(click.Context(cli.keyless)):
        summary = cli.summary(name)
        command = cli.keyless.get_command(click.Context(cli.keyless), name)
        assert command is not None
        assert (command.help or "").replace("\n", " ").startswith(summary), name
        # One line in a terminal of 100 columns.
        assert len(summary) <= 78, name
        assert summary.split()[0] in shown
        assert f"  {name} " in shown


def test_every_verb_shows_an_example_and_cuts_no_line_of_its_help_short() -> None:
    for name in cli.keyless.list_commands(click.Context(cli.keyless)):
        shown = CliRunner().invoke(cli.keyless, [name, "--help"]).output
        assert f"\n  keyless {name}" in shown, name
        assert "...\n" not in shown.partition("\nCommands:")[2], name


def test_no_verb_alone_teaches_as_help_does() -> None:
    result = CliRunner().invoke(cli.keyless, [])
    assert result.exit_code == 0
    assert result.output == CliRunner().invoke(cli.keyless, ["--help"]).output


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom scripts.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(heavy, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=cli.ROOT,
    )
    assert done.stderr == "[]\n"


@pytest.mark.alone
def test_help_appears_at_once(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}

    def seconds() -> float:
        begun = time.process_time_ns(), os.times()
        subprocess.run(
            [sys.executable, "-m", "scripts.cli", "--help"],
            capture_output=True,
            check=True,
            cwd=cli.ROOT,
            env=environment,
        )
        ended = os.times()
        return (
            ended.children_user
            + ended.children_system
            - (begun[1].children_user + begun[1].children_system)
        )

    seconds()  # compiles
    # Processor time of the best of three, so that a busy machine does not count.
    assert min(seconds() for _ in range(3)) < 0.3


def test_the_command_is_the_entry_point_of_the_installed_project() -> None:
    [found] = entry_points(group="console_scripts", name="keyless")
    assert found.load() is cli.main


def test_the_locked_uv_builds_the_install_by_itself() -> None:
    """uv is its own build backend where its version fits; another one would be downloaded."""
    project = tomllib.loads((cli.ROOT / "pyproject.toml").read_text())
    [backend] = project["build-system"]["requires"]
    [uv] = [one for one in project["project"]["dependencies"] if one.startswith("uv==")]
    assert backend.startswith("uv_build")
    assert Requirement(backend).specifier.contains(uv.partition("==")[2])


def test_a_misspelt_verb_gets_a_suggestion() -> None:
    result = CliRunner().invoke(cli.keyless, ["docter"])
    assert result.exit_code == 2
    assert "Did you mean `keyless doctor`?" in result.stderr


def test_an_unknown_verb_is_wrong_usage() -> None:
    result = CliRunner().invoke(cli.keyless, ["zzz"])
    assert result.exit_code == 2
    assert "There is no command 'zzz'" in result.stderr


def test_the_version_is_the_projects() -> None:
    result = CliRunner().invoke(cli.keyless, ["--version"])
    assert result.output.startswith("keyless 0.")


def test_a_user_error_shows_what_why_and_fix_without_a_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failure = UserError("It broke", why="a wire is cut", fix="keyless up", exit_code=2)
    assert run_failing(failure, monkeypatch) == (
        2,
        "error: It broke\n  why  a wire is cut\n  fix  keyless up\n",
    )


def test_a_refusal_of_aws_is_told_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = ClientError({"Error": {"Code": "AccessDenied", "Message": "not yours"}}, "GetObject")
    code, text = run_failing(failure, monkeypatch)
    assert code == 1
    assert "AWS refused GetObject" in text
    assert "AccessDenied: not yours" in text


def test_missing_credentials_point_to_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = run_failing(NoCredentialsError(), monkeypatch)
    assert code == 1
    assert "keyless doctor --aws" in text


def test_wrong_input_of_the_pipeline_is_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.errors import InputError

    assert run_failing(InputError("say it so"), monkeypatch) == (2, "error: say it so\n")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run_failing(ZeroDivisionError(), monkeypatch)


def shown_home(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    seen: list[Path] = []

    @click.command("doctor")
    @pass_project
    def command(project: Project) -> None:
        seen.append(project.home)

    monkeypatch.setattr(cli.Verbs, "get_command", lambda self, ctx, name: command)
    result = CliRunner().invoke(cli.keyless, [*arguments, "doctor"], catch_exceptions=False)
    assert result.exit_code == 0
    return seen[0]


def test_the_home_is_in_the_project_unless_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KEYLESS_HOME", raising=False)
    assert shown_home([], monkeypatch) == cli.ROOT / ".keyless"
    monkeypatch.setenv("KEYLESS_HOME", str(tmp_path / "a"))
    assert shown_home([], monkeypatch) == tmp_path / "a"
    assert shown_home(["--home", str(tmp_path / "b")], monkeypatch) == tmp_path / "b"


def test_the_fix_of_a_failure_acts_where_the_command_acted(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    done = CliRunner().invoke(cli.keyless, ["--home", str(home), "whoami", "--role", "train"])
    assert f"fix  keyless --home '{home}' up" in done.stderr
    in_project = CliRunner(env={"KEYLESS_HOME": str(home)}).invoke(
        cli.keyless, ["whoami", "--role", "train"]
    )
    assert "fix  keyless up" in in_project.stderr


def test_without_a_cloud_the_command_that_starts_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        Project(cli.ROOT, tmp_path).cloud()
    assert raised.value.fix == "keyless up"


def documented_commands() -> list[str]:
    page = (cli.ROOT / "docs" / "cli.md").read_text()
    blocks = page.split("```")[1::2]
    return [line for block in blocks for line in block.splitlines() if line.startswith("keyless ")]


@pytest.mark.parametrize("line", documented_commands())
def test_every_documented_command_is_one(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])[1:]
    if words == ["--help"]:
        return
    context = click.Context(cli.keyless)
    command = cli.keyless.get_command(context, words[0])
    assert command is not None, line
    # Parses every option and value without running the command.
    if "--help" not in words:
        command.make_context(words[0], words[1:])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_nothing_is_a_sentence(number: int) -> None:
    told = cli.as_user_error(OSError(number, os.strerror(number), "/home/ada/file"))
    assert told is not None
    assert told.what == "/home/ada/file cannot be written"
    assert told.fix


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR]
)
def test_a_path_that_cannot_be_used_is_a_sentence(number: int) -> None:
    told = cli.as_user_error(OSError(number, os.strerror(number), "/home/ada/file"))
    assert told is not None
    assert (told.what, told.why) == ("/home/ada/file cannot be used", os.strerror(number))
    assert told.fix
    assert cli.as_user_error(OSError(number, os.strerror(number))) is None


@pytest.mark.parametrize(("whole", "then"), [(True, "goes on"), (False, "builds a new cloud")])
def test_an_up_that_is_interrupted_says_what_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool, then: str
) -> None:
    from scripts.local_run.flow import Flow

    def interrupted(self: Flow) -> None:
        del self
        raise KeyboardInterrupt

    monkeypatch.setattr(Flow, "run", interrupted)
    monkeypatch.setattr(Flow, "goes_on", lambda _: whole)
    done = CliRunner().invoke(cli.keyless, ["--home", str(tmp_path / "home"), "up"])
    assert done.exit_code == 130  # as shells have it: 128 and SIGINT
    assert "interrupted" in done.output
    assert f"up   ({then})" in done.output
    assert "down   (removes it)" in done.output


@pytest.mark.parametrize("kind", [KeyboardInterrupt, click.Abort])
def test_any_command_that_is_interrupted_says_so_once_and_names_itself_again(
    kind: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scripts.commands import models

    def interrupted(*_: object, **__: object) -> int:
        raise kind

    monkeypatch.setattr(models, "show_step", interrupted)
    words = ["--home", str(tmp_path / "a home"), "models", "bikes"]
    done = CliRunner().invoke(cli.keyless, words)
    assert done.exit_code == 130
    assert "Aborted" not in done.output
    assert done.output.count("interrupted") == 1
    assert f"keyless --home '{tmp_path}/a home' models bikes   (goes on)" in done.output


def test_a_child_that_an_interrupt_ends_without_a_word_is_an_interrupt() -> None:
    program = "import os, signal; signal.signal(2, signal.SIG_DFL); os.kill(os.getpid(), 2)"
    with pytest.raises(KeyboardInterrupt):
        run_attended(lambda: subprocess.Popen([sys.executable, "-c", program]))
    assert run_attended(lambda: subprocess.Popen([sys.executable, "-c", "exit(130)"])) == 130


def test_a_home_below_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(cli.keyless, ["--home", str(tmp_path / "file" / "home"), "up"])
    assert done.exit_code == 1
    assert "Not a directory" in done.output


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_an_output_that_takes_nothing_is_a_sentence(option: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "scripts.cli", option],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=cli.ROOT, check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("foreign", [True, False])
def test_the_whole_text_of_a_librarys_failure_is_kept_and_of_our_own_none(
    foreign: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.errors import InputError

    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetRole")
    failure = denied if foreign else InputError("say it so")
    monkeypatch.setattr(cli.Verbs, "get_command", failing(failure))
    done = CliRunner().invoke(cli.keyless, ["--home", str(tmp_path), "doctor"])
    kept = tmp_path / "last-failure.txt"
    assert kept.exists() == foreign
    assert ("the whole text" in done.stderr) == foreign
    if foreign:
        assert "Traceback" in kept.read_text()
        assert kept.stat().st_mode & 0o777 == 0o600
