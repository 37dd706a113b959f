"""GitHub's REST API in the shapes that it answers with, behind a `gh` that starts no process."""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.github.api import Gh

Answer = tuple[int, Any]


@dataclass
class GitHub:
    """One repository's settings, read and changed through the API's own paths."""

    name: str = "octo-org/keyless-mlops"
    id: int = 2002
    owner_id: int = 1001
    private: bool = False
    default_branch: str = "main"
    plan: str | None = "team"
    owner_type: str = "Organization"
    subject: dict[str, Any] = field(
        default_factory=lambda: {
            "use_default": True,
            "use_immutable_subject": True,
            "sub_claim_prefix": "repo:octo-org@1001/keyless-mlops@2002",
        }
    )
    secrets: list[str] = field(default_factory=list)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    rulesets: list[dict[str, Any]] = field(default_factory=list)
    actions: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuse: Mapping[str, Answer] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any) -> Answer:
        """Answer one request as GitHub does."""
        path = path.partition("?")[0]
        self.calls.append((method, path))
        for pattern, refusal in self.refuse.items():
            if re.fullmatch(pattern, f"{method} {path}"):
                return refusal
        repository = f"repos/{re.escape(self.name)}"
        routes: list[tuple[str, Callable[..., Answer]]] = [
            (r"user", self._user),
            (r"users/(.+)", lambda *_, name: (200, {"id": 501, "login": name})),
            (r"orgs/([^/]+)", self._organisation),
            (r"orgs/[^/]+/teams/(.+)", lambda *_, name: (200, {"id": 601, "slug": name})),
            (repository, self._repository),
            (f"{repository}/actions/oidc/customization/sub", lambda *_: (200, self.subject)),
            (f"{repository}/actions/secrets", self._secrets),
            (f"{repository}/actions/variables(?:/(.+))?", self._variables),
            (f"{repository}/(actions/permissions.*)", self._actions),
            (f"{repository}/rulesets(?:/(.+))?", self._rulesets),
            (f"{repository}/environments/([^/]+)", self._environment),
            (
                f"{repository}/environments/([^/]+/deployment-branch-policies(?:/.+)?)",
                self._policies,
            ),
        ]
        for pattern, handler in routes:
            found = re.fullmatch(pattern, path)
            if found:
                names = {"name": found[1]} if found.groups() else {}
                return handler(method, body, **names)
        return 404, {"message": "Not Found"}

    def _user(self, *_: Any) -> Answer:
        return 200, {"login": "octocat", "id": 501, "plan": {"name": self.plan}}

    def _organisation(self, *_: Any, name: str) -> Answer:
        answer: dict[str, Any] = {"login": name, "id": self.owner_id}
        return 200, answer if self.plan is None else answer | {"plan": {"name": self.plan}}

    def _repository(self, *_: Any) -> Answer:
        owner = {
            "login": self.name.partition("/")[0], "id": self.owner_id, "type": self.owner_type,
        }  # fmt: skip
        return 200, {
            "id": self.id,
            "full_name": self.name,
            "private": self.private,
            "default_branch": self.default_branch,
            "owner": owner,
        }

    def _secrets(self, *_: Any) -> Answer:
        listed = [{"name": name, "created_at": "2026-11-01T00:00:00Z"} for name in self.secrets]
        return 200, {"total_count": len(listed), "secrets": listed}

    def _variables(self, method: str, body: Any, name: str | None) -> Answer:
        if method == "GET":
            listed = [{"name": key, "value": value} for key, value in self.variables.items()]
            return 200, {"total_count": len(listed), "variables": listed}
        if (method == "POST") == (body["name"] in self.variables):
            return 409, {"message": "Already exists"}
        self.variables[body["name"]] = body["value"]
        return (201, {}) if method == "POST" else (204, None)

    def _actions(self, method: str, body: Any, name: str) -> Answer:
        if method == "PUT":
            self.actions[name] = body
            return 204, None
        if (
            name.endswith("selected-actions")
            and self.actions.get("actions/permissions", {}).get("allowed_actions") != "selected"
        ):
            return 409, {"message": "Conflict"}
        default = {"enabled": True, "allowed_actions": "all", "sha_pinning_required": False}
        return 200, self.actions.get(name, default if name == "actions/permissions" else {})

    def _rulesets(self, method: str, body: Any, name: str | None) -> Answer:
        if method == "POST":
            self.rulesets.append(
                {**body, "id": len(self.rulesets) + 1, "source_type": "Repository"}
            )
            return 201, self.rulesets[-1]
        if name is None:
            return 200, [{"id": found["id"], "name": found["name"]} for found in self.rulesets]
        number = int(name) - 1
        if method == "PUT":
            self.rulesets[number] |= body
        return 200, self.rulesets[number]

    def _environment(self, method: str, body: Any, name: str) -> Answer:
        if method == "GET":
            found = self.environments.get(name)
            return (404, {"message": "Not Found"}) if found is None else (200, found["answer"])
        reviewers = [
            {"type": item["type"], "reviewer": {"id": item["id"]}}
            for item in body["reviewers"] or ()
        ]
        rules: list[dict[str, Any]] = [{"id": 1, "type": "branch_policy"}]
        if reviewers:
            rules.append(
                {
                    "id": 2,
                    "type": "required_reviewers",
                    "prevent_self_review": body["prevent_self_review"],
                    "reviewers": reviewers,
                }
            )
        kept = self.environments.setdefault(name, {"policies": []})
        kept["answer"] = {
            "name": name,
            "protection_rules": rules,
            "deployment_branch_policy": body["deployment_branch_policy"],
        }
        return 200, kept["answer"]

    def _policies(self, method: str, body: Any, name: str) -> Answer:
        environment, _, rest = name.partition("/")
        kept = self.environments.get(environment)
        if kept is None:
            return 404, {"message": "Not Found"}
        if method == "POST":
            kept["policies"].append({"id": len(kept["policies"]) + 1, **body})
            return 200, kept["policies"][-1]
        if method == "DELETE":
            number = int(rest.rpartition("/")[2])
            kept["policies"] = [found for found in kept["policies"] if found["id"] != number]
            return 204, None
        return 200, {"total_count": len(kept["policies"]), "branch_policies": kept["policies"]}


@dataclass(frozen=True)
class RecordedGh(Gh):
    """`gh` with its own way to fail: the answer on standard output, `(HTTP 404)` on the other."""

    github: GitHub = field(default_factory=GitHub)

    def check(self) -> None:
        """Logged in."""

    def repository(self) -> str:
        """The folder's repository."""
        return self.github.name

    def _run(
        self, arguments: list[str], text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        assert arguments[:2] == ["api", "--method"]
        assert arguments[3] == "-H"
        method, path = arguments[2], arguments[5]
        status, answer = self.github.answer(method, path, json.loads(text) if text else None)
        out = "" if answer is None else json.dumps(answer)
        if status < 400:
            return subprocess.CompletedProcess(arguments, 0, out, "")
        error = f"gh: {answer['message']} (HTTP {status})"
        return subprocess.CompletedProcess(arguments, 1, out, error)
