"""One rule for every verb: where it acts, how its environment is named, what it asks, its JSON."""

import os
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from scripts import commands
from scripts.account.environment import Account
from scripts.cli import keyless
from scripts.commands import Project
from scripts.commands.up import _found_by_the_shell

# What has no counterpart on AWS: the local cloud itself, its issuer, the labs.
LOCAL_ALONE = {
    "aws",
    "completion",
    "down",
    "lab",
    "least-privilege",
    "token",
    "up",
    "watch",
    "whoami",
}
CHANGES_AN_ACCOUNT = {
    *("apply", "bootstrap", "database", "destroy", "github-setup", "rollback", "rollout", "run"),
    "wheelhouse",
}
READS = {
    *("audit", "cost", "doctor", "explain-denial", "github-setup", "least-privilege"),
    *("lint-trust", "models", "outputs", "plan", "rollout", "token", "up", "whoami"),
}
OF_NO_ENVIRONMENT = {"aws", "completion", "down", "lab", "lint-trust", "up", "watch"}
CONTEXT = click.Context(keyless)
VERBS = keyless.list_commands(CONTEXT)


def option(verb: str, name: str) -> click.Parameter | None:
    command = keyless.get_command(CONTEXT, verb)
    assert command is not None
    return next((one for one in command.params if name in one.opts), None)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_acts_locally_unless_told_otherwise(verb: str) -> None:
    found = option(verb, "--aws")
    assert (found is None) == (verb in LOCAL_ALONE)
    if found is not None:
        assert (found.default, found.envvar) == (False, "KEYLESS_AWS")
        assert found.secondary_opts == ["--local"]


@pytest.mark.parametrize("verb", VERBS)
def test_the_environment_is_named_in_one_way(verb: str) -> None:
    found = option(verb, "--environment")
    assert (found is None) == (verb in OF_NO_ENVIRONMENT)
    if found is not None:
        assert "-e" in found.opts
        # bootstrap keeps the environments of the last time, so the variable only fills a gap.
        assert found.envvar == ("KEYLESS_ENVIRONMENT" if verb != "bootstrap" else None)
    command = keyless.get_command(CONTEXT, verb)
    assert command is not None
    assert not any(
        isinstance(one, click.Argument) and one.name == "environment" for one in command.params
    )


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_changes_an_account_asks_and_one_that_reads_prints_json(verb: str) -> None:
    assert (option(verb, "--yes") is not None) == (verb in CHANGES_AN_ACCOUNT)
    assert (option(verb, "--json") is not None) == (verb in READS)


@pytest.mark.parametrize("verb", sorted(set(VERBS) - OF_NO_ENVIRONMENT))
def test_what_can_be_no_environment_is_refused_before_anything_else(
    verb: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(keyless, ["--home", str(tmp_path / "home"), verb, "-e", "Dev/.."])
    assert done.exit_code == 2
    assert "is not 2 to 12 lower-case letters and digits, such as dev" in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["token", "--role", "nobody"],
        ["whoami", "--role", "nobody"],
        ["tunnel", "--role", "nobody"],
        ["explain-denial", "--log", "nothing"],
        ["least-privilege", "--log", "nothing"],
    ],
)
def test_wrong_input_is_named_before_a_cloud_is_looked_for(
    words: list[str], tmp_path: Path
) -> None:
    done = CliRunner().invoke(keyless, ["--home", str(tmp_path / "home"), *words])
    assert done.exit_code == 2
    assert words[-1] in done.stderr
    assert "does not run" not in done.stderr


