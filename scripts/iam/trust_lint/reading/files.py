"""Trust policies of a file that is not JSON alone, whichever way they are written there."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from scripts.iam.trust_lint.reading.literals import TooTangled, apart, begin
from scripts.iam.trust_lint.reading.pages import shown
from scripts.iam.trust_lint.reading.policies import Found, Spans, policies, prepared
from scripts.iam.trust_lint.reading.programs import rewritten
from scripts.iam.trust_lint.reading.templates import policies_in, template
from scripts.iam.trust_lint.terraform.callers import Callers
from scripts.iam.trust_lint.terraform.documents import trust_policies
from scripts.names import GITHUB_HOST

MOST_CHARACTERS = 500_000
_PAGES = ("", ".md", ".mdx", ".txt", ".rst", ".adoc", ".html")
# Of these only what stands as JSON or as a template is read.
_LANGUAGES = {".fs": "F#", ".kt": "Kotlin", ".scala": "Scala"}
_PRINCIPAL = re.compile(
    r"\b(?:New)?(?:Federated|WebIdentity|OpenIdConnect)Principal(?:\.Builder\.create)?(?=\s*\()"
)
_ACTION = re.compile(r"(?:(?<![=!])[:=]|[,(\[])\s*\\?[\"'`]sts:AssumeRoleWithWebIdentity\\?[\"'`]")
_SAID = re.compile(r"sts:AssumeRole")
# Of CDK's libraries for GitHub.
_CONSTRUCT = re.compile(r"(?:\bnew\s+|[=.]\s*)Git[Hh]ubActions?(?:Oidc)?Role\s*\(")
_COMMENT = re.compile(r"\s*(?:#|//|\*|/\*)")
# What renders the policies that a program makes, by what its text names.
_RENDERS = {
    r"aws-cdk|aws_cdk|awscdk|amazon\.cdk": "what `cdk synth --json` prints",
    r"pulumi": "what `pulumi stack export` prints",
    r"terragrunt|find_in_parent_folders": "what `terragrunt show -json PLAN` prints",
    r"\b(?:resource|data|module) \"": "the plan",
}
# Plain words are looked for first: a pattern that ignores case takes ten times as long.
_WORDS = ("assumerole", "assume_role", "principal")
_FURTHER = re.compile(r"github\w*role|\bsource\s*=\s*\"\.")
_KEY = rf"[\"']?{re.escape(GITHUB_HOST)}(?:/[\w-]+)?:\w+(?:\.\w+)?[\"']?"
_KEY_OF_TOKENS = re.compile(rf"{_KEY}\s*[:=]|\bvariable\s*=\s*{_KEY}")
# Of PowerShell, which takes a name up to the colon for that of a scope or drive.
# https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_scopes
_DRIVE = re.compile(
    r"\"(?:arn|repo):[^\"'\n]*?(\$(?!(?:env|global|local|private|script|using|variable):)\w+):",
    re.IGNORECASE,
)
# A template within a program.
_EMBEDDED = re.compile(
    r"`([^`]*)`|\"\"\"(.*?)\"\"\"|<<-?\s*['\"]?(\w+)['\"]?\n(.*?)\n\s*\3\b", re.DOTALL
)


def written(
    text: str, file: Path | None = None, callers: Callers | None = None
) -> tuple[list[Found], list[str]]:
    """The trust policies of a template, of Terraform, code, a script or a page of Markdown.

    With them comes what the text has more and cannot be read. `file` is where the text stands:
    names that its neighbours define are filled in, too. What was judged through `callers` of a
    Terraform module is left out. Raises TooTangled.
    """
    if not _may_hold(text):
        return [], []
    if len(text) > MOST_CHARACTERS:
        if not _SAID.search(text):
            return [], []  # such as a bundle with AWS's SDK in it
        raise TooTangled(f"longer than the {MOST_CHARACTERS} characters that are read")
    begin()
    try:
        return _written(text, file, callers)
    except RecursionError:
        raise TooTangled("it is nested too deeply to read") from None


def _may_hold(text: str) -> bool:
    """Whether a text may hold a trust policy, or conditions of one."""
    low = text.lower()
    if any(word in low for word in _WORDS):
        return True
    patterns = ((_FURTHER, low),) * ("github" in low or "source" in low)
    patterns += ((_KEY_OF_TOKENS, text),) * (GITHUB_HOST in low)
    return any(pattern.search(one) for pattern, one in patterns)


def _written(
    text: str, file: Path | None, callers: Callers | None
) -> tuple[list[Found], list[str]]:
    kind = file.suffix if file else ""
    parts = blocks(text, file)
    beside = file if kind in (".tf", ".tofu") else None
    found: list[Found] = []
    left: list[str] = []
    alone = 0
    for part in parts or [text]:
        read = trust_policies(part, beside, callers)
        spans: Spans = [(0, len(part))]
        if read is None:
            # A page may happen to be YAML.
            content = template(part) if parts or kind not in _PAGES[1:] else None
            read, unread = policies_in(content) if content is not None else ([], [])
            left += unread
            if not read and not unread:
                part = prepared(rewritten(part, kind))
                readable = _PRINCIPAL.sub("", part) if kind in _LANGUAGES else part
                read, spans = policies(readable)
                if not read and "AWS::IAM::Role" in part:
                    read, spans = _embedded(part)
        found += [one for one in read if one not in found]
        if parts or kind in _PAGES:
            alone += _conditions_alone(part, spans)
        else:
            left += _unread(part, spans, kind)
    if kind == ".ps1" and found and "@'" not in text:
        left += _of_drives(text)
    if alone:
        left.append(f"blocks with conditions and no statement that they are of: {alone}")
    return found, left


def _of_drives(text: str) -> list[str]:
    """Where PowerShell reads another variable than the one that seems to be meant."""
    return [
        f"line {text.count(chr(10), 0, match.start(1)) + 1}: PowerShell does not fill {match[1]} "
        f"in before a colon, and it was read as if it did; write ${{{match[1][1:]}}}:"
        for match in _DRIVE.finditer(text)
    ]


def blocks(page: str, file: Path | None) -> list[str]:
    """What a page sets apart from its prose; nothing of another file. Raises TooTangled."""
    kind = file.suffix if file else ""
    with apart():
        return shown(page, unfenced=kind != "") if kind in _PAGES else []


def _embedded(text: str) -> tuple[list[Found], Spans]:
    """The policies of templates that stand in a program's texts."""
    found: list[Found] = []
    spans: Spans = []
    for match in _EMBEDDED.finditer(text):
        written = match[1] or match[2] or match[4] or ""
        if "AWS::IAM::Role" in written:
            content = template(dedent(written).replace("\\$", "$"))
            read, _ = policies_in(content) if content is not None else ([], [])
            found += read
            spans += [match.span()] if read else []
    return found, spans


