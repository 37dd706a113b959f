"""What must fail and what must work in lab 9."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from scripts.aws.credentials import Credentials
from scripts.aws.web_identity import AssumeRoleDenied
from scripts.labs import common
from scripts.labs.running import LabRun
from scripts.labs.trial import Trial

REPOSITORY = "acme/pipeline"
PROD, DEV = "/lab/prod/endpoint", "/lab/dev/endpoint"
STATE = "prod/terraform.tfstate"


def prepare(run: LabRun) -> None:
    """Put the flag into prod's parameter, states into the bucket, and a session into the profile.

    Terraform has put the tags right again that an attack wrote.
    """
    run.administrator("ssm").put_parameter(Name=PROD, Value=run.new_flag(), Overwrite=True)
    for environment in ("dev", "prod"):
        common.put(run, f"{environment}/terraform.tfstate", b'{"version": 4}')
    # Where the student's trust policy lets no job in, the session of before is still stolen.
    with suppress(AssumeRoleDenied):
        run.give_profile("dev", _session(run))


def leak(run: LabRun) -> None:
    """Everybody in the team has such a session: it is in the profile already."""


def _session(run: LabRun) -> Credentials:
    return run.job_session(common.role(run), REPOSITORY, environment="dev")


def _tagged(*keys: str) -> Callable[[LabRun], str]:
    def trial(run: LabRun) -> str:
        ssm = run.client(_session(run), "ssm")
        tags = [{"Key": key, "Value": "dev"} for key in keys]
        ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=PROD, Tags=tags)
        return "a tag of prod's parameter was written"

    return trial


def _overwritten(run: LabRun) -> str:
    ssm = run.client(_session(run), "ssm")
    ssm.put_parameter(Name=PROD, Value="db.mallory.example", Overwrite=True)
    return "prod's parameter was overwritten"


def _directly(run: LabRun) -> str:
    ssm = run.client(_session(run), "ssm")
    return str(ssm.get_parameter(Name=PROD)["Parameter"]["Value"])


def _state_read(run: LabRun) -> str:
    return common.read(run, _session(run), STATE)


def _state_written(run: LabRun) -> str:
    common.write(run, _session(run), STATE)
    return f"{STATE} was overwritten"


def _deployment(run: LabRun) -> str:
    session = _session(run)
    common.write(run, session, "dev/terraform.tfstate")
    common.read(run, session, "dev/terraform.tfstate")
    ssm = run.client(session, "ssm")
    ssm.put_parameter(Name=DEV, Value="db2.dev.acme.internal", Overwrite=True)
    tags = [{"Key": "Owner", "Value": "team"}]
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=DEV, Tags=tags)
    return str(ssm.get_parameter(Name=DEV)["Parameter"]["Value"])


ATTACKS = [
    Trial("a tag on prod's parameter, with others", _tagged("Environment", "Owner")),
    Trial("a tag on prod's parameter that no condition reads", _tagged("Owner")),
    Trial("prod's parameter without any trick", _directly),
    Trial("prod's parameter overwritten", _overwritten),
    Trial("prod's state read", _state_read),
    Trial("prod's state overwritten", _state_written),
    common.trusts(REPOSITORY, {"lab-dev-deploy": {"environment": "dev"}}),
]
NEEDS = [Trial("a deployment of dev writes its state, its parameter and a tag", _deployment)]
