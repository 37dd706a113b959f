"""Where the engine's names may be imported from."""

import pytest


def test_the_engines_names_are_found_in_the_room_too() -> None:
    from scripts import iam
    from scripts.iam import engine

    assert all(getattr(iam, name) is getattr(engine, name) for name in engine.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = iam.nothing