def _conditions_alone(page: str, spans: Spans) -> int:
    """How many blocks of a page show conditions on tokens and no statement that they are of."""
    if "principals" in page:
        return 0
    keys = [one.start() for one in _KEY_OF_TOKENS.finditer(page) if not _within(one.start(), spans)]
    # Keys of one block stand together.
    return sum(not at or "\n\n" in page[keys[at - 1] : key] for at, key in enumerate(keys))


def _unread(text: str, spans: Spans, kind: str) -> list[str]:
    """Where a program speaks of web identity and nothing that stands there could be read."""
    language = _LANGUAGES.get(kind)
    unread = "no trust policy that can be read is there"
    what = f"{language} that makes policies is not read" if language else unread
    told = []
    for patterns, line in (
        ((_PRINCIPAL, _ACTION), f"web identity is spoken of, and {what}"),
        ((_CONSTRUCT,), "a role for GitHub is made by a construct whose policy is elsewhere"),
    ):
        lines = sorted(
            text.count("\n", 0, match.end()) + 1
            for pattern in patterns
            for match in pattern.finditer(text)
            if not _within(match.start(), spans)
            and not _COMMENT.match(text, text.rfind("\n", 0, match.start()) + 1)
        )
        if lines:
            where = ", ".join(map(str, dict.fromkeys(lines)))
            told.append(f"line {where}: {line}; give {rendered(text)}")
    return told


def rendered(text: str) -> str:
    """What to give in the place of a text that makes policies."""
    low = text.lower()
    return next(
        (told for names, told in _RENDERS.items() if re.search(names, low)),
        "what `aws iam get-role --role-name NAME` prints",
    )


def _within(at: int, spans: Spans) -> bool:
    return any(start <= at < end for start, end in spans)
