"""Explain a denial that AWS reported. Its message says less than the log: doubts are named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace

from scripts.iam.account.decision_log import Record
from scripts.iam.account.identities import Identities
from scripts.iam.account.resource_policies import ResourcePolicies, is_read
from scripts.iam.denial.changes import Change, by_trust, foreign_account
from scripts.iam.denial.denials import ALONE, Denial, ResourcePolicy, explain_denial
from scripts.iam.denial.doubts import (
    allowed_of_any,
    assumed,
    assumptions,
    decided,
    deciding,
    doubts,
    held,
    hinging,
    is_hidden,
    is_implicit,
    is_unknown,
    marked,
    unsure,
)
from scripts.iam.denial.given import LAYERS, GivenPolicy
from scripts.iam.denial.reading.callerless import OF_ORGANIZATIONS, of_the_organization
from scripts.iam.denial.reading.calls import PASSES
from scripts.iam.denial.reading.messages import BLOCKED, GLOBAL_MODEL, MASK, Refusal
from scripts.iam.denial.reading.services import LOG_DESTINATION, OF_A_STACK
from scripts.iam.denial.reading.unnamed import CALLER, unnamed
from scripts.iam.engine.evaluation import Decision, PolicySet, Reason
from scripts.iam.engine.explanation import Considered, Explanation
from scripts.iam.reference import (
    MOST_TOGETHER,
    as_of,
    besides,
    is_of,
    only_star,
    resources,
    unknown,
)
from scripts.iam.requests.dependents import passes_role

# Of the shorter sentence, without "because no ... policy allows", and of a decoded message.
_UNSAID = "the message does not say by what"
_NOT_ALLOWED = "no policy allows; the message does not say of which kind"
_UNNAMED = "(the message names none)"
# What IAM takes in no name, and words and dots that hide one.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_NO_NAME = re.compile(
    r"[^\w+=,.@/-]|\.{3}|(?:^|/)x{3,}$|redact|masked|omitted", re.IGNORECASE | re.ASCII
)
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
_RESERVED = re.compile(r":parameter/(?:aws|ssm)", re.IGNORECASE)
# A variable that a shell or a template left as it was; a log stream of Lambda's has $LATEST.
_TRANSFORM = re.compile(r":cloudformation:[^:]*:(?!aws:|\d{12}:)[^:]*:transform/")
# A service as Java's SDK names it -> whom a role is passed to there.
_PASSED = {
    "ECS": "ecs-tasks.amazonaws.com, for a task's roles",
    "Ecs": "ecs-tasks.amazonaws.com, for a task's roles",
    "EC2": "ec2.amazonaws.com",
    "Ec2": "ec2.amazonaws.com",
    "Bedrock": "bedrock.amazonaws.com",
    "Lambda": "lambda.amazonaws.com",
    "Glue": "glue.amazonaws.com",
    "SageMaker": "sagemaker.amazonaws.com",
    "Sfn": "states.amazonaws.com",
    "StepFunctions": "states.amazonaws.com",
    "CodeBuild": "codebuild.amazonaws.com",
    "CodePipeline": "codepipeline.amazonaws.com",
}
# Letters in the place of digits, of which a person does not count the number.
_RUN = re.compile(r"([XYxy*])\1+")
_NO_ACCOUNT = re.compile(r"arn:[\w-]+:iam:::(?:role|user)/")
_ARN_AS_NAME = re.compile(r"arn:.*[/:]arn:[\w-]+:[\w-]+:")
# The session of an instance has its ID as its name; these are names of a cluster's nodes.
_NODE = re.compile(r":assumed-role/[^/]*(?:node|eks|karpenter)[^/]*/i-[^/]+$", re.IGNORECASE)
# An action -> what asks for more than a policy of IAM's.
# https://docs.aws.amazon.com/eks/latest/userguide/view-kubernetes-resources.html
# https://docs.aws.amazon.com/lake-formation/latest/dg/access-control-underlying-data.html
_BESIDES_IAM = {
    "eks:AccessKubernetesApi": "to see a cluster's objects in the console the caller needs rights "
    "of Kubernetes' own, too (an access entry with a policy, or a group in aws-auth)",
    "lakeformation:GetDataAccess": "what is read needs a grant of Lake Formation's own, too (aws "
    "lakeformation grant-permissions: SELECT on the table, or DATA_LOCATION_ACCESS)",
}
_TAKES_A_BOUNDARY = re.compile(
    r"iam:(?:CreateRole|CreateUser|(?:Put|Delete)(?:Role|User)PermissionsBoundary"
    r"|(?:Attach|Detach|Put|Delete)(?:Role|User)Policy)$"
)
_SECRET = re.compile(
    r"^arn:[\w-]+:secretsmanager:[^:]*:[^:]*:secret:(?!.*-[A-Za-z\d?]{6}$)[\w/+=.@-]+$"
)
# A name that a template leaves to CloudFormation; a digit and a capital letter are in each.
_OF_A_STACK_ONCE = re.compile(r"-\w+-(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z\d]{12,13}(?::|$)")
# As Amplify, Mobile Hub and the console call the role of those who signed in.
_SIGNED_IN = re.compile(r"(?<!un)auth(?!or)", re.IGNORECASE)
_OF_CATALOG = re.compile(r":glue:[^:]*:[^:]*:(?:catalog|database/|table/)")
_UNFILLED = re.compile(
    r"(?<=[:/])(?:null|undefined|None)(?=[:/]|$)"
    r"|\$[{(]|\$(?!LATEST|DEFAULT)[A-Z][A-Z0-9_]{2,}"
)
# Of these another note tells what is asked for together, or two services have actions of one name.
_TOLD_APART = (
    "elasticloadbalancing:",
    "glue:",
    "ssm:SendCommand",
    "ssm:StartSession",
    "codeartifact:",
)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html
_BY_TRUST = (
    "; in one account a trust policy that names the caller's role or user is enough, and one that "
    "names the account needs an Allow of the caller's own policies on the role, too"
)
_UNSIGNED = (
    "AWS counts the request as anonymous: sign it, where signatures are asked for, or the policy "
    "of what was asked for must let in whoever asks"
)
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-create-attach.html
_OF_AN_API = (
    "AWS counts the request as anonymous: of a method whose authorization is not AWS_IAM API "
    "Gateway reads no signature, so one that is signed is anonymous there, too. Where the API's "
    "policy names roles, users or accounts every method needs the authorization AWS_IAM (then "
    "deploy the API), and the caller has to sign; a method for callers without a signature needs "
    "an Allow of everybody there, which conditions limit (aws:SourceIp, aws:SourceVpce)"
)
_POLICY = re.compile(r"(?<=policy: )arn:[\w-]+:organizations:[^\s\"]*[\w-]")
_OF_IDENTITY_CENTER = re.compile(
    r"sso:\w*(?:PermissionSet|AccountAssignment|Instance|PermissionsBo)"
)
_ELSEWHERE = {
    "service control policy": "the organization's, and no policy of this account lifts it. It may "
    "hang on the request (its region, its tags): ask whoever keeps the organization's policies",
    "resource control policy": "the organization's, and no policy of this account lifts it. It may "
    "hang on the request (whose account, which network): ask whoever keeps the organization's "
    "policies",
    "VPC endpoint policy": "the network's, and the caller's own policies change nothing: the "
    "endpoint that the call took has to allow it there (aws ec2 describe-vpc-endpoints: "
    "PolicyDocument; in this platform's own, terraform/modules/network/endpoints.tf writes it)",
    "session policy": "the session's own, given when the session was made and kept nowhere: give "
    "the session less narrow a policy",
    BLOCKED: "a setting of the bucket or of its account, and no policy of IAM lifts it: make what "
    "is put not public; whoever switches it off lets everybody in whom a policy or ACL names",
}


def explain_refusal(
    refusal: Refusal,
    members: Identities,
    resource_policy: ResourcePolicy,
    around: PolicySet = ALONE,
) -> Denial:
    """Explain it by the policies as they are now, and by those `around` where they are known.

    A condition on a key that the message does not carry is neither met nor failed: where the
    answer hangs on one, the key is named and no change is proposed.
    """
    shown = refusal
    if refusal.arn is None and only_star(refusal.action):
        refusal = replace(refusal, resource="*")
        shown = refusal if shown.resource is None else shown
    found = _explained(refusal, members, resource_policy, around)
    said = as_said(shown, found.record)
    notes = (*found.notes, *of_the_call(refusal))
    if _SECRET.search(refusal.arn or ""):
        found = replace(found, changes=tuple(_with_its_end(one, found) for one in found.changes))
    named = [change.statement or {} for change in found.changes]
    if is_hidden(refusal) and any(str(refusal.resource) in str(one) for one in named):
        notes = (*notes, f"put in what the message hides of {refusal.resource}")
    return replace(found, record=said, notes=notes)


def _with_its_end(change: Change, found: Denial) -> Change:
    """The change with the six characters that a secret's ARN ends in."""
    arn = found.record.resource
    statement = json.dumps(change.statement).replace(f'"{arn}"', f'"{arn}-??????"')
    edit = re.sub(rf"{re.escape(arn)}(?![\w-])", f"{arn}-??????", change.edit)
    return replace(change, statement=json.loads(statement), edit=edit)


