"""The CloudWatch agent of an instance: new lines of its log files become events of a log group."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scripts.localcloud.host import Host

CONFIGURATION = "/etc/keyless/cloudwatch-agent.json"
LONGEST_EVENT = 256 * 1024  # bytes; the rest of a longer line is cut off
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_InputLogEvent.html


@dataclass
class _Followed:
    path: Path
    group: str
    stream: str
    offset: int = 0


class LogAgent:
    """Follows the files that the agent's configuration names, where they are on this machine."""

    def __init__(
        self, host: Host, instance_id: str, configuration: bytes | None, files: Mapping[str, Path]
    ) -> None:
        self._host = host
        self._followed = list(_followed(configuration, instance_id, files))

    def send(self) -> None:
        """Send the whole lines that were written since the last call."""
        for one in self._followed:
            if content := _whole_lines(one):
                self._put(one, content)

    def _put(self, one: _Followed, content: bytes) -> None:
        backend = self._host.backend("logs")
        with self._host.lock:
            if one.group not in backend.groups:
                return  # Terraform makes it in its own time; then these lines are sent
            backend.ensure_log_stream(one.group, one.stream)
            now = int(time.time() * 1000)
            events = [
                {"timestamp": now, "message": line.decode(errors="replace")[:LONGEST_EVENT]}
                for line in content.splitlines()
                if line
            ]
            backend.put_log_events(one.group, one.stream, events)
        one.offset += len(content)


def _followed(
    configuration: bytes | None, instance_id: str, files: Mapping[str, Path]
) -> Iterator[_Followed]:
    collected: list[dict[str, Any]] = (
        json.loads(configuration)["logs"]["logs_collected"]["files"]["collect_list"]
        if configuration
        else []
    )
    for entry in collected:
        if entry["file_path"] in files:
            stream = entry["log_stream_name"].replace("{instance_id}", instance_id)
            yield _Followed(files[entry["file_path"]], entry["log_group_name"], stream)


def _whole_lines(one: _Followed) -> bytes:
    """New lines with an end; what is written just now has none."""
    try:
        with one.path.open("rb") as file:
            file.seek(one.offset)
            content = file.read()
    except FileNotFoundError:
        return b""
    return content[: content.rfind(b"\n") + 1]
