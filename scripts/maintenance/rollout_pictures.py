"""The pictures of docs/rollouts.md, taken from the pages that `keyless rollout demo` writes.

keyless up --model-servers
keyless rollout demo canary good         # and the others in PICTURES
python -m scripts.maintenance.rollout_pictures .keyless docs/pictures
"""

from __future__ import annotations

import re
from pathlib import Path

import click

PICTURES = (
    "rollout-champion_challenger-good",
    "rollout-canary-good",
    "rollout-canary-bad",
    "rollout-ab-good",
    "rollout-blue_green-good",
)


@click.command()
@click.argument("home", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(home: Path, folder: Path) -> None:
    """Write the curves of each demo's page in HOME as FOLDER/NAME.svg."""
    pages = {name: home / f"{name}.html" for name in PICTURES}
    if missing := [name for name, page in pages.items() if not page.is_file()]:
        commands = "; ".join(
            f"keyless {name.replace('-', ' ', 1).replace('-', ' ')}" for name in missing
        )
        raise click.ClickException(f"{home} lacks {', '.join(missing)}: run {commands}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages.items():
        (folder / f"{name}.svg").write_text(
            curves(page.read_text(encoding="utf-8")), encoding="utf-8"
        )


def curves(page: str) -> str:
    """The page's figure as a file of its own, with coordinates to a tenth of a point."""
    start, end = page.index("<svg"), page.index("</svg>") + len("</svg>")
    return re.sub(r"(\d+\.\d)\d+", r"\1", page[start:end]) + "\n"


if __name__ == "__main__":
    main()
