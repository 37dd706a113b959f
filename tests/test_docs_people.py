"""Each command that the docs have for a person is run by one in the tests, or has a reason."""

import re

from tests.e2e.people import ELSEWHERE, RUN, documented_commands


def test_each_command_for_people_is_run_by_one_or_has_a_reason() -> None:
    commands = documented_commands()
    assert len(commands) > 40
    open_ = {
        command
        for command in commands - set(RUN)
        if not any(re.fullmatch(pattern, command) for pattern in ELSEWHERE)
    }
    assert open_ == set()


def test_what_is_run_or_excused_is_still_in_the_docs() -> None:
    commands = documented_commands()
    assert set(RUN) - commands == set()
    stale = [one for one in ELSEWHERE if not any(re.fullmatch(one, each) for each in commands)]
    assert stale == []