def as_said(refusal: Refusal, record: Record) -> Record:
    """A record in the words of the message."""
    return replace(
        record,
        principal=refusal.principal,
        reason=_said(refusal),
        resource=refusal.resource or _UNNAMED,
    )


def of_the_call(refusal: Refusal) -> Iterable[str]:
    """What a call of this kind needs that its message does not tell.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
    """
    yield from _of_the_caller(refusal)
    if unknown(refusal.action):
        yield (
            f"AWS's Service Authorization Reference, as of {as_of()}, has no action "
            f"{refusal.action}: it is made up (as in examples), misspelt or cut, or it is newer or "
            "not listed; an Allow of an action that AWS does not have allows nothing"
        )
    if GLOBAL_MODEL.search(refusal.arn or ""):
        yield (
            "a model's ARN without a region is that of a global profile, which AWS sends to any "
            "region (aws:RequestedRegion is then 'unspecified'): a profile of one geography (us., "
            "eu.) keeps to its regions"
        )
    if refusal.action.startswith("bedrock:Invoke") and ":inference-profile/" in (
        refusal.resource or ""
    ):
        # https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
        yield (
            "a profile sends the call on to its model in several regions: the model has to be "
            "allowed there, too (arn:aws:bedrock:REGION::foundation-model/MODEL of each)"
        )
    if (
        refusal.action.startswith("glue:")
        and _OF_CATALOG.search(refusal.resource or "")
        and len(resources(refusal.action)) > 1
    ):
        # https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html
        yield (
            "Glue asks for each of what leads to a thing, and names the first that lacks: for a "
            "table the catalog, its database and the table have to be allowed (catalog, "
            "database/NAME, table/NAME/TABLE), for a database the catalog and the database"
        )
    if refusal.action in ("ecr-public:GetAuthorizationToken", "codeartifact:GetAuthorizationToken"):
        # https://docs.aws.amazon.com/AmazonECR/latest/public/public-registry-auth.html
        yield "the token needs sts:GetServiceBearerToken, too"
    yield from _whatever_they_say(refusal)
    if _TRANSFORM.search(refusal.resource or ""):
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/transform-aws-serverless.html
        yield (
            "a transform of AWS's has aws in the account's place (Transform: AWS::NAME in the "
            "template): if the message has another word there, the template is misspelt, and no "
            "policy is to be changed"
        )
    if refusal.is_text_message:
        yield (
            "a text message goes to a number and to no topic; a number has no ARN, so a policy has "
            "to name * (a Deny with topics' ARNs, or NotResource, keeps it from topics)"
        )
    if refusal.action.lower() == "ssm:putparameter" and _RESERVED.search(refusal.resource or ""):
        yield (
            "a parameter's name cannot begin with aws or ssm: SSM refuses to write it, whatever "
            "the policies say; take another name"
        )
    if refusal.action in ("codeartifact:CreateRepository", "codeartifact:UpdateRepository"):
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodeartifact.html
        yield (
            "a repository with upstreams needs codeartifact:AssociateWithDownstreamRepository on "
            "each of them, too, and an external connection codeartifact:AssociateExternalRepository"
        )
    yield from _besides(refusal)
    yield from _of_a_role(refusal)
    if _OF_IDENTITY_CENTER.match(refusal.action):
        # https://docs.aws.amazon.com/singlesignon/latest/userguide/delegated-admin.html
        yield (
            "IAM Identity Center's permission sets and assignments are managed from the "
            "organization's management account or from the account that is its delegated "
            "administrator (those that the management account has: from there alone); any other "
            "account is refused, whatever its policies say"
        )
    yield from _of_sts(refusal)


