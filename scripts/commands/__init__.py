"""The verbs of `keyless`, one per file: the file's one `click` command is found by the file's name.

A verb's file imports only what `--help` needs; boto3, mlflow and the like are imported inside its
functions. The first line of the command's docstring is its line in `keyless --help`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from scripts.localcloud.home import Cloud


@dataclass(frozen=True)
class Project:
    """Where the command runs: the project's root and the state directory of its local cloud."""

    root: Path
    home: Path

    def cloud(self) -> Cloud:
        """Find the running local cloud. Raises `UserError` if none runs."""
        from scripts.console import UserError
        from scripts.localcloud.home import CloudDown, load

        try:
            return load(self.home)
        except CloudDown as down:
            raise UserError(
                "The local cloud does not run", why=str(down), mend="keyless up"
            ) from None


pass_project = click.make_pass_decorator(Project)
