"""The `keyless` command: finds its verbs, prints their help, and turns failures into advice."""

from __future__ import annotations

import ast
import contextlib
import difflib
import errno
import importlib
import re
import shlex
import sys
import tomllib
import traceback
from pathlib import Path

import click
from click.core import ParameterSource

from scripts import foreign
from scripts.commands import ON_AWS, Project
from scripts.console import INTERRUPTED, UserError, print_error

ROOT = Path(__file__).resolve().parents[1]
VERBS = Path(__file__).resolve().parent / "commands"
SECTIONS = {
    "Run the platform here": ("up", "down", "doctor", "completion"),
    "Look at it": ("outputs", "watch", "tunnel", "database"),
    "Identities": ("token", "whoami", "explain-denial", "least-privilege", "lint-trust"),
    "Models": ("run", "models", "audit", "rollback", "rollout"),
    "Learn": ("lab", "aws"),
    "An AWS account": (
        *("bootstrap", "github-setup", "image", "plan", "apply", "destroy", "cost", "wheelhouse"),
        "migrate",
    ),
}


class Verbs(click.Group):
    """A group whose commands are the files of a folder, imported when they are used."""

    def list_commands(self, _: click.Context) -> list[str]:
        """The verbs in the order of `--help`."""
        names = {path.stem.replace("_", "-") for path in VERBS.glob("[a-z]*.py")}
        ordered = [name for section in SECTIONS.values() for name in section if name in names]
        return ordered + sorted(names.difference(ordered))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb's file; None if there is no such verb."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"scripts.commands.{cmd_name.replace('-', '_')}")
        for value in vars(module).values():
            if isinstance(value, click.Command) and value.name == cmd_name:
                return value
        raise LookupError(f"{module.__name__} has no click command named {cmd_name!r}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or suggest the one that was meant."""
        wanted = args[0]
        if not wanted.startswith("-") and wanted not in self.list_commands(ctx):
            close = difflib.get_close_matches(wanted, self.list_commands(ctx), n=1)
            hint = f" Did you mean `keyless {close[0]}`?" if close else ""
            ctx.fail(f"There is no command {wanted!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs by section, each with the first line of its help."""
        names = self.list_commands(ctx)
        listed = {name for section in SECTIONS.values() for name in section}
        sections = SECTIONS | {"More": tuple(name for name in names if name not in listed)}
        width = max(map(len, names), default=0)
        for title, section in sections.items():
            # Padded by hand so that the columns of all sections agree.
            rows = [(name.ljust(width), summary(name)) for name in section if name in names]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words of the command, to name it again when it is interrupted."""
        ctx.meta[_WORDS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; a foreseeable failure ends as advice and an exit code."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            print_error(_interrupted(ctx))
            ctx.exit(INTERRUPTED)
        except Exception as failure:
            foreseen = as_user_error(failure)
            if foreseen is None or ctx.params.get("debug"):
                raise
            if ctx.meta.get(ON_AWS) and not _is_ours(failure):
                foreseen.fix = _NEEDS_AWS.sub(r"\g<0> --aws", foreseen.fix)
            foreseen.fix = _at_home(foreseen.fix, ctx)
            print_error(foreseen)
            if not _is_ours(failure):
                _keep(failure, ctx)
            ctx.exit(foreseen.exit_code)


_WORDS = "keyless.words"


def _interrupted(ctx: click.Context) -> UserError:
    return UserError(
        f"`keyless {ctx.invoked_subcommand}` was interrupted",
        why="what it did before that stays",
        fix=f"{shlex.join(['keyless', *ctx.meta[_WORDS]])}   (goes on)",
    )


# What a library's failure names, for the account that it happened in.
_NEEDS_AWS = re.compile(r"\bkeyless (?:doctor|explain-denial|database)(?! --aws)\b")


def _at_home(fix: str, ctx: click.Context) -> str:
    """The commands that fix it, for the state directory that this command was given."""
    if ctx.get_parameter_source("home") is not ParameterSource.COMMANDLINE:
        return fix
    home = shlex.quote(str(ctx.params["home"]))
    verbs = "|".join(map(re.escape, ctx.command.list_commands(ctx)))  # type: ignore[attr-defined]
    return re.sub(rf"\bkeyless (?=(?:{verbs})\b)", lambda _: f"keyless --home {home} ", fix)


def _keep(failure: Exception, ctx: click.Context) -> None:
    """Write the whole text of a library's failure where it can be read later."""
    project = ctx.obj
    if not isinstance(project, Project) or not project.home.is_dir():
        return
    file = project.home / "last-failure.txt"
    with contextlib.suppress(OSError):
        file.write_text("".join(traceback.format_exception(failure)))
        file.chmod(0o600)
        click.echo(f"  the whole text: {file}, or the same command with --debug", err=True)


def summary(verb: str) -> str:
    """Read a verb's line of help from its source, so that `keyless --help` imports no verb."""
    module = ast.parse((VERBS / f"{verb.replace('-', '_')}.py").read_text())
    for node in module.body:
        # The first one; those of a group come after the group itself.
        if isinstance(node, ast.FunctionDef) and any(
            ast.unparse(decorator).startswith(("click.command", "click.group"))
            for decorator in node.decorator_list
        ):
            text = ast.get_docstring(node) or ""
            break
    else:
        text = ast.get_docstring(module) or ""
    return text.partition("\n\n")[0].replace("\n", " ").rstrip(".")


_SPACE = "free some space (df -h shows where), then the same command again"
NOT_WRITABLE = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EROFS: "name a folder that you may write: keyless --home FOLDER",
}
NOT_USABLE = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


def _is_ours(failure: Exception) -> bool:
    """Whether the message was written for people, so that the stack trace adds nothing."""
    # Asked by name: the classes themselves come from packages that most verbs never import.
    origin = type(failure).__module__
    return isinstance(failure, UserError) or origin in (
        "pipeline.errors",
        "scripts.localcloud.home",
    )


def as_user_error(failure: Exception) -> UserError | None:
    """Translate failures that a user can do something about; None for all others."""
    if isinstance(failure, UserError):
        return failure
    if _is_ours(failure):
        fix, code = getattr(failure, "fix", ""), getattr(failure, "exit_code", 1)
        return UserError(str(failure), fix=fix, exit_code=code)
    if isinstance(failure, OSError) and (fix := NOT_WRITABLE.get(failure.errno or 0)):
        what = failure.filename or "A file"
        return UserError(f"{what} cannot be written", why=failure.strerror or "", fix=fix)
    if isinstance(failure, OSError) and failure.filename and failure.errno in NOT_USABLE:
        return UserError(
            f"{failure.filename} cannot be used",
            why=failure.strerror or "",
            fix="name another path, or make this one usable (ls -ld shows what it is, and whose)",
        )
    return foreign.as_user_error(failure)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        click.echo(f"keyless {project['version']}")
        ctx.exit()


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / ".keyless",
    envvar="KEYLESS_HOME",
    help="Local cloud's state (also KEYLESS_HOME).  [default: .keyless in the project]",
)
@click.option(
    "--debug",
    is_flag=True,
    envvar="KEYLESS_DEBUG",
    help="Show a failure with its stack trace (also KEYLESS_DEBUG=1).",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and end.",
)
@click.pass_context
def keyless(ctx: click.Context, home: Path, debug: bool) -> None:  # noqa: ARG001 - see Verbs
    """An MLflow platform on AWS with no long-lived secret in it, provable on this machine.

    \b
    keyless up                     start the local cloud and take a model to promotion
    keyless doctor                 what this machine lacks, and the command that fixes it
    keyless whoami --role train    what one role may do, and what it may not
    keyless down                   remove everything that `up` made

    `keyless VERB --help` shows examples of each.
    """
    ctx.obj = Project(root=ROOT, home=home.absolute())
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Run the command; the exit code is 0 (done), 1 (failed), 2 (wrong usage) or 130 (Ctrl-C)."""
    try:
        keyless(prog_name="keyless")
    except OSError as failure:  # help and version are printed before there is a verb to invoke
        if not (foreseen := as_user_error(failure)):
            raise
        print_error(foreseen)
        sys.exit(foreseen.exit_code)


if __name__ == "__main__":
    main()
