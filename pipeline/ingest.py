"""Read the source, hold it to its contract, cut the holdout, and store all of it."""

import hashlib
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.data import lags, suspicions
from pipeline.data.contract import VERSION, SchemaContract
from pipeline.data.dataset import MANIFEST, check_task
from pipeline.data.infer import check_columns, check_said, infer
from pipeline.data.prepare import Prepared, prepare, rows_of
from pipeline.data.splits import (
    HoldoutDefinition,
    Sides,
    check_settings,
    define,
    identities,
    key_of,
    split,
)
from pipeline.errors import InputError, StepFailed
from pipeline.pages import data as page
from pipeline.reading import files, sources
from pipeline.reading.files import DataFile
from pipeline.reading.reader import read_table
from pipeline.step import Outcome, Workspace, step_that_begins
from pipeline.storage import KeyExistsError
from pipeline.tracking import progress

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

HOLDOUTS = "holdouts.json"


@dataclass(frozen=True)
class Ingested:
    """The data under a contract and a holdout, ready to be stored."""

    contract: SchemaContract
    definition: HoldoutDefinition
    prepared: Prepared
    sides: Sides
    notes: list[str]


@step_that_begins
@click.option("--renew-contract", is_flag=True, help="Infer the contract anew from this data.")
def main(workspace: Workspace, *, renew_contract: bool) -> Outcome:
    """Read the source, check it, cut the holdout and store raw, training and holdout data."""
    settings = workspace.settings
    with tempfile.TemporaryDirectory() as temporary:
        progress.note("reading the source")
        found = sources.fetch(workspace, settings.data.source, Path(temporary))
        wanted = [settings.data.target, *settings.data.id_columns]
        table = read_table(found, settings.data.format(), wanted)
        check_columns(table.schema.names, settings)
        progress.note(f"reading {table.num_columns} columns of {table.num_rows} rows")
        ingested = _settle(workspace, table, renew=renew_contract)
        raw = [_store_raw(workspace, file) for file in found]
        raw_sha256 = files.digest(found)
        return _store(workspace, table, ingested, raw, raw_sha256)


def _settle(workspace: Workspace, table: "pyarrow.Table", *, renew: bool) -> Ingested:
    """The contract and holdout of record, made by the first data, and this data under both.

    Conditional puts decide whether there are any, so that nothing needs the right to list. Nothing
    is put before the data has passed under what is put.
    """
    try:
        fresh = _fresh(workspace, table)
    except InputError as fault:
        stored = None if renew else _read(workspace, "contract.json")
        if stored is None:
            raise
        known = _contract(stored)
        check_said(known, None, table, workspace.settings)
        return _under(workspace, table, known, None, fault)
    if renew:
        _put(workspace, "contract.json", fresh.contract.model_dump(mode="json"))
    elif not _put_new(workspace, "contract.json", fresh.contract.model_dump(mode="json")):
        stored = _read(workspace, "contract.json")
        assert stored is not None
        known = _contract(stored)
        check_said(known, fresh.contract, table, workspace.settings)
        return _under(workspace, table, known, None, None)
    return _under(workspace, table, fresh.contract, fresh, None)


# Beyond this part of the rows, whole clusters of rows decide what the holdout looks like.
_MANY_ALIKE = 0.2


@dataclass(frozen=True)
class Fresh:
    """The contract that this data alone would make, and the data under it."""

    contract: SchemaContract
    prepared: Prepared
    notes: list[str]


def _fresh(workspace: Workspace, table: "pyarrow.Table") -> Fresh:
    """Raises InputError for data that makes no contract, or that no holdout can be cut from."""
    inferred = infer(table, workspace.settings)
    table = _with_lags(table, inferred.contract)
    prepared = prepare(table, inferred.contract, workspace.settings)
    warnings = suspicions.check(prepared.table, inferred.contract)
    if inferred.contract.lags:
        warnings += lags.doubts(table, inferred.contract)
    warnings += _alike(table, inferred.contract, prepared, workspace)
    try:
        warnings += _define(workspace, table, inferred.contract, prepared)[2]
    except InputError:
        # An earlier holdout may divide this data.
        stored = _read(workspace, HOLDOUTS) or {}
        if workspace.settings.holdout.name not in stored:
            raise
    return Fresh(inferred.contract, prepared, [*inferred.notes, *warnings])


