"""Equivalents of the actions that the workflows use; an unknown action or input fails."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.aws.web_identity import AssumeRoleDenied
from scripts.console import UserError
from tests.actions_runner.definitions import DefinitionError
from tests.actions_runner.job import RunningJob, StepFailed, StepResult


@dataclass(frozen=True)
class Call:
    """One use of an action: its job, inputs and environment, and the result to fill."""

    job: RunningJob
    inputs: Mapping[str, str]
    environment: Mapping[str, str]
    result: StepResult

    def only(self, *known: str) -> None:
        """Refuse an input that the equivalent does not honour."""
        unknown = sorted(set(self.inputs) - set(known))
        if unknown:
            raise DefinitionError(f"the runner does not know the inputs {', '.join(unknown)}")


Equivalent = Callable[[Call], None]


def equivalent(uses: str) -> Equivalent:
    """What plays an action, named as `owner/name@ref`. Raises DefinitionError if nothing does."""
    name = uses.partition("@")[0]
    if name not in _KNOWN:
        raise DefinitionError(f"the runner has no equivalent of the action {uses}")
    return _KNOWN[name]


def _checkout(call: Call) -> None:
    call.only("persist-credentials", "fetch-depth", "ref")
    if "ref" in call.inputs:
        raise DefinitionError("the runner checks out the event's own commit only")
    if call.inputs.get("persist-credentials") != "false":
        raise DefinitionError("the runner leaves no token behind: set persist-credentials: false")
    if call.job.contexts["github"]["token"] and not call.job.contexts["permissions"].get(
        "contents"
    ):
        raise StepFailed("Not Found: the job may not read the repository's contents")
    call.job.origin.checkout(call.job.commit, call.job.workspace)
    call.job.machine.after_checkout(call.job.workspace)


def _configure_aws_credentials(call: Call) -> None:
    call.only(
        "allowed-account-ids", "audience", "aws-region", "role-duration-seconds",
        "role-session-name", "role-to-assume",
    )  # fmt: skip
    job, inputs = call.job, call.inputs
    if "ACTIONS_ID_TOKEN_REQUEST_URL" not in call.environment or job.cloud is None:
        raise StepFailed(
            "Credentials could not be loaded: the job has no OIDC token; "
            "did you set `permissions: id-token: write`?"
        )
    try:
        token = job.cloud.token(call.environment, inputs.get("audience", "sts.amazonaws.com"))
        credentials = job.cloud.assume_role(
            inputs["role-to-assume"],
            token,
            inputs.get("role-session-name", "GitHubActions"),
            int(inputs.get("role-duration-seconds", "3600")),
        )
    except AssumeRoleDenied as denied:
        raise StepFailed(f"Could not assume role with OIDC: {denied.message}") from None
    except UserError as failure:
        raise StepFailed(f"Credentials could not be loaded: {failure}") from None
    account = job.cloud.account(credentials)
    allowed = inputs.get("allowed-account-ids", account).split(",")
    if account not in [part.strip() for part in allowed]:
        raise StepFailed(f"The account {account} is not one of {', '.join(allowed)}")
    job.commands.masks |= {
        credentials.secret_access_key,
        credentials.session_token or "",
        credentials.access_key_id,
    }
    region = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), inputs["aws-region"])
    job.dynamic |= credentials.environment() | region
    call.result.log.append(f"Assumed {inputs['role-to-assume']}")


def _upload_artifact(call: Call) -> None:
    call.only("name", "path", "if-no-files-found", "overwrite", "retention-days")
    name = call.inputs.get("name", "artifact")
    target = call.job.artifacts / name
    if target.exists():
        if call.inputs.get("overwrite") != "true":
            raise StepFailed(f"an artifact named {name} exists already in this run")
        shutil.rmtree(target)
    found = [
        path
        for pattern in call.inputs["path"].split("\n")
        if pattern.strip()
        for path in sorted(call.job.workspace.glob(pattern.strip()))
    ]
    if not found:
        if call.inputs.get("if-no-files-found", "warn") == "error":
            raise StepFailed(f"No files were found with the path {call.inputs['path']}")
        return
    if len(found) != 1:
        raise DefinitionError("the runner uploads one file or folder by one artifact")
    if found[0].is_dir():
        shutil.copytree(found[0], target)
    else:
        target.mkdir(parents=True)
        shutil.copy2(found[0], target)
    gh = call.job.contexts["github"]
    number = str(len(list(call.job.artifacts.iterdir())))
    call.result.outputs |= {
        "artifact-id": number,
        "artifact-url": f"{gh['server_url']}/{gh['repository']}/actions/runs/{gh['run_id']}"
        f"/artifacts/{number}",
    }


def _download_artifact(call: Call) -> None:
    call.only("name", "pattern", "path")
    target = call.job.workspace / call.inputs.get("path", ".")
    if "name" in call.inputs:
        source = call.job.artifacts / call.inputs["name"]
        if not source.is_dir():
            raise StepFailed(f"Artifact not found for name: {call.inputs['name']}")
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    for source in _matching(call.job.artifacts, call.inputs.get("pattern", "*")):
        shutil.copytree(source, target / source.name)


def _matching(artifacts: Path, pattern: str) -> list[Path]:
    return sorted(artifacts.glob(pattern)) if artifacts.is_dir() else []


def _setup_uv(call: Call) -> None:
    call.only("enable-cache", "python-version")
    _needs_program(call, "uv")
    if "python-version" in call.inputs:
        call.job.dynamic["UV_PYTHON"] = call.inputs["python-version"]


def _setup_terraform(call: Call) -> None:
    call.only("terraform_version", "terraform_wrapper")
    _needs_program(call, "terraform")


def _setup_opentofu(call: Call) -> None:
    call.only("tofu_version", "tofu_wrapper")
    _needs_program(call, "tofu")


def _setup_pulumi(call: Call) -> None:
    call.only("pulumi-version")
    _needs_program(call, "pulumi")


def _needs_program(call: Call, name: str) -> None:
    """The machine has the program already; whichever version that is."""
    if shutil.which(name, path=call.environment["PATH"]) is None:
        raise StepFailed(f"this machine has no {name}")


_KNOWN: dict[str, Equivalent] = {
    "actions/checkout": _checkout,
    "actions/download-artifact": _download_artifact,
    "actions/upload-artifact": _upload_artifact,
    "astral-sh/setup-uv": _setup_uv,
    "aws-actions/configure-aws-credentials": _configure_aws_credentials,
    "hashicorp/setup-terraform": _setup_terraform,
    "opentofu/setup-opentofu": _setup_opentofu,
    "pulumi/actions": _setup_pulumi,
}
