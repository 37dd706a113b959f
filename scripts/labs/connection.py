"""`env.sh`: what leads the student's shell, and nothing else, to the lab's cloud."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from scripts.labs.running import PROFILES, LabRun
from scripts.local_run.cloud import PROJECT

FILE = Path("env.sh")
# Every AWS_ variable of the caller goes, whichever an SDK will know: a profile, an endpoint of one
# service (AWS_ENDPOINT_URL_S3), or AWS_IGNORE_CONFIGURED_ENDPOINT_URLS would lead out of the lab.
# Terraform's would change what `terraform` does by hand in the folder.
_OF_THE_CALLER = (
    "for _name in $(env | sed -n 's/^\\(AWS_[A-Za-z0-9_]*\\)=.*/\\1/p'); do unset \"$_name\"; done",
    "unset _name KEYLESS_AWS TF_DATA_DIR TF_WORKSPACE TF_CLI_ARGS TF_REATTACH_PROVIDERS",
)


def variables(run: LabRun, folder: Path) -> dict[str, str]:
    """The variables that lead clients to the lab; `folder` has the profiles."""
    return {
        "AWS_ENDPOINT_URL": run.cloud.endpoint,
        "AWS_CA_BUNDLE": str(run.cloud.ca_bundle),
        "CURL_CA_BUNDLE": str(run.cloud.ca_bundle),
        "REQUESTS_CA_BUNDLE": str(run.cloud.ca_bundle),
        "AWS_REGION": run.cloud.region,
        "AWS_DEFAULT_REGION": run.cloud.region,
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / PROFILES),
        "AWS_CONFIG_FILE": str(folder / ".aws" / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "ACCOUNT": run.account_id,
        "KEYLESS_HOME": str(run.home),
    }


def write(run: LabRun) -> Path:
    """Write the file into the student's folder."""
    bin_folder = Path(sys.executable).parent
    keyless = shlex.quote(str(bin_folder / "keyless"))
    lines = [
        f"# Lab {run.lab.number}: `. ./env.sh` leads this shell to the lab's cloud.",
        "# It holds for this start of the lab, in bash and zsh.",
        *_OF_THE_CALLER,
        *(
            f"export {name}={shlex.quote(value)}"
            for name, value in variables(run, run.folder).items()
        ),
        f'export PATH={shlex.quote(str(bin_folder))}:"$PATH"',
        f'command -v aws >/dev/null 2>&1 || aws() {{ {keyless} aws "$@"; }}',
    ]
    return run.workspace.write(run.lab, FILE, ("\n".join(lines) + "\n").encode(), private=True)


def environment(run: LabRun, folder: Path | None = None) -> dict[str, str]:
    """The whole environment of a process that stands where the student stands, or in a folder."""
    found = variables(run, folder or run.folder)
    made = run.environment(None, found | {"PYTHONPATH": str(PROJECT)})
    return made | {"PATH": f"{Path(sys.executable).parent}:{made.get('PATH', '')}"}
