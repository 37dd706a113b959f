"""EC2's data plane: each running instance's services, its metadata, its way to the database."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import sys
import threading
import time
import urllib.request
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from scripts.aws.sealed import sealed_environment
from scripts.localcloud.access.context import Keys
from scripts.localcloud.access.errors import AwsError, Refusal
from scripts.localcloud.ec2 import log_agent
from scripts.localcloud.ec2.forward import Forward, free_port
from scripts.localcloud.ec2.log_agent import LogAgent
from scripts.localcloud.ec2.metadata import Identity, Metadata
from scripts.localcloud.ec2.service import SupervisedProcess
from scripts.localcloud.ec2.user_data import Service, UserData, parse
from scripts.localcloud.home import HOME_VARIABLE

if TYPE_CHECKING:
    from scripts.aws.credentials import Credentials
    from scripts.localcloud.host import Host
    from scripts.localcloud.rds.databases import Databases

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
# The box's own Python; here the kit's stands for it. Services of other programs (the one that
# installs packages) are not run.
BOX_PYTHON = "/opt/keyless/venv/bin/python"
SETTINGS = "/etc/keyless/server.json"
SERVING_SETTINGS = "/etc/keyless/serving.json"
SERVING = "serving"
HEALTH_SECONDS = 2.0


class Instance:
    """One running EC2 instance: starts what its user data enables, ends it with `stop`."""

    def __init__(self, host: Host, databases: Databases, record: Any) -> None:
        self.id = str(record.id)
        # The local ports that stand for the box's, and the box's ports: of MLflow by permission
        # set, and of the model server.
        self.ports: dict[str, int] = {}
        self._box_ports: dict[int, str] = {}
        self._host = host
        self._databases = databases
        self._record = record
        self._directory = host.home / "instances" / self.id
        self._root = self._directory / "root"
        self._processes: list[SupervisedProcess] = []
        self.agent = LogAgent(host, self.id, None, {})
        self._booted = time.monotonic()
        self.metadata = Metadata(self._identity, self._credentials, self._ended)
        self._database = Forward(self._database_port)

    def start(self) -> None:
        """Write the files and start the services. Raises UserDataError."""
        data = parse(_encoded(self._record))
        sets = json.loads(data.file(SETTINGS) or b"{}").get("permission_sets", {})
        self._box_ports = {one["port"]: name for name, one in sets.items()}
        if serving := json.loads(data.file(SERVING_SETTINGS) or b"{}"):
            self._box_ports[serving["port"]] = SERVING
        self.ports = {name: free_port() for name in self._box_ports.values()}
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in data.files:
            path = self._under_root(file.path)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(file.content)
            path.chmod(file.mode & 0o755)
        outputs: dict[str, Path] = {}
        for service in data.services:
            if service.command[:1] == (BOX_PYTHON,):
                self._processes.append(self._process(service, data))
                if service.output:
                    outputs[service.output] = self._log_of(service)
        configuration = data.file(log_agent.CONFIGURATION)
        self.agent = LogAgent(self._host, self.id, configuration, outputs)
        for process in self._processes:
            process.start()

    def stop(self) -> None:
        """End the services, the metadata endpoint and the way to the database."""
        for process in self._processes:
            process.ask_to_stop()
        for process in self._processes:
            process.stop()
        self.metadata.stop()
        self._database.stop()
        # The logs stay; files of a service, such as its password file, do not.
        shutil.rmtree(self._root, ignore_errors=True)

    @property
    def connected(self) -> bool:
        """Whether the instance's SSM agent has registered, a while after the boot.

        https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-troubleshooting.html
        """
        return time.monotonic() - self._booted >= self._host.agent_seconds

    @property
    def healthy(self) -> bool:
        """Whether MLflow, or the model server, answers on the instance."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            port = self.ports.get(SERVING) or self.ports["read"]
            address = f"http://127.0.0.1:{port}/health"
            with opener.open(address, timeout=HEALTH_SECONDS) as answer:
                return bool(answer.status == 200)
        except (OSError, KeyError):
            return False

    def local_port(self, box_port: int) -> int | None:
        """The local port that stands for a port of the box; None: nothing listens there."""
        return self.ports.get(self._box_ports.get(box_port, ""))

    def status(self) -> dict[str, Any]:
        """The instance's id, state, local ports and health, and its processes."""
        return {
            "id": self.id,
            "state": str(self._record.state),
            "ports": self.ports,
            "healthy": self.healthy,
            "metadata": self.metadata.endpoint,
            "processes": {process.name: process.pid for process in self._processes},
        }

    def _process(self, service: Service, data: UserData) -> SupervisedProcess:
        written = {str(file.path) for file in data.files}
        arguments = [
            str(self._under_root(PurePosixPath(word))) if word in written else word
            for word in service.command[1:]
        ]
        return SupervisedProcess(
            service.name,
            [sys.executable, *arguments],
            self._environment(service, data),
            self._log_of(service),
            restart=service.restart,
            longest_pause=service.restart_seconds,
        )

    def _log_of(self, service: Service) -> Path:
        return self._directory / f"{service.name.removesuffix('.service')}.log"

    def _environment(self, service: Service, data: UserData) -> dict[str, str]:
        runtime = self._under_root(PurePosixPath("/run", service.runtime_directory or service.name))
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        of_unit = dict(service.environment)
        for path in service.environment_files:
            of_unit |= _variables(data.file(path.lstrip("-")) or b"")
        of_box = {
            HOME_VARIABLE: str(self._host.home.absolute()),
            "HOME": str(runtime),
            "RUNTIME_DIRECTORY": str(runtime),
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata.endpoint,
            "PYTHONUNBUFFERED": "1",
            # Where the box has names and ports of its own, one machine has free ports.
            "KEYLESS_MLFLOW_PORTS": json.dumps(self.ports),
            "KEYLESS_SERVING_PORT": str(self.ports.get(SERVING, "")),
            # A model server looks, writes and reports more often, so that a rollout is short.
            "KEYLESS_PACE": "0.25",
            "STATE_DIRECTORY": str(runtime / "state"),
            "PGHOSTADDR": "127.0.0.1",
            "PGPORT": str(self._database.port),
            "PGSSLROOTCERT": str(self._host.ca_bundle),
        }
        return sealed_environment(self._host, None, of_unit | of_box)

    def _under_root(self, path: PurePosixPath) -> Path:
        return self._root / path.relative_to("/")

    def _database_port(self) -> int | None:
        """The database of the same environment, as the network of one VPC leads to it."""
        environment = _tags(self._record).get("Environment")
        return self._databases.port_of_environment(environment) if environment else None

    def _identity(self) -> Identity:
        record, found = self._record, self._profile()
        options = record.metadata_options
        return Identity(
            instance_id=self.id,
            image_id=str(record.image_id),
            instance_type=str(record.instance_type),
            account_id=self._host.account_id,
            region=self._host.region,
            zone=str(record.placement.zone),
            tags=_tags(record) if options.instance_metadata_tags == "enabled" else {},
            user_data=base64.b64decode(_encoded(record)),
            role_name=str(found[1].name) if found else None,
            profile_arn=str(found[0].arn) if found else None,
            tokens_required=options.http_tokens == "required",
            enabled=options.http_endpoint != "disabled",
        )

    def _profile(self) -> tuple[Any, Any] | None:
        """The profile that the instance has now, and the role that is in it now; else None.

        By their ids: a namesake of a deleted profile or role counts once it is given itself.
        """
        iam, ec2 = self._host.backend("iam"), self._host.backend("ec2")
        association = ec2.iam_instance_profile_associations.get(self.id)
        wanted = association.iam_instance_profile.id if association else None
        for profile in list(iam.get_instance_profiles()):
            if profile.id == wanted and profile.roles:
                role = iam.roles.get(profile.roles[0].id)
                return None if role is None else (profile, role)
        return None

    def _credentials(self, delivery: str) -> Credentials:
        found = self._profile()
        if found is None:
            raise AwsError("AssumeRoleUnauthorizedAccess", f"{self.id} has no role", 403)
        arn = str(found[1].arn)
        return self._host.credentials_for_role(arn, self.id, self._session_keys(delivery))

    def _ended(self, credentials: Credentials) -> bool:
        """Whether a session is over before its time, since time can be made to pass here; or is
        one of a role that the instance no longer has."""
        found = self._profile()
        try:
            key = self._host.identify(credentials.access_key_id, credentials.session_token)
        except Refusal:
            return True
        session = key.caller.session
        return found is None or session is None or session.role_id != found[1].id

    def _session_keys(self, delivery: str) -> Keys:
        """What the session tells of where it came from, in each of its requests.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policies-for-amazon-ec2.html
        """
        arn = f"arn:aws:ec2:{self._host.region}:{self._host.account_id}:instance/{self.id}"
        keys: Keys = {"ec2:SourceInstanceARN": (arn,), "ec2:RoleDelivery": (delivery,)}
        if vpc := self._record.vpc_id:
            keys["aws:Ec2InstanceSourceVpc"] = (str(vpc),)
            keys["aws:Ec2InstanceSourcePrivateIPv4"] = (str(self._record.private_ip),)
        return keys


