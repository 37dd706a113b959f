"""Fixes that students try: wrong ones that a check must refuse, right ones that it must accept.

Each is a few edits of a lab's vulnerable variant, or of one of its fixes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from scripts.labs.lab import find


@dataclass(frozen=True)
class Attempt:
    """Edits of files by name: each text, found once, becomes another. None removes the file.

    `says` is in what the check answers to a wrong one.
    """

    lab: int
    name: str
    base: str = "setup"
    edits: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    right: bool = False
    says: str = ""

    def write(self, folder: Path) -> None:
        """Make the edits in a folder that has the base's files."""
        for name, pairs in self.edits.items():
            text = (folder / name).read_text()
            for old, new in pairs:
                assert text.count(old) == 1, (
                    f"{self.name}: {old!r} is {text.count(old)} times there"
                )
                text = text.replace(old, new)
            (folder / name).write_text(text)


def without(lab: int, base: str, resource: str, file: str = "main.tf") -> tuple[str, str]:
    """The edit that removes a block, from its first line to the brace that ends it."""
    found = find(str(lab))
    source = found.setup if base == "setup" else found.fixes[base]
    text = (source / file).read_text()
    (block,) = re.findall(rf"^{re.escape(resource)} \{{\n(?:.*\n)*?\}}\n", text, re.MULTILINE)
    return block, ""


_FILTER = """    if "169.254" in url or "latest" in url:
        raise ValueError("HTTP Error 401: not allowed")
    here = os"""
_LIMIT = """    if len(parser.parse_args().names) > 5:
        raise SystemExit("no more than five at once")
    rows = """
_ONLY_DELETE = """        if "/api/2.0/mlflow/experiments/delete" in environ["PATH_INFO"]:"""
_SAFE = '''class Safe(pickle.Unpickler):
    """Finds what a polynomial is made of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every other name."""
        if (module.partition(".")[0], name) in {
            ("numpy", "poly1d"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy", "_reconstruct"),
            ("numpy", "scalar"),
        }:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a model")


def predict('''
_BUCKET_POLICY = """
resource "aws_s3_bucket_policy" "data" {
  bucket = aws_s3_bucket.data.id
  policy = data.aws_iam_policy_document.bucket.json
}

data "aws_iam_policy_document" "bucket" {
  statement {
    effect    = "Deny"
    actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    resources = ["${aws_s3_bucket.data.arn}/artifacts/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }

  statement {
    effect    = "Deny"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/artifacts/champion/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "ArnNotEquals"
      variable = "aws:PrincipalArn"
      values   = [aws_iam_role.job["promote"].arn]
    }
  }
}

output "bucket" """
_DENY_OTHERS = """
  statement {
    effect        = "Deny"
    actions       = ["s3:*"]
    not_resources = ["${aws_s3_bucket.data.arn}/dev/*"]
  }

  statement {
    effect        = "Deny"
    actions       = ["ssm:*"]
    not_resources = ["arn:aws:ssm:*:${local.account}:parameter/lab/dev/*"]
  }
}

output "bucket" """
_NO_TAG = """
    condition {
      test     = "ForAllValues:StringNotEquals"
      variable = "aws:TagKeys"
      values   = ["Environment"]
    }
  }
}

output "bucket" """
_DEV_STATE = (
    '["s3:GetObject", "s3:PutObject"]\n    resources = ["${aws_s3_bucket.data.arn}/*"]',
    '["s3:GetObject", "s3:PutObject"]\n    resources = ["${aws_s3_bucket.data.arn}/dev/*"]',
)
_EVERY_OBJECT = """
  statement {
    effect = "Deny"
    actions = [
      "s3:GetObject*", "s3:PutObject*", "s3:DeleteObject*", "s3:RestoreObject",
      "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:BypassGovernanceRetention",
    ]
    resources = ["${aws_s3_bucket.data.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_iam_openid_connect_provider" """

