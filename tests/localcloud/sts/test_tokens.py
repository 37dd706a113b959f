"""Who may assume a role with a GitHub token: the answer and its shape, case by case."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, nan
from typing import Any

import jwt
import pytest
import requests
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from scripts.localcloud.cloud import LocalCloud
from scripts.localcloud.sts.issuer import Job, claims, subject
from tests.localcloud.clients import AUDIENCE, GITHUB, Account

MAIN = Job()
TRAIN = Job(environment="dev-train", event_name="workflow_dispatch")
OLD = Job(subject_format="names")
FOREIGN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
Mint = Callable[[LocalCloud], str]

DENIED = ("AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity")
INVALID = ("InvalidIdentityToken", 400)
NOT_A_TOKEN = (*INVALID, "The ID Token provided is not a valid JWT")
NO_KEY = (*INVALID, "Couldn't retrieve verification key from your identity provider")
BAD_SIGNATURE = (*INVALID, "signature could not be verified")


def job(**changes: Any) -> Mint:
    """A token that the issuer mints for a job."""
    return lambda cloud: cloud.issuer.mint(Job(**changes))


def but(**changed: Any) -> Mint:
    """The token of the main branch with claims changed; None removes one."""
    return lambda cloud: cloud.issuer.mint(MAIN, **changed)


def later(**seconds: int) -> Mint:
    """The token of the main branch with times moved from now."""

    def mint(cloud: LocalCloud) -> str:
        now = int(time.time())
        moved: dict[str, Any] = {name: now + delta for name, delta in seconds.items()}
        return cloud.issuer.mint(MAIN, **moved)

    return mint


def foreign(header: dict[str, Any] | None = None, *, same_kid: bool = True) -> Mint:
    """The right claims under a key that is not the issuer's."""

    def mint(cloud: LocalCloud) -> str:
        kid = cloud.issuer.key_id if same_kid else "somebody-else"
        content = claims(MAIN, AUDIENCE, int(time.time()))
        return jwt.encode(
            content, FOREIGN_KEY, algorithm="RS256", headers={"kid": kid, **(header or {})}
        )

    return mint


def with_unknown_kid(cloud: LocalCloud) -> str:
    _, payload, signature = cloud.issuer.mint(MAIN).split(".")
    header = json.dumps({"alg": "RS256", "typ": "JWT", "kid": "unknown"}).encode()
    return f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{payload}.{signature}"


def not_signed(cloud: LocalCloud) -> str:
    return cloud.issuer.mint(MAIN).rpartition(".")[0] + "."


def alg_none(cloud: LocalCloud) -> str:
    content = claims(MAIN, AUDIENCE, int(time.time()))
    return jwt.encode(content, "", algorithm="none", headers={"kid": cloud.issuer.key_id})


def hmac_with_the_public_key(cloud: LocalCloud) -> str:
    public = cloud.issuer.signing_keys("https://" + GITHUB)[cloud.issuer.key_id].public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = {"alg": "HS256", "typ": "JWT", "kid": cloud.issuer.key_id}
    content = claims(MAIN, AUDIENCE, int(time.time()))
    # PyJWT refuses to sign with a public key, so the attacker's token is put together by hand.
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, content)
    ]
    signature = algorithm.sign(b".".join(parts), public)
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def altered(cloud: LocalCloud) -> str:
    header, _, signature = cloud.issuer.mint(Job(ref="refs/heads/side")).split(".")
    content = json.dumps(claims(MAIN, AUDIENCE, int(time.time()))).encode()
    return f"{header}.{base64.urlsafe_b64encode(content).rstrip(b'=').decode()}.{signature}"


def key_from_the_header(cloud: LocalCloud) -> str:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(FOREIGN_KEY.public_key()))
    content = claims(MAIN, AUDIENCE, int(time.time()))
    headers = {"kid": "mine", "jwk": public, "jku": "https://127.0.0.1:1/jwks"}
    return jwt.encode(content, FOREIGN_KEY, algorithm="RS256", headers=headers)


