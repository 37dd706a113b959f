"""A step's process, started early: it imports what the step needs, then waits for its orders.

Importing MLflow and scikit-learn takes longer than most steps, and Terraform's wait for the
database leaves the processor idle. `keyless up` therefore starts each step's process during that
wait. The process gets what only a finished apply can give (the role's credentials, the tracking
address) as one JSON line on standard input, and then is `python -m pipeline.<step>`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class WarmProcess:
    """One process that has imported `imports` and will run `module` once."""

    def __init__(
        self, module: str, imports: Sequence[str], *, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.module = module
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scripts.local_run.warm", module, *imports],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        """Give the orders; the process goes on as the step."""
        assert self.process.stdin is not None
        orders = {"arguments": list(arguments), "environment": dict(environment)}
        with contextlib.suppress(BrokenPipeError):  # it died: its exit code and output tell why
            self.process.stdin.write(json.dumps(orders) + "\n")
            self.process.stdin.flush()
            self.process.stdin.close()
        return self.process

    def end(self) -> None:
        """End it if it was never needed."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def main() -> None:
    """Import, wait for the orders, become the step. Ends quietly if no orders come."""
    module, *imports = sys.argv[1:]
    for name in imports:
        importlib.import_module(name)
    line = sys.stdin.readline()
    if not line:
        return
    orders = json.loads(line)
    os.environ.clear()
    os.environ.update(orders["environment"])
    sys.argv = [module, *orders["arguments"]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
