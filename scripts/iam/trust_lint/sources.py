"""Where trust policies come from: files, Terraform plans, an account."""

from __future__ import annotations

import json
import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scripts.iam.account.identities import Identities
from scripts.iam.engine.documents import Policy, PolicyError, parse_policy
from scripts.iam.trust_lint.reading.files import blocks, rendered, written
from scripts.iam.trust_lint.reading.literals import TooTangled
from scripts.iam.trust_lint.reading.names import client_ids
from scripts.iam.trust_lint.reading.policies import Found, policy_of
from scripts.iam.trust_lint.reading.templates import policies_in
from scripts.iam.trust_lint.rules import Setting
from scripts.iam.trust_lint.terraform.callers import TERRAFORM, Callers, callers_first
from scripts.iam.trust_lint.terraform.documents import made_elsewhere
from scripts.iam.trust_lint.terraform.module import PROVIDER

MOST_BYTES = 64 * 1024 * 1024  # a plan of a large root; a policy has its own, smaller limit
Document = Mapping[str, Any] | str

_KEPT_IN = (
    ".json", ".tf", ".yaml", ".yml", ".template", ".ts", ".py", ".go", ".sh",
    ".tofu", ".hcl", ".j2", ".js", ".mjs", ".tsx", ".jsx",
    ".cs", ".fs", ".java", ".kt", ".scala", ".rb", ".php",
    ".ps1", ".bash",
)  # fmt: skip
_LEAST = b"ssumeRoleWithWebIdentity"
# What tells of policies, or keeps what a tool printed.
_RECORDS = (
    ".md", ".mdx", ".rst", ".txt", ".adoc", ".html", ".log", ".snap", ".tfstate", ".backup",
    ".diff", ".patch", ".map", ".svg",
)  # fmt: skip
_MOST_KEPT = 256 * 1024  # bytes of a file of another name that is looked through for a policy
_TESTS = re.compile(r"\.(?:tf)?test\.\w+$|\.spec\.\w+$|_test\.(?:go|py)$|^test_.*\.py$|^\.")
_OTHERS = frozenset({"node_modules", "__pycache__", "venv", "vendor"})
_OURS = frozenset({".github"})  # a workflow may make the role that others sign in to
# The SDKs' own words for the call are no policy.
_WEB_IDENTITY = re.compile(
    r"sts:AssumeRoleWithWebIdentity|WebIdentityPrincipal|OpenIdConnectPrincipal"
)
# Of `aws iam create-role` and `update-assume-role-policy`.
_TAKEN_FROM = re.compile(
    r"(?:--assume-role-policy-document|update-assume-role-policy\b[^\n;]*?--policy-document)"
    r"[ \t=]+[\"']?file://([^\s\"']+)"
)
# What CDK notes beside its templates names roles that it assumes itself (assumeRoleArn).
_SPOKEN_OF = re.compile("AssumeRole|assumeRolePolicy")
_ASSUMED = "ssumeRole"  # in each action that IAM takes into a trust policy
_COMMENTS = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)
_RENDER = re.compile(r"give (?:the plan|the rendered|what `)")
_READS = ("Get", "List", "Describe", "View", "Head", "BatchGet", "Lookup", "Search", "Select")
_SECRETS = ("secretsmanager:getsecretvalue", "secretsmanager:batchgetsecretvalue")


class InputError(ValueError):
    """Input that holds no trust policy. The message says what it is and what to give instead."""


class NoPolicy(InputError):
    """Input that is none. `is_told` says that one may stand there all the same."""

    def __init__(self, message: str, *, is_told: bool) -> None:
        super().__init__(message)
        self.is_told = is_told


@dataclass(frozen=True)
class Input:
    """The trust policies to lint, and what could not be read and why."""

    documents: tuple[tuple[Document, Setting], ...] = ()
    unknown: tuple[str, ...] = field(default=())
    left_out: bool = False  # whether all that a file holds was judged through callers of its module


