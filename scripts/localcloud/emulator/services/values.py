"""What values of attributes look like, as AWS's pages state it; moto keeps whatever is said.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Check = Callable[[str], bool]
_LONGEST_NAME = 100
_WEEK = 604_800


def _words(*words: str) -> Check:
    return frozenset(words).__contains__


def _number(*spans: range) -> Check:
    return lambda text: (
        text.isascii() and text.isdecimal() and any(int(text) in span for span in spans)
    )


def parsed(text: str) -> Any:
    """What a text says in JSON; None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _document(text: str) -> bool:
    return not text or isinstance(parsed(text), dict)


# Of each field of a cron expression: its least and largest number, its words, and its own signs.
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_CRON: tuple[tuple[range, tuple[str, ...], str], ...] = (
    (range(60), (), r"\Z\A"),
    (range(24), (), r"\Z\A"),
    (range(1, 32), (), r"\?|L|LW|(3[01]|[12]\d|[1-9])W"),
    (range(1, 13), _MONTHS, r"\Z\A"),
    (range(1, 8), _DAYS, r"\?|L|([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(L|#[1-5])"),
    (range(1970, 2200), (), r"\Z\A"),
)


def is_time(expression: str) -> bool:
    """Whether a cron expression, or one for a single time, can come true.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    kind, _, inner = expression.removesuffix(")").partition("(")
    if kind == "at":
        try:
            return bool(datetime.strptime(inner, "%Y-%m-%dT%H:%M:%S"))
        except ValueError:
            return False
    if kind != "cron":
        return True
    fields = inner.split(" ")
    # "If you specify a value or a * in one of the fields, you must use a ? in the other."
    return (fields[2] == "?") != (fields[4] == "?") and all(
        all(_in_field(part, *known) for part in field.split(","))
        for field, known in zip(fields, _CRON, strict=True)
    )


def _in_field(part: str, numbers: range, words: tuple[str, ...], signs: str) -> bool:
    if re.fullmatch(signs, part):
        return True
    times, _, step = part.partition("/")
    if "/" in part and not (step.isdecimal() and int(step) > 0):
        return False
    ends = [_number_of(end, numbers, words) for end in times.split("-")]
    return times == "*" or (len(ends) <= 2 and None not in ends)


def _number_of(text: str, numbers: range, words: tuple[str, ...]) -> int | None:
    if text in words:
        return words.index(text)
    return int(text) if text.isascii() and text.isdecimal() and int(text) in numbers else None


_TRUE = _words("true", "false")
OF_BALANCER: Mapping[str, Check] = {
    "client_keep_alive.seconds": _number(range(60, _WEEK + 1)),
    "dns_record.client_routing_policy": _words(
        "any_availability_zone", "availability_zone_affinity", "partial_availability_zone_affinity"
    ),
    "idle_timeout.timeout_seconds": _number(range(1, 4001)),
    "routing.http.desync_mitigation_mode": _words("monitor", "defensive", "strictest"),
    "routing.http.xff_header_processing.mode": _words("append", "preserve", "remove"),
    "secondary_ips.auto_assigned.per_subnet": _number(range(8)),
}
OF_TARGETS: Mapping[str, Check] = {
    "deregistration_delay.timeout_seconds": _number(range(3601)),
    "load_balancing.algorithm.anomaly_mitigation": _words("on", "off"),
    "load_balancing.algorithm.type": _words(
        "least_outstanding_requests", "round_robin", "weighted_random"
    ),
    "load_balancing.cross_zone.enabled": _words("true", "false", "use_load_balancer_configuration"),
    "slow_start.duration_seconds": _number(range(1), range(30, 901)),
    "stickiness.app_cookie.duration_seconds": _number(range(1, _WEEK + 1)),
    "stickiness.lb_cookie.duration_seconds": _number(range(1, _WEEK + 1)),
    "stickiness.type": _words(
        "app_cookie", "lb_cookie", "source_ip", "source_ip_dest_ip", "source_ip_dest_ip_proto"
    ),
    "target_failover.on_deregistration": _words("rebalance", "no_rebalance"),
    "target_failover.on_unhealthy": _words("rebalance", "no_rebalance"),
    "target_health_state.unhealthy.draining_interval_seconds": _number(range(360_001)),
}
OF_LISTENER: Mapping[str, Check] = {"tcp.idle_timeout.seconds": _number(range(60, 6001))}
OF_TOPIC: Mapping[str, Check] = {
    "ContentBasedDeduplication": _TRUE,
    "DeliveryPolicy": _document,
    "DisplayName": lambda text: len(text) <= _LONGEST_NAME,
    "FifoThroughputScope": _words("MessageGroup", "Topic"),
    "FifoTopic": _TRUE,
    "Policy": bool,
    "SignatureVersion": _words("1", "2"),
    "TracingConfig": _words("Active", "PassThrough"),
}
# Attributes that a topic has only if its messages are in order.
OF_FIFO = frozenset({"ArchivePolicy", "ContentBasedDeduplication", "FifoThroughputScope"})
_RATE = _number(range(101))
OF_SUBSCRIPTION: Mapping[str, Check] = {
    "DeliveryPolicy": _document,
    "FilterPolicy": _document,
    "FilterPolicyScope": _words("MessageAttributes", "MessageBody"),
    "RawMessageDelivery": lambda text: _TRUE(text.lower()),
    "RedrivePolicy": _document,
}


def of_balancing(known: Mapping[str, Check], name: str, value: str) -> bool:
    """Whether an attribute of load balancing may have this value."""
    check = known.get(name, _TRUE if name.endswith("enabled") else None)
    return check is None or check(value)


def of_topic(name: str, value: str) -> bool:
    """Whether an attribute of a topic may have this value."""
    check = OF_TOPIC.get(name, _RATE if name.endswith("SampleRate") else None)
    return check is None or check(value)