def _whatever_they_say(refusal: Refusal) -> Iterable[str]:
    """What refuses a call whatever the policies say."""
    if (besides_iam := _BESIDES_IAM.get(refusal.action)) and not refusal.explicit:
        yield besides_iam
    if of_the_organization(refusal.action) and not refusal.layer:
        yield OF_ORGANIZATIONS
    if refusal.explicit and _TAKES_A_BOUNDARY.match(refusal.action):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
        yield (
            "a Deny of this action may leave alone what is made with a boundary (a condition on "
            "iam:PermissionsBoundary): then the request lacks that, and no policy is to be changed"
        )
    if _SECRET.search(refusal.resource or "") and not refusal.explicit:
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html
        yield (
            "a secret's ARN ends in a hyphen and six characters of its own, and the one asked for "
            "does not: where it is there, an Allow names it with those (or -?????? for them); of a "
            "secret that is not there, in that region, Secrets Manager says the same"
        )
    if _OF_A_STACK_ONCE.search(refusal.resource or "") and not refusal.explicit:
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html
        yield (
            "the name ends as CloudFormation ends those that it makes itself, anew for each stack "
            "and each replacement: an Allow of the next one, too, has * in place of that end"
        )
    if refusal.explicit and ":accesspoint/" in (refusal.resource or ""):
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-vpc.html
        yield (
            "an access point whose network origin is a VPC refuses what comes from elsewhere, "
            "through another VPC's endpoint, too, whatever the policies say (aws s3control "
            "get-access-point: NetworkOrigin, VpcConfiguration)"
        )


