"""The Security Token Service: role sessions for tokens, roles and instances."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

from scripts.aws.credentials import Credentials
from scripts.iam.engine.documents import Policy, PolicyError, parse_policy
from scripts.iam.engine.evaluation import Principal, Request, Unsupported, evaluate, evaluate_trust
from scripts.iam.requests import Need
from scripts.localcloud.access.authorization import Authorizer, RequestInfo
from scripts.localcloud.access.context import Keys
from scripts.localcloud.access.errors import Answer, AwsError, Fault, Refusal
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.access.principals import Caller, Principals
from scripts.localcloud.emulator.gaps import know_aws_policy
from scripts.localcloud.sts.tokens import Identity, TokenVerifier

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
WEB_IDENTITY = "AssumeRoleWithWebIdentity"
SHORTEST = 900
LONGEST = 43_200
DEFAULT_DURATION = 3600
# A role that was itself assumed can only make sessions of an hour (role chaining).
CHAINED = 3600
LONGEST_POLICY = 2048
MOST_POLICIES = 10
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_ROLE_ARN = re.compile(r"arn:aws:iam::(\d{12}):role/(?:[\w+=,.@/-]*/)?[\w+=,.@-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Call:
    """One STS request: its parameters, its condition keys and its caller (None if unsigned)."""

    parameters: Mapping[str, Any]
    keys: Keys
    info: RequestInfo
    caller: Caller | None


class Sts:
    """Answers STS requests by the trust policies in moto's IAM."""

    def __init__(
        self,
        account_id: str,
        backends: Backends,
        principals: Principals,
        authorizer: Authorizer,
        verifier: TokenVerifier,
    ) -> None:
        self._account_id = account_id
        self._backends = backends
        self._principals = principals
        self._authorizer = authorizer
        self._verifier = verifier
        self._operations: dict[str, Callable[[Call], str]] = {
            WEB_IDENTITY: self._assume_role_with_web_identity,
            "AssumeRole": self._assume_role,
            "GetCallerIdentity": self._get_caller_identity,
            "GetSessionToken": self._get_session_token,
        }

    def handle(self, operation: str, call: Call) -> Answer:
        """Answer an STS request.

        Raises AwsError or Refusal; an operation that is not served is refused by its name.
        """
        handler = self._operations.get(operation)
        if handler is None:
            raise AwsError(
                "LocalCloudNotImplemented", f"The local cloud does not serve sts:{operation}"
            )
        result = handler(call)
        body = (
            f'<{operation}Response xmlns="{NAMESPACE}"><{operation}Result>{result}'
            f"</{operation}Result><ResponseMetadata><RequestId>{call.info.request_id}"
            f"</RequestId></ResponseMetadata></{operation}Response>"
        )
        headers = {"Content-Type": "text/xml", "x-amzn-RequestId": call.info.request_id}
        return Answer(200, headers, body.encode())

    def for_service(
        self, role_arn: str, session_name: str, service: str, keys: Keys | None = None
    ) -> Credentials:
        """Make a session for an AWS service that acts as a role, such as EC2 for an instance.

        `keys` are condition keys the session carries, such as `ec2:SourceInstanceARN`.
        Raises AwsError if the role's trust policy does not let the service.
        """
        principal = Principal(arn=service, account="", kind="service", service=service)
        caller = Caller(principal, user_id=service)
        role = self._role(role_arn)
        info = RequestInfo(str(uuid.uuid4()), "sts", "AssumeRole", via="sts")
        context: Keys = {"aws:SourceAccount": (self._account_id,), **(keys or {})}
        try:
            trusted = self._trusted(caller, role, role_arn, "sts:AssumeRole", context, info)
        except (Unsupported, PolicyError) as error:
            raise AwsError("LocalCloudUnsupportedPolicy", str(error), 403) from error
        if not trusted:
            raise AwsError("AccessDenied", f"{role_arn} does not trust {service} to assume it", 403)
        session = self._principals.open_session(
            role, session_name, timedelta(hours=6), keys=keys
        ).session
        assert session is not None
        return session.credentials

    def _assume_role_with_web_identity(self, call: Call) -> str:
        token = _required(call.parameters, "WebIdentityToken")
        role_arn, name, duration = self._common(call.parameters)
        session_policies = self._session_policies(call.parameters)
        anonymous = Caller(Principal("*", "", "anonymous"), user_id="anonymous")
        try:
            identity = self._verifier.verify(token, datetime.now(UTC))
        except AwsError as error:
            self._authorizer.record(
                anonymous, f"sts:{WEB_IDENTITY}", role_arn, call.keys, call.info, error.code
            )
            raise
        principal = Principal(
            arn=identity.provider.arn,
            account=self._account_id,
            kind="federated",
            federated_provider=identity.provider.arn,
        )
        caller = Caller(principal, user_id=identity.subject)
        keys: Keys = {
            **call.keys,
            **identity.keys,
            "sts:RoleSessionName": (name,),
            "aws:FederatedProvider": (identity.provider.arn,),
        }
        role = self._role(role_arn)
        action = f"sts:{WEB_IDENTITY}"
        if not self._trusted(caller, role, role_arn, action, keys, call.info):
            raise AwsError("AccessDenied", f"Not authorized to perform {action}", 403)
        self._check_duration(duration, role)
        opened = self._principals.open_session(
            role,
            name,
            timedelta(seconds=duration),
            policies=session_policies,
            keys={
                "aws:FederatedProvider": (identity.provider.arn,),
                **identity.session_keys,
            },
        )
        return _assumed(opened, call.parameters) + _identity(identity)

    def _assume_role(self, call: Call) -> str:
        caller = _signed(call)
        role_arn, name, duration = self._common(call.parameters)
        session_policies = self._session_policies(call.parameters)
        role = self._role(role_arn)
        keys: Keys = {**call.keys, "sts:RoleSessionName": (name,)}
        if "ExternalId" in call.parameters:
            keys["sts:ExternalId"] = (call.parameters["ExternalId"],)
        if not self._trusted(caller, role, role_arn, "sts:AssumeRole", keys, call.info):
            raise Refusal(Fault.DENIED, _not_authorized(caller, "sts:AssumeRole", role_arn))
        self._check_duration(duration, role)
        if caller.session is not None and duration > CHAINED:
            raise AwsError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed "
                "by role chaining",
            )
        lifetime = timedelta(seconds=duration)
        opened = self._principals.open_session(role, name, lifetime, policies=session_policies)
        return _assumed(opened, call.parameters)

    def _get_caller_identity(self, call: Call) -> str:
        caller = _signed(call)
        return (
            f"<Arn>{escape(caller.principal.arn)}</Arn><UserId>{escape(caller.user_id)}</UserId>"
            f"<Account>{caller.principal.account}</Account>"
        )

    def _get_session_token(self, call: Call) -> str:
        if _signed(call).session is None:
            raise AwsError("LocalCloudNotImplemented", "The local cloud makes no users' sessions")
        raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)

    def _trusted(
        self, caller: Caller, role: Any, arn: str, action: str, keys: Keys, info: RequestInfo
    ) -> bool:
        """Decide by the trust policy, together with the caller's own policies if it has any.

        The answer must not tell whether a role exists; the log does.
        """
        if role is None:
            self._authorizer.record(caller, action, arn, keys, info, "no such role")
            return False
        alone = caller.principal.kind in ("service", "federated")
        context: Keys = {**keys, "aws:ResourceAccount": (self._account_id,)}
        if not alone:
            context |= self._authorizer.context(caller, Need(action, arn), keys)
        for tag in role.tags or ():
            for prefix in ("aws:ResourceTag/", "iam:ResourceTag/"):
                context[f"{prefix}{tag['Key']}"] = (tag["Value"],)
        request = Request(caller.principal, action, arn, context, self._account_id)
        trust = self._authorizer.policies.trust(role)
        if alone:
            decision = evaluate_trust(request, trust)
        else:
            decision = evaluate(request, self._authorizer.policies.with_resource(caller, trust))
        self._authorizer.record(caller, action, arn, context, info, decision)
        return decision.allowed

    def _common(self, parameters: Mapping[str, Any]) -> tuple[str, str, int]:
        role_arn = _required(parameters, "RoleArn")
        if not _ROLE_ARN.fullmatch(role_arn):
            raise AwsError("ValidationError", f"{role_arn} is invalid")
        name = _required(parameters, "RoleSessionName")
        if not _SESSION_NAME.fullmatch(name):
            raise _constraint(name, "roleSessionName", "satisfy regular expression pattern: "
                              r"[\w+=,.@-]{2,64}")  # fmt: skip
        duration = int(parameters.get("DurationSeconds", DEFAULT_DURATION))
        text = str(duration)
        if duration < SHORTEST:
            raise _constraint(text, "durationSeconds", f"have value greater than or equal to "
                              f"{SHORTEST}")  # fmt: skip
        if duration > LONGEST:
            raise _constraint(text, "durationSeconds", f"have value less than or equal to "
                              f"{LONGEST}")  # fmt: skip
        return role_arn, name, duration

    def _role(self, arn: str) -> Any:
        """The role of moto's IAM with this ARN; None if there is none, or not here yet."""
        roles = list(self._backends("iam").roles.values())
        role = next((role for role in roles if role.arn == arn), None)
        return role if role is not None and self._authorizer.policies.arrived(role) else None

    @staticmethod
    def _check_duration(duration: int, role: Any) -> None:
        if duration > int(role.max_session_duration or DEFAULT_DURATION):
            raise AwsError(
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            )

    def _session_policies(self, parameters: Mapping[str, Any]) -> tuple[Policy, ...] | None:
        policies: list[Policy] = []
        inline, arns = parameters.get("Policy"), parameters.get("PolicyArns")
        if inline is not None:
            if len(inline) > LONGEST_POLICY:
                raise AwsError("PackedPolicyTooLarge", "The session policy is too large")
            try:
                policies.append(parse_policy(inline, name="session policy", kind="session"))
            except PolicyError as error:
                raise AwsError("MalformedPolicyDocument", str(error)) from error
        # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
        if len(arns or ()) > MOST_POLICIES:
            raise AwsError("ValidationError", f"At most {MOST_POLICIES} PolicyArns are passed")
        iam = self._backends("iam")
        managed = iam.managed_policies
        for descriptor in arns or ():
            arn = descriptor.get("arn")
            know_aws_policy(iam, arn)
            if arn not in managed:
                raise AwsError("ValidationError", f"The policy {arn} does not exist")
            policies.extend(self._authorizer.policies.managed([managed[arn]], "session"))
        # A policy of which nothing counts yet allows nothing.
        return tuple(policies) if inline is not None or arns else None


