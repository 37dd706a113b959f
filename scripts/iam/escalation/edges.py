"""The steps from one actor: each rule of steps.yaml as code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from scripts.iam.account.identities import Identity
from scripts.iam.engine.evaluation import PolicySet, Principal
from scripts.iam.escalation.claims import ways_to_tag
from scripts.iam.escalation.inventory import Asset, Carrier
from scripts.iam.escalation.possible import Known, allowed, resources
from scripts.iam.escalation.view import Actor, Edge, Step, View

# Rule, service that gets the role, and the calls that start something with it.
PASSES: tuple[tuple[str, str, tuple[tuple[str, ...], ...], str], ...] = (
    ("pass-to-instance", "ec2.amazonaws.com", (("ec2:RunInstances",),), "ec2:{r}:{a}:instance/x"),
    (
        "pass-to-function",
        "lambda.amazonaws.com",
        (("lambda:CreateFunction",), ("lambda:UpdateFunctionConfiguration",)),
        "lambda:{r}:{a}:function:x",
    ),
    (
        "pass-to-schedule",
        "scheduler.amazonaws.com",
        (("scheduler:CreateSchedule",), ("scheduler:UpdateSchedule",)),
        "scheduler:{r}:{a}:schedule/default/x",
    ),
    (
        "pass-to-rule",
        "events.amazonaws.com",
        (("events:PutTargets",),),
        "events:{r}:{a}:rule/x",
    ),
    (
        "pass-to-stack",
        "cloudformation.amazonaws.com",
        (("cloudformation:CreateStack",), ("cloudformation:UpdateStack",)),
        "cloudformation:{r}:{a}:stack/x/x",
    ),
    (
        "pass-to-task",
        "ecs-tasks.amazonaws.com",
        (("ecs:RegisterTaskDefinition", "ecs:RunTask"),),
        "ecs:{r}:{a}:task-definition/x:1",
    ),
    (
        "pass-to-build",
        "codebuild.amazonaws.com",
        (("codebuild:CreateProject",), ("codebuild:UpdateProject",)),
        "codebuild:{r}:{a}:project/x",
    ),
    (
        "pass-to-job",
        "sagemaker.amazonaws.com",
        (
            ("sagemaker:CreateNotebookInstance",),
            ("sagemaker:CreateTrainingJob",),
            ("sagemaker:CreateProcessingJob",),
        ),
        "sagemaker:{r}:{a}:notebook-instance/x",
    ),
    ("pass-to-job", "glue.amazonaws.com", (("glue:CreateJob",),), "glue:{r}:{a}:job/x"),
    (
        "pass-to-state-machine",
        "states.amazonaws.com",
        (("states:CreateStateMachine",), ("states:UpdateStateMachine",)),
        "states:{r}:{a}:stateMachine:x",
    ),
    (
        "run-automation",
        "ssm.amazonaws.com",
        (("ssm:StartAutomationExecution",),),
        "ssm:{r}:{a}:automation-definition/x:1",
    ),
)
SHELL = "arn:aws:ssm:{r}:{a}:document/SSM-SessionManagerRunShell"
COMMAND = "arn:aws:ssm:{r}::document/AWS-RunShellScript"


def edges(view: View) -> Iterator[Edge]:
    """Every step that an actor can take."""
    yield from _own_rights(view)
    for member in view.inventory.members.members.values():
        if member.arn == view.member.arn:
            continue
        for rule, detail in _ways_into(view, member):
            following = Actor(member.arn, rewritten=_writes_policy(view, member))
            yield Step(rule, view.actor.label, member.arn, detail), following
            break
    yield from _assets(view)


def can(
    view: View,
    action: str,
    resource: str,
    known: Known | None = None,
    tags: Mapping[str, str] | None = None,
    policies: PolicySet | None = None,
) -> bool:
    """Whether the actor can have this action on this resource."""
    return (
        allowed(view.principal, policies or view.policies, action, resource, known, tags)
        is not None
    )


def can_any(view: View, action: str, template: str) -> bool:
    """Whether the actor can have this action on something of the template's kind."""
    whole = _arn(view, template)
    return any(can(view, action, one) for one in resources(view.policies, action, whole))


