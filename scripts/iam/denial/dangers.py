"""Why allowing an action could be dangerous: what the escalation search models, by action."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from scripts.iam.reference import only_star

# Action pattern in lower case -> what whoever has it can do.
DANGERS: dict[str, str] = {
    "iam:passrole": "hands the role to a service, which acts with it (limit iam:PassedToService)",
    "iam:updateassumerolepolicy": "decides who may assume the role: a trust edit",
    "iam:put*policy": "writes any right into an identity",
    "iam:attach*policy": "attaches any policy, AdministratorAccess among them",
    "iam:createpolicyversion": "rewrites a policy for everyone who has it",
    "iam:setdefaultpolicyversion": "brings an older version of a policy back",
    "iam:createservicelinkedrole": "makes a service's own role (limit iam:AWSServiceName)",
    "iam:createrole": "makes a role (limit it by iam:PermissionsBoundary)",
    "iam:createuser": "makes a user (limit it by iam:PermissionsBoundary)",
    "iam:createaccesskey": "makes a key that acts as the user until it is deleted",
    "iam:createservicespecificcredential": "makes a credential that acts as the user",
    "iam:createloginprofile": "sets the user's password",
    "iam:updateloginprofile": "sets the user's password",
    "iam:create*provider": "trusts an issuer of identities",
    "iam:update*provider*": "changes how an issuer of identities is known",
    "iam:updaterole": "changes how long a session of the role may last",
    "iam:updateuser": "gives the user another name, on which policies may rest",
    "iam:updategroup": "gives the group another name, on which policies may rest",
    "iam:updateaccesskey": "switches a key of the user on or off",
    "iam:addusertogroup": "gives a user the group's rights",
    "iam:addroletoinstanceprofile": "gives an instance another role",
    "iam:delete*permissionsboundary": "takes the limit off an identity",
    "iam:put*permissionsboundary": "replaces the limit of an identity",
    "sts:assumerole*": "lets the caller act as another role",
    "secretsmanager:getsecretvalue": "reads a secret",
    "secretsmanager:putresourcepolicy": "decides who reads the secret",
    "s3:putbucketpolicy": "decides who reads the bucket",
    "s3:deletebucketpolicy": "takes the bucket's denials away",
    "s3:deleteobject*": "destroys data",
    "kms:putkeypolicy": "decides who uses the key",
    "kms:creategrant": "lets others use the key (for AWS's services alone: require "
    "kms:GrantIsForAWSResource)",
    "kms:schedulekeydeletion": "destroys everything encrypted with the key",
    "ssm:startsession": "opens a session; without ssm:SessionDocumentAccessCheck, a shell",
    "ssm:sendcommand": "runs commands with the instance's role",
    "ssm:startautomationexecution": "runs automations, with a role if one is passed",
    "ssm:createdocument": "decides what a session or command does",
    "ssm:updatedocument*": "changes what a session or command does",
    "ssm:deletedocument": "takes a session's limits away",
    "ssm:modifydocumentpermission": "shares a document with other accounts",
    "ssm:putparameter": "writes a parameter, which others take for true",
    "lambda:updatefunction*": "runs code with the function's role",
    "lambda:createfunction": "runs code, with a role if one is passed",
    "scheduler:createschedule": "calls AWS later, with the role that is passed",
    "scheduler:updateschedule": "calls AWS later, with the role that is passed",
    "events:puttargets": "starts things on events, with the role that is passed",
    "cloudformation:createstack": "makes anything, with the role that is passed",
    "cloudformation:updatestack": "makes anything, with the stack's role",
    "ecs:registertaskdefinition": "decides what tasks run, and with which role",
    "ecs:runtask": "runs tasks with their role",
    "codebuild:createproject": "runs code, with the role that is passed",
    "codebuild:updateproject": "runs code with the project's role",
    "states:createstatemachine": "calls AWS, with the role that is passed",
    "states:updatestatemachine": "calls AWS with the machine's role",
    "ec2:startinstances": "starts machines, which run their user data where it says so",
    "ec2:associateiaminstanceprofile": "gives an instance another role",
    "ec2:replaceiaminstanceprofileassociation": "gives an instance another role",
    "ec2:authorizesecuritygroupingress": "lets traffic in from where the rule says",
    "ec2:runinstances": "starts machines, with a role if one is passed",
    "ec2:modifyinstanceattribute": "changes user data, which runs as root",
    "ec2:createlaunchtemplateversion": "decides what new instances run",
    "ec2:createtags": "changes tags, on which other policies rest",
    "rds-db:connect": "logs in to the database",
    "rds:modifydbinstance": "can reset the master password or make the database public",
}


# What a danger advises to limit the Allow by: a condition key.
_ADVICE = re.compile(r" \((?:for AWS's services alone: require|limit(?: it by)?) (\S+)\)$")


def dangers(action: str, resources: Iterable[str], conditions: Collection[str] = ()) -> list[str]:
    """Why allowing the action on these resources deserves a second look; [] if nothing is known.

    `conditions`: the keys of the conditions that the Allow would carry.
    """
    carried = {key.lower() for key in conditions}
    found = []
    lower = action.lower()
    if "*" in action or "?" in action:
        found.append(f"{action} is a wildcard: it grants more than the one request")
    for pattern, why in DANGERS.items():
        if fnmatchcase(lower, pattern):
            advice = _ADVICE.search(why)
            if advice and advice[1].lower() in carried:
                why = why[: advice.start()]
            found.append(f"{action} {why}")
            break
    for resource in resources:
        if resource == "*" and not conditions and not only_star(action):
            found.append("the resource is * and no condition limits it")
        elif resource.count(":") == 5 and resource.endswith(":*"):
            found.append(f"{resource} is everything of the service: AWS names it so of a call on "
                         "no one thing, or where what was asked for has no valid name")  # fmt: skip
        elif ".tfstate" in resource:
            found.append("the resource is a Terraform state")
        elif ":parameter/" in resource and "/champion/" in resource and "put" in lower:
            found.append("the resource is a champion of record: predictions follow it")
    return found
