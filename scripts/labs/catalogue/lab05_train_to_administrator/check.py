"""What must fail and what must work in lab 5."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.aws.web_identity import AssumeRoleDenied
from scripts.labs import common
from scripts.labs.attacking import everything
from scripts.labs.running import LabRun
from scripts.labs.trial import Trial

REPOSITORY = "acme/pipeline"
BOARD = "board/secret.txt"
TRAIN = "train/data.csv"


def prepare(run: LabRun) -> None:
    """Put the flag where training has no right, data where it has, and a session into the profile.

    What earlier attacks left is removed, so that what is tried is the student's.
    """
    _remove_what_attacks_left(run)
    common.put_flag(run, BOARD, "{flag}\n")
    run.administrator("s3").put_object(Bucket=run.outputs["bucket"], Key=TRAIN, Body=b"x,y\n1,2\n")
    # Where the student's trust policy lets no job in, the session of before is still stolen.
    with suppress(AssumeRoleDenied):
        run.give_profile("train", _session(run))


def leak(run: LabRun) -> None:
    """The stolen session is in the profile already."""


def _remove_what_attacks_left(run: LabRun) -> None:
    """Inline policies and roles that no Terraform of the student made."""
    iam, name = run.administrator("iam"), common.role(run)
    kept = run.managed("aws_iam_role_policy", "name")
    _remove_policies(iam, name, kept)
    for role in iam.list_roles()["Roles"]:
        if role["RoleName"].startswith("lab-experiment-"):
            _remove_policies(iam, role["RoleName"], kept)
            iam.delete_role(RoleName=role["RoleName"])


def _remove_policies(iam: Any, role: str, kept: set[str]) -> None:
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        if policy not in kept:
            iam.delete_role_policy(RoleName=role, PolicyName=policy)


def _session(run: LabRun) -> Credentials:
    return run.job_session(common.role(run), REPOSITORY)


def _inline(run: LabRun) -> str:
    session = _session(run)
    run.client(session, "iam").put_role_policy(
        RoleName=common.role(run), PolicyName="more", PolicyDocument=everything()
    )
    return common.read(run, session, BOARD)


def _experiment(run: LabRun) -> str:
    session = _session(run)
    name = f"lab-experiment-{secrets.token_hex(3)}"
    me = f"arn:aws:iam::{run.account_id}:root"
    statement = {"Effect": "Allow", "Principal": {"AWS": me}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = run.client(session, "iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=everything())
    sts = run.client(session, "sts")
    made = sts.assume_role(RoleArn=run.role_arn(name), RoleSessionName="lab")["Credentials"]
    stolen = Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    return common.read(run, stolen, BOARD)


def _no_boundary(run: LabRun) -> str:
    session = _session(run)
    run.client(session, "iam").delete_role_permissions_boundary(RoleName=common.role(run))
    return common.read(run, session, BOARD)


def _directly(run: LabRun) -> str:
    return common.read(run, _session(run), BOARD)


def _training(run: LabRun) -> str:
    session = _session(run)
    common.write(run, session, "train/model.txt")
    ssm = run.client(session, "ssm")
    ssm.put_parameter(Name="/lab/tuning", Value="depth=4", Overwrite=True)
    return str(ssm.get_parameter(Name="/lab/tuning")["Parameter"]["Value"])


ATTACKS = [
    Trial("an inline policy of its own role", _inline),
    Trial("a role for an experiment, with every right", _experiment),
    Trial("its permissions boundary taken off", _no_boundary),
    Trial("the board's file without any trick", _directly),
]
NEEDS = [Trial("a training job reads and writes train/ and its tuning parameter", _training)]