def _arn(view: View, template: str) -> str:
    filled = template.format(r=view.inventory.region, a=view.inventory.account)
    return filled if filled.startswith("arn:") else f"arn:aws:{filled}"


def _bounded_by(member: Identity) -> dict[str, str | None]:
    return {"iam:PermissionsBoundary": member.boundary_arn}


def _writes_policy(view: View, member: Identity) -> bool:
    """Whether the actor may give another role or user a policy of its making."""
    kind = "Role" if member.is_role else "User"
    return any(
        can(view, f"iam:{verb}{kind}Policy", member.arn, _bounded_by(member), member.tags)
        for verb in ("Put", "Attach")
    )


def _own_rights(view: View) -> Iterator[Edge]:
    member, actor = view.member, view.actor
    kind = "Role" if member.is_role else "User"
    more = Actor(member.arn, rewritten=True, unbounded=actor.unbounded)
    for rule, action, target, known in _own_actions(view, kind):
        tags = member.tags if target == member.arn else None
        if not actor.rewritten and can(view, action, target, known, tags):
            yield Step(rule, actor.label, more.label, f"{action} on {target}"), more
            break
    yield from _boundary(view, kind)
    yield from _new_role(view)


def _own_actions(
    view: View, kind: str
) -> Iterator[tuple[str, str, str, Mapping[str, str | None] | None]]:
    member, inventory = view.member, view.inventory
    for verb in ("Put", "Attach"):
        yield "write-own-policy", f"iam:{verb}{kind}Policy", member.arn, _bounded_by(member)
    for arn in _attached(view):
        yield "write-policy-version", "iam:CreatePolicyVersion", arn, None
        if inventory.versions.get(arn, 1) > 1:
            yield "choose-policy-version", "iam:SetDefaultPolicyVersion", arn, None
    if member.is_role:
        return
    for group in inventory.groups.get(member.arn, ()):
        arn = f"arn:aws:iam::{inventory.account}:group/{group}"
        for verb in ("Put", "Attach"):
            yield "write-group-policy", f"iam:{verb}GroupPolicy", arn, None
    for target in resources(
        view.policies, "iam:AddUserToGroup", f"arn:aws:iam::{inventory.account}:group/x"
    ):
        yield "join-group", "iam:AddUserToGroup", target, None


def _attached(view: View) -> list[str]:
    """The customer's managed policies among the actor's own; AWS's cannot be edited."""
    return [
        policy.name
        for policy in view.member.identity
        if policy.name.startswith(f"arn:aws:iam::{view.inventory.account}:policy/")
    ]


