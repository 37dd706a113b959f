"""What must fail and what must work in lab 8."""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from psycopg2 import connect, sql

from scripts.console import UserError
from scripts.labs import common, servers
from scripts.labs.running import STATE, LabRun
from scripts.labs.trial import Refused, Trial

DATABASE, PARAMETER = "lab-customers", "/lab/db-password"
MASTER, APP, BY_TOKEN = "master", "app", "app_token"
METADATA = "http://169.254.169.254/latest/"
ROLES = f"{METADATA}meta-data/iam/security-credentials/"
PAGE = "the page of a partner"
_BASE64 = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")


def before(run: LabRun) -> None:
    """What another team has: the database, and its password as a parameter."""
    run.record.kept |= {name: secrets.token_urlsafe(24) for name in (MASTER, APP)}
    run.save()
    run.administrator("rds").create_db_instance(
        DBInstanceIdentifier=DATABASE,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername=MASTER,
        MasterUserPassword=run.record.kept[MASTER],
        EnableIAMDatabaseAuthentication=True,
        Tags=[{"Key": "Environment", "Value": "lab"}],
    )
    run.administrator("ssm").put_parameter(
        Name=PARAMETER, Type="SecureString", Value=run.record.kept[APP]
    )


def prepare(run: LabRun) -> None:
    """Put the flag into the bucket, customers into the database, and start the deployed service."""
    common.put_flag(run, "exports/customers.csv", "customer,card\nada,{flag}\n")
    servers.replace(run, common.output(run, "group"))
    _fill(run)
    run.give("address.txt", f"{_address(run)}\n")


def leak(run: LabRun) -> None:
    """Nothing leaked: the service fetches any link."""


def _server(run: LabRun) -> servers.Server:
    return servers.find(run, common.output(run, "group"))


def _address(run: LabRun) -> str:
    return _server(run).address


def _connect(run: LabRun, database: str) -> Any:
    """A connection of the database's administrator, in which each statement counts at once."""
    found, rds = _server(run).environment, run.administrator("rds")
    described = rds.describe_db_instances(DBInstanceIdentifier=DATABASE)["DBInstances"][0]
    connection = connect(
        host=described["Endpoint"]["Address"],
        hostaddr=found["PGHOSTADDR"],
        port=found["PGPORT"],
        sslmode="verify-full",
        sslrootcert=found["PGSSLROOTCERT"],
        dbname=database,
        user=MASTER,
        password=run.record.kept[MASTER],
    )
    connection.autocommit = True
    return connection


def _fill(run: LabRun) -> None:
    """Make the users and the table once; a name that no student knows is in it."""
    kept = run.record.kept
    if "customer" in kept:
        return
    customer = f"ada-{secrets.token_hex(8)}"
    with closing(_connect(run, "postgres")) as connection, connection.cursor() as cursor:
        create = sql.SQL("CREATE USER {} PASSWORD {}")
        cursor.execute(create.format(sql.Identifier(APP), sql.Literal(kept[APP])))
        cursor.execute(f"CREATE USER {BY_TOKEN}")
        cursor.execute("CREATE DATABASE shop")
    with closing(_connect(run, "shop")) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE customers (name text)")
        cursor.execute("INSERT INTO customers VALUES (%s)", (customer,))
        cursor.execute(f"GRANT SELECT ON customers TO {APP}, {BY_TOKEN}")
        # Last: through the user that it made, the master is in rds_iam then, and locked out.
        cursor.execute(f"GRANT rds_iam TO {BY_TOKEN}")
    kept["customer"] = customer
    run.save()


def _preview(run: LabRun, url: str) -> str:
    """What the service fetches. Raises Refused where the metadata service says no."""
    status, text = servers.get(f"{_address(run)}/preview?url={urllib.parse.quote(url, safe='')}")
    if status == 200:
        return text
    if "HTTP Error 401" in text:
        raise Refused(f"the metadata service: {text}")
    raise UserError(f"The preview failed with {status}", why=text)


def _user_data_through_preview(run: LabRun) -> str:
    return _preview(run, f"{METADATA}user-data")


def _identity_through_preview(run: LabRun) -> str:
    return _preview(run, f"{METADATA}dynamic/instance-identity/document")


def _password_in_user_data(run: LabRun) -> str:
    found = servers.template(run, common.output(run, "group"))
    if _has(run, found.get("UserData", "")):
        return "the password is in the user data"
    raise Refused("the password is in no user data of the launch template's version in use")


def _password_in_state(run: LabRun) -> str:
    if _has(run, (run.home / STATE).read_text()):
        return "the password is in Terraform's state"
    raise Refused("the password is not in Terraform's state")


def _has(run: LabRun, text: str) -> bool:
    """Whether the password is in a text, or in what is encoded in it."""
    password: str = run.record.kept[APP]
    if password in text:
        return True
    return any(password.encode() in _decoded(part) for part in _BASE64.findall(text))


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return b""


def _customers(run: LabRun) -> str:
    status, text = servers.get(f"{_address(run)}/customers")
    if status != 200:
        raise UserError(f"/customers answers {status}", why=text)
    if json.loads(text) != [1, run.record.kept["customer"]]:
        raise UserError("/customers does not show what is in the database", why=text[:200])
    return text


def _page(run: LabRun) -> str:
    with _partner() as address:
        found = _preview(run, address)
    if found != PAGE:
        raise UserError("The preview does not show the page", why=found[:200])
    return found


@contextmanager
def _partner() -> Iterator[str]:
    """A web server that anybody may link to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


ATTACKS = [
    Trial("the user data through the preview", _user_data_through_preview),
    Trial("what else the metadata service tells through the preview", _identity_through_preview),
    Trial("the password in the user data that EC2 keeps", _password_in_user_data),
    Trial("the password in Terraform's state", _password_in_state),
]
NEEDS = [
    Trial("the service counts the customers of the database", _customers),
    Trial("the service shows a preview of another page", _page),
]
