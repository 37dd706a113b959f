"""`keyless completion`: verbs, options, roles and environments by the tab key."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_KEYLESS_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the shell's completion script for verbs, options, roles and environments.

    \b
    eval "$(keyless completion bash)"     now; for good, put the line into ~/.bashrc
    eval "$(keyless completion zsh)"      the same in ~/.zshrc
    keyless completion fish > ~/.config/fish/completions/keyless.fish

    The shell finds `keyless` by its name: .venv/bin has to be on PATH.
    """
    made = get_completion_class(shell)
    assert made is not None  # click knows the three
    click.echo(made(ctx.find_root().command, {}, "keyless", VARIABLE).source())
