"""Has this instance replaced when MLflow stays dead: EC2's own checks do not see that.

    python watchdog.py /etc/keyless/server.json

Auto Scaling terminates an unhealthy instance and starts another. A server that waits for its
database is not dead: the launcher touches a file at each attempt, and as long as the file's time
moves, nothing is reported. Nor is anything before MLflow was healthy once or the grace period,
counted from the start of this instance, is over.

While MLflow answers, a line says so every few minutes: an alarm misses it when the installation,
MLflow, the log agent or the whole instance is dead.
"""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

# The metric filter of the observability module looks for this line.
HEALTHY = "MLflow is healthy"
HEARTBEAT_SECONDS = 240


def log(text: str) -> None:
    """Write a line to the journal."""
    print(f"watchdog: {text}", flush=True)


def main() -> int:
    """Look at MLflow until it has to be reported dead."""
    settings = json.loads(Path(sys.argv[1]).read_bytes())
    # The settings' port, or the launcher's when a test asked for a free one.
    free = json.loads(os.environ.get("KEYLESS_MLFLOW_PORTS", "{}"))
    port = free.get("read", settings["permission_sets"]["read"]["port"])
    limits = settings["watchdog"]
    grace_ends = time.monotonic() + limits["grace_seconds"]
    failures, seen_healthy, reported = 0, False, -float(HEARTBEAT_SECONDS)
    waited = None
    while True:
        if healthy(port):
            failures, seen_healthy = 0, True
            if time.monotonic() - reported >= HEARTBEAT_SECONDS:
                log(HEALTHY)
                reported = time.monotonic()
        elif (latest := last_attempt()) not in (None, waited):
            failures, waited = 0, latest
        elif seen_healthy or time.monotonic() > grace_ends:
            failures += 1
            log(f"MLflow is not healthy ({failures} of {limits['failures']})")
        if failures >= limits["failures"] and report(settings["region"]):
            return 0
        time.sleep(limits["interval_seconds"])


def healthy(port: int) -> bool:
    """Whether MLflow answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def last_attempt() -> int | None:
    """When the launcher last tried to reach what it waits for; None if it did not wait."""
    mark = Path(os.environ["RUNTIME_DIRECTORY"]).with_name("keyless-mlflow") / "waiting"
    try:
        return mark.stat().st_mtime_ns
    except OSError:
        return None


def report(region: str) -> bool:
    """Mark this instance unhealthy; False if Auto Scaling did not answer."""
    import boto3

    try:
        instance_id = identity()["instanceId"]
        boto3.client("autoscaling", region_name=region).set_instance_health(
            InstanceId=instance_id, HealthStatus="Unhealthy"
        )
    except Exception as reason:  # noqa: BLE001 - tried again at the next check
        log(f"could not report: {reason}")
        return False
    log(f"{instance_id} is reported unhealthy")
    return True


def identity() -> dict[str, str]:
    """Ask IMDSv2 which instance this is; the variable is the SDKs' own."""
    base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(path: str, method: str, headers: dict[str, str]) -> str:
        url = f"{base.rstrip('/')}/latest/{path}"
        request = urllib.request.Request(url, method=method, headers=headers)
        with opener.open(request, timeout=5) as answer:
            return str(answer.read(), "utf-8")

    token = call("api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    document = call(
        "dynamic/instance-identity/document", "GET", {"X-aws-ec2-metadata-token": token}
    )
    found: dict[str, str] = json.loads(document)
    return found


if __name__ == "__main__":
    sys.exit(main())