@dataclass(frozen=True)
class Case:
    """A token for a role, and what STS must say (None: it lets the job in)."""

    name: str
    mint: Mint
    refused: tuple[str, int, str] | None = None
    role: str = "main"
    options: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("main branch, immutable subject", job()),
    Case("main branch, subject of names", job(subject_format="names"), role="old"),
    Case("right environment", job(environment="dev-train"), role="train"),
    Case("longest session the role has", job(), options={"DurationSeconds": 7200}),
    Case("shortest session there is", job(), options={"DurationSeconds": 900}),
    Case("one of several audiences", but(aud=["other", AUDIENCE], azp=AUDIENCE)),
    Case("no token at all", lambda _: "not-a-token", NOT_A_TOKEN),
    Case("signature cut off", not_signed, BAD_SIGNATURE),
    Case("alg none", alg_none, (*INVALID, "algorithm is not RS256")),
    Case("HMAC with the public key", hmac_with_the_public_key, (*INVALID, "is not RS256")),
    Case("foreign key under the right kid", foreign(), BAD_SIGNATURE),
    Case("foreign key with a kid of its own", foreign(same_kid=False), NO_KEY),
    Case("unknown kid", with_unknown_kid, NO_KEY),
    Case("key brought along in the header", key_from_the_header, NO_KEY),
    Case("claims exchanged under a good signature", altered, BAD_SIGNATURE),
    Case(
        "expired",
        later(iat=-900, nbf=-900, exp=-1),
        ("ExpiredTokenException", 400, "Token expired"),
    ),
    Case("not yet valid", later(nbf=600), (*INVALID, "not valid yet: nbf")),
    Case("made in the future", later(iat=600, exp=900), (*INVALID, "not valid yet: iat")),
    Case("without an expiry", but(exp=None), (*INVALID, "Missing a required claim: exp")),
    Case("with NaN for an expiry", but(exp=nan), (*INVALID, "Missing a required claim: exp")),
    Case("with no end", but(exp=inf), (*INVALID, "Missing a required claim: exp")),
    Case("too long for a time", but(exp=10**400), (*INVALID, "Missing a required claim: exp")),
    Case(
        "wrong audience",
        but(aud="https://github.com/octo-org"),
        (*INVALID, "Incorrect token audience"),
    ),
    Case("without an audience", but(aud=None), (*INVALID, "Missing a required claim: aud")),
    Case(
        "right audience is not the authorised party",
        but(aud=[AUDIENCE, "other"], azp="other"),
        (*INVALID, "Incorrect token audience"),
    ),
    Case("wrong issuer", but(iss="https://example.com"), (*INVALID, "No OpenIDConnect provider")),
    Case(
        "issuer in upper case", but(iss=f"https://{GITHUB.upper()}"), (*INVALID, "No OpenIDConnect")
    ),
    Case(
        "issuer without TLS", but(iss=f"http://{GITHUB}"), (*INVALID, "No OpenIDConnect provider")
    ),
    Case(
        "issuer with a path", but(iss=f"https://{GITHUB}/octo-org"), (*INVALID, "No OpenIDConnect")
    ),
    Case(
        "with tags for its session",
        but(**{"https://aws.amazon.com/tags": {"principal_tags": {"team": ["ops"]}}}),
        ("LocalCloudNotImplemented", 400, "https://aws.amazon.com/tags"),
    ),
    Case(
        "with flattened tags for its session",
        but(**{"https://aws.amazon.com/tags/principal_tags/team": ["ops"]}),
        ("LocalCloudNotImplemented", 400, "https://aws.amazon.com/tags/principal_tags/team"),
    ),
    Case(
        "with a source identity",
        but(**{"https://aws.amazon.com/source_identity": "admin"}),
        ("LocalCloudNotImplemented", 400, "https://aws.amazon.com/source_identity"),
    ),
    Case("without an issuer", but(iss=None), (*INVALID, "Missing a required claim: iss")),
    Case("without a subject", but(sub=None), (*INVALID, "Missing a required claim: sub")),
    Case("empty subject", but(sub=""), (*INVALID, "Missing a required claim: sub")),
    Case("other repository", job(repository="octo-org/other", repository_id="2003"), DENIED),
    Case("other owner", job(repository="evil/keyless-mlops", repository_owner_id="6"), DENIED),
    Case("same names, other ids", job(repository_id="9002", repository_owner_id="9001"), DENIED),
    Case(
        "same names, other ids, subject of names",
        job(subject_format="names", repository_id="9002"),
        DENIED,
        role="old",
    ),
    Case("subject of names for an immutable trust", job(subject_format="names"), DENIED),
    Case("immutable subject for a trust of names", job(), DENIED, role="old"),
    Case("pull request", job(event_name="pull_request", ref="refs/pull/7/merge"), DENIED),
    Case("other branch", job(ref="refs/heads/side"), DENIED),
    Case("branch that begins like main", job(ref="refs/heads/main-2"), DENIED),
    Case("tag called main", job(ref="refs/tags/main"), DENIED),
    Case(
        "right environment from a side branch",
        job(environment="dev-train", ref="refs/heads/side"),
        DENIED,
        role="train",
    ),
    Case("other environment", job(environment="dev-promote"), DENIED, role="train"),
    Case("environment absent", job(), DENIED, role="train"),
    Case("environment where a branch is trusted", job(environment="dev-train"), DENIED),
    Case(
        "environment name with a colon poses as a ref",
        job(environment="x:ref:refs/heads/main"),
        DENIED,
    ),
    Case(
        "environment name with a colon poses as an environment",
        job(environment="x:environment:dev-train"),
        DENIED,
        role="train",
    ),
    Case(
        "environment with a colon that is trusted encoded",
        job(environment="dev:train"),
        role="colon",
    ),
    Case("repository in upper case", job(repository="Octo-Org/Keyless-MLOps"), DENIED),
    Case("environment in upper case", job(environment="DEV-TRAIN"), DENIED, role="train"),
    Case("right subject from another repository id", but(repository_id="9002"), DENIED),
    Case("right subject on another ref", but(ref="refs/heads/side"), DENIED),
    Case("claim that the trust needs is absent", but(repository_id=None), DENIED),
    Case("role that does not exist", job(), DENIED, role="absent"),
    Case("role that trusts only a service", job(), DENIED, role="service"),
    Case(
        "longer than the role's maximum",
        job(),
        ("ValidationError", 400, "exceeds the MaxSessionDuration set for this role"),
        options={"DurationSeconds": 7201},
    ),
    Case(
        "shorter than STS allows",
        job(),
        ("ValidationError", 400, "greater than or equal to 900"),
        options={"DurationSeconds": 899},
    ),
    Case(
        "longer than STS allows",
        job(),
        ("ValidationError", 400, "less than or equal to 43200"),
        options={"DurationSeconds": 43201},
    ),
    Case(
        "session name with a slash",
        job(),
        ("ValidationError", 400, "roleSessionName"),
        options={"RoleSessionName": "a/b"},
    ),
    Case(
        "session policy that is no policy",
        job(),
        ("MalformedPolicyDocument", 400, "session policy"),
        options={"Policy": '{"Version": "2012-10-17"}'},
    ),
]