def _alike(
    table: "pyarrow.Table", contract: SchemaContract, prepared: Prepared, workspace: Workspace
) -> list[str]:
    """Many rows that are the same in all that may be learnt from: they share a side."""
    import numpy as np

    holdout = workspace.settings.holdout
    if contract.ids or holdout.rule != "random":
        return []
    rows = identities(table, key_of(contract, table))[prepared.kept]
    again = len(rows) - len(np.unique(rows))
    if again <= _MANY_ALIKE * len(rows):
        return []
    return [
        f"{again} of {len(rows)} rows are like an earlier one in all that may be learnt from, and "
        "share its side, so that what is held out may be unlike what is trained on: if a column "
        f'tells rows apart, name it in id_columns under [data], write name = "{holdout.name}-2" '
        "under [holdout], and run ingest with --renew-contract"
    ]


def _define(
    workspace: Workspace, table: "pyarrow.Table", contract: SchemaContract, prepared: Prepared
) -> tuple[HoldoutDefinition, Sides, list[str]]:
    """The holdout that this data makes, its sides, and what is doubtful of them."""
    import numpy as np

    settings = workspace.settings
    key = key_of(contract, table)
    rows = rows_of(table, prepared, contract, key, settings)
    definition = define(rows, key, settings)
    sides = split(rows, definition, settings.data.batch_fraction)
    pieces = {"group": rows.groups, "time": rows.times}.get(settings.holdout.rule)
    if pieces is None or len(np.unique(pieces[sides.holdout])) > 1:
        return definition, sides, []
    return (
        definition,
        sides,
        [
            f"all {int(sides.holdout.sum())} held-out rows are of one {settings.holdout.rule}, so "
            "that no later model can be compared with the champion: write a larger fraction under "
            f'[holdout], and name = "{settings.holdout.name}-2" with it'
        ],
    )


def _under(
    workspace: Workspace,
    table: "pyarrow.Table",
    contract: SchemaContract,
    fresh: Fresh | None,
    fault: InputError | None,
) -> Ingested:
    """This data under a stored contract, and under the stored holdout if there is one.

    `fresh` is the same data under its own contract, where that is the one that was stored.
    """
    settings = workspace.settings
    if fresh is None:
        _check_stored(contract, table, workspace)
    table = _with_lags(table, contract)
    prepared = fresh.prepared if fresh else prepare(table, contract, settings)
    definition = _holdout(workspace, table, contract, prepared, fault)
    rows = rows_of(table, prepared, contract, definition.key, settings)
    sides = split(rows, definition, settings.data.batch_fraction)
    return Ingested(contract, definition, prepared, sides, fresh.notes if fresh else [])


def _with_lags(table: "pyarrow.Table", contract: SchemaContract) -> "pyarrow.Table":
    return lags.add(table, contract) if contract.lags else table


def _holdout(
    workspace: Workspace,
    table: "pyarrow.Table",
    contract: SchemaContract,
    prepared: Prepared,
    fault: InputError | None,
) -> HoldoutDefinition:
    """The stored holdout of the settings' name, or a new one of this data."""
    settings, fresh = workspace.settings, None
    try:
        fresh, *_ = _define(workspace, table, contract, prepared)
    except InputError as undefined:
        fault = fault or undefined
    name = settings.holdout.name
    document = {name: fresh.model_dump(mode="json")} if fresh else {}
    if fresh and _put_new(workspace, HOLDOUTS, document):
        return fresh
    stored = _read(workspace, HOLDOUTS)
    if stored is not None and name in stored:
        definition = HoldoutDefinition.model_validate(stored[name])
        check_settings(definition, settings)
        return definition
    if fresh is None:
        assert fault is not None
        raise fault
    _put(workspace, HOLDOUTS, {**(stored or {}), **document})
    return fresh


