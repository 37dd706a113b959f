"""Tests, in the same rooms as what they test."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
"""The checkout that is tested."""


def parse_yaml(text: str) -> Any:
    """The content of a table of cases. PyYAML's C loader reads it ten times as fast."""
    return yaml.load(text, Loader=yaml.CSafeLoader)