def _besides(refusal: Refusal) -> Iterable[str]:
    """What a call needs besides what the message names: AWS names the first that lacks.

    https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
    """
    if refusal.explicit or refusal.action.startswith(_TOLD_APART) or "Tag" in refusal.action:
        return
    required, optional = besides(refusal.action)
    arn = refusal.arn or ""
    if any(_is_of_kind(one, arn) for one in (*required, *optional)):
        further = [one for one in (*required, *optional) if not _is_of_kind(one, arn)]
        if further and len(required) <= MOST_TOGETHER:
            left = len(further) - MOST_TOGETHER
            more = f" and {left} kinds more" * (left > 0)
            yield (
                f"AWS's message names one resource, and its reference has {refusal.action} on "
                "further ones; what of those the call touches needs the same Allow: "
                f"{', '.join(further[:MOST_TOGETHER])}{more}"
            )
    elif (
        refusal.arn and not arn.endswith("*") and ":transform/" not in arn
        and (forms := resources(refusal.action)) and not any(is_of(one, arn) for one in forms)
    ):  # fmt: skip
        yield (
            f"AWS's reference has other ARNs for {refusal.action} ({', '.join(forms[:4])}) than "
            "the message: if an Allow of the message's does not do, it has to name one of those"
        )


def _is_of_kind(form: str, arn: str) -> bool:
    """Whether an ARN has a form of the reference's, or ends where its name belongs."""
    return is_of(form, arn) or _nameless(form, arn)


def _nameless(form: str, arn: str) -> bool:
    """Whether an ARN has the form, and ends where its first or its last name belongs."""
    begun = {form.partition("<")[0], form.rpartition("<")[0]} if form.endswith(">") else set()
    return any(one.endswith(("/", ":")) and is_of(one, arn) for one in begun)


def _of_a_role(refusal: Refusal) -> Iterable[str]:
    """That a call which passes a role needs a right for that, too."""
    if refusal.explicit:
        return
    service, _, call = refusal.action.partition(":")
    to = PASSES.get(refusal.action) or PASSES.get(call, "")
    to = to if to.startswith(service) else ""  # other services have a CreateFunction, too
    if to or passes_role(refusal.action):
        yield (
            "of a call that passes a role iam:PassRole on that role has to be allowed, too (with "
            f"iam:PassedToService {to or 'for the service that takes it'})"
        )


def _of_the_caller(refusal: Refusal) -> Iterable[str]:
    if refusal.principal == "anonymous":
        yield _OF_AN_API if refusal.is_of_an_api else _UNSIGNED
    if refusal.is_of_an_api and not refusal.explicit and not refusal.layer:
        yield (
            "AWS's page on API Gateway's 403 has these words for an API's policy that does not "
            "allow it, and adds 'with an explicit deny' where one denies it (its version of 2020 "
            "had them for both)"
        )
    if refusal.principal == "sns.amazonaws.com" and refusal.action.startswith("kms:"):
        # https://docs.aws.amazon.com/sns/latest/dg/sns-enable-encryption-for-topic-sqs-queue-subscriptions.html
        yield (
            "SNS itself asks for the key of what it delivers to, by that key's policy alone: it "
            "needs kms:GenerateDataKey* and kms:Decrypt there; AWS's own keys (aws/sqs) do not "
            "let it in, so the queue needs a key of the account's"
        )
    if _NODE.search(refusal.principal):
        # https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
        yield (
            "the caller is an instance's role, and by its name may be that of a cluster's nodes: "
            "each pod there has it that has no role of its own or does not use it: if it has one "
            "(IRSA, Pod Identity), look at the service account that it runs as and at its "
            "annotation or association, make the pod anew, and use an SDK that knows them; the "
            "nodes' role needs the right only if it is meant for all of them"
        )
    if refusal.principal.endswith("/CognitoIdentityCredentials") and (
        not _SIGNED_IN.search(str(refusal.role))
        and (refusal.layer in ("", "session policy") or "unauth" in str(refusal.role).lower())
    ):
        # https://docs.aws.amazon.com/cognito/latest/developerguide/iam-roles.html
        yield (
            "Cognito gives guests (an identity without a login, in the enhanced flow) a session "
            "policy of its own, which allows a few services and actions alone, whatever their role "
            "allows: for others sign in first, or get the credentials by the basic flow"
        )