def read_paths(paths: Iterable[Path], setting: Setting) -> Input:
    """Read files, and below folders those in which trust policies are kept.

    A file that was named has to hold a trust policy. Of a folder, what may hold one and cannot be
    read is reported as not judged; other files are passed over. Raises InputError or PolicyError.
    """
    files = {path: sorted(_kept_in(path)) if path.is_dir() else [path] for path in paths}
    callers = Callers()
    read: dict[Path, Input | InputError] = {}
    for file in callers_first(one for listed in files.values() for one in listed):
        try:
            read[file] = _file(file, setting, callers)
        except InputError as error:
            read[file] = error
        except OSError as error:  # such as a link that leads nowhere
            read[file] = InputError(f"{file}: it cannot be read: {error.strerror}")
    found = Input()
    for path, listed in files.items():
        if path.is_dir():
            judged = [
                policy
                for one in listed
                if one.suffix in TERRAFORM and isinstance(kept := read[one], Input)
                for policy, _ in kept.documents
            ]
            own = [one for one in listed if not _rendered(callers.texts.get(one.resolve()), judged)]
            found = _joined(found, _folder(path, [read[one] for one in own]))
            continue
        one = read[path]
        if isinstance(one, InputError):
            raise one
        found = _joined(found, one)
    return found


def _rendered(texts: Iterable[str] | None, judged: Sequence[Document]) -> bool:
    """Whether a policy that was judged is what Terraform makes of a file, as of a template."""
    for text in texts or ():
        with suppress(ValueError, RecursionError):
            made = json.loads(text)
            if isinstance(made, dict) and policy_of(made) in judged:
                return True
    return False


def _folder(folder: Path, files: Iterable[Input | InputError]) -> Input:
    found = Input()
    left_out = False
    for one in files:
        if isinstance(one, Input):
            found = _joined(found, one)
            left_out = left_out or one.left_out
        elif not isinstance(one, NoPolicy) or one.is_told:
            found = _joined(found, Input(unknown=(str(one),)))
    kept = _once(found)
    gone = {one.origin for _, one in found.documents} - {one.origin for _, one in kept}
    lines = (one for one in found.unknown if not one.startswith(tuple(f"{to}: " for to in gone)))
    found = Input(kept, tuple(lines))
    if not found.documents and not left_out and not any(map(_RENDER.search, found.unknown)):
        others = "".join(f"; {line}" for line in found.unknown[:1])
        kinds = " ".join(f"*{suffix}" for suffix in _KEPT_IN)
        raise InputError(
            f"{folder}: no trust policy in any of {kinds} below this folder (a page of Markdown is "
            f"read where its own path is given){others}"
        )
    return found


def _once(found: Input) -> tuple[tuple[Document, Setting], ...]:
    """Each of Terraform's policies once: a role's may be a document of another file of a folder."""
    documents = found.documents

    def place(setting: Setting) -> tuple[str, str]:
        file, _, place = setting.origin.partition(".tf: ")
        return file.rpartition("/")[0], place

    data = [
        (place(one)[0], policy) for policy, one in documents if place(one)[1].startswith("data.")
    ]
    return tuple(
        (policy, one)
        for policy, one in documents
        # A module's from elsewhere may be given a document, too.
        if not (
            re.match(r"aws_iam_role\.|module\.[\w-]+$", place(one)[1])
            and (place(one)[0], policy) in data
        )
    )


def _kept_in(folder: Path) -> Iterator[Path]:
    """The files of a folder in which trust policies are kept, but not those of other people."""
    for place, folders, files in os.walk(folder):
        folders[:] = [
            one for one in folders
            if one not in _OTHERS and (not one.startswith(".") or one in _OURS)
        ]  # fmt: skip
        for path in (Path(place, one) for one in files if not _TESTS.search(one)):
            if _is_tree(path):
                continue
            if path.name.endswith(_KEPT_IN) or _holds_policy(path):
                yield path


def _is_tree(path: Path) -> bool:
    """Whether a file is what CDK notes of its constructs beside the templates that it makes."""
    return path.name == "tree.json" and path.with_name("manifest.json").exists()


def _holds_policy(path: Path) -> bool:
    """Whether a file of another name, as a template's, seems to hold a trust policy."""
    if path.name.endswith(_RECORDS):
        return False
    try:
        return path.stat().st_size <= _MOST_KEPT and _LEAST in path.read_bytes()
    except OSError:  # such as a link that leads nowhere
        return False


def _file(file: Path, setting: Setting, callers: Callers) -> Input:
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise InputError(f"{file}: {size} bytes; no plan has more than {MOST_BYTES}")
    return read_text(file.read_bytes(), str(file), setting, file, callers)


def _joined(left: Input, right: Input) -> Input:
    return Input(left.documents + right.documents, left.unknown + right.unknown)


