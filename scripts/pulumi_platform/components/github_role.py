"""One IAM role that one exact GitHub Actions context may assume."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi import ResourceOptions
from pulumi_aws import iam

from scripts.pulumi_platform.basics import Text, allow, check, document, every, fits

GHES = "/_services/token"
PROVIDER = (
    r"arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/"
    r"(token\.actions\.githubusercontent\.com(/[A-Za-z0-9-]+)?"
    r"|token\.actions\.[A-Za-z0-9-]+\.ghe\.com(/[A-Za-z0-9-]+)?"
    r"|[A-Za-z0-9.-]+(:[0-9]+)?/_services/token)"
)
ALWAYS_KNOWN = {
    "context",
    "repo",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
}
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MOST_INLINE = 10_240
SAID_ELSEWHERE = ALWAYS_KNOWN | {"aud", "environment", "job_workflow_ref", "ref", "sub"}


@dataclass
class GithubRepository:
    """Whose workflows: names and numbers, and which subjects GitHub gives their tokens."""

    owner: str
    owner_id: str
    repository: str
    repository_id: str
    subject_format: str = "immutable"


@dataclass
class GithubRoleArgs:
    """Arguments of GithubRole; terraform/modules/github_role/README.md says what each is."""

    name: str
    context: str
    github: GithubRepository
    provider_arn: str
    audience: str = "sts.amazonaws.com"
    job_workflow_ref: str | None = None
    merge_queue: str | None = None
    permissions_boundary_arn: Text | None = None
    policies: Mapping[str, Text] = field(default_factory=dict)
    policy_arns: Mapping[str, Text] = field(default_factory=dict)
    ref: str | None = "refs/heads/main"
    subject_template: Sequence[str] = ("repo", "context")
    tags: Mapping[str, str] = field(default_factory=dict)
    template_values: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ArgumentError for what would let in more than one exact context."""
        self._check_names()
        self._check_claims()
        self._check_template()
        self._check_policies()
        if self.on_server:
            self._check_server()

    @property
    def on_server(self) -> bool:
        """Whether the tokens come from a GitHub Enterprise Server.

        AWS shows aud and sub of its token and none of GitHub's other claims; its subjects have no
        ids.
        """
        return self.provider_arn.endswith(GHES)

    def _check_names(self) -> None:
        number, github = r"[1-9][0-9]*", self.github
        check(
            fits(r"[A-Za-z0-9.:/_-]+", self.audience),
            'audience must be one literal value such as "sts.amazonaws.com"; wildcards never match '
            "under StringEquals.",
        )
        check(
            fits(r"[A-Za-z0-9](?:[A-Za-z0-9]|-[A-Za-z0-9])*", github.owner),
            'github.owner must be the account\'s exact name, for example "octo-org": letters, '
            "digits and single hyphens, no wildcard.",
        )
        check(
            fits(r"[A-Za-z0-9._-]+", github.repository),
            "github.repository must be the repository's exact name without its owner, for example "
            '"keyless-mlops": no slash and no wildcard.',
        )
        check(
            fits(number, github.owner_id) and fits(number, github.repository_id),
            "github.owner_id and github.repository_id must be GitHub's numbers; read them with: gh "
            "api repos/OWNER/REPOSITORY --jq '.owner.id, .id'.",
        )
        check(
            github.subject_format in ("immutable", "names"),
            'github.subject_format must be "immutable" (repositories created, renamed or '
            'transferred after 15 July 2026) or "names" (older ones).',
        )
        check(
            fits(r"[A-Za-z0-9+=,.@_-]{1,64}", self.name),
            "name must be 1 to 64 characters out of letters, digits and +=,.@_-.",
        )
        check(
            fits(r"arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+", self.permissions_boundary_arn),
            "permissions_boundary_arn must be the ARN of an IAM policy: "
            "arn:aws:iam::ACCOUNT:policy/NAME.",
        )
        check(
            fits(PROVIDER, self.provider_arn)
            and not re.search(
                r"(githubusercontent|ghe|github)\.com/_services/token$", self.provider_arn
            ),
            "provider_arn must be arn:aws:iam::ACCOUNT:oidc-provider/ and one of "
            "token.actions.githubusercontent.com, token.actions.githubusercontent.com/SLUG, "
            "token.actions.SUBDOMAIN.ghe.com, HOST/_services/token.",
        )

    def _check_policies(self) -> None:
        # A policy that is an output has its size only when IAM sees it.
        known = (text for text in self.policies.values() if isinstance(text, str))
        size = sum(len(re.sub(r"\s", "", text)) for text in known)
        check(
            size <= MOST_INLINE,
            f"The inline policies of role {self.name} have {size} characters without white space; "
            "IAM takes at most 10,240 of a role together, and this quota cannot be raised. Make "
            "managed policies of them, and name those in policy_arns.",
        )

    def _check_claims(self) -> None:
        check(
            fits(
                r"(pull_request|environment:[^*?$]+|ref:refs/(heads|tags)/[^*?:$]+)", self.context
            ),
            'context must be "environment:NAME", "pull_request", "ref:refs/heads/BRANCH" or '
            '"ref:refs/tags/TAG", in full: no wildcard (* or ?) and no policy variable ($).',
        )
        check(
            fits(r"[^/*?$]+/[^/*?$]+/\.github/workflows/[^*?$@]+@[^*?$@]+", self.job_workflow_ref),
            "job_workflow_ref must be a whole reference such as "
            '"octo-org/keyless-mlops/.github/workflows/train.yml@refs/heads/main", without '
            "wildcards.",
        )
        check(
            fits(r"[^*?$:\s]+", self.merge_queue),
            'merge_queue must be a branch\'s name without refs/heads/, such as "main", and no '
            "wildcard.",
        )
        in_environment = self.context.startswith("environment:")
        check(
            self.merge_queue is None or (in_environment and not self.on_server),
            'merge_queue needs context = "environment:NAME", and a provider whose ref AWS shows: '
            "not a GitHub Enterprise Server's.",
        )
        check(
            fits(r"refs/(heads|tags)/[^*?$]+", self.ref),
            'ref must be a whole ref such as "refs/heads/main", without wildcards.',
        )
        open_ref = self.context == "pull_request" or self.merge_queue is not None
        check(
            self.on_server or (self.ref is None) == open_ref,
            'ref must be null when context is "pull_request" (its ref is refs/pull/N/merge) or '
            'merge_queue is set, and a whole ref such as "refs/heads/main" otherwise: an '
            "environment subject does not say which branch asks.",
        )

    def _check_template(self) -> None:
        template = list(self.subject_template)
        has_value = {
            "environment": self.context.startswith("environment:"),
            "job_workflow_ref": self.job_workflow_ref is not None,
            "ref": self.ref is not None or self.context.startswith("ref:"),
        }
        check(
            bool(template)
            and len(set(template)) == len(template)
            and every(lambda claim: fits(r"[A-Za-z0-9_]+", claim), template),
            "subject_template must be a list of different claims, such as "
            '["repo", "context", "job_workflow_ref"].',
        )
        check(
            every(
                lambda claim: (
                    claim in ALWAYS_KNOWN
                    or claim in self.template_values
                    or has_value.get(claim, False)
                ),
                template,
            ),
            "each claim of subject_template needs a value: environment and ref from context and "
            "ref, job_workflow_ref from its own variable, any other from template_values.",
        )
        check(
            "context" in template or self.context != "pull_request",
            "a subject without context does not say that a pull request asks: put context into "
            "subject_template.",
        )
        check(
            every(lambda value: fits(r"[^*?$]+", value), self.template_values),
            "template_values must be whole values: no wildcard (* or ?) and no policy variable "
            "($).",
        )
        check(
            not SAID_ELSEWHERE & self.template_values.keys(),
            "template_values must not name what the other variables say: context, ref, "
            "job_workflow_ref and github.",
        )

    def _check_server(self) -> None:
        template = set(self.subject_template)
        check(
            bool(template & {"repo", "repository", "repository_id"})
            and bool(template & {"context", "environment", "ref"}),
            "AWS compares nothing but the subject of a GitHub Enterprise Server's token: it must "
            "name the repository and the context.",
        )
        check(
            self.ref is None or "ref" in template or self.context == f"ref:{self.ref}",
            "AWS does not show ref of a GitHub Enterprise Server's token, so it would not be "
            "compared: set ref = null and restrict the environment to its branches, or put ref "
            "into subject_template.",
        )
        check(
            self.job_workflow_ref is None or "job_workflow_ref" in template,
            "AWS does not show job_workflow_ref of a GitHub Enterprise Server's token: put it into "
            "subject_template.",
        )