class Instances:
    """Follows the account's EC2 instances: runs the services of each running one, ends the rest's.

    Auto Scaling is moto's part: it terminates an instance and makes another, and this sees both.
    """

    def __init__(self, host: Host, databases: Databases) -> None:
        self._host = host
        self._databases = databases
        self._running: dict[str, Instance] = {}
        self._failed: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="instances", daemon=True)

    def start(self) -> None:
        """Begin to follow the account. Returns at once."""
        shutil.rmtree(self._host.home / "instances", ignore_errors=True)
        self._thread.start()

    def stop(self) -> None:
        """End the services of every instance."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._end(set(self._running))

    def find(self, instance_id: str) -> Instance | None:
        """The running instance with this id, None if there is none."""
        with self._lock:
            return self._running.get(instance_id)

    def status(self) -> list[dict[str, Any]]:
        """Each running instance's id, state, ports, health and processes."""
        with self._lock:
            running = list(self._running.values())
        return [instance.status() for instance in running]

    def _follow(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            records = self._host.backend("ec2").all_instances()
            running = {str(record.id): record for record in records if record.state == "running"}
            self._end(set(self._running) - set(running))
            for instance_id in running.keys() - self._running.keys() - self._failed.keys():
                self._begin(running[instance_id])
            for instance in list(self._running.values()):
                instance.agent.send()

    def _begin(self, record: Any) -> None:
        try:
            # Under the lock: an instance of a group is in moto's list before it has its role.
            with self._host.lock:
                instance = Instance(self._host, self._databases, record)
            instance.start()
        except Exception as failure:
            # One instance that cannot start must not end the service for the others.
            log.exception("instance %s", record.id)
            self._failed[str(record.id)] = str(failure)
            return
        with self._lock:
            self._running[instance.id] = instance
        log.info("instance %s runs", instance.id)

    def _end(self, instance_ids: set[str]) -> None:
        with self._lock:
            ended = [self._running.pop(instance_id) for instance_id in instance_ids]
        for instance in ended:
            instance.stop()
            log.info("instance %s ended", instance.id)


def _encoded(record: Any) -> str:
    """The user data in base64, as EC2 keeps it; moto wraps that of a launch template."""
    data = record.user_data
    return str(data.as_encoded() if hasattr(data, "as_encoded") else data or "")


def _tags(record: Any) -> dict[str, str]:
    return {str(tag["key"]): str(tag["value"]) for tag in record.get_tags()}


def _variables(content: bytes) -> dict[str, str]:
    """An EnvironmentFile: one assignment a line."""
    lines = (line.strip() for line in content.decode().splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#;")
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
