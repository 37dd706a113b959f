"""Where a run comes from: commit, data, settings, lock file, identity, library versions."""

import hashlib
import json
import os
import platform as machine
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pipeline.model import own
from pipeline.step import Workspace

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
LOCK_FILE = ROOT / "requirements-run.txt"
LIBRARIES = ("mlflow", "numpy", "optuna", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")
# What loading a registered model needs.
MODEL_LIBRARIES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")
# An audience that AWS rejects, so that a leaked lineage token cannot assume a role.
_LINEAGE_AUDIENCE = "keyless-lineage"


def git_commit(environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> str | None:
    """The commit, also in a detached checkout; GITHUB_SHA where there is no repository."""
    return _git(root, "rev-parse", "HEAD") or environ.get("GITHUB_SHA") or None


def git_dirty(root: Path = ROOT) -> bool | None:
    """Whether tracked files differ from the commit; None without a repository."""
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    return None if status is None else bool(status)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def code_sha256(root: Path = PACKAGE) -> str:
    """A digest of this package's code: what decides how a model is made, with the lock file."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(
            path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
        )
    return digest.hexdigest()


def file_sha256(path: Path) -> str | None:
    """SHA-256 of a file; None where there is no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a result depends on."""
    versions = {"python": machine.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def pip_requirements(lock: Path = LOCK_FILE) -> list[str]:
    """What a registered model needs, as the lock file pins it for this Python; never inferred.

    A package that the lock file does not name is pinned as it is installed.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    pins = {}
    for line in lock.read_text(encoding="utf-8").splitlines() if lock.is_file() else []:
        try:
            requirement = Requirement(line.rstrip("\\ "))
        except InvalidRequirement:
            continue  # a comment or a hash
        if requirement.marker is None or requirement.marker.evaluate():
            pins[requirement.name] = f"{requirement.name}{requirement.specifier}"
    return [pins.get(name) or f"{name}=={version(name)}" for name in MODEL_LIBRARIES]


@cache
def oidc_claims() -> Mapping[str, Any]:
    """Claims of the job's GitHub token; empty outside of GitHub Actions."""
    address = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL")
    bearer = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    if not address or not bearer:
        return {}
    import jwt

    joiner = "&" if "?" in address else "?"
    request = urllib.request.Request(
        f"{address}{joiner}{urlencode({'audience': _LINEAGE_AUDIENCE})}",
        headers={"Authorization": f"bearer {bearer}"},
    )
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    try:
        with urllib.request.urlopen(request, timeout=15, context=context) as answer:
            token = json.load(answer)["value"]
        # Only read, never relied on: STS verified the token that the role was assumed with.
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (OSError, ValueError, KeyError, jwt.PyJWTError):
        return {}
    return claims


def identity_tags(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Subject, actor and workflow run, from the job's token and the runner's environment."""
    claims = oidc_claims()
    subject = environ.get("KEYLESS_OIDC_SUBJECT") or claims.get("sub")
    actor = environ.get("GITHUB_ACTOR") or claims.get("actor")
    repository = environ.get("GITHUB_REPOSITORY") or claims.get("repository")
    run_id = environ.get("GITHUB_RUN_ID") or claims.get("run_id")
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    run = f"{server}/{repository}/actions/runs/{run_id}" if repository and run_id else None
    found = {"oidc_subject": subject, "actor": actor, "workflow_run": run}
    return {f"keyless.{name}": str(value) for name, value in found.items() if value}


def role_arn(workspace: Workspace) -> str | None:
    """The role that this process runs as, from sts:GetCallerIdentity; None without AWS."""
    if workspace.platform is None:
        return None
    caller: str = workspace.session.client("sts").get_caller_identity()["Arn"]
    kind, _, rest = caller.partition(":assumed-role/")
    if not rest:
        return caller
    return f"{kind.replace(':sts:', ':iam:')}:role/{rest.split('/')[0]}"


def lineage_tags(workspace: Workspace, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Every tag of a run that does not depend on the data."""
    dirty = git_dirty()
    found = {
        "git_commit": git_commit(environ),
        "git_dirty": None if dirty is None else str(dirty).lower(),
        "settings_sha256": workspace.settings.digest(),
        "training_sha256": workspace.settings.training_digest(),
        "code_sha256": code_sha256(),
        "own_code_sha256": own.code_sha256(workspace.settings.own_code),
        "lock_sha256": file_sha256(LOCK_FILE),
        "role_arn": role_arn(workspace),
        "libraries": json.dumps(library_versions(), sort_keys=True),
    }
    tags = {f"keyless.{name}": value for name, value in found.items() if value}
    return tags | identity_tags(environ)
