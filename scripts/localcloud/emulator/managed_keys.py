"""Keys that AWS manages, as moto does not have them: their own policy, and AWS as their manager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from moto.ec2.models.elastic_block_store import EBSBackend
from moto.kms import models, responses
from moto.kms.models import KmsBackend
from moto.rds.models import DBInstance

from scripts.iam.account.managed_keys import ALIAS, KEYS


@contextmanager
def applied() -> Iterator[None]:
    """Change moto while the context lasts."""
    with ExitStack() as stack:
        aliases = [f"{ALIAS}{name}" for name in KEYS]
        stack.enter_context(patch.object(models, "RESERVED_ALIASES", aliases))
        stack.enter_context(patch.object(responses, "RESERVED_ALIASES", aliases))
        # Moto lists keys of its own invention for the aliases that are not in use yet.
        stack.enter_context(patch.object(responses, "RESERVED_ALIASE_TARGET_KEY_IDS", {}))
        stack.enter_context(patch.object(KmsBackend, "_generate_default_keys", _make))
        stack.enter_context(patch.object(DBInstance, "__init__", _encrypted_by_default()))
        ebs = "_create_default_encryption_key"
        stack.enter_context(patch.object(EBSBackend, ebs, _default_for_volumes))
        yield


def _make(self: Any, alias_name: str) -> str:
    """Make a key at its first use, as its service does."""
    managed = KEYS[alias_name.removeprefix(ALIAS)]
    policy = json.dumps(managed.policy(self.account_id, self.region_name))
    text = f"Default key that protects my {managed.title} data when no other key is defined"
    key = self.create_key(policy, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", text, None)
    key.key_manager = "AWS"
    key.key_rotation_status = True
    self.create_alias(key.id, alias_name)
    return str(key.id)


def _default_for_volumes(self: Any) -> str:
    """Moto makes the account's default key for volumes as a customer's."""
    keys = models.kms_backends[self.account_id][self.region_name]
    self.default_kms_key_id = keys.describe_key(f"{ALIAS}ebs").arn
    return str(self.default_kms_key_id)


def _encrypted_by_default() -> Any:
    """Moto names no key for storage that is encrypted without one; RDS takes aws/rds."""
    original = DBInstance.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.storage_encrypted and self.kms_key_id in (None, "default_kms_key_id"):
            keys = models.kms_backends[self.account_id][self.region]
            self.kms_key_id = keys.describe_key(f"{ALIAS}rds").arn

    return init
