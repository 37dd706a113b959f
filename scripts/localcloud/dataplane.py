"""What runs beside the control plane: databases, instances with their metadata, and sessions."""

from __future__ import annotations

from collections.abc import Mapping
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
    def home(self) -> Path: ...
    @property
    def region(self) -> str: ...
    @property
    def account_id(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def ca_bundle(self) -> Path: ...

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


class DataPlane:
    """Everything that is not an API call: start it with the cloud, stop it with the cloud."""

    def __init__(self, host: Host) -> None:
        from scripts.localcloud.ec2.instances import Instances
        from scripts.localcloud.ec2.sessions import Sessions
        from scripts.localcloud.rds.databases import Databases

        self.databases = Databases(host)
        self.instances = Instances(host, self.databases)
        self.sessions = Sessions(host, self.databases, self.instances)

    def start(self) -> None:
        """Begin to follow the account's database and EC2 instances. Returns at once."""
        self.databases.start()
        self.instances.start()

    def stop(self) -> None:
        """End every process, port and thread that this object started."""
        self.sessions.stop()
        self.instances.stop()
        self.databases.stop()

    def start_session(self, parameters: Mapping[str, Any], user_id: str) -> dict[str, str]:
        """Answer ssm:StartSession, which the gateway has authorised."""
        return self.sessions.start_session(parameters, user_id)

    def terminate_session(self, parameters: Mapping[str, Any], _: str) -> dict[str, str]:
        """Answer ssm:TerminateSession, which the gateway has authorised."""
        return self.sessions.terminate_session(parameters)

    def status(self) -> dict[str, Any]:
        """What runs, for `keyless doctor` and the progress display."""
        return {"databases": self.databases.status(), "instances": self.instances.status()}
