"""Follow the link that went through the air."""

from pathlib import Path

from scripts.labs.attacking import attack, fetch


@attack
def main() -> str:
    """Read the report of given/capture.txt."""
    lines = Path("given/capture.txt").read_text().splitlines()
    return fetch(next(line for line in lines if line.startswith("http://")))


main()
