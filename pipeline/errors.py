"""Exceptions that end a step, each with its exit code."""


class InputError(Exception):
    """Wrong usage, settings or data; the message says what to write instead. Exit code 2."""

    exit_code = 2


class StepFailed(Exception):
    """The step failed although its input was valid. Exit code 1."""

    exit_code = 1


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