_EVERYBODY = """
resource "aws_s3_bucket_public_access_block" "data" {
  bucket                  = aws_s3_bucket.data.id
  block_public_policy     = false
  restrict_public_buckets = false
}

resource "aws_s3_bucket_policy" "data" {
  bucket     = aws_s3_bucket.data.id
  depends_on = [aws_s3_bucket_public_access_block.data]

  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect    = "Allow"
    Principal = "*"
    Action    = ["s3:GetObject"]
    Resource  = "${aws_s3_bucket.data.arn}/*"
  }] })
}

output "bucket" """
_CANDIDATES_ALONE = (
    '["s3:GetObject", "s3:PutObject"]\n    resources = ["${aws_s3_bucket.models.arn}/*"]',
    '["s3:GetObject"]\n    resources = ["${aws_s3_bucket.models.arn}/*"]\n  }\n\n'
    '  statement {\n    actions   = ["s3:PutObject"]\n'
    '    resources = ["${aws_s3_bucket.models.arn}/candidate/*"]',
)
_BAD_NAMES = '''class Safe(pickle.Unpickler):
    """Finds everything but what is known to be bad."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse what is known to be bad."""
        bad = {"eval", "exec", "compile", "open", "__import__"}
        if module in {"os", "posix", "subprocess", "sys"} or name in bad:
            raise pickle.UnpicklingError(f"{module}.{name} is bad")
        return super().find_class(module, name)


def predict('''
_WITH_LIMIT = """["iam:PutRolePolicy", "sts:AssumeRole"]
    resources = ["arn:aws:iam::${local.account}:role/lab-experiment-*"]
  }

  statement {
    actions   = ["iam:CreateRole"]
    resources = ["arn:aws:iam::${local.account}:role/lab-experiment-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [aws_iam_policy.limit.arn]
    }"""
_LIMIT_OF_NOTHING = """resource "aws_iam_policy" "limit" {
  name = "limit"

  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect   = "Allow"
    Action   = "*"
    Resource = "*"
  }] })
}

# Another team"""
_SHELL = """  dynamic "statement" {
    for_each = each.key == "reader" ? [1] : []

    content {
      actions   = ["ssm:StartSession"]
      resources = ["arn:aws:ec2:*:*:instance/*"]
    }
  }

  statement {
    actions   = ["ssmmessages:OpenDataChannel"]"""

