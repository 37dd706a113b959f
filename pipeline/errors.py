"""The two ways in which a step ends badly, each with its exit code."""


class InputError(Exception):
    """Wrong usage, settings or data; the message says what to write instead. Exit code 2."""

    exit_code = 2


class StepFailed(Exception):
    """The step could not be done although its input was right. Exit code 1."""

    exit_code = 1