class GithubRole(pulumi.ComponentResource):
    """A role whose trust is StringEquals on every claim that AWS shows."""

    def __init__(
        self, name: str, args: GithubRoleArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Make the role with its policies."""
        super().__init__("keyless:platform:GithubRole", name, None, opts)
        self.subject = subject(args)
        role = iam.Role(
            f"{name}-github",
            name=args.name,
            description=f"GitHub Actions: {self.subject}",
            assume_role_policy=self._trust(args),
            max_session_duration=3600,  # the least IAM knows
            permissions_boundary=args.permissions_boundary_arn,
            tags=args.tags,
            opts=ResourceOptions(parent=self),
        )
        for policy, text in args.policies.items():
            iam.RolePolicy(
                f"{name}-github-{policy}",
                name=policy,
                role=role.name,
                policy=text,
                opts=ResourceOptions(parent=self),
            )
        for policy, arn in args.policy_arns.items():
            iam.RolePolicyAttachment(
                f"{name}-github-{policy}",
                role=role.name,
                policy_arn=arn,
                opts=ResourceOptions(parent=self),
            )
        self.arn, self.role_name = role.arn, role.name
        self.register_outputs({"arn": self.arn, "name": self.role_name, "subject": self.subject})

    def _trust(self, args: GithubRoleArgs) -> pulumi.Output[str]:
        # The provider's address begins every condition key.
        issuer = args.provider_arn.split(":oidc-provider/")[1]
        kind, _, value = args.context.partition(":")
        claims: dict[str, str | None] = {"aud": args.audience, "sub": self.subject}
        if not args.on_server:
            claims |= {
                "repository_id": args.github.repository_id,
                "ref": args.ref,
                "job_workflow_ref": args.job_workflow_ref,
            }
            # A template without context hides the environment: it is a condition of its own then.
            if kind == "environment" and not {"context", "environment"} & set(
                args.subject_template
            ):
                claims["environment"] = value
        when: dict[str, dict[str, str]] = {
            "StringEquals": {
                f"{issuer}:{claim}": text for claim, text in claims.items() if text is not None
            }
        }
        # The queue's branch has a new name in each run. GitHub makes it; a ruleset keeps people
        # from making one.
        if args.merge_queue is not None:
            queue = f"refs/heads/gh-readonly-queue/{args.merge_queue}/pr-*"
            when["StringLike"] = {f"{issuer}:ref": queue}
        return document(
            allow(
                "OneExactGitHubContext",
                ["sts:AssumeRoleWithWebIdentity"],
                principal={"Federated": [args.provider_arn]},
                when=when,
            )
        )


def subject(args: GithubRoleArgs) -> str:
    """The whole subject of the tokens of a context.

    GitHub sends a colon inside a value as %3A, so that a value cannot pose as another part:
    https://docs.github.com/en/actions/reference/security/oidc
    """
    github = args.github
    kind, _, value = args.context.partition(":")
    identity = f"{github.owner}/{github.repository}"
    if not args.on_server and github.subject_format == "immutable":
        identity = f"{github.owner}@{github.owner_id}/{github.repository}@{github.repository_id}"
    known = {
        "environment": value if kind == "environment" else None,
        "job_workflow_ref": args.job_workflow_ref,
        "ref": value if kind == "ref" else args.ref,
        "repo": identity,
        "repository": f"{github.owner}/{github.repository}",
        "repository_id": github.repository_id,
        "repository_owner": github.owner,
        "repository_owner_id": github.owner_id,
        **args.template_values,
    }
    context = f"{kind}:{value.replace(':', '%3A')}" if value else kind
    return ":".join(
        context if claim == "context" else f"{claim}:{(known.get(claim) or '').replace(':', '%3A')}"
        for claim in args.subject_template
    )
