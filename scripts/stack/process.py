"""Run Terraform's commands as processes: their environment, their lines, and how they are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from python_terraform import Terraform, VariableFiles


class Driver(Terraform):  # type: ignore[misc]
    """python-terraform, with the environment given rather than inherited, and lines as they come.

    The package builds the command lines and its temporary variable files. Its own `cmd` leaks the
    caller's environment and, when not waiting, passes an invalid `-synchronous` flag.
    """

    def __init__(self, binary: str, root: Path, environment: Mapping[str, str]) -> None:
        super().__init__(working_dir=str(root), terraform_bin_path=binary)
        self.temp_var_files: Any = VariableFiles()
        self.environment = dict(environment)
        self.process: subprocess.Popen[str] | None = None

    def cmd(
        self, cmd: str, *args: str, on_line: Callable[[str], None] | None = None, **options: Any
    ) -> tuple[int, str, str]:
        """Run one Terraform command; returns exit code, standard output and standard error."""
        command = self.generate_cmd_string(cmd, *args, **options)
        errors: list[str] = []
        lines: list[str] = []
        try:
            with subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                cwd=self.working_dir,
                env=self.environment,
                # Of its own group: an interrupt is passed on once, by us, so that Terraform
                # finishes the call it is in and writes its state.
                start_new_session=True,
            ) as self.process:
                assert self.process.stdout is not None
                assert self.process.stderr is not None
                reader = threading.Thread(target=errors.extend, args=(self.process.stderr,))
                reader.start()
                try:
                    for line in self.process.stdout:
                        lines.append(line)
                        if on_line is not None:
                            on_line(line)
                except BaseException:
                    self.interrupt()
                    self.process.communicate()
                    raise
                finally:
                    reader.join()
        finally:
            self.temp_var_files.clean_up()
            self.temp_var_files = VariableFiles()
        return self.process.returncode, "".join(lines), "".join(errors)

    def interrupt(self) -> None:
        """Ask a running command to stop after its current call."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End a running command and its providers."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def read_state_file(self, file_path: str | None = None) -> None:
        """State is in a backend; the package's look into a local file has no use here."""
