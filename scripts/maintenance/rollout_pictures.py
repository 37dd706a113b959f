"""The pictures of docs/rollouts.md, taken from the pages that `keyless rollout demo` writes.

keyless up --model-servers
keyless rollout demo canary good   # and the others of PICTURES
python -m scripts.maintenance.rollout_pictures .keyless docs/pictures
"""

from __future__ import annotations

import re
from pathlib import Path

import click

DEMOS = (("champion_challenger", "good"), ("canary", "good"), ("canary", "bad"), ("ab", "good"))
PICTURES = tuple(f"rollout-{strategy}-{challenger}" for strategy, challenger in DEMOS)


@click.command()
@click.argument("home", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(home: Path, folder: Path) -> None:
    """Write the curves of each demo's page in HOME as FOLDER/NAME.svg."""
    pages = {name: home / f"{name}.html" for name in PICTURES}
    missing = [
        f"keyless rollout demo {' '.join(demo)}"
        for demo, page in zip(DEMOS, pages.values(), strict=True)
        if not page.is_file()
    ]
    if missing:
        raise click.ClickException(f"{home} lacks the pages of: {'; '.join(missing)}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages.items():
        text = curves(page.read_text(encoding="utf-8"))
        (folder / f"{name}.svg").write_text(text, encoding="utf-8")


def curves(page: str) -> str:
    """The page's figure as a file of its own, with coordinates to a tenth of a point."""
    start, end = page.index("<svg"), page.index("</svg>") + len("</svg>")
    return re.sub(r"(\d+\.\d)\d+", r"\1", page[start:end]) + "\n"


if __name__ == "__main__":
    main()
