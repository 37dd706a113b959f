"""Building blocks of every page: frame, tables, bars and histograms."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:68rem;padding:0 1rem;"
    "color:#222}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}"
    "table{border-collapse:collapse;margin:.8rem 0}"
    "td,th{padding:.25rem .9rem .25rem 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #eee}th{font-weight:600}"
    "td.number{text-align:right;font-variant-numeric:tabular-nums}img{max-width:30rem}"
    "code{overflow-wrap:anywhere}.mark td,.mark th{background:#fde9e7}"
    ".bar{background:#69c;height:.8rem}.note{background:#fff6df;padding:.5rem .8rem}"
    ".good{background:#e8f5e9;padding:.5rem .8rem}.bad{background:#fde9e7;padding:.5rem .8rem}"
    ".wide{overflow-x:auto}footer{color:#777;margin-top:2rem;font-size:.85rem}"
)
_WIDTH, _HEIGHT = 180, 36


@dataclass(frozen=True)
class Shares:
    """How values spread over bins or categories: in what was known first, and in what came."""

    names: Sequence[str]
    before: Sequence[float]
    now: Sequence[float]


def text(value: object) -> str:
    """Anything as text that a page may hold."""
    return html.escape(str(value))


def page(title: str, *parts: str) -> str:
    """A whole page. `parts` are HTML already."""
    shown = text(title)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{shown}</title><style>{_STYLE}</style></head><body><h1>{shown}</h1>",
            *parts,
            f"<footer>Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.</footer></body></html>\n",
        ]
    )


def pairs(rows: Mapping[str, str]) -> str:
    """A table of names and values; values are HTML already."""
    cells = "".join(f"<tr><th>{text(name)}<td>{value}</tr>" for name, value in rows.items())
    return f"<table>{cells}</table>"


def grid(
    head: Sequence[str], rows: Iterable[Sequence[str]], marked: Iterable[bool] | None = None
) -> str:
    """A table with a head; cells are HTML already. `marked` rows stand out."""
    listed = list(rows)
    marks = list(marked) if marked is not None else [False] * len(listed)
    body = "".join(
        f"<tr{' class=mark' if mark else ''}>{''.join(f'<td>{cell}' for cell in row)}</tr>"
        for row, mark in zip(listed, marks, strict=True)
    )
    top = "".join(f"<th>{text(name)}" for name in head)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def bar(share: float) -> str:
    """A bar as wide as a share, from 0 to 1, of its cell."""
    width = f"{max(0.0, min(share, 1.0)):.0%}"
    return f"<div style='width:12rem'><div class='bar' style='width:{width}'></div></div>"


def picture(shares: Shares) -> str:
    """Two bars side by side for each bin: grey for before, blue for now."""
    highest = max([*shares.before, *shares.now], default=0.0) or 1.0
    step = _WIDTH / max(len(shares.names), 1)
    drawn = []
    for place, (name, before, now) in enumerate(
        zip(shares.names, shares.before, shares.now, strict=True)
    ):
        title = f"<title>{text(name)}: {before:.1%} before, {now:.1%} now</title>"
        for part, (share, colour) in enumerate(((before, "#aaa"), (now, "#36c"))):
            height = _HEIGHT * share / highest
            drawn.append(
                f'<rect x="{(place + part * 0.45) * step:.1f}" y="{_HEIGHT - height:.1f}" '
                f'width="{step * 0.42:.1f}" height="{height:.1f}" fill="{colour}">{title}</rect>'
            )
    return (
        f'<svg role="img" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f"<title>{text(', '.join(shares.names))}</title>{''.join(drawn)}</svg>"
    )
