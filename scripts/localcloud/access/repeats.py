"""A call that is sent again with its token changes nothing: the answer is the first one's.

Moto looks at no such token, so a launch that a client repeats would start a second instance.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import Answer, AwsError
from scripts.localcloud.access.policies import Backends

_TOKEN = "ClientToken"  # noqa: S105 - the parameter's name
_MOST = 10_000


class Repeats:
    """The calls to EC2 that had a token, and their answers."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], tuple[Mapping[str, Any], Answer]] = OrderedDict()

    def answered(self, reading: Reading, backends: Backends) -> Answer | None:
        """The answer that a call with this token had; raises AwsError if it was another call."""
        place = _place(reading)
        if place is None or place not in self._known:
            return None
        parameters, answer = self._known[place]
        if parameters != reading.parameters:
            raise AwsError(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request.",
            )
        if reading.operation == "RunInstances" and _ended(answer, backends, reading):
            raise AwsError(
                "IdempotentInstanceTerminated",
                "The request uses the client token of an instance that has been terminated.",
            )
        return answer

    def keep(self, reading: Reading, answer: Answer) -> None:
        """Keep what a call that succeeded answered."""
        place = _place(reading)
        if place is None or answer.status >= 400:
            return
        self._known[place] = (reading.parameters, answer)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)


def _place(reading: Reading) -> tuple[str, ...] | None:
    request, token = reading.request, reading.parameters.get(_TOKEN)
    if request.service != "ec2" or not token:
        return None
    return (request.region, reading.operation, str(token))


def _ended(answer: Answer, backends: Backends, reading: Reading) -> bool:
    """Whether an instance of an answer is no more."""
    body = answer.body.decode(errors="replace")
    return any(
        instance.state in {"shutting-down", "terminated"}
        for instance in _instances(backends("ec2", reading.request.region))
        if f"<instanceId>{instance.id}<" in body
    )


def _instances(ec2: Any) -> Iterator[Any]:
    for reservation in list(ec2.reservations.values()):
        yield from reservation.instances
