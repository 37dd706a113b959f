"""The small verbs against a real gateway: policies decide, tokens are verified, nothing is faked
but the far end of a session."""

import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from scripts.account.environment import how_to_bootstrap
from scripts.aws.sealed import client
from scripts.cli import ROOT, keyless
from scripts.iam.account.decision_log import read_log
from scripts.local_run.actors import Actors
from scripts.local_run.flow import exclusive
from scripts.localcloud.cloud import LocalCloud
from scripts.localcloud.home import Cloud, load

pytestmark = pytest.mark.slow

GITHUB = "token.actions.githubusercontent.com"
SECRET = "arn:aws:secretsmanager:us-east-1:{account}:secret:rds!db-1-abcdef"  # an ARN, not a value


@dataclass(frozen=True)
class Seeded:
    """A local cloud with one role, one bucket, one instance and the platform's parameter."""

    home: Path
    cloud: Cloud
    flush: Callable[[], None]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(
            keyless, ["--home", str(self.home), *arguments], catch_exceptions=False
        )


def trust(account: str) -> str:
    condition = {
        f"{GITHUB}:aud": "sts.amazonaws.com",
        f"{GITHUB}:sub": "repo:octo-org@1001/keyless-mlops@2002:environment:dev-train",
        f"{GITHUB}:repository_id": "2002",
        f"{GITHUB}:ref": "refs/heads/main",
    }
    statement = {
        "Sid": "GithubJobTrainsModels",
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{account}:oidc-provider/{GITHUB}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": condition},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def rights(account: str) -> str:
    session = [
        f"arn:aws:ssm:us-east-1:{account}:document/keyless-dev-mlflow-train-session",
        f"arn:aws:ec2:us-east-1:{account}:instance/*",
    ]
    statements = [
        {
            "Sid": "ReadTrainingData",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::artifacts/data/train/*",
        },
        {
            "Sid": "FindTheServer",
            "Effect": "Allow",
            "Action": "ec2:DescribeInstances",
            "Resource": "*",
        },
        {
            "Sid": "OpenTheTunnel",
            "Effect": "Allow",
            "Action": ["ssm:StartSession"],
            "Resource": session,
            "Condition": {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}},
        },
        {
            "Sid": "OwnSessions",
            "Effect": "Allow",
            "Action": ["ssm:TerminateSession", "ssmmessages:OpenDataChannel"],
            "Resource": "*",
        },
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def platform(account: str) -> dict[str, Any]:
    roles = ["plan-main", "train", "server"]  # any names: the list is Terraform's
    prefixes = {
        "raw": "data/raw/",
        "train": "data/train/",
        "holdout": "data/holdout/",
        "inputs": "data/inputs/",
        "contracts": "data/contracts/",
        "models": "mlflow/",
        "references": "references/",
        "decisions": "decisions/",
        "predictions": "predictions/",
        "reports": "reports/",
        "rollouts": "rollouts/",
        "wheelhouse": "wheelhouse/",
    }
    return {
        "schema_version": 1,
        "environment": "dev",
        "region": "us-east-1",
        "account_id": account,
        "prefix": "keyless-dev",
        "artifact_store": {"bucket": "artifacts", "kms_key_arn": None, "prefixes": prefixes},
        "database": {
            "identifier": "keyless-dev",
            "address": "keyless-dev.abc.us-east-1.rds.amazonaws.com",
            "port": 5432,
            "name": "mlflow",
            "user": "mlflow",
            "resource_id": "db-1",
            "master_secret_arn": SECRET.format(account=account),
        },
        "mlflow": {
            "autoscaling_group_name": "keyless-dev-mlflow",
            "ports": {"read": 5000, "train": 5001, "promote": 5002, "operate": 5003},
            "artifact_root": "s3://artifacts/mlflow",
            "artifact_access": "direct",
            "instance_tags": {"Environment": "dev", "Role": "mlflow"},
        },
        "sessions": {
            "documents": {"database": "keyless-dev-database-session"}
            | {
                name: f"keyless-dev-mlflow-{name}-session"
                for name in ("read", "train", "promote", "operate")
            },
        },
        "roles": {name: f"arn:aws:iam::{account}:role/keyless-dev-{name}" for name in roles},
        "parameters": {
            "platform": "/keyless/dev/platform",
            "champion_prefix": "/keyless/dev/champion/",
        },
        "secrets": {"third_party_arn": SECRET.format(account=account)},
        "metrics_namespace": "Keyless/dev",
        "github": {
            "owner": "octo-org",
            "owner_id": "1001",
            "repository": "keyless-mlops",
            "repository_id": "2002",
            "subject_format": "immutable",
        },
    }


def seed(cloud: LocalCloud, account: str) -> None:
    def administrator(service: str) -> Any:
        return client(cloud, cloud.administrator, service)

    iam = administrator("iam")
    iam.create_open_id_connect_provider(Url=f"https://{GITHUB}", ClientIDList=["sts.amazonaws.com"])
    iam.create_role(RoleName="keyless-dev-train", AssumeRolePolicyDocument=trust(account))
    iam.put_role_policy(
        RoleName="keyless-dev-train", PolicyName="train", PolicyDocument=rights(account)
    )
    s3 = administrator("s3")
    s3.create_bucket(Bucket="artifacts")
    for key in ("data/train/part.parquet", "data/holdout/part.parquet"):
        s3.put_object(Bucket="artifacts", Key=key, Body=b"rows")
    administrator("ssm").put_parameter(
        Name="/keyless/dev/platform", Value=json.dumps(platform(account)), Type="String"
    )
    tags = [{"Key": "Environment", "Value": "dev"}, {"Key": "Role", "Value": "mlflow"}]
    administrator("ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )


GREETING = b"HTTP/1.0 200 OK\r\n\r\nhello from the server\n"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    class Hello(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(GREETING)
            self.request.shutdown(socket.SHUT_WR)
            while self.request.recv(1024):  # what a client of HTTP asks, unread, would reset it
                pass

    home = tmp_path_factory.mktemp("keyless")
    with (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hello) as server,
        LocalCloud(home) as running,
    ):
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        port = int(server.server_address[1])
        _answer_sessions(running, port)
        process = psutil.Process()
        running.announce(process.pid, process.create_time())
        seed(running, running.account_id)
        yield Seeded(home, load(home), running.decisions.flush)
        server.shutdown()
        thread.join()


def _answer_sessions(cloud: LocalCloud, port: int) -> None:
    """Stand in for the data plane behind the gateway's decision."""
    from scripts.localcloud.access.errors import Answer

    def answer(document: Mapping[str, Any]) -> Any:
        body = json.dumps(document).encode()
        return lambda request, caller: Answer(
            200, {"Content-Type": "application/x-amz-json-1.1"}, body
        )

    stream = f"{cloud.endpoint}/v1/data-channel/s-1?role=publish_subscribe"
    started = {"SessionId": "s-1", "TokenValue": "t", "StreamUrl": stream}
    near_end = {"host": "127.0.0.1", "port": port}
    cloud.gateway.handlers["ssm", "StartSession"] = answer(started)
    cloud.gateway.handlers["ssmmessages", "OpenDataChannel"] = answer(near_end)
    cloud.gateway.handlers["ssm", "TerminateSession"] = answer({"SessionId": "s-1"})


def test_outputs_prints_the_contract_line_by_line(seeded: Seeded) -> None:
    lines = dict(line.split(" ", 1) for line in seeded.run("outputs").stdout.splitlines())
    assert lines["artifact_store.prefixes.holdout"].strip() == "data/holdout/"
    assert lines["database.port"].strip() == "5432"


def test_outputs_as_json_is_what_the_pipeline_reads(seeded: Seeded) -> None:
    from pipeline.outputs import parse_platform

    written = seeded.run("outputs", "--json").stdout
    assert parse_platform(written, origin="test").roles["train"].endswith("role/keyless-dev-train")


def test_outputs_of_an_environment_that_was_not_applied_names_the_parameter(
    seeded: Seeded,
) -> None:
    result = seeded.run("outputs", "--environment", "prod")
    assert result.exit_code == 1
    assert "/keyless/prod/platform" in result.stderr
    assert result.stderr.endswith(" plan -e prod\n")


def test_while_an_up_works_what_is_not_there_yet_is_waited_for(seeded: Seeded) -> None:
    with exclusive(seeded.home):
        result = seeded.run("outputs", "--environment", "prod")
    assert "wait until `keyless" in result.stderr
    assert result.stderr.endswith("up` has ended\n")


def test_an_environment_that_is_not_bootstrapped_is_named_with_the_command(
    seeded: Seeded,
) -> None:
    result = seeded.run("plan", "--environment", "prod")
    assert result.exit_code == 1
    assert "has no role keyless-prod-plan-main" in result.stderr
    assert result.stderr.endswith(" bootstrap -e prod\n")
    assert how_to_bootstrap(seeded.home, "prod") == "keyless bootstrap -e prod"


def test_the_cloud_of_up_takes_no_other_environment(tmp_path: Path) -> None:
    (tmp_path / "terraform").mkdir()
    (tmp_path / "terraform" / "bootstrap.tfstate").touch()
    assert "in a cloud of its own" in how_to_bootstrap(tmp_path, "prod")


def test_outputs_of_a_file_that_is_not_the_contract_is_wrong_input(
    seeded: Seeded, tmp_path: Path
) -> None:
    file = tmp_path / "platform.json"
    file.write_text("{}")
    result = seeded.run("outputs", "--platform", str(file))
    assert result.exit_code == 2
    assert str(file) in result.stderr


def test_the_job_of_a_role_is_trusted_by_it(seeded: Seeded) -> None:
    shown = seeded.run("token", "--role", "train").stdout
    assert "repo:octo-org@1001/keyless-mlops@2002:environment:dev-train" in shown
    assert "keyless-dev-train  allow   statement GithubJobTrainsModels" in shown


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["--ref", "refs/heads/side"],
            "ref: got refs/heads/side, wanted StringEquals refs/heads/main",
        ),
        (["--repository-id", "9999"], "repository_id: got 9999, wanted StringEquals 2002"),
        (["--github-environment", "prod-train"], "environment:prod-train, wanted"),
        (
            ["--audience", "someone-else"],
            "aud: got someone-else, wanted StringEquals sts.amazonaws.com",
        ),
    ],
)
def test_a_token_that_does_not_fit_is_told_what_does_not(
    seeded: Seeded, arguments: list[str], reason: str
) -> None:
    result = seeded.run("token", "--role", "train", *arguments)
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert "keyless-dev-train deny" in words
    assert reason.replace(" ", "") in words.replace(" ", "")


def test_the_verdict_on_a_token_is_the_answer_of_sts(seeded: Seeded) -> None:
    from scripts.aws.web_identity import AssumeRoleDenied

    actors = Actors(seeded.cloud, "dev", ROOT)
    job = actors.job("train")
    actors.assume(actors.role_arn("train"), job, session_name="test")
    for change in ({"ref": "refs/heads/side"}, {"repository_id": "9999"}, {"environment": "x"}):
        with pytest.raises(AssumeRoleDenied):
            actors.assume(actors.role_arn("train"), job | change, session_name="test")


def test_a_raw_token_is_alone_on_its_line(seeded: Seeded) -> None:
    result = seeded.run("token", "--raw", "--github-environment", "dev-train")
    assert result.stdout.count(".") == 2
    assert result.stdout.count("\n") == 1


def test_a_forks_pull_request_gets_no_token(seeded: Seeded) -> None:
    result = seeded.run("token", "--event", "pull_request", "--head", "stranger/keyless-mlops")
    assert result.exit_code == 1
    assert "fork" in result.stderr


def test_a_job_that_cannot_be_is_wrong_usage(seeded: Seeded) -> None:
    result = seeded.run("token", "--ref", "main")
    assert result.exit_code == 2
    assert "ref" in result.stderr


def test_whoami_shows_identity_rights_and_what_decided(seeded: Seeded) -> None:
    result = seeded.run("whoami", "--role", "train")
    words = " ".join(result.stdout.split())
    assert "assumed-role/keyless-dev-train/" in words
    assert "s3:GetObject" in words
    assert "allow read data/train/part.parquet train ReadTrainingData" in words
    assert "deny read data/holdout/part.parquet no identity" in words
    assert "deny list the account's roles" in words
    assert "not judged: MLflow does not answer behind the session" in words


def test_what_whoami_tries_is_marked_in_the_decision_log(seeded: Seeded) -> None:
    before = seeded.cloud.decisions.stat().st_size
    seeded.run("whoami", "--role", "train")
    seeded.flush()
    mine = [
        record
        for record in read_log(seeded.cloud.decisions, before)
        if record.role == "keyless-dev-train"
    ]
    assert {record.action for record in mine if not record.allowed} >= {"iam:ListRoles"}
    assert {record.action for record in mine if not record.probe} <= {"sts:GetCallerIdentity"}


@pytest.mark.parametrize("verb", ["token", "whoami"])
def test_what_a_verb_found_is_json_for_a_script(seeded: Seeded, verb: str) -> None:
    found = json.loads(seeded.run(verb, "--role", "train", "--json").stdout)
    if verb == "token":
        assert found["claims"]["environment"] == "dev-train"
        [role] = [one for one in found["roles"] if one["role"] == "keyless-dev-train"]
        assert role["trusted"]
    else:
        assert "assumed-role/keyless-dev-train/" in found["arn"]
        assert {"what", "allowed", "decided_by"} <= found["probes"][0].keys()
        assert "s3:GetObject" in {right["actions"] for right in found["rights"]}


def test_whoami_of_a_role_that_no_job_assumes_names_those_that_there_are(seeded: Seeded) -> None:
    result = seeded.run("whoami", "--role", "nobody")
    assert result.exit_code == 2
    words = " ".join(result.stderr.split())
    assert "database, ingest, train, promote, predict, monitor" in words


def test_a_command_in_the_tunnel_reaches_the_server_and_gives_its_exit_code(
    seeded: Seeded, tmp_path: Path
) -> None:
    script = (
        "import os, socket, sys; from urllib.parse import urlsplit\n"
        "uri = urlsplit(os.environ['MLFLOW_TRACKING_URI'])\n"
        "said = socket.create_connection((uri.hostname, uri.port)).recv(100)\n"
        f"open({str(tmp_path / 'said')!r}, 'wb').write(said); sys.exit(7)\n"
    )
    result = seeded.run(
        "tunnel", "--document", "train", "--port", "0", "--", sys.executable, "-c", script
    )
    assert result.exit_code == 7, result.output
    assert (tmp_path / "said").read_bytes() == GREETING


def test_a_command_in_the_tunnel_sees_the_role_and_not_the_caller(
    seeded: Seeded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "poison")
    out = tmp_path / "environment.json"
    script = f"import json, os; json.dump(dict(os.environ), open({str(out)!r}, 'w'))"
    result = seeded.run(
        "tunnel", "--document", "train", "--port", "0", "--", sys.executable, "-c", script
    )
    assert result.exit_code == 0, result.output
    seen = json.loads(out.read_text())
    assert "AWS_PROFILE" not in seen
    assert seen["AWS_ENDPOINT_URL"] == seeded.cloud.endpoint
    assert seen["AWS_ACCESS_KEY_ID"].startswith("ASIA")


def test_a_document_that_the_role_may_not_open_is_denied(seeded: Seeded) -> None:
    result = seeded.run("tunnel", "--role", "train", "--document", "database", "--", "true")
    assert result.exit_code == 1
    assert "AWS refused StartSession" in result.stderr


def test_a_command_that_does_not_exist_is_wrong_usage(seeded: Seeded) -> None:
    result = seeded.run(
        "tunnel", "--document", "train", "--port", "0", "--", str(seeded.home / "no-such-program")
    )
    assert result.exit_code == 2
    assert "no-such-program" in result.stderr


def test_no_role_is_assumed_on_aws() -> None:
    result = CliRunner().invoke(keyless, ["tunnel", "--aws", "--role", "train"])
    assert result.exit_code == 2


def test_doctor_finds_the_cloud_that_runs(seeded: Seeded) -> None:
    result = seeded.run("doctor", "--json")
    found = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert found["Local cloud"]["status"] == "ok"
    assert seeded.cloud.endpoint in found["Local cloud"]["detail"]
    assert os.getpid() == seeded.cloud.pid