def _of_sts(refusal: Refusal) -> Iterable[str]:
    if refusal.also:
        yield refusal.also
    if refusal.action.lower() == "iam:passrole" and (to := _PASSED.get(refusal.asked)):
        yield (
            f"it was {refusal.asked} that asked: limit the Allow to {to} (StringEquals on "
            "iam:PassedToService)"
        )
    if refusal.action.lower() in ("ssm:sendcommand", "ssm:startsession"):
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
        yield (
            "SSM asks for the document (AWS's own has no account in its ARN: "
            "arn:aws:ssm:REGION::document/NAME) and for each instance "
            "(arn:aws:ec2:REGION:ACCOUNT:instance/ID), and names the first that lacks; a condition "
            "on an instance's tags never holds for the document, so that needs a statement of its "
            "own"
        )
    if refusal.action.lower() == "sts:assumerole" and _is_its_own(refusal):
        # https://aws.amazon.com/blogs/security/announcing-an-update-to-iam-role-trust-policy-behavior/
        yield (
            f"the caller is a session of {refusal.role} already and asks for the same role again: "
            "leave that step out (role_arn in a profile, --role-arn, role-to-assume), or the "
            "role's trust policy has to let the role itself in"
        )
    if refusal.action.lower() == "sts:tagsession":
        yield (
            "the call passes session tags: those need sts:TagSession in the trust policy of the "
            "role, beside sts:AssumeRole; a call without tags does not (role-skip-session-tagging: "
            "true of aws-actions/configure-aws-credentials); leave them out if no policy needs them"
        )


def _is_its_own(refusal: Refusal) -> bool:
    """Whether a role asks to assume itself."""
    parts = (refusal.resource or "").split(":", 5)
    asked = parts[5].split("/") if len(parts) == 6 else []
    return (
        bool(refusal.role)
        and asked[:1] == ["role"]
        and _RUN.sub(r"\1", asked[-1]) == _RUN.sub(r"\1", refusal.role or "")
        and parts[4] == refusal.account
    )


def decided_elsewhere(words: str) -> str | None:
    """What decided, by the words of a denial that names no caller; None if they do not say."""
    policy = _POLICY.search(words)
    which = f" ({policy[0]})" if policy else ""
    told = next(
        (f"the {layer}{which} decided: it is {whose}" for layer, whose in _ELSEWHERE.items()
         if layer in words), None
    )  # fmt: skip
    asked = unnamed(words) if told else None
    if asked is None:
        return told
    return f"{asked.action}{f' on {asked.resource}' if asked.resource else ''} was refused: {told}"


def _said(refusal: Refusal) -> str:
    """What decided, in the message's words."""
    if refusal.explicit:
        article = "an" if refusal.layer.startswith("identity") else "a"
        return f"{Reason.EXPLICIT_DENY}" + (f" in {article} {refusal.layer}" * bool(refusal.layer))
    if refusal.layer == BLOCKED:
        return BLOCKED
    if refusal.layer:
        return f"no {refusal.layer} allows"
    return _NOT_ALLOWED if refusal.lacks else _UNSAID


