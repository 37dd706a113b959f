"""The seal around the local run: nothing of the caller's AWS account gets in."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scripts.aws.credentials import Credentials

if TYPE_CHECKING:
    import botocore.loaders
    import botocore.session

# What a child process may know of the caller. Proxies, certificate stores and Terraform's settings
# serve the download of providers only; loopback is always exempt from proxies. GOGC is how often
# Terraform and its provider collect garbage (https://go.dev/doc/gc-guide#GOGC).
ALLOWED = frozenset(
    {
        "PATH",
        "LANG",
        "LANGUAGE",
        "TERM",
        "COLORTERM",
        "NO_COLOR",
        "TMPDIR",
        "TZ",
        "USER",
        "LOGNAME",
        "LD_LIBRARY_PATH",
        "GOGC",
        "TF_CLI_CONFIG_FILE",
        "TF_PLUGIN_CACHE_DIR",
        "OPENBLAS_CORETYPE",
        "OPENBLAS_L2_SIZE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "http_proxy",
        "https_proxy",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPYCACHEPREFIX",
    }
)
ALLOWED_PREFIXES = ("LC_",)
LOOPBACK = ("127.0.0.1", "localhost", "::1")

REGION_WITHOUT_CLOUD = "us-east-1"


class CloudAddress(Protocol):
    """Where a local cloud is: `scripts.localcloud.home.Cloud`, or a `LocalCloud` in process."""

    @property
    def home(self) -> Path:
        """The state directory of the local cloud."""

    @property
    def endpoint(self) -> str:
        """The address of every service."""

    @property
    def ca_bundle(self) -> Path:
        """The certificate authority of that address."""

    @property
    def region(self) -> str:
        """The region that is played."""


def sealed_environment(
    cloud: CloudAddress,
    credentials: Credentials | None,
    extra: Mapping[str, str] | None = None,
    *,
    caller: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Build the whole environment of a child process of the local run.

    Of the caller's variables (`os.environ` unless given) only an allow-list passes, and nothing
    named `AWS_*`. The process sees one endpoint, one set of credentials (none if None) and a home
    folder inside the project's. `extra` is added last.
    """
    caller = os.environ if caller is None else caller
    environment = {
        name: value
        for name, value in caller.items()
        if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)
    }
    user_home = cloud.home / "user"
    environment |= {
        "HOME": str(user_home),
        "NO_PROXY": ",".join(LOOPBACK),
        "no_proxy": ",".join(LOOPBACK),
        "KEYLESS_HOME": str(cloud.home.absolute()),
        "AWS_CONFIG_FILE": str(user_home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(user_home / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_CA_BUNDLE": str(cloud.ca_bundle),
        "AWS_REGION": cloud.region,
        "AWS_DEFAULT_REGION": cloud.region,
    }
    if credentials is not None:
        environment |= credentials.environment()
    # Terraform looks for its settings in HOME, and this HOME is a new one.
    terraform_settings = Path(caller.get("HOME", "/nonexistent")) / ".terraformrc"
    if terraform_settings.is_file():
        environment.setdefault("TF_CLI_CONFIG_FILE", str(terraform_settings))
    user_home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return environment | dict(extra or {})


def client(cloud: CloudAddress, credentials: Credentials, service: str, **config: Any) -> Any:
    """Make an AWS client that knows only what is written here.

    Neither the environment nor `~/.aws` is read. `config` goes to `botocore.config.Config`.
    """
    from botocore.config import Config

    return sealed_session().create_client(
        service,
        region_name=cloud.region,
        endpoint_url=cloud.endpoint,
        verify=str(cloud.ca_bundle),
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
        config=Config(**({"proxies": {}, "s3": {"addressing_style": "path"}} | config)),
    )


def unsigned_client(
    service: str,
    *,
    endpoint: str | None,
    ca_bundle: Path | None,
    region: str = REGION_WITHOUT_CLOUD,
    **further: Any,
) -> Any:
    """Make a client that signs nothing; `endpoint=None` is AWS itself.

    `further` goes to `botocore.config.Config`.
    """
    from botocore import UNSIGNED
    from botocore.config import Config

    # What is wrong with a request is for the server to say.
    config: dict[str, Any] = {
        "signature_version": UNSIGNED,
        "parameter_validation": False,
        **further,
    }
    if endpoint is not None:
        config["proxies"] = {}
    return sealed_session().create_client(
        service,
        region_name=region,
        endpoint_url=endpoint,
        verify=None if ca_bundle is None else str(ca_bundle),
        config=Config(**config),
    )


def sealed_session() -> botocore.session.Session:
    """Make a botocore session that finds no settings, no profile and no credentials anywhere."""
    import botocore.session
    from botocore.configprovider import (
        BOTOCORE_DEFAUT_SESSION_VARIABLES,
        ConfigValueStore,
        ConstantProvider,
    )
    from botocore.credentials import CredentialResolver
    from botocore.tokens import TokenProviderChain

    defaults = {
        name: ConstantProvider(default)
        for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    # AWS_ENDPOINT_URL* would otherwise be read wherever no endpoint is given.
    defaults["ignore_configured_endpoint_urls"] = ConstantProvider(True)
    defaults["config_file"] = defaults["credentials_file"] = ConstantProvider(os.devnull)
    session = botocore.session.Session()
    session.register_component("config_store", ConfigValueStore(mapping=defaults))
    session.register_component("data_loader", _service_models())
    session.register_component("credential_provider", CredentialResolver(providers=[]))
    session.register_component("token_provider", TokenProviderChain(providers=[]))
    return session


@functools.cache
def _service_models() -> botocore.loaders.Loader:
    """Load botocore's own service models, once a process; the default also reads ~/.aws/models."""
    from botocore.loaders import Loader

    return Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
