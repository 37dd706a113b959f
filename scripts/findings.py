"""What a check found: the word that `keyless doctor` has for each thing it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "notice", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `missing` stops the platform, a `notice` does not."""

    name: str
    status: Status
    detail: str
    fix: str = ""
