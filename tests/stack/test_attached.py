"""A provider that is started once and attached to, played by a small program."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from scripts.stack.attached import VARIABLE, attached

ADDRESS = '{"registry.terraform.io/hashicorp/aws": {}}'
PROGRAM = f"""#!/bin/sh
[ "$1" = -debug ] || exit 2
echo $$ > "$NOTES"
echo "$SSL_CERT_FILE|$AWS_CA_BUNDLE" >> "$NOTES"
echo "Provider started. To attach:"
cat <<'END'
	{VARIABLE}='{ADDRESS}'
END
exec sleep 60
"""
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Lay out a provider as `terraform init` does, and return the data folder."""

    def do(text: str = PROGRAM, name: str = "hashicorp/aws") -> Path:
        folder = tmp_path / "providers" / "registry.terraform.io" / name / "5.100.0" / "linux_amd64"
        folder.mkdir(parents=True)
        program = folder / f"terraform-provider-{name.rpartition('/')[2]}_v5.100.0_x5"
        program.write_text(text)
        program.chmod(0o755)
        return tmp_path

    return do


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "NOTES": str(tmp_path / "notes"), "AWS_CA_BUNDLE": "/ca.pem"}


def test_a_provider_is_attached_to_and_ends_with_the_block(
    install: Install, environment: dict[str, str]
) -> None:
    with attached(install(), environment) as found:
        assert found == {VARIABLE: ADDRESS}
        pid, authority = Path(environment["NOTES"]).read_text().split()
        assert psutil.pid_exists(int(pid))
    assert not psutil.pid_exists(int(pid))
    assert authority == "/ca.pem|"


def test_it_ends_too_where_the_block_fails(install: Install, environment: dict[str, str]) -> None:
    with pytest.raises(KeyboardInterrupt), attached(install(), environment):
        raise KeyboardInterrupt
    assert not psutil.pid_exists(int(Path(environment["NOTES"]).read_text().split()[0]))


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho no flag -debug\n"])
def test_terraform_starts_its_own_where_the_provider_cannot_be_attached_to(
    install: Install, environment: dict[str, str], text: str
) -> None:
    with attached(install(text), environment) as found:
        assert found == {}


def test_nothing_is_attached_to_beside_another_provider(
    install: Install, environment: dict[str, str]
) -> None:
    install()
    with attached(install(name="hashicorp/random"), environment) as found:
        assert found == {}


def test_nothing_is_attached_to_before_init(tmp_path: Path, environment: dict[str, str]) -> None:
    with attached(tmp_path, environment) as found:
        assert found == {}
