"""The seal: whatever the caller's environment and home hold, the local run reads none of it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.aws.credentials import Credentials
from scripts.aws.sealed import client, sealed_environment, sealed_session, unsigned_client
from tests import ROOT

KEYS = Credentials("ASIAINSIDE", "inside-secret", "inside-token")
POISON = {
    "AWS_ACCESS_KEY_ID": "AKIAPOISON",
    "AWS_SECRET_ACCESS_KEY": "poison",
    "AWS_SESSION_TOKEN": "poison",
    "AWS_PROFILE": "poison",
    "AWS_DEFAULT_PROFILE": "poison",
    "AWS_REGION": "eu-poison-1",
    "AWS_DEFAULT_REGION": "eu-poison-1",
    "AWS_ENDPOINT_URL": "https://poison.invalid",
    "AWS_ENDPOINT_URL_S3": "https://s3.poison.invalid",
    "AWS_ENDPOINT_URL_STS": "https://sts.poison.invalid",
    "AWS_CA_BUNDLE": "/poison/ca.pem",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/poison/token",
    "AWS_ROLE_ARN": "arn:aws:iam::999999999999:role/poison",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/poison",
    "AWS_DATA_PATH": "/poison/models",
    "AWS_MAX_ATTEMPTS": "77",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
}
POISONED_FILE = """[default]
aws_access_key_id = AKIAPOISON
aws_secret_access_key = poison
region = eu-poison-1
endpoint_url = https://poison.invalid
[profile poison]
region = eu-poison-1
credential_process = /bin/false
[poison]
aws_access_key_id = AKIAPOISON
aws_secret_access_key = poison
"""


@dataclass(frozen=True)
class Address:
    """As much of a cloud as a client needs."""

    home: Path
    endpoint: str = "https://127.0.0.1:4567"
    region: str = "us-east-1"

    @property
    def ca_bundle(self) -> Path:
        return self.home / "ca.pem"


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A caller whose home and environment point at an account of theirs; returns the home."""
    user = tmp_path / "user-of-the-machine"
    (user / ".aws" / "models").mkdir(parents=True)
    (user / ".aws" / "config").write_text(POISONED_FILE)
    (user / ".aws" / "credentials").write_text(POISONED_FILE)
    for name, value in POISON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(user / ".aws" / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(user / ".aws" / "credentials"))
    return user


@pytest.fixture
def cloud(tmp_path: Path) -> Address:
    return Address(tmp_path / ".keyless")


def test_without_the_seal_the_poison_is_read(poisoned: Path) -> None:
    import botocore.session

    session = botocore.session.Session()
    assert session.get_config_variable("profile") == "poison"
    assert session.full_config["profiles"]["default"]["aws_access_key_id"] == "AKIAPOISON"
    found = botocore.session.Session(profile="default").get_credentials()
    assert found is not None


@pytest.mark.parametrize("service", ["s3", "sts", "ec2", "rds", "ssm", "iam"])
def test_a_client_knows_only_the_cloud_it_was_given(
    poisoned: Path, cloud: Address, service: str
) -> None:
    made = client(cloud, KEYS, service)

    assert made.meta.endpoint_url == cloud.endpoint
    assert made.meta.region_name in ("us-east-1", "aws-global")
    signed_with = made._request_signer._credentials.get_frozen_credentials()
    assert signed_with[:3] == ("ASIAINSIDE", "inside-secret", "inside-token")
    http = made._endpoint.http_session
    assert http._proxy_config.proxy_url_for(cloud.endpoint) is None
    assert http._verify == str(cloud.ca_bundle)
    assert made.meta.config.retries == {"mode": "standard"}


def test_an_unsigned_client_signs_nothing_in_a_poisoned_environment(
    poisoned: Path, cloud: Address
) -> None:
    sts = unsigned_client("sts", endpoint=cloud.endpoint, ca_bundle=cloud.ca_bundle)
    assert sts._request_signer._credentials is None
    assert sts.meta.endpoint_url == cloud.endpoint


def test_an_unsigned_client_without_endpoint_goes_to_aws_and_nowhere_else(poisoned: Path) -> None:
    sts = unsigned_client("sts", endpoint=None, ca_bundle=None)
    assert sts.meta.endpoint_url == "https://sts.us-east-1.amazonaws.com"


def test_a_sealed_session_has_no_credentials_profile_or_settings(poisoned: Path) -> None:
    session = sealed_session()
    assert session.get_credentials() is None
    assert session.available_profiles == []
    assert session.full_config == {"profiles": {}}
    assert session.get_config_variable("region") is None
    assert session.get_config_variable("ca_bundle") is None


def test_no_file_of_the_callers_home_is_opened(poisoned: Path, cloud: Address) -> None:
    script = (
        "import json, os, sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda name, args: name in ('open', 'os.listdir', 'os.scandir')"
        " and opened.append(str(args[0])))\n"
        "from pathlib import Path\n"
        "from tests.aws.test_sealed import Address, KEYS\n"
        "from scripts.aws.sealed import client\n"
        f"client(Address(Path({str(cloud.home)!r})), KEYS, 's3')\n"
        "print(json.dumps([p for p in opened if '.aws' in p or 'poison' in p]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
        cwd=ROOT,
    )
    assert json.loads(done.stdout) == []


def test_nothing_of_the_callers_aws_reaches_a_child(poisoned: Path, cloud: Address) -> None:
    environment = sealed_environment(cloud, KEYS)
    assert not [name for name, value in environment.items() if "poison" in value.lower()]
    assert not [value for value in environment.values() if str(poisoned) in value]


def test_the_environment_is_exactly_the_allow_list_and_the_cloud(cloud: Address) -> None:
    caller = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "AWS_ANYTHING": "x", "GITHUB_TOKEN": "x"}
    assert sealed_environment(cloud, KEYS, {"PGPORT": "1"}, caller=caller) == {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": str(cloud.home / "user"),
        "NO_PROXY": "127.0.0.1,localhost,::1",
        "no_proxy": "127.0.0.1,localhost,::1",
        "KEYLESS_HOME": str(cloud.home),
        "AWS_CONFIG_FILE": str(cloud.home / "user" / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(cloud.home / "user" / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_CA_BUNDLE": str(cloud.ca_bundle),
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "ASIAINSIDE",
        "AWS_SECRET_ACCESS_KEY": "inside-secret",
        "AWS_SESSION_TOKEN": "inside-token",
        "PGPORT": "1",
    }


def test_without_credentials_the_child_gets_none(cloud: Address) -> None:
    environment = sealed_environment(cloud, None, caller=POISON)
    assert not environment.keys() & {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    }


def test_the_files_that_the_child_is_pointed_to_do_not_exist(cloud: Address) -> None:
    environment = sealed_environment(cloud, None, caller={})
    assert Path(environment["HOME"]).is_dir()
    assert not Path(environment["AWS_CONFIG_FILE"]).exists()
    assert not Path(environment["AWS_SHARED_CREDENTIALS_FILE"]).exists()


def test_terraform_settings_in_the_callers_home_still_count(cloud: Address, tmp_path: Path) -> None:
    (tmp_path / ".terraformrc").write_text("")
    environment = sealed_environment(cloud, None, caller={"HOME": str(tmp_path)})
    assert environment["TF_CLI_CONFIG_FILE"] == str(tmp_path / ".terraformrc")