def _explained(
    refusal: Refusal, members: Identities, resource_policy: ResourcePolicy, around: PolicySet
) -> Denial:
    record = refusal.record()
    if missing := (
        _not_given(refusal, around)
        or _of_destination(refusal, resource_policy)
        or _malformed(refusal.resource or "")
        or _without_name(refusal)
        or _missing(refusal, members)
    ):
        return Denial(record, None, notes=(missing,))
    if refusal.role and (member := members.role(refusal.role)):
        record = replace(record, keys={"aws:PrincipalArn": (member.arn,), **record.keys})
    found = explain_denial(record, members, resource_policy, around=around)
    granted = assumed(refusal, found.explanation)
    if granted:
        record = replace(record, keys={**record.keys, **granted})
        found = explain_denial(record, members, resource_policy, around=around)
    whole = found.explanation
    if whole is None:
        return found
    if denies := deciding(refusal, whole):
        return _by_a_deny(refusal, found, denies)
    if hinge := unsure(refusal, whole):
        rest = explain_denial(record, members, resource_policy, hinge, around)
        lacks = rest.explanation and rest.explanation.decision
        if is_implicit(refusal) or (lacks and not lacks.allowed):
            found = rest
    said = found.explanation
    assert said is not None
    unseen = _unseen(refusal, resource_policy)
    given = isinstance(resource_policy, GivenPolicy)
    opened = (marked(refusal, one) for one in whole.considered)
    explanation = replace(said, considered=tuple(opened))
    unclear = [*doubts(refusal, said)]
    # An Allow of whatever there is allows what the message does not name whole, too.
    if not unclear or (len(unclear) == 1 and allowed_of_any(refusal, said)):
        unclear += _contradiction(refusal, said, unseen, given)
    if unclear:
        return Denial(record, explanation, notes=tuple(unclear))
    notes = (*assumptions(refusal, granted), *_delegated(refusal, found), *found.notes)
    if unseen and given:
        found, notes = _without_unseen(found, unseen, notes)
    if said is not whole and not is_implicit(refusal):
        notes = (*notes, *hinging(refusal, whole, "Deny", "denies it, too, with"))
    return replace(found, explanation=explanation, notes=notes)


def _not_given(refusal: Refusal, around: PolicySet) -> str:
    """Whose the policy is that decided, if no account keeps it and nobody gave it."""
    if refusal.layer not in _ELSEWHERE or _is_known(refusal.layer, around):
        return ""
    which = f" ({refusal.policy})" if refusal.policy else ""
    told = f"the {refusal.layer}{which} decided: it is {_ELSEWHERE[refusal.layer]}"
    if refusal.layer in LAYERS:
        told += f". {LAYERS[refusal.layer][1]} FILE, beside --message, tries it on the request"
    return told.replace(f"the {BLOCKED}", BLOCKED)


def _of_destination(refusal: Refusal, resource_policy: ResourcePolicy) -> str:
    """Whose policy decides of a log destination, if that was not looked at."""
    destination = ":destination:" in (refusal.resource or "")
    if refusal.layer or not destination or refusal.action != "logs:PutSubscriptionFilter":
        return ""
    if not _unseen(refusal, resource_policy):
        return ""
    return f"{LOG_DESTINATION}: no policy of the caller's own changes that, and none is proposed"


def _by_a_deny(refusal: Refusal, found: Denial, denies: tuple[Considered, ...]) -> Denial:
    """What is told where one of these Denies decided: of changes, none that loosens it, and those
    alone that were tried out on all of them."""
    assert found.explanation is not None
    tried = all(one.matched for one in denies)
    kept = found.changes if tried and not any(one.statement for one in found.changes) else ()
    sole = denies[0] if len(denies) == 1 else None
    considered = tuple(held(refusal, one) if one is sole else marked(refusal, one)
                       for one in found.explanation.considered)  # fmt: skip
    explanation = replace(found.explanation, considered=considered)
    return Denial(found.record, explanation, kept, bool(kept), (decided(refusal, denies),))


def _malformed(resource: str) -> str | None:
    """Why the request is to be put right, if what it asked for cannot be its name."""
    if _UNFILLED.search(resource):
        return (
            f"{resource} holds a placeholder: if it was asked for so, it is one that nobody filled "
            "in, and the request is to be put right, no policy; if it hides something, paste the "
            "message with what stands there"
        )
    if _NO_ACCOUNT.match(resource):
        return (
            f"{resource} has no account: if it was asked for so, the request is to be put right, "
            "no policy (arn:aws:iam::ACCOUNT:...)"
        )
    if _ARN_AS_NAME.match(resource):
        return (
            f"{resource} has an ARN where a name belongs: the request is to be put right, no "
            "policy; what is another account's is asked for by its ARN where the call takes one, "
            "and else as a role of that account"
        )
    return None


# Calls of everything of a kind, below a path that may be empty, or for what has no name yet.
_OF_NO_ONE = re.compile(r"[\w-]+:(?:List|Describe|Search|Create|Register|Get\w+(?:s|ByPath)$)")


def _without_name(refusal: Refusal) -> str:
    """That what was asked for has a kind and no name, of a call for one thing; or ""."""
    arn = refusal.arn or ""
    required, optional = besides(refusal.action)
    listed = dict.fromkeys((*required, *optional, *resources(refusal.action)))
    forms = [one for one in listed if _nameless(one, arn)]
    whole = any(is_of(one, arn) for one in listed)
    if not forms or whole or refusal.explicit or _OF_NO_ONE.match(refusal.action):
        return ""
    return (
        f"{arn} has nothing in the place of its name ({' or '.join(forms)}): if it was asked for "
        "so, the request is to be put right first, as it names none (an argument that is empty, or "
        "in another's place), and an Allow of that ARN is of no use; if the message was cut, "
        "paste it whole"
    )


