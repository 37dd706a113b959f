"""Plan, apply and destroy one environment: the saved plan, its digest, and the data it may cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.account.environment import Account
from scripts.console import INTERRUPTED, Phase, UserError
from scripts.files import write_private
from scripts.plan.changes import ResourceChange, changes_of, digest, normalised
from scripts.plan.cost import Estimate, estimate, load_prices
from scripts.plan.summary import headline, render
from scripts.signals import terminated_as_interrupted
from scripts.stack.binary import StackError
from scripts.stack.stack import Applied, Event, Stack, messages


@dataclass(frozen=True)
class Planned:
    """A saved plan and what it says. `before` and `after` are bills of a month."""

    environment: str
    path: Path
    changes: tuple[ResourceChange, ...]
    before: Estimate
    after: Estimate
    resources: Mapping[str, Mapping[str, Any]]
    """What stands now: attributes by address. Not for printing: sensitive values are in it."""
    aws: bool = False

    def command(self, words: str) -> str:
        """The command that a user types next, such as `plan` or `destroy --delete-data`."""
        return _command(words, self.environment, aws=self.aws)

    @property
    def digest(self) -> str:
        """Digest of the normalised list of changes."""
        return digest(self.changes)

    def summary(self) -> str:
        """Markdown for people."""
        return render(self.environment, self.changes, self.before, self.after)

    def as_dict(self) -> dict[str, Any]:
        """For --json: digest, changes without any value, the bill of a month before and after."""
        return {
            "environment": self.environment,
            "digest": self.digest,
            "changes": normalised(self.changes),
            "usd_a_month": {
                "before": round(self.before.total, 2),
                "after": round(self.after.total, 2),
            },
        }

    def change_list(self) -> str:
        """The normalised list as JSON; it holds hashes in place of values."""
        return json.dumps(normalised(self.changes), indent=2) + "\n"


def make_plan(
    stack: Stack,
    environment: str,
    path: Path,
    phase: Phase,
    *,
    destroy: bool = False,
    lock: bool = True,
    aws: bool = False,
) -> Planned:
    """Initialise, plan into `path` (mode 0600) and read the plan. Raises UserError."""
    phase.event("terraform init")
    try:
        stack.init()
        phase.event("terraform plan")
        shown = stack.save_plan(path, _listener(phase), destroy=destroy, lock=lock)
    except StackError as failure:
        raise _advised(failure, environment, aws=aws) from None
    prices = load_prices()
    return Planned(
        environment,
        path,
        tuple(changes_of(shown)),
        estimate(shown, prices, before=True),
        estimate(shown, prices),
        {
            entry["address"]: entry["change"]["before"]
            for entry in shown.get("resource_changes", ())
            if entry.get("mode") != "data" and isinstance(entry["change"].get("before"), dict)
        },
        aws,
    )


def keep_plan(account: Account, planned: Planned) -> Path:
    """Make a plan the saved one of its environment, with a note of what it is."""
    path = account.plan_file(planned.environment)
    note = {
        "digest": planned.digest,
        "changes": headline(planned.changes),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": account.caller,
    }
    _note(path).unlink(missing_ok=True)
    planned.path.replace(path)
    write_private(_note(path), json.dumps(note, indent=2))
    return path


def saved_note(account: Account, environment: str) -> dict[str, Any]:
    """What is known of the saved plan. Raises UserError if there is none."""
    path = account.plan_file(environment)
    try:
        note: dict[str, Any] = json.loads(_note(path).read_text())
        path.stat()
    except (OSError, ValueError):
        raise UserError(
            f"There is no saved plan of {environment}",
            why=f"apply takes only what was planned and read; nothing is in {path}",
            fix=account.command(f"plan -e {environment}"),
        ) from None
    return note


def drop_plan(path: Path) -> None:
    """Delete a plan that was applied, or can no longer be."""
    path.unlink(missing_ok=True)
    _note(path).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def apply_plan(
    stack: Stack, environment: str, path: Path, phase: Phase, again: str, *, aws: bool = False
) -> Applied:
    """Apply exactly what `path` holds; the plan cannot be used again, even if this fails.

    A stop, as a cancelled job sends it, ends after the call that Terraform is in: with its state
    written and its lock released. `again` is the command that goes on from there.
    """
    try:
        with terminated_as_interrupted():
            return stack.apply_plan(path, _listener(phase))
    except KeyboardInterrupt:
        raise UserError(
            f"Terraform was interrupted in {environment}",
            why="it ended the call that it was in, and wrote its state; what was done stays",
            fix=again,
            exit_code=INTERRUPTED,
        ) from None
    except StackError as failure:
        rest = StackError(failure.what, why=failure.why, fix=f"{again}: what was done stays")
        raise _advised(rest, environment, aws=aws) from None
    finally:
        drop_plan(path)


def require_digest(planned: Planned, expected: str) -> None:
    """Stop unless the plan is the change that was approved. Raises UserError."""
    if planned.digest == expected:
        return
    addresses = [f"{change.action} {change.address}" for change in planned.changes]
    raise UserError(
        "The changes are not the ones that were approved; nothing was applied",
        why=f"approved was {expected},\nnow it is {planned.digest}:\n"
        + "\n".join(addresses[:20] or ["no changes"]),
        fix=f"{planned.command('plan')}, and have the new digest approved",
    )


def require_destroyable(
    planned: Planned, kept: Sequence[str] = (), snapshots: Sequence[str] = ()
) -> None:
    """Stop before half is gone, and say all that stands in the way. Raises UserError.

    RDS would refuse to delete a protected database or to take a last snapshot of a name that is
    taken (`snapshots`), S3 a bucket that holds something; `kept` are the buckets that do and may
    not be emptied.
    """
    name = planned.environment
    protected = [
        address
        for address, values in planned.resources.items()
        if values.get("deletion_protection") is True
    ]
    why, fix = [], []
    if protected:
        why.append(f"deletion protection is on: {', '.join(protected)}")
        plan, apply = planned.command("plan"), planned.command("apply")
        fix.append(f"TF_VAR_teardown=true {plan}, {apply}, then destroy")
    if kept:
        why.append(f"buckets hold data: {', '.join(kept)}")
        fix.append(f"keep what you need, then {planned.command('destroy --delete-data')}")
    for one in snapshots:
        why.append(f"the last snapshot of an earlier {name} is there: {one}")
        fix.append(
            "aws rds copy-db-snapshot --source-db-snapshot-identifier "
            f"{one} --target-db-snapshot-identifier {one}-1 keeps it under another name; then "
            f"aws rds delete-db-snapshot --db-snapshot-identifier {one}, and destroy again"
        )
    if why:
        what = (
            f"{name} is protected"
            if protected
            else "Buckets hold data"
            if kept
            else "The name of the last snapshot is taken"
        )
        raise UserError(f"{what}; nothing was destroyed", why="\n".join(why), fix="\n".join(fix))


def taken_snapshots(rds: Any, planned: Planned) -> list[str]:
    """Names of last snapshots that a destroy would take and that exist already.

    A caller who may not look gets none: RDS then refuses the deletion itself.
    """
    from botocore.exceptions import ClientError

    found = []
    for values in planned.resources.values():
        name = values.get("final_snapshot_identifier")
        if not name or values.get("skip_final_snapshot"):
            continue
        try:
            rds.describe_db_snapshots(DBSnapshotIdentifier=name)
        except ClientError as refusal:
            if refusal.response["Error"]["Code"] not in _NO_SNAPSHOT:
                raise
        else:
            found.append(str(name))
    return found


def buckets(planned: Planned) -> list[str]:
    """Names of the buckets that stand."""
    return sorted(
        str(values["bucket"])
        for values in planned.resources.values()
        if {"bucket", "force_destroy", "bucket_domain_name"} <= values.keys()
    )


def destroy_warning(planned: Planned, full: Sequence[str], delete_data: bool) -> str:
    """What is lost, in words, for the question before a destroy."""
    lines = [f"{headline(planned.changes)} of {planned.environment}."]
    for address, values in planned.resources.items():
        if "skip_final_snapshot" in values and "engine" in values:
            last = values.get("final_snapshot_identifier")
            kept = f"a last snapshot, {last}, is kept" if last else "no snapshot is kept"
            lines.append(f"The database goes ({address}): {kept}.")
    if full and delete_data:
        lines.append(f"Every version of every object goes: {', '.join(full)}.")
    return "\n".join(lines)


def _command(words: str, environment: str, *, aws: bool) -> str:
    return f"keyless {words} -e {environment}{' --aws' if aws else ''}"


def _listener(phase: Phase) -> Callable[[Event], None]:
    def hear(event: Event) -> None:
        for line in messages(event):
            phase.event(line)
        if event.get("type") == "refresh_start":
            phase.event(f"reading {event['hook']['resource']['addr']}")

    return hear


# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBSnapshots.html
_NO_SNAPSHOT = ("DBSnapshotNotFound", "DBSnapshotNotFoundFault", "AccessDenied")
_FREE_PLAN = (
    "the account is on AWS's free plan, which does not include that. AWS bills what the credits do "
    "not cover after aws freetier upgrade-account-plan --account-plan-type PAID; then {plan}"
)
_ADVICE = (
    ("stale", "{plan}: the account changed after the plan was made"),
    (
        "referenced S3 bucket must have been",
        "{bootstrap}: this account and region have no bucket for the state",
    ),
    (
        "reading KMS Alias",
        "keyless bootstrap, by an administrator: {0} has no key of its own yet, and "
        "customer_managed_key = true asks for it",
    ),
    (
        "BucketNotEmpty",
        "{destroy} --delete-data: S3 delivers access logs for hours after they were switched off",
    ),
    (
        "already scheduled for deletion",
        "an earlier {0} left its secret, which waits 30 days. To lose its value for good and go "
        "on: aws secretsmanager delete-secret --secret-id keyless-{0}-third-party "
        "--force-delete-without-recovery, then {plan}",
    ),
    (
        "specified log group already exists",
        "a log group of {0} is there already: AWS delivers for a while after a destroy, and makes "
        "its group again. Read what is in it, then aws logs delete-log-group --log-group-name "
        "NAME, and {plan}",
    ),
    (
        "DBSnapshotAlreadyExists",
        "an earlier {0} left its last snapshot: copy it under another name, delete it, then "
        "{destroy}",
    ),
    (
        "cannot use immediate apply method",
        "write static = true beside the value of that parameter, in database.parameters of "
        "terraform/platform/environments/{0}.tfvars, then {plan}",
    ),
    (
        "Could not find parameter with name",
        "correct the name in database.parameters of terraform/platform/environments/{0}.tfvars "
        "(aws rds describe-engine-default-parameters --db-parameter-group-family FAMILY lists "
        "them), then {plan}",
    ),
    (
        "Cannot find version",
        'this region does not have that PostgreSQL: write a major version such as "17" in '
        "database.engine_version of terraform/platform/environments/{0}.tfvars, then {plan}",
    ),
    ("FreeTierRestrictionError", _FREE_PLAN),
    ("not eligible for Free Tier", _FREE_PLAN),
    (
        "PendingVerification",
        "AWS verifies what a new account wants of a region, which takes minutes and up to four "
        "hours: wait, then {plan}",
    ),
    (
        "is a linked account",
        "a new account of an organization has no budgets until its payer has enabled them, and up "
        "to a day after: wait, then {plan}; or leave observability.budget out of "
        "terraform/platform/environments/{0}.tfvars",
    ),
    (
        "conflicting conditional operation",
        "S3 keeps the name of a deleted bucket for a while, an hour at times: wait, then {plan}",
    ),
    (
        "InvalidNetworkInterfaceID.NotFound",
        "the address of a NAT gateway was let go a moment before EC2 knew that the gateway's "
        "interface is gone: {plan}, or {destroy}, again",
    ),
    (
        "LocalCloud",
        "it is the local cloud that does not do this; AWS may: docs/local-cloud.md says what it "
        "leaves out",
    ),
    (
        "state lock",
        "wait for the other run; if it died, see `force-unlock` in docs/github.md",
    ),
    (
        "AlreadyExists",
        "adopt what an interrupted apply left by an import block, as docs/github.md shows it",
    ),
    ("ExpiredToken", "sign in again, then the same command"),
    ("AccessDenied", "see which action was denied and as whom: aws sts get-caller-identity"),
)


def _advised(failure: StackError, environment: str, *, aws: bool) -> StackError:
    """Terraform's own words, with the commands that fix what they are about, one for each line."""
    verbs = ("plan", "destroy")
    commands = {verb: _command(verb, environment, aws=aws) for verb in verbs}
    where = " --aws" if aws else ""
    found = []
    for line in failure.why.lower().splitlines():
        advice = next((advice for sign, advice in _ADVICE if sign.lower() in line), None)
        if advice is not None:
            found.append(
                advice.format(environment, **commands, bootstrap=f"keyless bootstrap{where}")
            )
    if not found:
        return failure
    return StackError(failure.what, why=failure.why, fix="\n".join(dict.fromkeys(found)))