def read_text(
    text: bytes | str,
    origin: str,
    setting: Setting,
    file: Path | None = None,
    callers: Callers | None = None,
) -> Input:
    """Read a trust policy, a Terraform plan as JSON, or what `aws iam get-role` printed.

    `file` is where the text stands, `callers` what was read of files that call its module. Raises
    InputError for anything else, naming what it looks like.
    """
    try:
        decoded = text.decode(_encoding(text)) if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise InputError(
            f"{origin}: not UTF-8 text; a binary plan becomes JSON by `terraform show -json FILE`"
        ) from None
    try:
        content = _json(decoded, file)
    except (ValueError, RecursionError) as error:
        try:
            read, left = written(decoded, file, callers)
            parts = blocks(decoded, file) or [decoded]
        except TooTangled as tangled:
            raise InputError(f"{origin}: not JSON, and {tangled}") from None
        elsewhere = [line for part in parts for line in made_elsewhere(part, file, callers)]
        told = [f"{origin}: {line}" for line in dict.fromkeys((*elsewhere, *left))]
        if not read and not told and callers and file in callers.left_out:
            return Input(left_out=True)
        if not read and not told and _WEB_IDENTITY.search(decoded):
            told = [
                f"{origin}: speaks of web identity, and no trust policy that can be read is in it; "
                f"give {rendered(decoded)}"
            ]
        if read or told:
            return _joined(_of_places(read, origin, setting), Input(unknown=tuple(told)))
        taken = "".join(
            f"; it takes a role's from {name}: give that file"
            for name in dict.fromkeys(_TAKEN_FROM.findall(decoded))
        )
        raise NoPolicy(
            f"{origin}: not JSON ({error}), and no trust policy is written out in it as in "
            "Terraform, a template, CDK or a script (a module's comes with the plan)"
            + (
                taken
                or "; give JSON: `terraform show -json`, `cdk synth --json`, `aws iam get-role`"
            ),
            is_told=origin.endswith(".json") and _ASSUMED in decoded,
        ) from None
    if isinstance(content, dict):
        if "format_version" in content and ("planned_values" in content or "values" in content):
            return read_plan(content, origin, setting)
        roles = _roles(content)
        if roles is not None:
            return _of_roles(roles, origin, setting)
    if isinstance(content, dict) and "Statement" not in content:
        read, left = policies_in(content)
        if read or left:
            unknown = tuple(f"{origin}: {line}" for line in left)
            return _joined(_of_places(read, origin, setting), Input(unknown=unknown))
    _is_trust(content, origin)
    # As text, so that a key that is written twice is seen.
    return Input(((decoded, replace(setting, origin=origin)),))


def _encoding(text: bytes) -> str:
    """The encoding by the mark in front, as PowerShell writes it when it keeps what AWS printed."""
    return "utf-16" if text.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"


def _json(text: str, file: Path | None) -> Any:
    """The content of a JSON text; a file of that name may have comments. Raises ValueError."""
    try:
        return json.loads(text)
    except ValueError:
        if file is None or file.suffix != ".json" or _ASSUMED in text:
            raise
        return json.loads(_COMMENTS.sub(lambda one: one[1] or "", text))


def _of_places(read: Sequence[Found], origin: str, setting: Setting) -> Input:
    """The policies of a file that holds more than one policy alone."""
    taken: dict[str, int] = {}
    documents: list[tuple[Document, Setting]] = []
    unknown = []
    for one in read:
        name = f"{origin}: {one.place}" if one.place else origin
        taken[name] = taken.get(name, 0) + 1
        name += f" (policy {taken[name]})" if taken[name] > 1 else ""
        # Other files may allow the role more, so that it changes nothing is not known.
        writes = tuple(filter(_is_power, one.allowed)) or None
        own = replace(setting, origin=name, client_ids=one.client_ids, writes=writes)
        documents.append((one.policy, own))
        if one.defaults:
            several = len(one.defaults) > 1
            unknown.append(
                f"{name}: the default{'s' * several} of {', '.join(one.defaults)} "
                f"count{'s' * (not several)} here; with another value others may get in"
            )
        unknown += [f"{name}: {taken}" for taken in one.taken]
    return Input(tuple(documents), tuple(unknown))


def _roles(content: Mapping[str, Any]) -> list[Any] | None:
    if "Role" in content and "Statement" not in content:
        return [content["Role"]]
    for name in ("Roles", "RoleDetailList"):
        if isinstance(content.get(name), list):
            return list(content[name])
    return None


def _of_roles(roles: Sequence[Any], origin: str, setting: Setting) -> Input:
    documents: list[tuple[Document, Setting]] = []
    for role in roles:
        if not isinstance(role, dict) or "AssumeRolePolicyDocument" not in role:
            raise InputError(
                f"{origin}: a role without AssumeRolePolicyDocument; give the whole answer of "
                "`aws iam get-role` or `aws iam list-roles`"
            )
        name = str(role.get("Arn") or role.get("RoleName") or origin)
        documents.append((role["AssumeRolePolicyDocument"], replace(setting, origin=name)))
    return Input(tuple(documents))