def _check_stored(contract: SchemaContract, table: "pyarrow.Table", workspace: Workspace) -> None:
    """Refuse settings or columns that the stored contract does not know."""
    settings = workspace.settings
    renew = "pass --renew-contract (no row changes sides by that)"
    if contract.target != settings.data.target:
        raise InputError(f"the contract has the target {contract.target!r}: {renew}")
    check_task(contract, settings)
    derived = set(contract.lags.names) if contract.lags else set[str]()
    known = {*contract.features, *contract.left_out, *derived}
    unused = settings.unused_columns - {settings.holdout.column}
    present = set(table.schema.names) - settings.unused_columns
    changed = sorted((present - known) | (set(contract.features) & unused))
    wanted = {*settings.data.id_columns, *settings.data.subgroups}
    if settings.holdout.column:
        wanted.add(settings.holdout.column)
    changed += sorted(wanted - set(contract.columns) - set(changed))
    plan = contract.lags
    now = settings.lags
    if (
        (plan.columns, plan.steps, plan.by, plan.every)
        != (now.columns, now.steps, now.by, now.every_seconds)
        if plan
        else now.columns
    ):
        changed.append("lags")
    if changed or contract.ids != settings.data.id_columns:
        raise InputError(
            "the columns are not those of the contract (added, gone or used otherwise: "
            f"{', '.join(changed[:20]) or 'id_columns'}): name them in drop under [data], or "
            f"{renew}"
        )
    form = settings.data.format()
    cells = ("decimal", "thousands", "missing")
    if any(getattr(form, name) != getattr(contract.format, name) for name in cells):
        raise InputError(
            "decimal, thousands or missing under [data] are not those of the contract, by which "
            f"cells are read: put them back, or {renew}"
        )


def _contract(document: dict[str, Any]) -> SchemaContract:
    if document.get("schema_version") != VERSION:
        raise InputError(
            "the stored contract is of an older version of this pipeline: pass --renew-contract"
        )
    return SchemaContract.model_validate(document)


def _put(workspace: Workspace, name: str, document: dict[str, Any]) -> None:
    workspace.store.put(workspace.key("contracts", name), json.dumps(document, indent=1).encode())


def _put_new(workspace: Workspace, name: str, document: dict[str, Any]) -> bool:
    """Store a document unless there is one already; the answer is whether it was stored."""
    try:
        data = json.dumps(document, indent=1).encode()
        workspace.store.put(workspace.key("contracts", name), data, if_absent=True)
    except KeyExistsError:
        return False
    return True


def _read(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """A stored document, or None where there is none, or none that this role may see."""
    from botocore.exceptions import ClientError

    try:
        found: dict[str, Any] = json.loads(
            workspace.store.read(workspace.key("contracts", name))[0]
        )
    except StepFailed:
        return None
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "403"):
            raise
        return None
    return found


def contract_sha256(contract: SchemaContract, definition: HoldoutDefinition) -> str:
    """The digest of contract and holdout together."""
    documents = [part.model_dump(mode="json") for part in (contract, definition)]
    return hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()


def _store_raw(workspace: Workspace, file: DataFile) -> dict[str, str]:
    """Keep a file as it came. Raw data is never changed in place: its key is its digest."""
    sha256 = files.digest([file])
    key = workspace.key("raw", f"{sha256[:16]}.{file.ending}")
    workspace.store.send(file.path, key)
    return {"name": file.name, "key": key, "sha256": sha256}


