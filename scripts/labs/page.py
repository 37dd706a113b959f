"""The page of a started lab: its story, its score, and the requests of its cloud.

`python -m scripts.labs.page HOME` serves it for as long as the lab runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from scripts.console import UserError
from scripts.files import write_private
from scripts.labs.lab import ATTACK_POINTS, FIX_POINTS, Lab, find
from scripts.labs.operations import Labs
from scripts.labs.progress import Reached
from scripts.labs.running import Record
from scripts.local_run import leftovers
from scripts.local_run.cloud import PROJECT
from scripts.localcloud import home as localhome
from scripts.watch.server import WatchServer

FILE = "page.json"
START_SECONDS = 30


def story(home: Path) -> dict[str, Any]:
    """What the page shows of the lab whose cloud is in `home`."""
    lab = find(Record.load(home).lab)
    try:
        progress = Labs(home).progress()
    except UserError as damaged:
        score = str(damaged)
    else:
        score = f"{score_line(progress.of(lab), lab)}; all labs: {progress.points} points"
    return {"number": lab.number, "title": lab.title, "story": html_of(lab), "score": score}


def score_line(reached: Reached, lab: Lab) -> str:
    """The score of a lab in one line."""
    parts = [f"{reached.points} of {ATTACK_POINTS + FIX_POINTS} points"]
    parts.append("flag found" if reached.flag else "flag open")
    parts.append("fix accepted" if reached.fixed else "fix open")
    parts.append(f"{reached.hints} of {len(lab.hints)} hints taken")
    if reached.shown:
        parts.append("solution shown")
    return ", ".join(parts)


def html_of(lab: Lab) -> str:
    """The lab's story as HTML; HTML in the text is escaped."""
    from markdown_it import MarkdownIt

    text = (lab.folder / "README.md").read_text(encoding="utf-8")
    # The heading is the page's own; this preset lets no HTML through.
    return str(MarkdownIt("js-default").render(text.partition("\n")[2]))


def start(home: Path) -> str:
    """Serve the page from a process of the lab's, unless one does; returns its address."""
    if (address := _running(home)) is not None:
        return address
    (home / FILE).unlink(missing_ok=True)
    log = home / "page.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(home)],
            cwd=PROJECT,
            env={"HOME": str(home), "LANG": "C.UTF-8", **leftovers.mark(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if (address := _running(home)) is not None:
            return address
        time.sleep(0.05)
    raise UserError("the lab's page did not start", why=log.read_text(errors="replace")[-600:])


def _running(home: Path) -> str | None:
    try:
        found = json.loads((home / FILE).read_bytes())
        alive = localhome.alive(int(found["pid"]), float(found["started"]), home.absolute())
        return str(found["address"]) if alive else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def main(home: Path) -> None:
    """Serve until the lab is taken apart, which ends this process."""
    server = WatchServer(home, lambda: story(home))
    me = psutil.Process()
    found = {"pid": me.pid, "started": me.create_time(), "address": server.address}
    write_private(home / FILE, json.dumps(found))
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
