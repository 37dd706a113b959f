"""The platform's server and database in a local account, made with API calls in place of Terraform.

The user data comes from the module's own template and files.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import boto3

from scripts.localcloud.cloud import LocalCloud
from scripts.server import database
from tests import ROOT

FILES = ROOT / "terraform/modules/mlflow_server/files"
ENVIRONMENT = "dev"
PREFIX = f"keyless-{ENVIRONMENT}"
TAGS = {"Environment": ENVIRONMENT, "Role": "mlflow"}
PARAMETER = f"/keyless/{ENVIRONMENT}/platform"
CODE = f"/keyless/{ENVIRONMENT}/server"
DOCUMENT = f"{PREFIX}-mlflow-read-session"
MASTER = "keyless_master"
# MLflow's imports warn, and a warning in this process is an error.
_SCHEMA = """
import json, sys
from scripts.server import database
orders = json.load(sys.stdin)
server = database.Server(**orders["server"])
database.create(server, orders["master"], orders["password"], tell=print)
"""
_PLACE = re.compile(r"\$\{(jsonencode|indent)\((?:6, )?(\w+)\)\}")
_LOGS = re.compile(r'%\{ if logs_json != "" ~\}\n(.*?)%\{ endif ~\}\n', re.DOTALL)


def settings(**changes: Any) -> dict[str, Any]:
    """The example of the settings file, changed."""
    example: dict[str, Any] = json.loads((FILES / "server.example.json").read_text())
    return example | changes


def user_data(given: dict[str, Any], logs_json: str = "") -> str:
    """Render the template as Terraform's templatefile does."""
    values = {
        "settings_json": json.dumps(given),
        "logs_json": logs_json,
        "install": (FILES / "install.sh").read_text(),
        "install_service": (FILES / "keyless-install.service").read_text(),
        "logs_service": (FILES / "keyless-logs.service").read_text(),
        "mlflow_service": (FILES / "keyless-mlflow.service").read_text(),
        "watchdog_service": (FILES / "keyless-watchdog.service").read_text(),
        "launcher": (FILES / "launcher.py").read_text(),
        "watchdog": (FILES / "watchdog.py").read_text(),
    }

    def fill(match: re.Match[str]) -> str:
        text = values[match[2]]
        return json.dumps(text) if match[1] == "jsonencode" else text.replace("\n", "\n      ")

    template = (FILES / "user-data.yaml.tftpl").read_text()
    template = _LOGS.sub(r"\1" if logs_json else "", template)
    return _PLACE.sub(fill, template)


def encoded(text: str) -> str:
    """User data as base64gzip makes it."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def code() -> tuple[dict[str, Any], dict[str, str]]:
    """The server's code as Terraform gives it: what the settings say, and the parameters."""
    files = sorted(path for path in (FILES / "server").iterdir() if path.suffix in (".py", ".toml"))
    content = json.dumps({path.name: path.read_text() for path in files}).encode()
    packed = base64.b64encode(gzip.compress(content, mtime=0)).decode()
    pieces = {
        f"{CODE}/test/{start // 4096}": packed[start : start + 4096]
        for start in range(0, len(packed), 4096)
    }
    return {"parameters": list(pieces), "sha256": hashlib.sha256(content).hexdigest()}, pieces


def document(port: str, host: str | None = None) -> dict[str, Any]:
    """A Session document that is fixed to one port."""
    return {
        "schemaVersion": "1.0",
        "description": "one port",
        "sessionType": "Port",
        "parameters": {
            "localPortNumber": {"type": "String", "default": "0", "allowedPattern": "^[0-9]+$"}
        },
        "properties": {
            "type": "LocalPortForwarding",
            "portNumber": port,
            "localPortNumber": "{{ localPortNumber }}",
            **({"host": host} if host else {}),
        },
    }