def _boundary(view: View, kind: str) -> Iterator[Edge]:
    member, actor = view.member, view.actor
    if member.boundary_arn is None or actor.unbounded:
        return
    free = Actor(member.arn, actor.rewritten, unbounded=True)
    for rule, action, target, known in (
        ("remove-boundary", f"iam:Delete{kind}PermissionsBoundary", member.arn,
         _bounded_by(member)),
        ("remove-boundary", f"iam:Put{kind}PermissionsBoundary", member.arn,
         {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("edit-boundary", "iam:CreatePolicyVersion", member.boundary_arn, None),
    ):  # fmt: skip
        tags = member.tags if target == member.arn else None
        if can(view, action, target, known, tags):
            yield Step(rule, actor.label, free.label, f"{action} on {target}"), free
            return


def _new_role(view: View) -> Iterator[Edge]:
    template = f"arn:aws:iam::{view.inventory.account}:role/x"
    none: dict[str, str | None] = {"iam:PermissionsBoundary": None}
    actions = ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy")
    for target in dict.fromkeys(
        one for action in actions for one in resources(view.policies, action, template)
    ):
        if target in view.inventory.members.members or not can(
            view, "iam:CreateRole", target, none
        ):
            continue
        for verb in ("Put", "Attach"):
            if can(view, f"iam:{verb}RolePolicy", target, none):
                detail = f"iam:CreateRole and iam:{verb}RolePolicy on {target}, without a boundary"
                yield Step("create-role", view.actor.label, "administrator", detail), None
                return


def _ways_into(view: View, member: Identity) -> Iterator[tuple[str, str]]:
    for tagged in ways_to_tag(view, member.arn, member.tags):
        one = replace(member, tags=tagged.tags)
        for rule, detail in _ways_into_tagged(view, one):
            yield tagged.rule(rule), tagged.detail(detail)
    yield from _carriers(view, member)


def _ways_into_tagged(view: View, member: Identity) -> Iterator[tuple[str, str]]:
    if not member.is_role:
        yield from _into_user(view, member)
        return
    known, tags = _bounded_by(member), member.tags
    if can(view, "sts:AssumeRole", member.arn, None, tags, view.with_resource(member.trust)):
        yield "assume-role", f"sts:AssumeRole on {member.arn}"
    if can(view, "iam:UpdateAssumeRolePolicy", member.arn, known, tags):
        yield "edit-trust", f"iam:UpdateAssumeRolePolicy on {member.arn}"
    yield from _passes(view, member)


def _into_user(view: View, member: Identity) -> Iterator[tuple[str, str]]:
    for rule, actions in (
        ("create-access-key", ("iam:CreateAccessKey",)),
        ("set-password", ("iam:CreateLoginProfile", "iam:UpdateLoginProfile")),
    ):
        for action in actions:
            if can(view, action, member.arn, None, member.tags):
                yield rule, f"{action} on {member.arn}"


def _trusts_service(member: Identity, service: str) -> bool:
    if member.trust is None:
        return False
    caller = Principal(service, "", "service", service=service)
    trust = PolicySet(resource=(member.trust,))
    return allowed(caller, trust, "sts:AssumeRole", member.arn) is not None


def _passes(view: View, member: Identity) -> Iterator[tuple[str, str]]:
    for rule, service, calls, template in PASSES:
        if not _trusts_service(member, service):
            continue
        known: dict[str, str | None] = {"iam:PassedToService": service}
        if not can(view, "iam:PassRole", member.arn, known, member.tags):
            continue
        if service == "ec2.amazonaws.com":
            yield from _swaps(view, member)
            if not member.profiles and not _makes_profile(view):
                continue
        for actions in calls:
            if all(can_any(view, action, template) for action in actions):
                yield rule, f"iam:PassRole on {member.arn} and {' and '.join(actions)}"
                break


def _makes_profile(view: View) -> bool:
    template = "iam::{a}:instance-profile/x"
    return all(
        can_any(view, f"iam:{action}", template)
        for action in ("CreateInstanceProfile", "AddRoleToInstanceProfile")
    )


def _swaps(view: View, member: Identity) -> Iterator[tuple[str, str]]:
    for instance in view.inventory.instances:
        for action in (
            "ec2:AssociateIamInstanceProfile",
            "ec2:ReplaceIamInstanceProfileAssociation",
        ):
            if can(view, action, instance.arn, None, instance.tags):
                yield "swap-instance-profile", f"iam:PassRole and {action} on {instance.arn}"
    for other in view.inventory.members.roles:
        for profile in other.profiles if other.arn != member.arn else ():
            if can(view, "iam:AddRoleToInstanceProfile", profile):
                yield (
                    "swap-instance-profile",
                    f"iam:PassRole and iam:AddRoleToInstanceProfile on {profile}",
                )


def _carriers(view: View, member: Identity) -> Iterator[tuple[str, str]]:
    inventory = view.inventory
    for carriers, ways in (
        (inventory.functions, _function),
        (inventory.templates, _template),
        (inventory.instances, _instance),
    ):
        for carrier in _of(carriers, member):
            for tagged in ways_to_tag(view, carrier.arn, carrier.tags):
                for rule, detail in ways(view, replace(carrier, tags=tagged.tags)):
                    yield tagged.rule(rule), tagged.detail(detail)


def _function(view: View, function: Carrier) -> Iterator[tuple[str, str]]:
    # A layer is code as well.
    for action in ("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"):
        if can(view, action, function.arn, None, function.tags):
            yield "change-function-code", f"{action} on {function.arn}"


def _template(view: View, template: Carrier) -> Iterator[tuple[str, str]]:
    action = "ec2:CreateLaunchTemplateVersion"
    if can(view, action, template.arn, None, template.tags):
        yield "change-launch-template", f"{action} on {template.arn}"


def _of(carriers: tuple[Carrier, ...], member: Identity) -> list[Carrier]:
    return [carrier for carrier in carriers if carrier.role_arn == member.arn]


def _instance(view: View, instance: Carrier) -> Iterator[tuple[str, str]]:
    def on(action: str, known: Mapping[str, str | None] | None = None) -> bool:
        return can(view, action, instance.arn, known, instance.tags)

    if on("ec2:ModifyInstanceAttribute") and on("ec2:StartInstances"):
        yield "change-user-data", f"ec2:ModifyInstanceAttribute on {instance.arn}"
    shell = _arn(view, SHELL)
    # Without a document in the request AWS opens the default shell and, unless the policy asks
    # for the check, asks nothing about the document.
    unchecked: dict[str, str | None] = {"ssm:SessionDocumentAccessCheck": "false"}
    if on("ssm:StartSession", unchecked) or (
        on("ssm:StartSession") and can(view, "ssm:StartSession", shell)
    ):
        yield "open-shell", f"ssm:StartSession on {instance.arn}"
    if on("ssm:StartSession"):
        for document in resources(view.policies, "ssm:StartSession", shell):
            if ":document/" in document and _rewrites(view, document):
                yield "rewrite-session-document", f"ssm:UpdateDocument on {document}"
                break
    if on("ssm:SendCommand") and can(view, "ssm:SendCommand", _arn(view, COMMAND)):
        yield "send-command", f"ssm:SendCommand on {instance.arn}"


def _rewrites(view: View, document: str) -> bool:
    return can(view, "ssm:StartSession", document) and any(
        can(view, f"ssm:{verb}Document", document) for verb in ("Update", "Create")
    )


def _assets(view: View) -> Iterator[Edge]:
    inventory = view.inventory
    for secret in inventory.secrets:
        yield from _asset(view, secret, "read-secret", "reads", "secretsmanager:GetSecretValue")
        yield from _asset(view, secret, "open-secret", "opens", "secretsmanager:PutResourcePolicy")
    for state in inventory.states:
        yield from _asset(view, state, "read-state", "reads", "s3:GetObject")
        yield from _asset(view, state, "write-state", "writes", "s3:PutObject")
        bucket = Asset(state.arn.partition("/")[0], {}, state.policy)
        yield from _asset(view, bucket, "open-bucket", "opens", "s3:PutBucketPolicy")
    for group in inventory.security_groups:
        yield from _asset(view, group, "open-network", "opens", "ec2:AuthorizeSecurityGroupIngress")
    for key in inventory.keys:
        # Through a service, or for an AWS resource alone, a grant goes to that service.
        direct: dict[str, str | None] = {
            "kms:ViaService": None,
            "kms:GrantIsForAWSResource": "false",
        }
        for action in ("kms:PutKeyPolicy", "kms:CreateGrant"):
            yield from _asset(view, key, "open-key", "opens", action, direct)


def _asset(
    view: View,
    asset: Asset,
    rule: str,
    verb: str,
    action: str,
    known: Known | None = None,
) -> Iterator[Edge]:
    policies = view.with_resource(asset.policy)
    for tagged in ways_to_tag(view, asset.arn, asset.tags, asset.policy):
        if can(view, action, asset.arn, known, tagged.tags, policies):
            detail = tagged.detail(f"{action} on {asset.arn}")
            end = f"{verb} {asset.arn}"
            yield Step(tagged.rule(rule), view.actor.label, end, detail), None
            return
