"""What runs beside the control plane: databases, instances with their metadata, and sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.localcloud.ec2.instances import Instances
from scripts.localcloud.ec2.sessions import Sessions
from scripts.localcloud.host import Host
from scripts.localcloud.rds.databases import Databases


class DataPlane:
    """Everything that is not an API call: start it with the cloud, stop it with the cloud."""

    def __init__(self, host: Host) -> None:
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
