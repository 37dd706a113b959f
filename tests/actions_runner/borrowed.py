"""An environment for a checkout that uses this one's packages, so that `make install` has it."""

import sys
import sysconfig
from pathlib import Path


def borrow_environment(workspace: Path) -> None:
    """Make `.venv` in a checkout: the packages of this process, the code of the checkout.

    What `make install` would write is there and newer than the lock file, so it installs nothing.
    Give it to `Machine(after_checkout=…)`.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    environment = workspace / ".venv"
    packages = environment / "lib" / version / "site-packages"
    programs = environment / "bin"
    packages.mkdir(parents=True)
    programs.mkdir()
    base = Path(sys.base_prefix) / "bin" / version
    (environment / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (programs / "python").symlink_to(base)
    lent = Path(sysconfig.get_path("purelib"))
    # Path files inside a lent folder are not read, so its own checkout does not get in.
    (packages / "borrowed.pth").write_text(f"{lent}\n{workspace}\n")
    (programs / "uv").symlink_to(Path(sysconfig.get_path("scripts")) / "uv")
    keyless = programs / "keyless"
    keyless.write_text(
        f"#!{programs / 'python'}\nimport sys\n\nfrom scripts.cli import main\n\nsys.exit(main())\n"
    )
    keyless.chmod(0o755)
    (environment / ".run").touch()
