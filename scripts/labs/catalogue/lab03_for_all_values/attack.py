"""Leave the environment out: a condition over no values is true."""

from scripts.labs.attacking import assume, attack, read_models, token


@attack
def main() -> str:
    """Read the models from a branch that nobody approved."""
    return read_models(assume("lab-deploy", token("acme/pipeline", ref="refs/heads/mine")))


main()
