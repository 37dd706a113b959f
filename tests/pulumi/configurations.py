"""Arguments of the artifact store that are worth comparing, and some that are refused."""

from __future__ import annotations

from typing import Any

NAME = {"name": "keyless-dev"}
KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
APPLY = "arn:aws:iam::123456789012:role/keyless-dev-apply"
BREAK_GLASS = "arn:aws:iam::123456789012:role/ops/break-glass"

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "defaults": NAME,
    "disposable": NAME | {"force_destroy": True},
    "every_rule_off": NAME
    | {
        "lifecycle_rules": {
            "abort_uploads_after_days": 0,
            "expire_old_versions_days": 0,
            "infrequent_access_days": 0,
        }
    },
    "everything": NAME
    | {
        "access_logs": {"enabled": True, "retention_days": 30},
        "force_destroy": True,
        "kms_key_arn": KEY,
        "lifecycle_rules": {
            "abort_uploads_after_days": 1,
            "expire_old_versions_days": 90,
            "infrequent_access_days": 30,
            "kept_old_versions_per_file": 5,
        },
        "tags": {"Team": "ml", "CostCenter": "42"},
        "version_deleter_arns": [APPLY, BREAK_GLASS],
    },
    "key_of_ones_own": NAME | {"kms_key_arn": KEY},
    "logs_kept_for_a_year": NAME | {"access_logs": {"retention_days": 365}},
    "no_logs": NAME | {"access_logs": {"enabled": False}},
    "one_version_deleter": NAME | {"version_deleter_arns": [APPLY]},
    "only_old_versions_expire": NAME
    | {"lifecycle_rules": {"abort_uploads_after_days": 0, "infrequent_access_days": 0}},
    "some_old_versions_stay": NAME | {"lifecycle_rules": {"kept_old_versions_per_file": 3}},
    "tagged": NAME | {"tags": {"Team": "ml"}},
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "alias": (NAME | {"kms_key_arn": "alias/aws/s3"}, "kms_key_arn must be the ARN of a key"),
    "capitals": ({"name": "Keyless_Dev"}, "name must be lower-case letters"),
    "fraction": (
        NAME | {"lifecycle_rules": {"abort_uploads_after_days": 1.5}},
        "lifecycle_rules takes whole days",
    ),
    "newline": ({"name": "keyless-dev\n"}, "name must be lower-case letters"),
    "no_days": (
        NAME | {"access_logs": {"retention_days": 0}},
        "access_logs.retention_days must be a whole number of days",
    ),
    "no_versions": (
        NAME | {"lifecycle_rules": {"kept_old_versions_per_file": 0}},
        "lifecycle_rules.kept_old_versions_per_file must be 1 to 100",
    ),
    "too_long": ({"name": "a-very-long-prefix-for-a-bucket"}, "name must be 3 to 23 characters"),
    "too_soon": (
        NAME | {"lifecycle_rules": {"infrequent_access_days": 7}},
        "lifecycle_rules.infrequent_access_days must be at least 30",
    ),
    "wildcard": (
        NAME | {"version_deleter_arns": ["*"]},
        "version_deleter_arns must be role ARNs",
    ),
}
