"""Eventual consistency: what was just made counts for authorisation only some requests later.

IAM's changes reach its regions within seconds or minutes, and so do tags; a service that is given a
role or an instance profile too early refuses it with an error of its own. The mode is off unless
`Lags` are given, and counts requests, not time, so that a run takes no longer in it.
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.ec2.models import EC2Backend
from moto.iam.models import IAMBackend
from moto.kms.models import KmsBackend

Key = tuple[str, ...]
ABSENT = object()
"""What stood in the place of something new."""


@dataclass(frozen=True)
class Lags:
    """How many requests after a change it counts."""

    identities: int = 12
    tags: int = 2
    tags_of_keys: int = 60


@dataclass
class Consistency:
    """Remembers what was there before each change, as long as the change does not count yet."""

    lags: Lags | None = None
    _now: int = 0
    _pending: dict[Key, list[tuple[int, Any]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tick(self) -> None:
        """A request came in."""
        with self._lock:
            self._now += 1

    def changed(self, key: Key, before: Any, lag: int) -> None:
        """Something is changed now; until `lag` requests later, `before` counts."""
        with self._lock:
            self._pending.setdefault(key, []).append((self._now + lag, before))

    def view(self, key: Key, current: Any) -> Any:
        """What counts now; ABSENT if that is new and does not count yet."""
        if self.lags is None or key not in self._pending:
            return current
        with self._lock:
            waiting = [one for one in self._pending.get(key, ()) if one[0] > self._now]
            if not waiting:
                self._pending.pop(key, None)
                return current
            self._pending[key] = waiting
            return waiting[0][1]

    def settled(self, key: Key) -> bool:
        """Whether every change of something counts by now."""
        marker = object()
        return self.view(key, marker) is marker

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See moto's changes while the context lasts; does nothing without lags."""
        if self.lags is None:
            yield
            return
        lags = self.lags
        keys = {
            "create_key": _new_key(self, lags.tags_of_keys),
            "tag_resource": _key_tags(self, lags.tags_of_keys),
        }
        with (
            _patched(IAMBackend, _identity_changes(self, lags.identities)),
            _patched(EC2Backend, {"create_tags": _ec2_tags(self, lags.tags)}),
            _patched(KmsBackend, keys),
        ):
            yield


Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]
Note = Callable[[Any, Any, Mapping[str, Any]], None]


@contextmanager
def _patched(target: Any, wrappers: Mapping[str, Wrapper]) -> Iterator[None]:
    with ExitStack() as stack:
        for name, wrap in wrappers.items():
            stack.enter_context(patch.object(target, name, wrap(getattr(target, name))))
        yield


def _recording(note: Note, *, after: bool = False) -> Wrapper:
    """Call `note` with the backend, the result (None before the call) and the call's arguments."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(original)

        @wraps(original)
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = signature.bind(self, *args, **kwargs).arguments
            if not after:
                note(self, None, given)
            result = original(self, *args, **kwargs)
            if after:
                note(self, result, given)
            return result

        return called

    return wrap


def _identity_changes(consistency: Consistency, lag: int) -> dict[str, Wrapper]:
    def new_role(_: Any, role: Any, __: Mapping[str, Any]) -> None:
        consistency.changed(("role", role.id), ABSENT, lag)

    def new_profile(_: Any, profile: Any, __: Mapping[str, Any]) -> None:
        consistency.changed(("profile", profile.name), ABSENT, lag)

    def role_in_profile(_: Any, __: Any, given: Mapping[str, Any]) -> None:
        consistency.changed(("profile", given["profile_name"]), ABSENT, lag)

    def inline(iam: Any, _: Any, given: Mapping[str, Any]) -> None:
        role, name = iam.get_role(given["role_name"]), given["policy_name"]
        before = role.policies.get(name, ABSENT)
        consistency.changed(("inline", role.id, name), before, lag)

    def trust(iam: Any, _: Any, given: Mapping[str, Any]) -> None:
        role = iam.get_role(given["role_name"])
        consistency.changed(("trust", role.id), role.assume_role_policy_document, lag)

    def attached(iam: Any, _: Any, given: Mapping[str, Any]) -> None:
        role, arn = iam.get_role(given["role_name"]), given["policy_arn"]
        if arn not in role.managed_policies:
            consistency.changed(("attached", role.id, arn), ABSENT, lag)

    def version(iam: Any, _: Any, given: Mapping[str, Any]) -> None:
        policy = iam.managed_policies.get(given["policy_arn"])
        if policy is not None:
            consistency.changed(("version", policy.arn), policy.default_version_id, lag)

    return {
        "create_role": _recording(new_role, after=True),
        "create_instance_profile": _recording(new_profile, after=True),
        "add_role_to_instance_profile": _recording(role_in_profile),
        "put_role_policy": _recording(inline),
        "update_assume_role_policy": _recording(trust),
        "attach_role_policy": _recording(attached),
        "create_policy_version": _recording(version),
        "set_default_policy_version": _recording(version),
    }


def _ec2_tags(consistency: Consistency, lag: int) -> Wrapper:
    def note(ec2: Any, _: Any, given: Mapping[str, Any]) -> None:
        for name in given["resource_ids"]:
            consistency.changed(("ec2", name), dict(ec2.tags.get(name, {})), lag)

    return _recording(note)


def _new_key(consistency: Consistency, lag: int) -> Wrapper:
    def note(_: Any, key: Any, __: Mapping[str, Any]) -> None:
        consistency.changed(("kms", key.id), {}, lag)

    return _recording(note, after=True)


def _key_tags(consistency: Consistency, lag: int) -> Wrapper:
    def note(kms: Any, _: Any, given: Mapping[str, Any]) -> None:
        key = kms.get_key_id(given["arn"])
        consistency.changed(("kms", key), kms.tagger.get_tag_dict_for_resource(key), lag)

    return _recording(note)
