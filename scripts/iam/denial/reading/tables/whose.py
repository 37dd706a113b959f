"""Whether a text names the tool or service whose words it is told to have."""

from __future__ import annotations

import re

# Who is told to have refused, or to have been refused -> what names it in a text, beside its name.
_NAMES = {
    "API Gateway": "execute-api|apigw",
    "AWS Backup": "",
    "AWS Config": "configservice|config rule",
    "AWS IoT": "mqtt|greengrass",
    "AWS Organizations": "",
    "AWS WAF": r"waf(?:v2)?\b",
    "AppSync": "graphql",
    "Athena": "",
    "Bedrock": "Marketplace",
    "CDK": "",
    "CloudFormation": "AWS::|stack",
    "CloudFront": "",
    "CloudTrail": "trail",
    "CloudWatch Logs": r"log ?group|\blogs\b",
    "CodeBuild": "",
    "CodeDeploy": "",
    "CodePipeline": "",
    "Cognito": "identity pool|user pool",
    "DMS": "database migration|replication",
    "DataSync": "",
    "Docker": "",
    "EC2": "ami-|instance|snapshot|launch template|UnauthorizedOperation",
    "ECS": "task|execution resource",
    "EFS": "nfs|elasticfilesystem",
    "EKS": "kubernetes",
    "EMR": "elasticmapreduce",
    "Elastic Beanstalk": "",
    "Firehose": "",
    "Kafka": "topic|consumer|producer",
    "Kubernetes": r"kube|k8s|system:|API group|\bpods?\b|cluster",
    "Lake Formation": "",
    "Lambda": "",
    "MSK": "kafka",
    "MySQL": r"@'|rds\.",
    "OpenSearch Serverless": "aoss",
    "OpenSearch": "elasticsearch|aoss|indices:|cluster:",
    "RDS": "aurora|db instance|DBInstance",
    "Redshift": "",
    "S3": "bucket|object|amz",
    "SES": "email|mail",
    "SNS": "subscription|topic",
    "SSM": "Systems Manager|TargetNotConnected",
    "STS": "token|assume|OpenID",
    "SageMaker": "",
    "Service Catalog": "",
    "Step Functions": "sfn|state ?machine|states|managed-rule",
    "Terraform": "aws_",
    "Transcribe": "",
    "kiam": "",
    "rclone": "",
    "s3fs": "",
}  # fmt: skip
_IF = "if these words are"
_WHO = re.compile(rf"(?:the )?({'|'.join(sorted(_NAMES, key=len, reverse=True))})\b")


def attributed(told: str, words: str) -> str:
    """What is told, with its condition where the text does not name whom it begins with."""
    found = _WHO.match(told)
    if found is None or _is_named(found[1], words):
        return told
    return f"{_IF} {found[1]}'s: {told}"


def is_supposed(told: str) -> bool:
    """Whether what is told has that condition."""
    return told.startswith(_IF)


def _is_named(who: str, words: str) -> bool:
    name = r"[\s_.-]?".join(who.removeprefix("AWS ").split())
    also = f"|{_NAMES[who]}" if _NAMES[who] else ""
    return re.search(f"{name}{also}", words, re.IGNORECASE) is not None