ATTEMPTS = [
    # 1
    Attempt(
        1,
        "any repository of the organisation",
        base="role_by_subject",
        edits={
            "main.tf": (
                (
                    '"StringEquals"\n      variable = "${local.github}:sub"',
                    '"StringLike"\n      variable = "${local.github}:sub"',
                ),
                ("acme@1001/pipeline@2002:ref", "acme@1001/*:ref"),
            )
        },
        says="names that only look right: works",
    ),
    Attempt(
        1,
        "a role that may do everything",
        base="role_by_subject",
        edits={
            "main.tf": (
                ('["s3:GetObject", "s3:PutObject"]', '["s3:*", "iam:*"]'),
                ('["${aws_s3_bucket.data.arn}/exports/*"]', '["*"]'),
            )
        },
        says="attack: the role beyond exports/: works",
    ),
    # 2
    Attempt(
        2,
        "a star behind the name",
        edits={"main.tf": (("repo:acme*", "repo:acme@1001/pipeline*:ref:refs/heads/main"),)},
        says="attack: a job takes a role that is not its own: works",
    ),
    Attempt(
        2,
        "another role in the output, and the old one left",
        edits={
            "main.tf": (
                ("value = aws_iam_role.deploy.name", "value = aws_iam_role.safe.name"),
                (
                    'output "bucket" ',
                    'resource "aws_iam_role" "safe" {\n  name = "lab-safe"\n'
                    "  assume_role_policy = data.aws_iam_policy_document.trust.json\n}\n\n"
                    'output "bucket" ',
                ),
            )
        },
        says="The output 'role' is lab-safe",
    ),
    Attempt(
        2,
        "the right subject, and a bucket for everybody",
        base="exact_subject",
        edits={"main.tf": (('\noutput "bucket" ', _EVERYBODY),)},
        says="attack: anybody without credentials lists or reads the bucket: works",
    ),
    Attempt(
        2,
        "claims in place of the subject",
        edits={
            "main.tf": (
                (
                    'values   = ["repo:acme*"]\n    }\n',
                    'values   = ["repo:acme@1001/*"]\n    }\n\n    condition {\n'
                    '      test     = "StringEquals"\n'
                    '      variable = "${local.github}:repository_id"\n'
                    '      values   = ["2002"]\n    }\n\n    condition {\n'
                    '      test     = "StringEquals"\n      variable = "${local.github}:ref"\n'
                    '      values   = ["refs/heads/main"]\n    }\n',
                ),
            )
        },
        right=True,
    ),
    # 3
    Attempt(
        3,
        "IfExists",
        edits={"main.tf": (("ForAllValues:StringEquals", "StringEqualsIfExists"),)},
        says="attack: a job on main without an environment: works",
    ),
    Attempt(
        3,
        "whatever ends with prod",
        base="subject_alone",
        edits={
            "main.tf": (
                (
                    '"StringEquals"\n      variable = "${local.github}:sub"',
                    '"StringLike"\n      variable = "${local.github}:sub"',
                ),
                ("pipeline@2002:environment:prod", "pipeline@2002:*prod"),
            )
        },
        says="attack: a job takes a role that is not its own: works",
    ),
    Attempt(
        3,
        "ForAnyValue",
        edits={"main.tf": (("ForAllValues:StringEquals", "ForAnyValue:StringEquals"),)},
        right=True,
    ),
    # 4
    Attempt(
        4,
        "the secret's right alone",
        edits={
            "main.tf": (
                (
                    '["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]',
                    '["secretsmanager:DescribeSecret"]',
                ),
            )
        },
        says="attack: a fork's pull request reads the state: works",
    ),
    Attempt(
        4,
        "the secret deleted",
        base="pull_request",
        edits={
            "main.tf": (
                without(4, "pull_request", 'resource "aws_secretsmanager_secret" "database"'),
                ("aws_secretsmanager_secret.database.arn", '"*"'),
            )
        },
        says="cannot put in place",
    ),
    Attempt(
        4,
        "a job for branches of the repository alone",
        edits={
            ".github/workflows/plan.yml": (
                (
                    "    runs-on: ubuntu-latest\n",
                    "    if: github.event.pull_request.head.repo.full_name == github.repository\n"
                    "    runs-on: ubuntu-latest\n",
                ),
            ),
            "main.tf": (
                (
                    '["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]',
                    '["secretsmanager:DescribeSecret"]',
                ),
                ('["s3:GetObject", "s3:PutObject"]', '["s3:GetObject"]'),
            ),
        },
        right=True,
    ),
    # 5
    Attempt(
        5,
        "patterns renamed",
        edits={
            "main.tf": (
                ("role/lab-experiment-*", "role/trial-*"),
                ("policy/lab-*", "policy/nothing"),
                ('"iam:PassRole"]', '"iam:GetRole"]'),
            )
        },
        says="attack: a role for an experiment, with every right: works",
    ),
    Attempt(
        5,
        "a boundary that the role may rewrite",
        base="boundary",
        edits={
            "main.tf": (
                ('"keep-lab-train"', '"lab-boundary"'),
                (
                    "  }\n}\n\n# Another team",
                    '  }\n\n  statement {\n    actions   = ["iam:*"]\n    resources = ["*"]\n'
                    "  }\n}\n\n# Another team",
                ),
            )
        },
        says="attack: a version of every policy and boundary that holds for it: works",
    ),
    Attempt(
        5,
        "machines forgotten",
        edits={
            "main.tf": (
                ("policy/lab-*", "policy/nothing"),
                ('["iam:CreateRole", "iam:PutRolePolicy", "sts:AssumeRole"]', '["iam:GetRole"]'),
            )
        },
        says="attack: an instance with another role, by PassRole: works",
    ),
    Attempt(
        5,
        "a boundary for experiments that lets everything through",
        edits={
            "main.tf": (
                ("policy/lab-*", "policy/nothing"),
                ('["ec2:RunInstances", "iam:PassRole"]', '["ec2:DescribeInstances"]'),
                (
                    '["iam:CreateRole", "iam:PutRolePolicy", "sts:AssumeRole"]\n'
                    '    resources = ["arn:aws:iam::${local.account}:role/lab-experiment-*"]',
                    _WITH_LIMIT,
                ),
                ("# Another team", _LIMIT_OF_NOTHING),
            )
        },
        says="attack: a role for an experiment, with every right: works",
    ),
    Attempt(
        5,
        "machines with training's own role alone",
        edits={
            "main.tf": (
                ("policy/lab-*", "policy/nothing"),
                ('["iam:CreateRole", "iam:PutRolePolicy", "sts:AssumeRole"]', '["iam:GetRole"]'),
                (
                    '["ec2:RunInstances", "iam:PassRole"]\n    resources = ["*"]',
                    '["ec2:RunInstances"]\n    resources = ["*"]\n  }\n\n  statement {\n'
                    '    actions   = ["iam:PassRole"]\n    resources = [aws_iam_role.train.arn]',
                ),
            )
        },
        right=True,
    ),
    # 6
    Attempt(
        6,
        "the champion renamed",
        edits={
            "promote.py": (("champion/model.pkl", "champion/current.pkl"),),
            "server.py": (("champion/model.pkl", "champion/current.pkl"),),
        },
        says="attack: poisoned files in place of all that training may write: works",
    ),
    Attempt(
        6,
        "an unpickler with a list of bad names",
        edits={
            "main.tf": (_CANDIDATES_ALONE,),
            "server.py": (
                ("def predict(", _BAD_NAMES),
                ("    return pickle.loads(body)(x)", "    return Safe(io.BytesIO(body)).load()(x)"),
                ("import json\n", "import io\nimport json\n"),
            ),
        },
        says="attack: poisoned files in place of all that training may write: works",
    ),
    Attempt(
        6,
        "an unpickler that finds a model's parts alone",
        edits={
            "main.tf": (_CANDIDATES_ALONE,),
            "server.py": (
                ("def predict(", _SAFE),
                ("    return pickle.loads(body)(x)", "    return Safe(io.BytesIO(body)).load()(x)"),
                ("import json\n", "import io\nimport json\n"),
            ),
        },
        right=True,
    ),
    Attempt(
        6,
        "skops that trusts whatever the file asks for",
        base="skops_and_digests",
        edits=dict.fromkeys(
            ("server.py", "promote.py"),
            (("trusted=[]", "trusted=skops.io.get_untrusted_types(data=body)"),),
        ),
        says="works code ran that was written: skops file in candidate/model.skops",
    ),
    Attempt(
        6,
        "a formula in JSON that the server evaluates",
        base="numbers_and_prefixes",
        edits={
            "train.py": (
                ("import io\nimport os\n", "import io\nimport json\nimport os\n"),
                ("file = io.BytesIO()\n", 'formula = "{} * x + {}".format(*np.polyfit(x, y, 1))\n'),
                ("np.save(file, np.polyfit(x, y, 1), allow_pickle=False)\n", ""),
                ("Body=file.getvalue()", 'Body=json.dumps({"formula": formula}).encode()'),
            ),
            "server.py": (
                (
                    "float(np.polyval(np.load(io.BytesIO(body), allow_pickle=False), x))",
                    'float(eval(json.loads(body)["formula"], {"__builtins__": {}, "x": x}))',
                ),
            ),
            "promote.py": (
                ("np.load(io.BytesIO(body), allow_pickle=False)  # nothing but", "# nothing but"),
            ),
        },
        says="works code ran that was written: JSON with code as a value in candidate/model.npy",
    ),
    Attempt(
        6,
        "a format that the check cannot poison",
        base="numbers_and_prefixes",
        edits={
            "train.py": (
                ("np.save(file, np.polyfit(x, y, 1), allow_pickle=False)\n", ""),
                ("Body=file.getvalue()", "Body=np.polyfit(x, y, 1).tobytes()"),
            ),
            "server.py": (
                ("np.load(io.BytesIO(body), allow_pickle=False)", "np.frombuffer(body)"),
            ),
            "promote.py": (
                ("np.load(io.BytesIO(body), allow_pickle=False)  # nothing but", "# nothing but"),
            ),
        },
        says="unclear The check knows no poison for candidate/model.npy",
    ),
    # 7
    Attempt(
        7,
        "every document for both roles",
        base="permission_sets",
        edits={
            "main.tf": (
                (
                    "resources = [aws_ssm_document.mlflow[each.key].arn]",
                    "resources = [for one in aws_ssm_document.mlflow : one.arn]",
                ),
            )
        },
        says="attack: the reader logs a run, its own way or training's: works",
    ),
    Attempt(
        7,
        "one path of two refused",
        base="permission_sets",
        edits={
            "server.py": (
                (
                    '        if not may(who, environ["PATH_INFO"]):',
                    _ONLY_DELETE,
                ),
            )
        },
        says="attack: the reader logs a run, its own way or training's: works",
    ),
    Attempt(
        7,
        "a shell for the reader",
        base="permission_sets",
        edits={
            "main.tf": (('  statement {\n    actions   = ["ssmmessages:OpenDataChannel"]', _SHELL),)
        },
        says="attack: a session without a document: works",
    ),
    Attempt(
        7,
        "every path filtered but two that write",
        base="permission_sets",
        edits={
            "server.py": (
                (
                    'return path == "/health" or (name != path and name.startswith(PATHS[who]))',
                    'return who == "train" or not path.endswith(("/runs/create", "s/delete"))',
                ),
            )
        },
        says="attack: the reader calls whatever MLflow has that changes something: works",
    ),
    Attempt(
        7,
        "a subject for every job of the repository",
        base="permission_sets",
        edits={
            "main.tf": (
                ("pipeline@2002:environment:reader", "pipeline@2002:*"),
                (
                    '"StringEquals"\n      variable = "${local.github}:sub"',
                    '"StringLike"\n      variable = "${local.github}:sub"',
                ),
            )
        },
        says="attack: a job takes a role that is not its own: works",
    ),
    # 8
    Attempt(
        8,
        "the password encoded once more",
        edits={
            "main.tf": (
                (
                    "password = data.aws_ssm_parameter.password.value",
                    "password = base64encode(base64encode(data.aws_ssm_parameter.password.value))",
                ),
                (
                    "  user_data = base64encode(",
                    '  metadata_options {\n    http_tokens = "required"\n  }\n\n'
                    "  user_data = base64encode(",
                ),
            ),
            "app.py": (
                (
                    'password=SETTINGS["password"]',
                    'password=base64.b64decode(base64.b64decode(SETTINGS["password"])).decode()',
                ),
                ("import json\n", "import base64\nimport json\n"),
            ),
        },
        says="attack: the password in the user data that EC2 keeps: works",
    ),
    Attempt(
        8,
        "a filter that answers as the metadata service would",
        base="iam_token",
        edits={
            "app.py": (("    here = os", _FILTER),),
            "main.tf": (('"required"', '"optional"'),),
        },
        says="attack: the metadata service asked without a token: works",
    ),
    Attempt(
        8,
        "the metadata service off, and with it the role",
        base="iam_token",
        edits={"main.tf": (('= "enabled"', '= "disabled"'),)},
        says="need: the service counts the customers of the database: unclear",
    ),
    # 9
    Attempt(
        9,
        "the tag that the condition reads, alone",
        edits={"main.tf": (_DEV_STATE, ('\n  }\n}\n\noutput "bucket" ', _NO_TAG))},
        says="attack: a tag on prod's parameter that no condition reads: works",
    ),
    Attempt(
        9,
        "everything else denied",
        edits={"main.tf": (('}\n\noutput "bucket" ', _DENY_OTHERS),)},
        right=True,
    ),
    # 10
    Attempt(
        10,
        "a role for the whole organisation",
        base="one_role",
        edits={
            "main.tf": (
                (
                    """      test     = "StringEquals"
      variable = "${local.github}:sub"
      values = [
        "repo:acme@1001/pipeline@2002:ref:refs/heads/main",
        "repo:acme@1001/reports@2004:ref:refs/heads/main",
        "repo:acme@1001/dashboard@2005:ref:refs/heads/main",
      ]""",
                    """      test     = "StringLike"
      variable = "${local.github}:sub"
      values   = ["repo:acme@1001/*"]""",
                ),
            )
        },
        says="take a consumer's role: works",
    ),
    Attempt(
        10,
        "the key kept, and switched off",
        base="one_role",
        edits={
            "main.tf": (
                (
                    'output "bucket" ',
                    'resource "aws_iam_user" "exports" {\n  name = "lab-exports"\n}\n\n'
                    'resource "aws_iam_access_key" "exports" {\n'
                    '  user   = aws_iam_user.exports.name\n  status = "Inactive"\n}\n\n'
                    'output "bucket" ',
                ),
            )
        },
        right=True,
    ),
    # 11
    Attempt(
        11,
        "an old version of TLS refused, and none at all let in",
        edits={
            "main.tf": (
                (
                    "resources = [aws_s3_bucket.data.arn]\n\n    principals",
                    'resources = [aws_s3_bucket.data.arn, "${aws_s3_bucket.data.arn}/*"]\n\n'
                    "    principals",
                ),
                (
                    '"Bool"\n      variable = "aws:SecureTransport"\n      values   = ["false"]',
                    '"NumericLessThan"\n      variable = "s3:TlsVersion"\n      values   = ["1.2"]',
                ),
            )
        },
        says="attack: a new link, followed over plain HTTP: works",
    ),
    Attempt(
        11,
        "a statement of its own for objects",
        edits={"main.tf": (('}\n\nresource "aws_iam_openid_connect_provider" ', _EVERY_OBJECT),)},
        right=True,
    ),
    # 12
    Attempt(
        12,
        "MLflow's role deleted",
        edits={
            "main.tf": (
                without(12, "setup", 'resource "aws_iam_role" "mlflow"'),
                without(12, "setup", 'resource "aws_iam_role_policy" "mlflow"'),
                ('"s3:PutObject", "s3:DeleteObject"]', '"s3:PutObject"]'),
            )
        },
        says="need: training stores and reads artifacts of a run: unclear",
    ),
    Attempt(
        12,
        "a policy of the bucket",
        edits={"main.tf": (('\noutput "bucket" ', _BUCKET_POLICY),)},
        right=True,
    ),
    # 13
    Attempt(
        13,
        "surer, and not counted",
        base="counted",
        edits={"promote.py": (("1 - ERROR / number", "1 - ERROR"),)},
        says="attack: the champion with noise, 60 times: works",
    ),
    Attempt(
        13,
        "five names at once, and as many jobs as one likes",
        base="counted",
        edits={
            "promote.py": (("1 - ERROR / number", "1 - ERROR"), ("    rows = ", _LIMIT)),
        },
        says="attack: the champion with noise, 60 times: works",
    ),
    Attempt(
        13,
        "sure enough for a hundred attempts",
        base="counted",
        edits={"promote.py": (("1 - ERROR / number", "1 - ERROR / 100 if number <= 100 else 1"),)},
        right=True,
    ),
]
