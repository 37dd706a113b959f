"""What must fail and what must work in lab 1."""

from __future__ import annotations

from scripts.aws.credentials import Credentials
from scripts.labs import common
from scripts.labs.running import LabRun
from scripts.labs.trial import Refused, Trial

REPOSITORY = "acme/pipeline"
KEY = "exports/customers.csv"


def prepare(run: LabRun) -> None:
    """Put the export into the bucket."""
    common.put_flag(run, KEY, "customer,card\nada,{flag}\n")


def leak(run: LabRun) -> None:
    """What the public log showed."""
    key, secret = str(run.outputs["access_key_id"]), str(run.outputs["secret_access_key"])
    run.give_profile("leaked", Credentials(key, secret))
    run.give(
        "leaked.txt",
        f"AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\nBUCKET={run.outputs['bucket']}\n",
    )


def _any_key(run: LabRun) -> str:
    iam = run.administrator("iam")
    for user in iam.list_users()["Users"]:
        for key in iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]:
            if key["Status"] == "Active":
                return f"user {user['UserName']} still has an active access key, without an end"
    raise Refused("no user of the account has an active access key")


def _old_session(run: LabRun) -> str:
    session = run.job_session(common.role(run), REPOSITORY)
    common.read(run, session, KEY)
    run.later(24)
    return common.read(run, session, KEY)


def _stranger(run: LabRun) -> str:
    token = run.github.mint_for(run.github.stranger(REPOSITORY))
    return common.read(run, run.assume(common.role(run), token), KEY)


def _branch(run: LabRun) -> str:
    session = run.job_session(common.role(run), REPOSITORY, ref="refs/heads/try")
    return common.read(run, session, KEY)


def _others(run: LabRun) -> str:
    return common.taken(run, common.role(run), REPOSITORY)


def _beyond(run: LabRun) -> str:
    return common.beyond(run, run.job_session(common.role(run), REPOSITORY))


def _job(run: LabRun) -> str:
    session = run.job_session(common.role(run), REPOSITORY)
    common.write(run, session, "exports/new.csv")
    return common.read(run, session, KEY)


ATTACKS = [
    Trial("any other access key of a user", _any_key),
    Trial("a session of the role that leaked a day ago", _old_session),
    Trial("a job of a repository that took the name acme/pipeline over", _stranger),
    Trial("a job on another branch than main", _branch),
    Trial("another repository, a pull request, and names that only look right", _others),
    Trial("the role beyond exports/", _beyond),
]
NEEDS = [Trial("a job of acme/pipeline on main reads and writes exports/", _job)]