def _is_known(layer: str, around: PolicySet) -> bool:
    """Whether the policies of a layer that no account keeps were given."""
    given = {
        "session policy": around.session,
        "service control policy": around.scp,
        "resource control policy": around.rcp,
        "VPC endpoint policy": around.endpoint,
    }
    return bool(given.get(layer))


def _without_unseen(
    found: Denial, unseen: str, notes: tuple[str, ...]
) -> tuple[Denial, tuple[str, ...]]:
    """Without changes of a policy that nobody saw."""
    seen = tuple(one for one in found.changes if one.kind not in ("resource", "trust"))
    if seen == found.changes:
        return found, notes
    told = f"the policy of what was asked for decides, too: {unseen}"
    return replace(found, changes=seen, proved=False), (*notes, told)


def _missing(refusal: Refusal, members: Identities) -> str | None:
    """Why the policies of the caller, or the role that it asked for, cannot be looked at."""
    caller = refusal.principal
    if ":federated-user/" in caller:
        return (
            "a federated user has what the user may who asked for the token, and the token's own "
            "policy allows; the message names neither: not judged"
        )
    if refusal.role and members.role(refusal.role) is None:
        return _hidden(refusal, refusal.role) or (
            f"the account that was looked at has no role {refusal.role}"
        )
    for kind in ("user", "role"):
        if f":{kind}/" in caller and caller not in members.members:
            name = caller.split(f":{kind}/")[1]
            return _hidden(refusal, name) or f"the account that was looked at has no {kind} {name}"
    role = refusal.arn or ""
    if by_trust(refusal.action, role) and role not in ("", "*") and ":role/" not in role:
        return (
            f"{role} is no role, and {refusal.action} takes a role's ARN alone (arn:aws:iam::"
            "ACCOUNT:role/NAME): the request is to be put right, no policy"
        )
    if refusal.action.lower() == "iam:passrole" and (
        other := foreign_account(role, refusal.account)
    ):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
        return (
            f"{role} is account {other}'s, and only a role of one's own account can be passed: the "
            "request is to be put right, no policy"
        )
    own = role.split(":", 5)[4:5] == [refusal.account]
    if by_trust(refusal.action, role) and own and role not in members.members:
        return (
            f"the account that was looked at has no role {role.partition(':role/')[2]}; of a role "
            "that is not there AWS says the same"
        )
    return None


def _hidden(refusal: Refusal, name: str) -> str | None:
    """That the name is none, but what somebody put in its place; None if it may be one."""
    if not _NO_NAME.search(name):
        return None
    told = f"the message hides the caller's name ({name})"
    if refusal.layer != "identity-based policy" or refusal.explicit:
        return f"{told}: paste it with the name"
    return (
        f"{told}; what the caller lacks is an Allow of {refusal.action}"
        f"{f' on {refusal.resource}' if refusal.resource else ''}: paste it with the name, to see "
        "in which policy"
    )


def _unseen(refusal: Refusal, resource_policy: ResourcePolicy) -> str:
    """Why the policy of what was asked for was not looked at, if so."""
    arn = refusal.arn or "*"
    if arn != "*" and isinstance(resource_policy, GivenPolicy):
        return resource_policy.unknown(arn)
    if arn == "*" or by_trust(refusal.action, arn):
        return ""
    if foreign := foreign_account(arn, refusal.account):
        return f"it is account {foreign}'s; whoever keeps that account can tell what it says"
    if not is_read(arn):
        return f"policies of its kind ({arn.split(':')[2]}) are not read here"
    return resource_policy.unknown(arn) if isinstance(resource_policy, ResourcePolicies) else ""


def _left_to_the_account(refusal: Refusal, explanation: Explanation) -> bool:
    """Whether a key's policy leaves the decision to the account's own policies. It then allows
    nobody itself, and AWS names it although the identity's policy is what lacks the right."""
    decision = explanation.decision
    return (
        refusal.action.startswith("kms:")
        and refusal.layer == "resource-based policy"
        and not refusal.explicit
        and decision is not None
        and decision.reason is Reason.NO_IDENTITY_ALLOW
    )


def _delegated(refusal: Refusal, found: Denial) -> Iterable[str]:
    if found.explanation and _left_to_the_account(refusal, found.explanation):
        own = any(change.kind == "identity" for change in found.changes)
        yield (
            "the key's policy leaves it to the account's own policies and allows the caller "
            f"nothing itself{'; either may allow it' if own else ''}"
        )


