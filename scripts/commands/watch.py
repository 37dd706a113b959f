"""`keyless watch`: a local page that shows the local cloud's requests as they are decided."""

from __future__ import annotations

import signal

import click

from scripts.commands import Project, pass_project


@click.command("watch")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on this machine.  [default: any]"
)
@pass_project
def watch(project: Project, port: int) -> None:
    """Show the local cloud's requests as they are decided, on a page of this machine.

    \b
    keyless watch          serve the page and print its address; Ctrl-C ends it

    Each line shows who asked for what, the answer, and the statement that gave it. A line's
    details have every statement that was considered and what would change the answer. The page
    listens on 127.0.0.1 alone, and its address holds a token: whoever has it sees the decision
    log. In a lab's shell it shows the lab's cloud, its story and your score, too.
    """
    from functools import partial

    from scripts.console import UserError
    from scripts.labs import page
    from scripts.labs.operations import is_lab_home
    from scripts.signals import terminated_as_interrupted
    from scripts.watch.server import WatchServer

    home = project.cloud().home
    tell = partial(page.story, home) if is_lab_home(home) else lambda: None
    try:
        server = WatchServer(home, tell, port)
    except OSError as error:
        raise UserError(
            f"Port {port} cannot be used",
            why=str(error),
            fix="keyless watch   (takes a free one)",
            exit_code=2,
        ) from None
    click.echo(f"watch the local cloud at {server.address}")
    click.echo("Ctrl-C ends it", err=True)
    with server, terminated_as_interrupted():
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            # A second Ctrl-C is not needed: nothing is left to wait for.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