def await_true(what: Callable[[], Any], seconds: float = 90) -> Any:
    """Wait until `what` returns something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
    return found


class ServerPlatform:
    """Makes the pieces in the order of an apply; each method is one step."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        assert cloud.data_plane is not None
        self.plane = cloud.data_plane
        self.account_id = cloud.account_id

    def client(self, service: str) -> Any:
        """A client of the administrator."""
        administrator = self.cloud.administrator
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.cloud.endpoint,
            region_name=self.cloud.region,
            verify=str(self.cloud.ca_bundle),
            aws_access_key_id=administrator.access_key_id,
            aws_secret_access_key=administrator.secret_access_key,
            aws_session_token=administrator.session_token,
        )

    def create_server(self, **changes: Any) -> None:
        """Role, profile, launch template, Auto Scaling group and session document."""
        iam, ec2 = self.client("iam"), self.client("ec2")
        service = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
        trust = {"Version": "2012-10-17", "Statement": [service | {"Action": "sts:AssumeRole"}]}
        iam.create_role(RoleName=f"{PREFIX}-server", AssumeRolePolicyDocument=json.dumps(trust))
        self.allow("parameter", "ssm:GetParameter", self._arn(f"ssm:{{}}:parameter{PARAMETER}"))
        self.allow("code", "ssm:GetParameter", self._arn(f"ssm:{{}}:parameter{CODE}/*"))
        described, pieces = code()
        for name, value in pieces.items():
            self.client("ssm").put_parameter(Name=name, Value=value, Type="String")
        self.allow("health", "autoscaling:SetInstanceHealth", "*")
        profile = iam.create_instance_profile(InstanceProfileName=f"{PREFIX}-server")
        iam.add_role_to_instance_profile(
            InstanceProfileName=f"{PREFIX}-server", RoleName=f"{PREFIX}-server"
        )
        tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
        ec2.create_launch_template(
            LaunchTemplateName=f"{PREFIX}-mlflow",
            LaunchTemplateData={
                "ImageId": "ami-12c6146b",
                "InstanceType": "t4g.small",
                "UserData": encoded(user_data(settings(code=described, **changes))),
                "IamInstanceProfile": {"Arn": profile["InstanceProfile"]["Arn"]},
                "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
            },
        )
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=f"{PREFIX}-mlflow",
            LaunchTemplate={"LaunchTemplateName": f"{PREFIX}-mlflow", "Version": "1"},
            MinSize=1,
            MaxSize=1,
            DesiredCapacity=1,
            AvailabilityZones=[f"{self.cloud.region}a"],
        )
        self.create_document(DOCUMENT, document("5000"))

    def create_document(self, name: str, content: dict[str, Any]) -> None:
        """A Session document."""
        self.client("ssm").create_document(
            Name=name,
            DocumentType="Session",
            DocumentFormat="JSON",
            Content=json.dumps(content),
        )

    def create_database(self) -> None:
        """The database instance, once it takes connections."""
        self.client("rds").create_db_instance(
            DBInstanceIdentifier=PREFIX,
            DBInstanceClass="db.t4g.micro",
            Engine="postgres",
            EngineVersion="17.6",
            AllocatedStorage=20,
            MasterUsername=MASTER,
            ManageMasterUserPassword=True,
            EnableIAMDatabaseAuthentication=True,
            Tags=[{"Key": "Environment", "Value": ENVIRONMENT}],
        )
        self.plane.databases.wait(PREFIX, timeout=60)
        found = self.client("rds").describe_db_instances(DBInstanceIdentifier=PREFIX)
        self.database: dict[str, Any] = found["DBInstances"][0]

    def database_server(self) -> database.Server:
        """Where the database answers."""
        endpoint = self.database["Endpoint"]
        port = self.plane.databases.port(endpoint["Address"], endpoint["Port"])
        assert port is not None
        return database.Server(endpoint["Address"], "127.0.0.1", port, str(self.cloud.ca_bundle))

    def master_password(self) -> str:
        """The managed password."""
        arn = self.database["MasterUserSecret"]["SecretArn"]
        value = self.client("secretsmanager").get_secret_value(SecretId=arn)
        return str(json.loads(value["SecretString"])["password"])

    def create_schema(self) -> list[str]:
        """What `keyless database` does, in a process of its own; returns what it tells."""
        server = dataclasses.asdict(self.database_server())
        orders = {"server": server, "master": MASTER, "password": self.master_password()}
        done = subprocess.run(
            [sys.executable, "-c", _SCHEMA],
            input=json.dumps(orders),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def publish(self) -> None:
        """The last steps of an apply: the right to connect, and the contract."""
        resource = f"dbuser:{self.database['DbiResourceId']}/mlflow"
        self.allow("database", "rds-db:connect", self._arn(f"rds-db:{{}}:{resource}"))
        contract = {
            "database": {
                "address": self.database["Endpoint"]["Address"],
                "port": self.database["Endpoint"]["Port"],
                "name": "mlflow",
                "user": "mlflow",
            }
        }
        self.client("ssm").put_parameter(Name=PARAMETER, Value=json.dumps(contract), Type="String")

    def allow(self, name: str, action: str, resource: str) -> None:
        """Give the server's role one permission."""
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        self.client("iam").put_role_policy(
            RoleName=f"{PREFIX}-server",
            PolicyName=name,
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )

    def instance(self) -> dict[str, Any]:
        """The status of the one running instance."""
        statuses: list[dict[str, Any]] = await_true(self.plane.instances.status)
        return statuses[-1]

    def healthy_instance(self) -> dict[str, Any]:
        """The same, once MLflow answers."""

        def find() -> dict[str, Any] | None:
            return next((s for s in self.plane.instances.status() if s["healthy"]), None)

        found: dict[str, Any] = await_true(find)
        return found

    def connected_instance(self) -> str:
        """The id of the instance, once its SSM agent has registered."""

        def find() -> str | None:
            status = self.instance()["id"]
            found = self.plane.instances.find(status)
            return str(status) if found is not None and found.connected else None

        found: str = await_true(find)
        return found

    def _arn(self, rest: str) -> str:
        return "arn:aws:" + rest.format(f"{self.cloud.region}:{self.account_id}")
