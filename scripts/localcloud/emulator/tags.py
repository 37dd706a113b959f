"""Tags end with what they are of, and go with it to its new name; moto keeps them by the old name.

Whoever deletes a thing and makes another one of its name would hand its tags on, and with them
what policies allow and deny by tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.cloudtrail.models import CloudTrailBackend
from moto.cloudwatch.models import CloudWatchBackend
from moto.iam.models import IAMBackend
from moto.logs.models import LogsBackend
from moto.s3.models import S3Backend
from moto.scheduler.models import EventBridgeSchedulerBackend
from moto.ssm.models import SimpleSystemManagerBackend
from moto.utilities.tagging_service import TaggingService

# The things of a call that ends some.
Ended = Callable[..., Iterable[Any]]


@contextmanager
def ended() -> Iterator[None]:
    """Let tags end while the context lasts."""
    with ExitStack() as stack:
        for owner, method, things in _ENDS:
            stack.enter_context(patch.object(owner, method, _ending(owner, method, things)))
        for owner, method, change in (
            (IAMBackend, "tag_role", _in_any_case(IAMBackend.tag_role, _of_role)),
            (IAMBackend, "tag_user", _in_any_case(IAMBackend.tag_user, _of_user)),
            (IAMBackend, "untag_role", _in_any_case(IAMBackend.untag_role, _of_role)),
            (IAMBackend, "untag_user", _in_any_case(IAMBackend.untag_user, _of_user)),
            (IAMBackend, "_tag_verification", _in_their_case(IAMBackend._tag_verification)),
            (IAMBackend, "untag_policy", _untagging(IAMBackend.get_policy)),
            (IAMBackend, "untag_open_id_connect_provider",
             _untagging(IAMBackend.get_open_id_connect_provider)),
            (IAMBackend, "update_user", _carrying(IAMBackend.update_user)),
            (TaggingService, "copy_tags", _replacing(TaggingService.copy_tags)),
            (SimpleSystemManagerBackend, "delete_parameter",
             _forgetting(SimpleSystemManagerBackend.delete_parameter)),
            (SimpleSystemManagerBackend, "delete_parameters",
             _forgetting(SimpleSystemManagerBackend.delete_parameters)),
        ):  # fmt: skip
            stack.enter_context(patch.object(owner, method, change))
        yield


def _arns(found: Iterable[Any]) -> list[str]:
    names = ("arn", "alarm_arn")
    return [next(getattr(one, n) for n in names if hasattr(one, n)) for one in found if one]


def _ending(owner: Any, method: str, things: Ended) -> Callable[..., Any]:
    original = getattr(owner, method)

    @wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        gone = _arns(things(self, *args, **kwargs))
        result = original(self, *args, **kwargs)
        # A bucket that is not empty stays, without an error.
        if not set(gone) & set(_arns(things(self, *args, **kwargs))):
            tagger = getattr(self, "tagger", None) or self.tagging_service
            for arn in gone:
                tagger.delete_all_tags_for_resource(arn)
        return result

    return call


_ENDS: tuple[tuple[Any, str, Ended], ...] = (
    (CloudTrailBackend, "delete_trail", lambda self, name: [self.trails.get(name)]),
    (CloudWatchBackend, "delete_alarms",
     lambda self, alarm_names: [self.alarms.get(name) for name in alarm_names]),
    (EventBridgeSchedulerBackend, "delete_schedule_group",
     lambda self, name: [self.schedule_groups.get(name or "default")]),
    (LogsBackend, "delete_log_group",
     lambda self, log_group_name: [self.groups.get(log_group_name)]),
    (S3Backend, "delete_bucket", lambda self, bucket_name: [self.buckets.get(bucket_name)]),
)  # fmt: skip


def _carrying(original: Callable[..., None]) -> Callable[..., None]:
    """A user keeps its tags under its new name or path."""

    @wraps(original)
    def update(self: Any, user_name: str, *args: Any, **kwargs: Any) -> None:
        user = self.users.get(user_name)
        before, tags = (
            (user.arn, self.tagger.get_tag_dict_for_resource(user.arn)) if user else ("", {})
        )
        original(self, user_name, *args, **kwargs)
        if user and user.arn != before:
            self.tagger.delete_all_tags_for_resource(before)
            self.tagger.tag_resource(user.arn, self.tagger.convert_dict_to_tags_input(tags))

    return update


def _of_role(iam: Any, name: str, keys: Iterable[str]) -> None:
    role = iam.get_role(name)
    role.tags = [tag for tag in role.tags if tag["Key"].lower() not in keys]


def _of_user(iam: Any, name: str, keys: Iterable[str]) -> None:
    arn = iam.get_user(name).arn
    here = [key for key in iam.tagger.get_tag_dict_for_resource(arn) if key.lower() in keys]
    iam.tagger.untag_resource_using_names(arn, here)


def _in_any_case(original: Callable[..., None], take: Callable[..., None]) -> Callable[..., None]:
    """Keys of tags of roles and users ignore case: the new tag replaces that of another case.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
    """

    @wraps(original)
    def change(self: Any, name: str, given: list[Any]) -> None:
        named = (one if isinstance(one, str) else one["Key"] for one in given)
        take(self, name, {key.lower() for key in named})
        original(self, name, given)

    return change


def _in_their_case(original: Callable[..., Any]) -> Callable[..., Any]:
    """Keys of tags of policies and providers are as they are spelt; moto takes two that differ in
    case for one, so that a tag is changed by another's name.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#case-sensitivity
    """

    @wraps(original)
    def verified(self: Any, tags: list[Any]) -> dict[str, Any]:
        return {tag["Key"]: tag for tag in original(self, tags).values()}

    return verified


def _untagging(find: Callable[..., Any]) -> Callable[..., None]:
    def untag(self: Any, arn: str, tag_keys: Iterable[str]) -> None:
        tags = find(self, arn).tags
        for key in tag_keys:
            tags.pop(key, None)

    return untag


def _replacing(original: Callable[..., None]) -> Callable[..., None]:
    """A copy has the tags of its source, not those of the object that it was written over."""

    @wraps(original)
    def copy(self: Any, from_arn: str, to_arn: str) -> None:
        if from_arn != to_arn:
            self.delete_all_tags_for_resource(to_arn)
        original(self, from_arn, to_arn)

    return copy


def _forgetting(original: Callable[..., Any]) -> Callable[..., Any]:
    """A parameter at the root has its tags under the name with a slash, if it was tagged by it."""

    @wraps(original)
    def delete(self: Any, given: Any) -> Any:
        result = original(self, given)
        tags = self._resource_tags["Parameter"]
        for name in [given] if isinstance(given, str) else given:
            plain = name.removeprefix("/")
            if not any(one in self._parameters for one in (plain, f"/{plain}")):
                tags.pop(plain, None)
                tags.pop(f"/{plain}", None)
        return result

    return delete
