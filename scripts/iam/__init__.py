"""AWS's authorisation: the policy engine, what requests need, and analyses of accounts.

The engine's own names may be imported from here, too: `from scripts.iam import evaluate`.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Import the engine when one of its names is asked for, so that nobody loads it in vain."""
    from importlib import import_module

    engine = import_module(f"{__name__}.engine")
    if name not in engine.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(engine, name)
