"""The printable sheet of a lab: its story, and room for what the student found."""

from __future__ import annotations

from scripts.labs.lab import ATTACK_POINTS, FIX_POINTS, Lab

QUESTIONS = (
    "Which statement, or which absence, let the attack in?",
    "What I changed, and why it is enough:",
    "What still works that should:",
    "What my fix does not stop:",
    "Answers for the discussion:",
)
LINES = 3
_STYLE = (
    "body{font:12pt/1.45 Georgia,serif;max-width:44rem;margin:1rem auto;color:#000}"
    "code{font-size:.88em;overflow-wrap:anywhere}h1{font-size:1.5em}"
    "section{break-after:page}section:last-child{break-after:auto}"
    ".room{border-bottom:1px solid #777;height:1.9em}"
)


def markdown(lab: Lab) -> str:
    """The sheet as Markdown."""
    room = "\n".join(["_" * 72] * LINES)
    text = (lab.folder / "README.md").read_text(encoding="utf-8").rstrip()
    parts = [text, _facts(lab), "Flag: " + "_" * 60]
    parts += [f"**{question}**\n\n{room}" for question in QUESTIONS]
    return "\n\n".join(parts) + "\n"


def html(labs: list[Lab]) -> str:
    """The sheets as one page to print: a lab begins on a new sheet of paper."""
    from markdown_it import MarkdownIt

    render = MarkdownIt("js-default").render
    room = '<div class="room"></div>'
    sections = []
    for lab in labs:
        text = (lab.folder / "README.md").read_text(encoding="utf-8")
        asked = "".join(f"<p><b>{question}</b></p>{room * LINES}" for question in QUESTIONS)
        body = f"{render(text)}{render(_facts(lab))}<p><b>Flag:</b></p>{room}{asked}"
        sections.append(f"<section>{body}</section>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Security labs</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def _facts(lab: Lab) -> str:
    costs = ", ".join(str(hint.cost) for hint in lab.hints)
    return (
        f"About {lab.minutes} minutes. Flag {ATTACK_POINTS} points, fix {FIX_POINTS}; "
        f"hints cost {costs}: `keyless lab hint {lab.number}`. "
        f"Begin with `keyless lab start {lab.number}`."
    )