def _required(parameters: Mapping[str, Any], name: str) -> str:
    value: str = parameters.get(name, "")
    if not value:
        member = name[0].lower() + name[1:]
        raise AwsError(
            "ValidationError",
            f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: "
            "Member must not be null",
        )
    return value


def _constraint(value: str, member: str, constraint: str) -> AwsError:
    return AwsError(
        "ValidationError",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy "
        f"constraint: Member must {constraint}",
    )


def _signed(call: Call) -> Caller:
    if call.caller is None:
        raise Refusal(Fault.MISSING_TOKEN)
    return call.caller


def _not_authorized(caller: Caller, action: str, resource: str) -> str:
    return (
        f"User: {caller.principal.arn} is not authorized to perform: {action} "
        f"on resource: {resource}"
    )


def _packed_size(parameters: Mapping[str, Any]) -> str:
    """How much of the room for session policies is taken, in per cent."""
    inline = parameters.get("Policy")
    if inline is None:
        return ""
    return f"<PackedPolicySize>{len(inline) * 100 // LONGEST_POLICY}</PackedPolicySize>"


def _assumed(caller: Caller, parameters: Mapping[str, Any]) -> str:
    session = caller.session
    assert session is not None
    issued = session.credentials
    expiration = issued.expiration or datetime.max.replace(tzinfo=UTC)
    return (
        "<Credentials>"
        f"<AccessKeyId>{issued.access_key_id}</AccessKeyId>"
        f"<SecretAccessKey>{issued.secret_access_key}</SecretAccessKey>"
        f"<SessionToken>{issued.session_token}</SessionToken>"
        f"<Expiration>{expiration:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
        "</Credentials><AssumedRoleUser>"
        f"<AssumedRoleId>{escape(caller.user_id)}</AssumedRoleId>"
        f"<Arn>{escape(caller.principal.arn)}</Arn></AssumedRoleUser>"
        f"{_packed_size(parameters)}"
    )


def _identity(identity: Identity) -> str:
    return (
        "<SubjectFromWebIdentityToken>"
        f"{escape(identity.subject)}</SubjectFromWebIdentityToken>"
        f"<Audience>{escape(identity.audience)}</Audience>"
        f"<Provider>{escape(identity.provider.arn)}</Provider>"
    )