def _is_trust(content: object, origin: str) -> None:
    """Raise NoPolicy, which says what to give instead, where the content is no trust policy."""
    told = _SPOKEN_OF.search(str(content)) is not None
    if not isinstance(content, dict):
        raise NoPolicy(
            f"{origin}: not a policy; a trust policy is an object with Statement", is_told=told
        )
    if "Statement" not in content:
        keys = ", ".join(sorted(map(str, content))[:5]) or "nothing"
        raise NoPolicy(
            f"{origin}: not a policy: it holds {keys}; give a trust policy (Version, Statement), a "
            "plan (`terraform show -json`) or the answer of `aws iam get-role`",
            is_told=told,
        )
    written = content["Statement"]
    for item in written if isinstance(written, list) else [written]:
        named = isinstance(item, dict) and bool({"Principal", "NotPrincipal"} & set(item))
        if not isinstance(item, dict) or not {"Resource", "NotResource"} & set(item):
            continue
        if not named:
            what = "a policy of another kind: it names resources and no principal"
        elif "Resource" in item:
            what = "a resource policy (of a bucket, key or the like): it names a Resource"
        else:
            continue
        raise NoPolicy(
            f"{origin}: this is {what}; a trust policy is a role's AssumeRolePolicyDocument",
            is_told=False,
        )


def read_plan(content: Mapping[str, Any], origin: str, setting: Setting) -> Input:
    """Read every aws_iam_role of `terraform show -json`, of a plan or of a state."""
    values = content.get("planned_values") or content.get("values") or {}
    resources = list(_resources(values.get("root_module", {})))
    documents: list[tuple[Document, Setting]] = []
    unknown = []
    inline = _inline_policies(resources)
    made = (one.get("values", {}) for one in resources if one.get("type") == PROVIDER)
    setting = replace(
        setting, client_ids=client_ids((one.get("url"), one.get("client_id_list")) for one in made)
    )
    for resource in resources:
        if resource.get("type") != "aws_iam_role" or resource.get("mode") == "data":
            continue
        address, own = str(resource.get("address")), resource.get("values", {})
        document = own.get("assume_role_policy")
        if document is None:
            unknown.append(f"{origin}: {address}: the trust policy is not known until apply")
            continue
        writes = inline.get(str(own.get("name")))
        documents.append((document, replace(setting, origin=address, writes=writes)))
    if not documents and not unknown:
        raise InputError(f"{origin}: the plan has no aws_iam_role")
    return Input(tuple(documents), tuple(unknown))


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _inline_policies(resources: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """What each role with inline policies alone may change; others are left out as unknown."""
    found: dict[str, tuple[str, ...]] = {}
    attached = set()
    for resource in resources:
        values = resource.get("values", {})
        role = str(values.get("role"))
        if resource.get("type") == "aws_iam_role_policy_attachment":
            attached.add(role)
        if resource.get("type") == "aws_iam_role_policy" and values.get("policy"):
            policy = parse_policy(values["policy"], name=role, kind="identity")
            found[role] = found.get(role, ()) + powers([policy])
    return {role: writes for role, writes in found.items() if role not in attached}


def read_account(account: Identities, setting: Setting) -> Input:
    """Take every role's trust policy of an account, and what the role may change."""
    return Input(
        tuple(
            (
                role.trust_document or {},
                replace(setting, origin=role.arn, writes=powers(role.identity)),
            )
            for role in account.roles
        )
    )


def powers(policies: Iterable[Policy]) -> tuple[str, ...]:
    """The actions of Allow statements that change something or read a secret's value."""
    found = []
    for policy in policies:
        for statement in policy.statements:
            if statement.effect != "Allow":
                continue
            if statement.not_actions is not None:
                found.append("all but " + ", ".join(statement.not_actions))
            found += [action for action in statement.actions or () if _is_power(action)]
    return tuple(dict.fromkeys(found))


def _is_power(action: str) -> bool:
    service, _, name = action.partition(":")
    if action.lower() in _SECRETS:
        return True
    if service.lower() == "kms" and name.lower() == "decrypt":
        return False  # reading what the role may read anyway, encrypted
    return not name.startswith(_READS)


__all__ = ["Input", "InputError", "PolicyError", "read_account", "read_paths", "read_text"]