def _store(
    workspace: Workspace,
    table: "pyarrow.Table",
    ingested: Ingested,
    raw: list[dict[str, str]],
    raw_sha256: str,
) -> Outcome:
    """Store the rows of each side, then the manifests: who reads these finds what they name.

    Rows are stored as they came; whoever reads them does so by a contract, a model by its own.
    """
    settings, contract, sides = workspace.settings, ingested.contract, ingested.sides
    raw_table = table
    if contract.lags:
        history = _parquet(lags.history_of(table, contract))
        workspace.store.put(workspace.history, history)
    table = _with_lags(table, contract)
    used = {*contract.columns, *ingested.definition.key}
    rows = table.select([name for name in table.schema.names if name in used])
    kept = ingested.prepared.kept.nonzero()[0]
    parts = {
        side: _store_rows(workspace, side, rows.take(kept[mask]))
        for side, mask in (("train", sides.train), ("holdout", sides.holdout))
    }
    if sides.batch.any():
        batch = rows.take(kept[sides.batch]).drop_columns([contract.target])
        workspace.store.put(workspace.sample_batch, _parquet(batch))
    known = {
        "model": settings.model,
        "source": settings.data.shown_source,
        "settings": settings.reading(),
        "raw": raw,
        "raw_sha256": raw_sha256,
        "contract_sha256": contract_sha256(contract, ingested.definition),
        "contract": contract.model_dump(mode="json"),
        "holdout": ingested.definition.model_dump(mode="json"),
    }
    for side in ("holdout", "train"):
        manifest = json.dumps({**known, "data": parts[side]}, indent=1)
        workspace.store.put(workspace.key(side, MANIFEST), manifest.encode())
    report = workspace.key("contracts", "data.html")
    workspace.store.put(report, _page(workspace, ingested, parts, raw_table).encode())
    return _outcome(workspace, ingested, parts, raw_sha256, report)


def _store_rows(workspace: Workspace, side: str, table: "pyarrow.Table") -> dict[str, Any]:
    data = _parquet(table)
    sha256 = hashlib.sha256(data).hexdigest()
    key = workspace.key(side, f"{sha256[:16]}.parquet")
    workspace.store.put(key, data)
    return {"key": key, "sha256": sha256, "rows": table.num_rows}


def _parquet(table: "pyarrow.Table") -> bytes:
    import pyarrow.parquet  # type: ignore[import-untyped]

    buffer = io.BytesIO()
    # Without pandas' notes on the frame that a file was written from, such as its index.
    pyarrow.parquet.write_table(table.replace_schema_metadata(None), buffer)
    return buffer.getvalue()


def _page(
    workspace: Workspace,
    ingested: Ingested,
    parts: dict[str, dict[str, Any]],
    table: "pyarrow.Table",
) -> str:
    found = page.DataPage(
        model=workspace.model,
        source=workspace.settings.data.shown_source,
        contract=ingested.contract,
        holdout=ingested.definition,
        rows=_counts(ingested, parts),
        notes=ingested.notes,
        violations=[str(violation) for violation in ingested.prepared.violations],
    )
    return page.render(found, table)


def _counts(ingested: Ingested, parts: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {
        **{side: part["rows"] for side, part in parts.items()},
        "batch": int(ingested.sides.batch.sum()),
        "set_aside": ingested.prepared.set_aside,
        "dropped": ingested.prepared.dropped,
    }


def _outcome(
    workspace: Workspace,
    ingested: Ingested,
    parts: dict[str, dict[str, Any]],
    raw_sha256: str,
    report: str,
) -> Outcome:
    prepared, rows = ingested.prepared, _counts(ingested, parts)
    source = workspace.settings.data.shown_source
    counted = f"{rows['batch']} to predict, {prepared.set_aside} set aside"
    if prepared.dropped:
        counted += f", {prepared.dropped} of classes that are left out"
    return Outcome(
        lines=[
            f"ingested {source}: {rows['train']} rows to train, {rows['holdout']} held out, "
            f"{counted}",
            f"how each column is read: {workspace.store.uri(report)}",
        ],
        values={
            "step": "ingest",
            "model": workspace.model,
            "source": source,
            "raw_sha256": raw_sha256,
            "rows": rows,
            "report": report,
            "features": len(ingested.contract.features),
            "keys": {side: part["key"] for side, part in parts.items()},
            "notes": ingested.notes,
        },
        warnings=[*ingested.notes, *(str(found) for found in prepared.violations)],
    )


if __name__ == "__main__":
    main()