def seen(arguments: list[str], monkeypatch: pytest.MonkeyPatch, **environment: str) -> Any:
    """Where `keyless outputs` would look: "aws" or "local", and for which environment."""
    for name in ("KEYLESS_AWS", "KEYLESS_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found: list[tuple[str, str]] = []

    class Found(Exception):
        pass

    def local(self: Project, cloud: object, environment: str) -> None:
        found.append(("local", environment))
        raise Found

    def aws(environment: str, file: object) -> None:
        found.append(("aws", environment))
        raise Found

    monkeypatch.setattr(Project, "cloud", lambda self: None)
    monkeypatch.setattr(Project, "local_platform", local)
    monkeypatch.setattr("scripts.commands.outputs.aws_platform", aws)
    with pytest.raises(Found):
        CliRunner().invoke(keyless, ["outputs", *arguments], catch_exceptions=False)
    return found[0]


def test_options_win_over_variables_and_variables_over_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert seen([], monkeypatch) == ("local", "dev")
    assert seen(["--aws", "-e", "prod"], monkeypatch) == ("aws", "prod")
    job = {"KEYLESS_AWS": "1", "KEYLESS_ENVIRONMENT": "prod"}
    assert seen([], monkeypatch, **job) == ("aws", "prod")
    assert seen(["--local", "--environment", "dev"], monkeypatch, **job) == ("local", "dev")
    assert seen([], monkeypatch, KEYLESS_AWS="0") == ("local", "dev")


def test_a_variable_that_is_neither_yes_nor_no_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYLESS_AWS", "perhaps")
    assert CliRunner().invoke(keyless, ["outputs"]).exit_code == 2


def account(*, aws: bool) -> Account:
    return Account(
        "123456789012", "eu-west-1", Path(), {}, lambda _: None, "arn:aws:iam::1:role/me", aws=aws
    )


@click.command()
@commands.yes_option
@click.option("--aws", is_flag=True)
def changing(yes: bool, aws: bool) -> None:
    commands.agree(account(aws=aws), "prod", "put the previous champion back", yes=yes)
    click.echo("changed")


@pytest.mark.parametrize(
    ("arguments", "answer", "changed"),
    [
        (["--aws"], "y\n", True),
        (["--aws"], "n\n", False),
        (["--aws"], "\n", False),
        (["--aws"], "", False),
        (["--aws", "--yes"], "", True),
        ([], "", True),
    ],
)
def test_a_real_account_is_changed_after_a_yes_alone(
    arguments: list[str], answer: str, changed: bool
) -> None:
    done = CliRunner().invoke(changing, arguments, input=answer)
    assert ("changed" in done.stdout) == changed
    assert done.exit_code == (0 if changed else 2)
    if "--aws" in arguments:
        assert "AWS account 123456789012, region eu-west-1, environment prod" in done.stderr
        assert "put the previous champion back" in done.stderr
    if not changed:
        assert "nothing was changed" in done.stderr


@pytest.mark.parametrize(
    ("found", "expected"),
    [(None, [("source env/bin/activate", "so that this shell finds keyless")]), ("/keyless", [])],
)
def test_up_names_what_lets_the_shell_find_keyless(
    found: str | None,
    expected: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "activate").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "env"))
    monkeypatch.setattr("shutil.which", lambda _: found)
    assert _found_by_the_shell() == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_is_told_how_to_complete(shell: str) -> None:
    done = CliRunner().invoke(keyless, ["completion", shell])
    assert done.exit_code == 0
    assert "_KEYLESS_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("keyless expl", {"explain-denial"}),
        ("keyless whoami --role pr", {"predict", "promote"}),
        ("keyless plan --environment p", {"prod"}),
        ("keyless plan --loc", {"--local"}),
    ],
)
def test_words_are_completed_as_the_shell_asks_for_them(line: str, expected: set[str]) -> None:
    done = CliRunner().invoke(
        keyless,
        prog_name="keyless",
        env={
            **os.environ,
            "_KEYLESS_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        },
    )
    assert {answer.partition(",")[2] for answer in done.stdout.split()} == expected


def test_bash_takes_the_script(tmp_path: Path) -> None:
    script = CliRunner().invoke(keyless, ["completion", "bash"]).stdout
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\ncomplete -p keyless"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "_keyless_completion" in done.stdout
