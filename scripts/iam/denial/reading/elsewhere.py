"""Refusals that no policy of IAM decides: what they are, by the words that AWS and others use."""

from __future__ import annotations

import re
from functools import lru_cache

from scripts.iam.denial.reading.tables import core_elsewhere
from scripts.iam.denial.reading.tables.whose import attributed

# The words, and what they mean, with the named groups of the words put in.
_CREDENTIALS = (
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    (
        r"No OpenIDConnect provider found in your account for (?P<issuer>https?://\S*[\w/])",
        "STS refused the token before any policy: the role's account has no OIDC provider for "
        "{issuer}. Make one (aws iam create-open-id-connect-provider), or name a role of the "
        "account that has it",
    ),
    (
        r"Incorrect token audience",
        "STS refused the token before any policy: the OIDC provider in IAM does not list the "
        "token's audience (aud) among its client IDs (aws iam "
        "add-client-id-to-open-id-connect-provider); AWS's action for GitHub asks for "
        "sts.amazonaws.com",
    ),
    (
        r"Couldn't retrieve verification key from your identity provider",
        "STS refused the token before any policy: it could not read the issuer's keys. The "
        "issuer's /.well-known/openid-configuration and the keys that it names have to be "
        "reachable from the internet",
    ),
    # https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html
    (
        r"GetRoleCredentials.{0,140}?(?:ForbiddenException|No access)"
        r"|\(ForbiddenException\) when calling the GetRoleCredentials",
        "IAM Identity Center refused, and no policy of IAM: whoever signed in is not assigned "
        "that permission set in that account. Compare the profile's sso_account_id and "
        "sso_role_name (the permission set's own name, in its own letters, without "
        "AWSReservedSSO_) with aws sso list-account-roles; an assignment is an administrator's of "
        "Identity Center to make (aws sso-admin create-account-assignment), and the role's or the "
        "caller's policies change nothing",
    ),
    (
        r"Error loading SSO Token|Token for \S+ does not exist|SSO session (?:associated with this "
        r"profile )?has expired|Session token not found or invalid",
        "the sign-in to IAM Identity Center has ended, and no policy was asked: aws sso login",
    ),
    # https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html
    (
        r"Service: SsoOidc, Status|operation error SSO OIDC: |when calling the (?:CreateToken|"
        r"StartDeviceAuthorization|RegisterClient) operation",
        "IAM Identity Center gave no token, and no policy of IAM decided: the sign-in was refused "
        "or not confirmed in the browser in time, the start URL or its region (sso_region) is "
        "wrong, or the client's registration or refresh token has expired. Sign in again (aws sso "
        "login), without the old files in ~/.aws/sso/cache",
    ),
    (
        r"Unable to locate credentials|NoCredentialsError|NoCredentialProviders"
        r"|Could not load credentials from any providers|no EC2 IMDS role found",
        "the SDK found no credentials, so AWS was asked nothing and no policy decided: give them "
        "by the environment, a profile, a role of the instance, task or pod, or sign in first "
        "(aws sts get-caller-identity shows whose they are)",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html
    (
        r"STS is not activated in (?:this|the requested) region|RegionDisabledException",
        "STS is switched off in that region for the account, and no policy was asked: an "
        "administrator switches it on (IAM console, Account settings) or, of a region that an "
        "account has to opt in to, enables the region first (aws account enable-region); or ask "
        "STS in another region (AWS_REGION, sts_regional_endpoints)",
    ),
    (
        r"RequestTimeTooSkewed|Signature expired: |Signature not yet current",
        "the clock of whoever signed is wrong by more than AWS takes (5 minutes, of S3 15), or the "
        "request was sent long after it was signed; no policy was asked. Set the machine's clock "
        "(NTP) and sign again",
    ),
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    (
        r"\bExpiredToken(?:Exception)?\b|(?:security|provided) token (?:included in the request )?"
        r"(?:is|has) expired|\bRequestExpired\b|\bTokenRefreshRequired\b|Token expired: current",
        "the temporary credentials, or the token that was to be exchanged for some, have expired, "
        "and no policy was asked: get new ones (aws sso login, assume the role again, run the job "
        "again) and look for old ones in the environment (AWS_SESSION_TOKEN) or in a profile. EC2 "
        "says RequestExpired also of a request whose time is wrong by 15 minutes",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
    (
        r"SignatureDoesNotMatch|InvalidSignatureException"
        r"|signature we calculated does not match the signature you provided",
        "AWS knows the access key, and the request's signature is not what the secret key gives; "
        "no policy was asked. The secret key is another's or has a blank or a line break too many, "
        "the request was changed after it was signed (a proxy, a header that was not signed, the "
        "path's encoding), or it was signed for another region or service",
    ),
    (
        r"IncompleteSignature|[Rr]equires 'Credential' parameter|Authorization header is malformed"
        r"|AuthorizationHeaderMalformed",
        "the Authorization header is not a whole signature, and no policy was asked: the key or "
        "region in it is empty or has a character that does not belong there, or something else "
        "wrote that header; of S3 it may be another region's bucket",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_common-errors.html
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html
    # https://docs.aws.amazon.com/cloud9/latest/user-guide/security-iam.html
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
    (
        r"InvalidClientTokenId|UnrecognizedClientException|InvalidAccessKeyId"
        r"|security token included in the request is invalid|not able to validate the provided "
        r"access credentials",
        "AWS does not take the credentials, and no policy was asked. It may be that the access key "
        "is mistyped, inactive or deleted, that temporary ones (ASIA...) came without their "
        "session token (AWS_SESSION_TOKEN) or with an old one, that they are another partition's "
        "(China, GovCloud), that the account has not enabled the region that was asked (a token of "
        "STS's global endpoint does not count there by default), or that they do not count for "
        "that call, whatever the user's policies say. The temporary credentials that AWS Cloud9 "
        "manages may of IAM's roles touch those alone that begin with Cloud9-, and of STS ask next "
        "to nothing: switch them off there (Preferences, AWS Settings, Credentials) and give the "
        "instance a profile. Those of GetSessionToken without MFA, and of GetFederationToken, may "
        "call nothing of IAM. Where aws sts get-caller-identity is refused, too, the credentials "
        "are not valid at all; where it answers, any of the rest may still be it",
    ),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-troubleshooting.html
    (
        r"[Mm]issing [Aa]uthentication [Tt]oken|MissingAuthenticationToken",
        "the request was not signed, or API Gateway has no such method; no policy was asked. Of an "
        "API: the path has to begin with its stage and the method has to be deployed under that "
        "path (a stage's own address alone has none unless / has a method), with the right HTTP "
        "method; one with IAM as its authorization wants a signed request (SigV4, execute-api)",
    ),
)
_ACCOUNT = (
    (
        r"accept terms and subscribe|not subscribed to this .{0,40}[Mm]arketplace",
        "the image or product is of AWS Marketplace, and no policy refused: the account has to "
        "accept its terms once, at the address that the message names, by somebody with "
        "aws-marketplace:Subscribe",
    ),
    (
        r"Premium Support Subscription is required",
        "the account's support plan has no such API, and no policy refused: AWS Support's and "
        "Trusted Advisor's APIs need a paid plan of the kind that AWS's page on support plans "
        "names for them",
    ),
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    (
        r"OptInRequired|SubscriptionRequiredException|NotSignedUp"
        r"|not (?:subscribed to this|signed up for the \w+) service"
        r"|needs a subscription for the service",
        "the account cannot use that service yet or no longer, and no policy was asked: its "
        "sign-up is not finished (payment, verification; a new account may need 24 hours), it is "
        "suspended, or the service is not to be had in that region or plan. The account's billing "
        "page or AWS Support tells which",
    ),
    (
        r"account (?:must be|is not yet|has not been) verified|PendingVerification"
        r"|(?:account|Account) is (?:currently )?(?:blocked|suspended)"
        r"|AWS account currently does not support",
        "AWS restricts the account, and no policy refused, though the code may be AccessDenied: it "
        "has to be verified or released by AWS Support (a case under Account and billing needs no "
        "plan)",
    ),
    (
        r"User not enabled for cost explorer access",
        "Cost Explorer is not enabled for the account, and no policy refused: open it once in the "
        "Billing console (of an organization in the management account, which also opens it to "
        "members); its data come within 24 hours. Its caller needs ce:... by its own policies",
    ),
    (
        r"(?:account|Account) \S+ is not (?:an? )?(?:delegated )?administrator for this organi[sz]"
        r"ation|not subscribed to AWS Security Hub"
        r"|caller is not (?:an? |the )?(?:organization |delegated )?(?:administrator|master)"
        r"|only from the organization's (?:management|master) account"
        r"|do not have (?:the )?required AWS Organization (?:master|management) permission",
        "the account's place in its organization refuses it, and no policy of IAM: such a call "
        "works from the management account or from the account that is the service's delegated "
        "administrator in that region alone, once the service is enabled there (Security Hub: aws "
        "securityhub enable-organization-admin-account, from the management account)",
    ),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html
    (
        r"don't have access to the model with the specified model ID"
        r"|[\w.-]+[.:][\w.:-]+ is not available for this account"
        r"|account does not have an agreement to this model",
        "AWS speaks of the account's access and names no policy: of Bedrock the account has no "
        "access to that model in the region that was asked. Compare region and model ID with the "
        "console's model catalog, and ask for access there (some providers want a form about the "
        "use first); a model that is reached by an inference profile alone wants the profile's ID",
    ),
    # Where it was reported the region was another one than the account's, or a model not enabled.
    (
        r"Your account is not authorized to (?:invoke this API operation|make this call)",
        "AWS speaks of the account and names no policy: the account may not make this call in the "
        "region that was asked. Compare the region; where the call names a model of Bedrock, ask "
        "for access to it there in the console's model catalog; what else keeps the account from "
        "it AWS Support can tell",
    ),
    # https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html
    (
        r"Email address is not verified|identities failed the check in region",
        "SES refused, and no policy: an address or domain in the message is not verified in the "
        "region that was asked. The sender has to be verified there, and while the account "
        "is in the sandbox each recipient too; ask for production access to send to anybody",
    ),
)
_OTHERS = (
    (
        r"is forbidden: User \"?system:anonymous\"? cannot",
        "Kubernetes refused, and no policy of IAM: the request reached the cluster without "
        "credentials that it takes (user system:anonymous). The client has to send a token of aws "
        "eks get-token (aws eks update-kubeconfig writes that), which has not expired",
    ),
    (
        r"is forbidden: User \"?system:serviceaccount:(?P<space>[^:\s\\\"]+):(?P<name>[^\s\\\"]+?)"
        r"\"? cannot (?P<what>\w+ (?:resource )?\"?[\w./-]+)",
        "Kubernetes refused, and no policy of IAM: the service account {name} of namespace {space} "
        "may not {what}. A Role or ClusterRole with that right has to be bound to it (kubectl "
        "create rolebinding, clusterrolebinding); its role of IAM changes nothing",
    ),
    # https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
    (
        r"is forbidden: User \"?(?P<who>[^\"\\]+?)\"? cannot "
        r"(?P<what>\w+ (?:resource )?\"?[\w./-]+)",
        "Kubernetes refused, and no policy of IAM: the cluster knows the caller, as {who}, and "
        "nothing there lets it {what}. Bind a Role or ClusterRole to that name or a group of it "
        "(RBAC), or of EKS associate an access policy with its access entry (aws eks "
        "associate-access-policy), for all namespaces or that one; kinds that are not built in "
        "(CRDs) need a rule of their own unless the policy is AmazonEKSClusterAdminPolicy",
    ),
    # https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html
    (
        r"Your worker nodes do not have access to the cluster|Instances failed to join the "
        r"kubernetes cluster",
        "the nodes did not get into the cluster: their role has to be mapped there (an access "
        "entry of type EC2_LINUX or EC2_WINDOWS, or mapRoles of the ConfigMap aws-auth with "
        "system:nodes, by the role's ARN without a path), needs AmazonEKSWorkerNodePolicy, and the "
        "subnets a way to the cluster's endpoint and to ECR, EC2, S3 and STS. The caller's "
        "policies change nothing",
    ),
    # https://docs.aws.amazon.com/eks/latest/userguide/grant-k8s-access.html
    (
        "You must be logged in to the server|server has asked for the client to provide credentials"
        r"|current (?:user or role|IAM principal) does(?:n't| not) have access to Kubernetes",
        "Kubernetes refused, and no policy of IAM: a cluster of EKS lets in the role or user (aws "
        "sts get-caller-identity) that an access entry (aws eks create-access-entry) or the "
        "ConfigMap aws-auth maps, beside who made it; what it may there Kubernetes' own roles say "
        "(RBAC). The credentials may also have expired",
    ),
    # https://docs.aws.amazon.com/lake-formation/latest/dg/lf-permissions-reference.html
    (
        r"Insufficient Lake Formation permission\(?s?\)?:? (?:Required (?P<right>[\w ]+?) )?on "
        r"(?P<what>[\w.*$-]+)",
        "Lake Formation refused, and no policy of IAM: on {what} whoever asked (the caller, or the "
        "role that it gave the service) has to be granted {right} there (aws "
        "lakeformation grant-permissions), by a data lake administrator or whoever may "
        "grant it; where IAMAllowedPrincipals has Super on it and new "
        "things get that by default, IAM alone decides. Of what is not there it may say the same. "
        "The message names no caller",
    ),
    # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/fgac.html
    (
        r"no permissions for \[(?P<right>[^\]]+)\] and User \[name=(?P<who>[^,\]]+)",
        "OpenSearch's own security refused (fine-grained access control), and no policy of IAM: "
        "{who} has no role there with {right}. Map it, of a caller of IAM its role's ARN as a "
        "backend role or its user's as a user, to a role with that right (Dashboards, Security, "
        "Roles, Mapped users; or _plugins/_security/api/rolesmapping), as the domain's master user",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    (
        "AccessControlListNotSupported",
        "the bucket takes no ACLs (Object Ownership: bucket owner enforced, as every bucket made "
        "since April 2023 is unless it was asked for otherwise): no policy of IAM changes that. "
        "Leave the ACL out of the request (bucket-owner-full-control alone is taken) and let a "
        "bucket policy say who gets in",
    ),
    # https://docs.aws.amazon.com/cognito/latest/developerguide/identity-pools.html
    (
        "Unauthenticated access is not supported for this identity pool",
        "Cognito refused, and no policy: the request carried no login, and the identity pool takes "
        "no guests. Send the token of the provider (Logins), whose key has to be the provider's "
        "name in the pool, or switch guest access on",
    ),
    (
        "Invalid login token|Token is not from a supported provider of this identity pool",
        "Cognito refused the token, and no policy: it has to be an ID token (not an access token) "
        "that has not expired, of a user pool and client that the identity pool lists, under the "
        "provider's name as its key in Logins (cognito-idp.REGION.amazonaws.com/POOL_ID)",
    ),
    # https://docs.aws.amazon.com/appsync/latest/devguide/security-authz.html
    (
        "Unable to parse JWT token|Valid authorization header not provided",
        "AppSync refused the request's authorization header, and no policy: what the request "
        "carries is not of the mode that it is taken for (an API key, a token of a user pool or of "
        "OIDC, a signature of IAM); send what one of the API's modes wants",
    ),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
    (
        r"User is not authorized to access this resource",
        "API Gateway's Lambda authorizer refused, and no policy of the caller's: the policy that "
        "the function gave back denies the method or does not allow it (execute-api:Invoke on its "
        "ARN). One that names the one method that was asked first is cached, and then refuses the "
        "others: let it name the API's stage with a star, or set the cache's time to 0",
    ),
    (
        r"x-amzn-errortype: ForbiddenException|\{['\"]message['\"]: ?['\"]Forbidden['\"]\}",
        "API Gateway answers Forbidden without a policy's word: the API key is not sent or is in "
        "no usage plan of that stage (x-api-key), a web ACL (AWS WAF) blocks it, the custom domain "
        "has no mapping for that path, a private API is asked by a wrong host, a token's scope is "
        "not enough, or a client certificate is lacking. Its access log tells which",
    ),
    # https://docs.aws.amazon.com/elasticbeanstalk/latest/dg/iam-instanceprofile.html
    (
        r"instance profile \S+ associated with the environment does not exist"
        r"|Environment must have (?:an )?instance profile associated with it",
        "Elastic Beanstalk found no such instance profile, and no policy refused: make one, with "
        "a role that ec2.amazonaws.com may assume and AWSElasticBeanstalkWebTier (new accounts "
        "have none by default), and name it in IamInstanceProfile",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
    (
        r"Service[- ][Ll]inked [Rr]ole does not exist",
        "the account has no service-linked role for that service yet, and no policy refused: make "
        "it once (aws iam create-service-linked-role --aws-service-name NAME.amazonaws.com), or "
        "try again, where the first try has just made it",
    ),
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/http-403-permission-denied.html
    (
        r"The request could not be satisfied.{0,200}?Request blocked"
        r"|Request blocked\. We can't connect to the server",
        "CloudFront itself blocked the request, and no policy: a web ACL (AWS WAF), a restriction "
        "by country, or a host name that is no alternate domain name of the distribution. WAF's "
        "log or sampled requests tell the rule",
    ),
    (
        r"Tunnel connection failed: 40[37]|ProxyConnectionError|407 Proxy Authentication",
        "a proxy on the way refused, so AWS was asked nothing and no policy decided: look at "
        "HTTPS_PROXY, NO_PROXY and what the proxy lets through",
    ),
    (
        r"ThrottlingException|RequestLimitExceeded|TooManyRequestsException|\(Throttling\)"
        r"|(?<!is)Throttling: |\bSlowDown\b|: Rate exceeded",
        "AWS counted too many requests in a short time, and no policy refused: wait and try again "
        "with growing pauses (the SDK's retry mode adaptive), or ask for a higher quota",
    ),
    # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html
    (
        r"User is not authorized to get auth details",
        "the user pool refuses this user, and no policy of IAM: one who comes from an external "
        "provider (SAML, OIDC, Facebook) has no password in the pool and signs in with that "
        "provider (hosted UI), and not by InitiateAuth or AdminInitiateAuth",
    ),
    # https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
    (
        r"Error fetching credentials: Service account token cannot be parsed",
        "the pod identity agent could not read the pod's token, and AWS was not asked: the header "
        "Authorization has to be what the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE holds, "
        "with no Bearer before it. AWS's own SDKs (of a version that knows EKS Pod Identity) do so",
    ),
    (
        r"Unable to determine service/operation name to be authorized",
        "AWS knows no call at the address that was asked, so no policy was: the host (a wrong "
        "service, region or endpoint; some calls have an endpoint of their own, which another call "
        "tells), the path or the method is not that of a call, or the SDK is older than it",
    ),
    # https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html
    (
        r"AWSOrganizationsNotInUseException|[Yy]our account is not a member of an organization",
        "the account is in no organization, and no policy refused: ask from an account of one (its "
        "management account or a delegated administrator), make one (aws organizations "
        "create-organization), or leave the call out",
    ),
)
_TABLE = (*core_elsewhere.TABLE, *_CREDENTIALS, *_ACCOUNT, *_OTHERS)
_UNTOLD = "a right that is not told, such as DESCRIBE or CREATE_TABLE,"
WORDS = tuple(re.sub(r"\(\?P<\w+>", "(?:", words) for words, _ in _TABLE)


@lru_cache(1)
def _rows() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), text) for pattern, text in _TABLE)


@lru_cache(64)
def meaning(words: str) -> str | None:
    """What refused, where no policy of IAM did; None if the words do not say so."""
    for pattern, text in _rows():
        if found := pattern.search(words):
            told = {name: value or _UNTOLD for name, value in found.groupdict().items()}
            told = {name: one.replace('"', "") for name, one in told.items()}
            return attributed(text.format(**told), words)
    return None
