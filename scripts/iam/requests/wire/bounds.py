"""What AWS's model states of one value: its words, its least and largest, its length.

Patterns are left out: the models' are known to be narrower than what services take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.iam.requests.model import Malformed

if TYPE_CHECKING:
    from botocore.model import Shape

_NUMBERS = frozenset({"integer", "long", "float", "double"})
_SIZED = frozenset({"string", "blob", "list", "map"})
# Where S3 has a code for an unknown word.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_S3_CODES = {
    "LocationConstraint": "InvalidLocationConstraint",
    "x-amz-storage-class": "InvalidStorageClass",
}


def within(shape: Shape, value: Any, where: str) -> None:
    """Malformed, in AWS's words, for a value that the model rules out.

    A policy that names one of AWS's words, or a bound, would not see such a value, and what serves
    the request could take it for another one.
    """
    stated = shape.metadata
    if not stated:
        return
    if (words := stated.get("enum")) and value not in words:
        constraint = f"Member must satisfy enum value set: [{', '.join(words)}]"
        raise _unsatisfied(where, constraint, _S3_CODES.get(where))
    if shape.type_name in _NUMBERS:
        what, size = "value", value
    elif shape.type_name in _SIZED:
        what, size = "length", len(value)
    else:
        return
    if size < stated.get("min", size):
        raise _unsatisfied(
            where, f"Member must have {what} greater than or equal to {stated['min']}"
        )
    if size > stated.get("max", size):
        raise _unsatisfied(where, f"Member must have {what} less than or equal to {stated['max']}")


def _unsatisfied(where: str, constraint: str, code: str | None = None) -> Malformed:
    # Without the value, which may be a secret.
    return Malformed(
        f"1 validation error detected: Value at '{where}' failed to satisfy constraint: "
        f"{constraint}",
        code,
    )
