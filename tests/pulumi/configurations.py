"""Arguments of bootstrap and platform that are worth comparing."""

from __future__ import annotations

from typing import Any

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
GITHUB = {
    "owner": "octo-org",
    "owner_id": "1001",
    "repository": "keyless-mlops",
    "repository_id": "2002",
}
SERVING = {
    "model": "breast-cancer",
    "certificate_arn": CERTIFICATE,
    "clients": {
        "cidrs": {"vpc": "10.40.0.0/16"},
        "security_group_ids": {"app": "sg-0123456789abcdef0"},
    },
}
_DEV: dict[str, Any] = {"environment": "dev", "github": GITHUB}

# dev and prod themselves come from the environments' files and stacks.
PLATFORM: dict[str, dict[str, Any]] = {
    "defaults": _DEV,
    "endpoints_and_model_servers": _DEV | {"egress": "endpoints", "model_server": SERVING},
    "key_of_its_own": _DEV | {"customer_managed_key": True, "model_server": SERVING},
    "nat_and_parked": _DEV
    | {
        "egress": "nat",
        "park": True,
        "working_hours": {"days": "MON,WED", "start": "08:05", "stop": "18:00"},
    },
    "nat_per_zone": _DEV | {"egress": "nat", "network": {"nat_gateway_per_zone": True}},
    "own_ranges": _DEV
    | {
        "network": {
            "availability_zones": ["us-east-1a", "us-east-1b", "us-east-1c"],
            "cidr_block": "10.50.0.0/20",
            "reserved_cidrs": ["10.0.0.0/16"],
        },
        "server": {"instance_type": "m7g.large", "port": 6000, "workers": 4},
    },
    "pinned_and_tagged": _DEV
    | {
        "image": {"id": "ami-0123456789abcdef0", "region": "us-east-1"},
        "job_workflow_refs": {
            "train": "octo-org/keyless-mlops/.github/workflows/step.yml@refs/heads/main"
        },
        "tags": {"Team": "ml"},
    },
    "proxied": _DEV | {"artifact_access": "proxied", "model_server": SERVING},
    "silent": _DEV
    | {
        "artifact_store": {"access_logs": {"enabled": False}},
        "network": {"flow_logs": {"enabled": False}},
        "observability": {"dashboard_enabled": False, "alert_emails": ["ml@example.com"]},
        "server": {"logs": {"enabled": False}},
    },
    "subjects_of_names": _DEV | {"github": GITHUB | {"subject_format": "names"}},
    "teardown": _DEV
    | {"teardown": True, "database": {"parameters": {"log_lock_waits": {"value": "1"}}}},
}
ELSEWHERE: dict[str, dict[str, Any]] = {
    "other_region": _DEV
    | {"image": {"id": "ami-0123456789abcdef0", "region": "eu-central-1"}, "egress": "endpoints"}
}
BOOTSTRAP: dict[str, dict[str, Any]] = {
    "dev_and_prod": {
        "environments": {
            "dev": {"allow_data_deletion": True, "model_servers": True, "pulumi": True},
            "prod": {},
        },
        "github": GITHUB,
        "state": {"expire_old_versions_days": 90},
    },
    "existing_provider": {
        # dev has all that makes its policies longer, which IAM limits.
        "environments": {
            "dev": {
                "allow_data_deletion": True,
                "kms_key_arn": KEY,
                "model_servers": True,
                "pulumi": True,
            },
            "test": {"customer_managed_key": False},
        },
        "github": GITHUB | {"subject_format": "names"},
        "github_provider": "existing",
        "state": {"kms_key_arn": KEY, "force_destroy": True},
    },
}
