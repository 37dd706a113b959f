"""What runs beside the control plane: databases, instances, load balancers and sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scripts.aws.data_channel import TOKEN_HEADER
from scripts.localcloud.ec2.instances import Instances
from scripts.localcloud.ec2.sessions import Sessions
from scripts.localcloud.elb.balancers import Balancers
from scripts.localcloud.host import Host
from scripts.localcloud.rds.databases import Databases

if TYPE_CHECKING:
    from scripts.iam.requests import HttpRequest
    from scripts.localcloud.access.principals import Caller


class DataPlane:
    """Everything that is not an API call: start it with the cloud, stop it with the cloud."""

    def __init__(self, host: Host) -> None:
        self.databases = Databases(host)
        self.instances = Instances(host, self.databases)
        self.sessions = Sessions(host, self.databases, self.instances)
        self.balancers = Balancers(host, self.instances)

    def start(self) -> None:
        """Begin to follow databases, instances and load balancers. Returns at once."""
        self.databases.start()
        self.instances.start()
        self.balancers.start()

    def stop(self) -> None:
        """End every process, port and thread that this object started."""
        self.sessions.stop()
        self.balancers.stop()
        self.instances.stop()
        self.databases.stop()

    def start_session(self, parameters: Mapping[str, Any], caller: Caller) -> dict[str, str]:
        """Answer ssm:StartSession, which the gateway has authorised."""
        return self.sessions.start_session(parameters, caller)

    def terminate_session(self, parameters: Mapping[str, Any], _: Caller) -> dict[str, str]:
        """Answer ssm:TerminateSession, which the gateway has authorised."""
        return self.sessions.terminate_session(parameters)

    def connection_status(self, parameters: Mapping[str, Any], _: Caller) -> dict[str, str]:
        """Answer ssm:GetConnectionStatus, which the gateway has authorised."""
        target = str(parameters.get("Target", ""))
        instance = self.instances.find(target)
        connected = instance is not None and instance.connected
        return {"Target": target, "Status": "connected" if connected else "notconnected"}

    def open_data_channel(self, request: HttpRequest, caller: Caller) -> dict[str, Any]:
        """Answer ssmmessages:OpenDataChannel of a client, which the gateway has authorised."""
        session_id = request.path.rpartition("/")[2]
        token = request.headers.get(TOKEN_HEADER, "")
        return self.sessions.open_data_channel(session_id, token, caller)
