"""The cloud as its databases, instances and sessions see it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from scripts.aws.credentials import Credentials

if TYPE_CHECKING:
    from scripts.iam.engine.evaluation import Decision
    from scripts.iam.requests import Need
    from scripts.localcloud.access.context import Keys
    from scripts.localcloud.access.principals import Caller, Key

Via = Literal["rds", "session"]


class Host(Protocol):
    """What the data plane needs of the cloud it belongs to."""

    @property
    def home(self) -> Path:
        """The state directory."""

    @property
    def region(self) -> str:
        """The region that is played."""

    @property
    def account_id(self) -> str:
        """The account that is played."""

    @property
    def endpoint(self) -> str:
        """The address of every service."""

    @property
    def ca_bundle(self) -> Path:
        """The certificate authority of that address."""

    @property
    def agent_seconds(self) -> float:
        """How long after its boot an instance's SSM agent registers."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held while moto works: whoever reads several of its facts holds it too."""

    def backend(self, service: str) -> Any:
        """moto's backend of a service ("rds", "ec2", …) in the account and region."""

    def issue(self, *names: str) -> tuple[Path, Path]:
        """A server certificate for `names`: the paths of its chain and key."""

    def identify(self, access_key_id: str, token: str | None) -> Key:
        """The secret of a live access key, and whose it is.

        Raises `Refusal`: unknown key, missing, foreign or expired token.
        """

    def authorize(self, caller: Caller, need: Need, *, via: Via) -> Decision:
        """Decide by the caller's policies, and record the decision."""

    def credentials_for_role(
        self, role_arn: str, session_name: str, keys: Keys | None = None
    ) -> Credentials:
        """A new session of a role, as EC2 gets it for an instance profile, with its keys."""
