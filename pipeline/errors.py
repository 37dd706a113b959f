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


def of_local_cloud(error: Exception) -> str | None:
    """What the local cloud itself says that it does not do; None for an answer as AWS gives it."""
    answer = getattr(error, "response", {}).get("Error", {})
    own = str(answer.get("Code", "")).startswith("LocalCloud")
    return str(answer.get("Message", "")) if own else None


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed soon: AWS was not reached, is busy or has a fault."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or "Throttl" in error.response["Error"]["Code"]
    passing = (
        exceptions.ConnectionError,
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
    )
    return isinstance(error, passing)
