"""What must fail and what must work in lab 8."""

from __future__ import annotations

import base64
import gzip
import json
import re
import secrets
import threading
import urllib.parse
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from psycopg2 import connect, sql

from scripts.console import UserError
from scripts.labs import common, servers
from scripts.labs.running import STATE, LabRun
from scripts.labs.trial import Refused, Trial

DATABASE, PARAMETER = "lab-customers", "/lab/db-password"
MASTER, KEEPER, APP, BY_TOKEN = "master", "keeper", "app", "app_token"
METADATA = "http://169.254.169.254/latest/"
ROLES = f"{METADATA}meta-data/iam/security-credentials/"
OLD, FILLED = "the app's password before", "filled"
GZIP = b"\x1f\x8b"
LAYERS = 4
_BASE64 = re.compile(r"[A-Za-z0-9+/]{30,}={0,2}")


def before(run: LabRun) -> None:
    """What another team has: the database, and its password as a parameter."""
    run.record.kept |= {name: secrets.token_urlsafe(24) for name in (MASTER, KEEPER, APP)}
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
    """Put the flag into the bucket, customers into the database, and start the deployed service.

    The other team changes the password at each check, so a copy of it opens nothing; what was
    deployed with the old one is searched for both.
    """
    common.put_flag(run, "exports/customers.csv", "customer,card\nada,{flag}\n")
    if FILLED in run.record.kept:
        with suppress(UserError):  # no service runs, so none has the way to the database
            _change_password(run)
    servers.replace(run, common.output(run, "group"))
    _fill(run)
    run.give("address.txt", f"{_address(run)}\n")


def _change_password(run: LabRun) -> None:
    kept, new = run.record.kept, secrets.token_urlsafe(24)
    with closing(_connect(run, "postgres")) as connection, connection.cursor() as cursor:
        alter = sql.SQL("ALTER USER {} PASSWORD {}")
        cursor.execute(alter.format(sql.Identifier(APP), sql.Literal(new)))
    run.administrator("ssm").put_parameter(
        Name=PARAMETER, Type="SecureString", Value=new, Overwrite=True
    )
    kept[OLD], kept[APP] = kept[APP], new
    run.save()


def leak(run: LabRun) -> None:
    """Nothing leaked: the service fetches any link."""


def _server(run: LabRun) -> servers.Server:
    return servers.find(run, common.output(run, "group"))


def _address(run: LabRun) -> str:
    return _server(run).address


def _connect(run: LabRun, database: str, user: str = KEEPER) -> Any:
    """A connection of the other team's, in which each statement counts at once."""
    found, rds = _server(run).environment, run.administrator("rds")
    described = rds.describe_db_instances(DBInstanceIdentifier=DATABASE)["DBInstances"][0]
    connection = connect(
        host=described["Endpoint"]["Address"],
        hostaddr=found["PGHOSTADDR"],
        port=found["PGPORT"],
        sslmode="verify-full",
        sslrootcert=found["PGSSLROOTCERT"],
        dbname=database,
        user=user,
        password=run.record.kept[user],
    )
    connection.autocommit = True
    return connection


def _fill(run: LabRun) -> None:
    """Make the users and the table, once."""
    kept = run.record.kept
    if FILLED in kept:
        return
    with closing(_connect(run, "postgres", MASTER)) as connection, connection.cursor() as cursor:
        create = sql.SQL("CREATE USER {} PASSWORD {}")
        for user in (APP, KEEPER):
            cursor.execute(create.format(sql.Identifier(user), sql.Literal(kept[user])))
        cursor.execute(f"ALTER USER {KEEPER} CREATEROLE")
        cursor.execute(f"GRANT {APP} TO {KEEPER} WITH ADMIN OPTION")
        cursor.execute(f"CREATE USER {BY_TOKEN}")
        cursor.execute("CREATE DATABASE shop")
    with closing(_connect(run, "shop", MASTER)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE customers (name text)")
        cursor.execute("INSERT INTO customers VALUES ('ada')")
        cursor.execute(f"GRANT SELECT ON customers TO {APP}, {BY_TOKEN}, {KEEPER}")
        cursor.execute(f"GRANT UPDATE ON customers TO {KEEPER}")
        # Last: through the user that it made, the master is in rds_iam then, and locked out.
        cursor.execute(f"GRANT rds_iam TO {BY_TOKEN}")
    kept[FILLED] = True
    run.save()


def _preview(run: LabRun, url: str) -> str:
    """What the service fetches. Raises Refused where the metadata service says no."""
    status, text = servers.get(f"{_address(run)}/preview?url={urllib.parse.quote(url, safe='')}")
    if status == 200:
        return text
    if "HTTP Error 401" in text or "HTTP Error 403" in text:
        raise Refused(f"the metadata service: {text}")
    raise UserError(f"The preview failed with {status}", why=text)


def _user_data_through_preview(run: LabRun) -> str:
    return _preview(run, f"{METADATA}user-data")


def _without_token(run: LabRun) -> str:
    """Ask the instance's metadata service itself: a filter in the service is none there."""
    service = _server(run).environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"].rstrip("/")
    status, text = servers.get(f"{service}/latest/user-data")
    if status == 401:
        raise Refused("the metadata service wants a token: 401")
    if status == 403:
        raise Refused("the metadata service is switched off: 403")
    if status == 200:
        return "the metadata service answers without a token"
    raise UserError(f"The metadata service answers {status}", why=text)


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
    """Whether a password is in a text, or in what is encoded in it."""
    passwords = [run.record.kept[name] for name in (APP, OLD) if name in run.record.kept]
    return any(
        password in layer or password in layer[::-1]
        for layer in _layers(text, LAYERS)
        for password in passwords
    )


def _layers(text: str, depth: int) -> Iterator[str]:
    """A text, and what is in it as base64 or gzip, and in that, and so on."""
    yield text
    for part in _BASE64.findall(text) if depth else ():
        try:
            raw = base64.b64decode(part + "=" * (-len(part) % 4))
            raw = gzip.decompress(raw) if raw.startswith(GZIP) else raw
        except (ValueError, OSError, EOFError, zlib.error):
            continue
        yield from _layers(raw.decode(errors="replace"), depth - 1)


def _customers(run: LabRun) -> str:
    customer = f"ada-{secrets.token_hex(8)}"
    with closing(_connect(run, "shop")) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE customers SET name = %s", (customer,))
    status, text = servers.get(f"{_address(run)}/customers")
    if status != 200:
        raise UserError(f"/customers answers {status}", why=text)
    if text.split() != json.dumps([1, customer]).split():
        raise UserError("/customers does not show what is in the database", why=text[:200])
    return text


def _page(run: LabRun) -> str:
    page = f"the page of a partner, {secrets.token_hex(8)}"
    with _partner(page) as address:
        found = _preview(run, address)
    if found != page:
        raise UserError("The preview does not show the page", why=found[:200])
    return found


@contextmanager
def _partner(page: str) -> Iterator[str]:
    """A web server that anybody may link to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


ATTACKS = [
    Trial("the user data through the preview", _user_data_through_preview),
    Trial("what else the metadata service tells through the preview", _identity_through_preview),
    Trial("the metadata service asked without a token", _without_token),
    Trial("the password in the user data that EC2 keeps", _password_in_user_data),
    Trial("the password in Terraform's state", _password_in_state),
]
NEEDS = [
    Trial("the service counts the customers of the database", _customers),
    Trial("the service shows a preview of another page", _page),
]