@pytest.fixture(scope="module")
def roles(account: Account) -> dict[str, str]:
    exact = {"aud": AUDIENCE, "repository_id": "2002", "ref": "refs/heads/main"}
    service = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
    trusts = {
        "main": account.trust({**exact, "sub": subject(MAIN)}),
        "old": account.trust({**exact, "sub": subject(OLD)}),
        "train": account.trust({**exact, "sub": subject(TRAIN)}),
        "colon": account.trust({**exact, "sub": subject(Job(environment="dev:train"))}),
        "service": service,
    }
    made = {
        name: account.role(f"token-{name}", trust, MaxSessionDuration=7200)
        for name, trust in trusts.items()
    }
    return {**made, "absent": made["main"].replace("token-main", "token-absent")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_token_is_answered_as_aws_does(
    account: Account, roles: dict[str, str], case: Case
) -> None:
    call = {
        "RoleArn": roles[case.role],
        "RoleSessionName": "test",
        "WebIdentityToken": case.mint(account.cloud),
        **case.options,
    }
    sts = account.unsigned("sts")
    if case.refused is None:
        answer = sts.assume_role_with_web_identity(**call)
        assert answer["AssumedRoleUser"]["Arn"].endswith(f":assumed-role/token-{case.role}/test")
        assert answer["Provider"] == account.provider
        return
    code, status, message = case.refused
    with pytest.raises(ClientError) as refused:
        sts.assume_role_with_web_identity(**call)
    response = refused.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (
        code,
        status,
    )
    assert message in response["Error"]["Message"]


def test_every_refusal_is_on_record(account: Account, roles: dict[str, str]) -> None:
    before = len(account.cloud.decisions.read())
    for mint in (alg_none, job(ref="refs/heads/side")):
        with pytest.raises(ClientError):
            account.unsigned("sts").assume_role_with_web_identity(
                RoleArn=roles["main"], RoleSessionName="test", WebIdentityToken=mint(account.cloud)
            )
    records = account.cloud.decisions.read()[before:]
    assert [(r.allowed, r.reason, r.resource) for r in records] == [
        (False, "InvalidIdentityToken", roles["main"]),
        (False, "no resource-based policy allows", roles["main"]),
    ]


@pytest.mark.parametrize(
    ("claims_tested", "attacker"),
    [
        ({"aud": AUDIENCE, "sub": "repo:*"}, Job(repository="evil/repo", repository_id="666")),
        ({"aud": AUDIENCE, "sub": "repo:octo-org*"}, Job(repository="octo-org-evil/repo")),
        ({"aud": AUDIENCE, "sub": "repo:octo-org@1001/*"}, Job(repository="octo-org/other")),
        (
            {"aud": AUDIENCE, "sub": subject(OLD)},
            Job(subject_format="names", repository_id="9002", repository_owner_id="9001"),
        ),
        (
            {"aud": AUDIENCE, "sub": subject(TRAIN)},
            Job(environment="dev-train", ref="refs/heads/side"),
        ),
    ],
    ids=["any owner", "owner as a prefix", "any repository", "no repository id", "no ref"],
)
def test_without_the_control_the_attack_works(
    account: Account, claims_tested: dict[str, str], attacker: Job, request: pytest.FixtureRequest
) -> None:
    name = "loose-" + request.node.callspec.id.replace(" ", "-")
    arn = account.role(name, account.trust(claims_tested, "StringLike"))
    assert account.assume(arn, attacker).access_key_id.startswith("ASIA")


@pytest.mark.parametrize(
    "tested", [{"aud": AUDIENCE}, {"aud": AUDIENCE, "repository_id": "2002"}, {"sub": "*"}]
)
def test_iam_refuses_a_trust_policy_for_github_without_a_subject(
    account: Account, tested: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="must evaluate") as refused:
        account.role("no-subject", account.trust(tested))
    assert refused.value.response["Error"]["Code"] == "MalformedPolicyDocument"


SHARED = "octo-org/flows/.github/workflows/deploy.yml@refs/heads/main"


@pytest.mark.parametrize(
    ("name", "claims_tested", "right"),
    [
        (
            "template",
            {"sub": f"repo:octo-org@1001/keyless-mlops@2002:job_workflow_ref:{SHARED}"},
            Job(subject_template=("repo", "job_workflow_ref"), job_workflow_ref=SHARED),
        ),
        ("workflow-alone", {"job_workflow_ref": SHARED}, Job(job_workflow_ref=SHARED)),
        ("owner-id", {"sub": subject(MAIN), "repository_owner_id": "1001"}, MAIN),
    ],
)
def test_a_role_may_name_what_else_github_sends_and_aws_shows(
    account: Account, name: str, claims_tested: dict[str, str], right: Job
) -> None:
    arn = account.role(f"names-{name}", account.trust({"aud": AUDIENCE, **claims_tested}))
    assert account.assume(arn, right).access_key_id.startswith("ASIA")
    other = right.model_copy(update={"repository_owner_id": "8", "job_workflow_ref": "o/f/x@r"})
    with pytest.raises(ClientError, match="Not authorized"):
        account.assume(arn, other)


@pytest.mark.parametrize(
    ("provider", "shows_ref"),
    [
        (f"{GITHUB}/octo", True),
        ("token.actions.octo.ghe.com", True),
        ("github.example.internal/_services/token", False),
    ],
    ids=["enterprise", "ghe-com", "server"],
)
def test_each_issuer_has_a_provider_and_keys_of_its_own(
    account: Account, provider: str, shows_ref: bool
) -> None:
    iam = account.client("iam")
    iam.create_open_id_connect_provider(
        Url=f"https://{provider}", ClientIDList=[AUDIENCE], ThumbprintList=["0" * 40]
    )
    job = Job(issuer=f"https://{provider}")
    name = provider.partition(".")[2].replace("/", "-").replace("_", "-")

    def role(suffix: str, **claims_tested: str) -> str:
        keys = {"aud": AUDIENCE, "sub": subject(job), **claims_tested}
        document = json.dumps(account.trust(keys)).replace(f"{GITHUB}:", f"{provider}:")
        trust = json.loads(document)
        arn = account.provider.replace(GITHUB, provider)
        trust["Statement"][0]["Principal"] = {"Federated": arn}
        return account.role(f"{name}-{suffix}", trust)

    plain, with_ref = role("plain"), role("ref", ref=job.ref)
    assert account.assume(plain, job).access_key_id.startswith("ASIA")
    with pytest.raises(ClientError, match="Not authorized"):
        account.assume(plain, Job(subject_format=job.subject_format))  # github.com's token
    if shows_ref:
        assert account.assume(with_ref, job).access_key_id.startswith("ASIA")
    else:
        # AWS shows a server's subject and audience, so nobody gets in by another claim.
        with pytest.raises(ClientError, match="Not authorized"):
            account.assume(with_ref, job)


def test_iam_refuses_to_take_the_subject_out_of_a_trust_policy(account: Account) -> None:
    account.role("keeps-subject", account.trust({"aud": AUDIENCE, "sub": subject(MAIN)}))
    with pytest.raises(ClientError, match="must evaluate"):
        account.client("iam").update_assume_role_policy(
            RoleName="keeps-subject", PolicyDocument=json.dumps(account.trust({"aud": AUDIENCE}))
        )


def test_session_tokens_are_as_long_as_those_of_aws(
    account: Account, roles: dict[str, str]
) -> None:
    token = account.assume(roles["main"]).session_token
    assert token is not None
    assert len(token) == 1500


def test_an_error_of_sts_has_the_shape_of_the_query_protocol(account: Account) -> None:
    answer = requests.post(
        account.cloud.endpoint,
        data={"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15"},
        verify=str(account.cloud.ca_bundle),
        timeout=10,
    )
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "text/xml"
    assert "<Type>Sender</Type><Code>ValidationError</Code>" in answer.text
    assert answer.headers["x-amzn-RequestId"] in answer.text


@pytest.mark.parametrize("operation", ["GetCallerIdentity", "AssumeRole", "GetSessionToken"])
def test_only_web_identity_may_go_unsigned_at_sts(account: Account, operation: str) -> None:
    answer = requests.post(
        account.cloud.endpoint,
        data={"Action": operation, "Version": "2011-06-15", "RoleArn": "x"},
        verify=str(account.cloud.ca_bundle),
        timeout=10,
    )
    assert (answer.status_code, "MissingAuthenticationToken" in answer.text) == (403, True)
