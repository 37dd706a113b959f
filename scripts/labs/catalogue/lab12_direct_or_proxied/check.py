"""What must fail and what must work in lab 12."""

from __future__ import annotations

from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.console import UserError
from scripts.labs import common
from scripts.labs.catalogue.lab12_direct_or_proxied import proxy
from scripts.labs.running import LabRun
from scripts.labs.trial import Trial

REPOSITORY = "acme/pipeline"
PARAMETER = "/lab/mlflow/artifacts"


def before(run: LabRun) -> None:
    """Have MLflow load while Terraform makes its role."""
    proxy.begin(run)


def prepare(run: LabRun) -> None:
    """Put a champion and a run's artifact into the bucket, and have MLflow follow its setting."""
    common.put_flag(run, proxy.ARTIFACTS + proxy.CHAMPION, "weights of the champion: {flag}\n")
    _put(run, proxy.OF_A_RUN)
    proxy.follow(run, _mode(run), _server(run))


def leak(run: LabRun) -> None:
    """The address of MLflow is known to everybody in the office."""


def _mode(run: LabRun) -> str:
    """The mode of MLflow. Raises UserError for a word that is none of the two."""
    found = run.administrator("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    if found not in ("proxied", "direct"):
        raise UserError(
            f"{PARAMETER} is {found!r}", why="it is either proxied or direct", exit_code=2
        )
    return str(found)


def _put(run: LabRun, path: str) -> None:
    common.put(run, proxy.ARTIFACTS + path, b"weights of a run\n")


def _server(run: LabRun) -> Credentials | None:
    """MLflow's session; None where the student took the role away."""
    try:
        made = run.administrator("sts").assume_role(
            RoleArn=run.role_arn(proxy.ROLE), RoleSessionName="mlflow"
        )["Credentials"]
    except ClientError:
        return None
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def _no_server(run: LabRun) -> str:
    try:
        run.administrator("iam").get_role(RoleName=proxy.ROLE)
    except ClientError:
        return f"it runs with a session of the role {proxy.ROLE}, which is not there"
    return f"the account's operations may not assume its role {proxy.ROLE}"


def _read_champion(run: LabRun) -> str:
    return proxy.ask(run.home, proxy.address(run), "GET", proxy.CHAMPION)


def _replace_champion(run: LabRun) -> str:
    proxy.ask(run.home, proxy.address(run), "PUT", proxy.CHAMPION, b"weights of mallory\n")
    return "MLflow replaced the champion's file"


def _delete_champion(run: LabRun) -> str:
    proxy.ask(run.home, proxy.address(run), "DELETE", proxy.CHAMPION)
    return _gone(run, proxy.CHAMPION)


def _delete_of_run(run: LabRun) -> str:
    _put(run, proxy.OF_A_RUN)
    proxy.ask(run.home, proxy.address(run), "DELETE", proxy.OF_A_RUN)
    return _gone(run, proxy.OF_A_RUN)


def _gone(run: LabRun, path: str) -> str:
    """That it is gone; MLflow's own answer is not believed. Raises ValueError if it is there."""
    s3, bucket = run.administrator("s3"), common.output(run, "bucket")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
    if proxy.ARTIFACTS + path in keys:
        raise ValueError(f"MLflow answered as if it had deleted {path}, which is still there")
    return f"{path} is gone"


def _job_deletes(run: LabRun) -> str:
    _put(run, proxy.OF_A_RUN)
    run.client(run.job_session(common.role(run), REPOSITORY), "s3").delete_object(
        Bucket=common.output(run, "bucket"), Key=proxy.ARTIFACTS + proxy.OF_A_RUN
    )
    return _gone(run, proxy.OF_A_RUN)


def _job_replaces(run: LabRun) -> str:
    session = run.job_session(common.role(run), REPOSITORY)
    common.write(run, session, proxy.ARTIFACTS + proxy.CHAMPION)
    return "a training job replaced the champion's file"


def _train(run: LabRun) -> str:
    session = run.job_session(common.role(run), REPOSITORY)
    address, path = proxy.address(run), "runs/2/model.txt"
    if address == proxy.OFF and _mode(run) == "proxied":
        raise UserError(f"{PARAMETER} is proxied, and MLflow does not run", why=_no_server(run))
    if address.startswith("http"):
        proxy.ask(run.home, address, "PUT", path, b"weights of run 2\n")
        return proxy.ask(run.home, address, "GET", path)
    common.write(run, session, proxy.ARTIFACTS + path)
    return common.read(run, session, proxy.ARTIFACTS + path)


def _promote(run: LabRun) -> str:
    name = common.output(run, "promote_role")
    session = run.job_session(name, REPOSITORY, environment="prod")
    common.write(run, session, proxy.ARTIFACTS + proxy.CHAMPION)
    return common.read(run, session, proxy.ARTIFACTS + proxy.CHAMPION)


ATTACKS = [
    Trial("the champion is read through MLflow", _read_champion),
    Trial("the champion is replaced through MLflow", _replace_champion),
    Trial("the champion is deleted through MLflow", _delete_champion),
    Trial("what a run stored is deleted through MLflow", _delete_of_run),
    Trial("a training job deletes what a run stored", _job_deletes),
    Trial("a training job replaces the champion", _job_replaces),
    common.trusts(REPOSITORY, {"lab-train": {}, "lab-promote": {"environment": "prod"}}),
]
NEEDS = [
    Trial("training stores and reads artifacts of a run", _train),
    Trial("promotion reads and writes champion/", _promote),
]