def _contradiction(
    refusal: Refusal, explanation: Explanation, unseen: str, given: bool
) -> Iterable[str]:
    """AWS's answer and the engine's differ: then these are not the policies that decided."""
    decision = explanation.decision
    if _left_to_the_account(refusal, explanation):
        return
    if unseen and refusal.layer == "resource-based policy":
        # AWS names one kind of policy, though more may lack the right.
        if refusal.explicit or (decision and decision.allowed):
            verb = "denied it" if refusal.explicit else "does not allow it"
            yield f"the policy of what was asked for {verb}, and was not looked at: {unseen}"
            return
        if not _unowned(decision, refusal):
            return
    if unseen and _unowned(decision, refusal):
        own = any(
            one.effect == "Allow" and one.kind == "identity"
            and all(is_unknown(refusal, failure) for failure in one.failures)
            for one in explanation.considered
        )  # fmt: skip
        looked = not given or any(one.kind == "identity" for one in explanation.considered)
        own_lack = looked and not own and refusal.role is not None
        yield (
            f"what the policy of what was asked for says is not known: {unseen}"
            + "; none of the caller's own policies allows it" * own_lack
            + _BY_TRUST * by_trust(refusal.action, refusal.arn or "*")
        )
        return
    said = refusal.record().reason
    told = bool(refusal.layer or refusal.explicit or (decision and decision.allowed))
    if decision is None or not told or str(decision.reason) == said:
        return
    if decision.allowed:
        further = "another one of the caller's own or of its groups, its boundary, " * given
        others = "" if refusal.layer else (
            "; or a policy denied it that is not looked at here, and AWS's message does not say "
            f"which: {further}the organization's (SCP, RCP), a VPC endpoint's, the session's, or "
            "that of what was asked for, if it is of a kind that is not read"
        )  # fmt: skip
        somebody = (
            ", or somebody else asked than whose they are (an instance's role in place of a "
            "task's or a pod's, another profile): aws sts get-caller-identity, run in the same "
            "place, tells" * (refusal.role == CALLER and OF_A_STACK not in refusal.also)
        )
        yield (
            "the policies as they are now allow it, as far as the message says: they changed "
            "since, or did not count yet (IAM needs up to minutes), or they are not those, or not "
            f"all, of the account that refused{somebody}{others}{_beside(refusal, explanation)}"
        )
        return
    yield (
        f"AWS says: {said}; by the policies that were looked at it is: {decision.reason}. They "
        "changed since, or are not those of the account that refused: no change is proposed"
    )


def _beside(refusal: Refusal, explanation: Explanation) -> str:
    """What else a call needs whose message tells nothing but the call."""
    if refusal.role != CALLER or refusal.layer or refusal.resource:
        return ""
    if refusal.action.lower() == "sts:assumerole" and not any(
        one.kind not in ("identity", "boundary", "scp", "rcp") for one in explanation.considered
    ):
        return (
            "; or the trust policy of the role, which was not looked at, does not let the caller "
            "in (--trust FILE gives it)"
        )
    call = refusal.operation or refusal.action.partition(":")[2]
    if call in PASSES or refusal.action in PASSES or passes_role(refusal.action):
        return (
            "; or iam:PassRole is lacking on the role that the call passes (by the caller's own "
            "policies)"
        )
    return ""


def _unowned(decision: Decision | None, refusal: Refusal) -> bool:
    """Whether an Allow is lacking in a policy of this account's that was not looked at."""
    return (
        decision is not None
        and decision.reason is Reason.NO_RESOURCE_ALLOW
        and not foreign_account(refusal.arn or "", refusal.account)
    )


def moved(refusal: Refusal, account: str) -> Refusal:
    """The same denial in another account: for policies that the same code rendered there."""
    theirs = refusal.account
    if not theirs and f":{MASK}:" in (refusal.resource or ""):
        theirs = MASK  # of a caller without an account, such as anonymous
    if not theirs or theirs == account:
        return refusal

    def there(text: str) -> str:
        if theirs == MASK:
            # A region or a bucket that is masked, too, is another word.
            return re.sub(r"(arn:[\w-]+:[\w-]+:[^:]*:)\*{3}(?=:)", rf"\g<1>{account}", text)
        return text.replace(theirs, account)

    return replace(
        refusal,
        principal=there(refusal.principal),
        resource=refusal.resource and there(refusal.resource),
        policy=refusal.policy and there(refusal.policy),
        keys={key: tuple(map(there, values)) for key, values in refusal.keys.items()},
    )
