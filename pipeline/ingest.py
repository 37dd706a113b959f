"""Read the source, hold it to its contract, cut the holdout, and store all of it."""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pipeline.data.contract import (
    SchemaContract,
    Violation,
    check_columns,
    check_ids,
    check_nulls,
    conform,
    conform_target,
    infer,
    violation,
)
from pipeline.data.sources import load_raw, read_frame
from pipeline.data.splits import make_rule, split
from pipeline.errors import InputError
from pipeline.settings import Settings
from pipeline.step import Outcome, Workspace, step
from pipeline.storage import KeyExistsError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Prepared:
    """Rows that keep the contract, in its types; `set_aside` did not and are only counted."""

    table: "pd.DataFrame"
    target: "pd.Series"
    features: int
    violations: list[Violation]
    set_aside: int


def prepare(frame: "pd.DataFrame", contract: SchemaContract, settings: Settings) -> Prepared:
    """Hold data to the contract.

    Raises InputError with the offending rows when more than contract.max_bad_rows break it.
    """
    features, violations, bad = conform(frame, contract, new_categories=False)
    target, target_violations, no_target = conform_target(frame, contract)
    twice = check_ids(frame, settings.data.id_columns)
    violations += target_violations
    if twice.any():
        violations.append(violation(", ".join(settings.data.id_columns), "id not unique", twice))
    bad = bad | no_target | twice
    empty = check_nulls(features, contract, settings.contract.null_rate_slack)
    if empty or bad.sum() > settings.contract.max_bad_rows:
        raise InputError(_report(violations + empty, int(bad.sum()), settings))
    extra = [
        name
        for name in dict.fromkeys(
            [*settings.data.id_columns, settings.holdout.column, *settings.data.subgroups]
        )
        if name is not None and name not in features
    ]
    table = frame[extra].join(features).assign(**{contract.target: target})
    return Prepared(table[~bad], target[~bad], len(features.columns), violations, int(bad.sum()))


def _report(violations: list[Violation], bad: int, settings: Settings) -> str:
    lines = [f"  {found}" for found in violations[:20]]
    if len(violations) > 20:
        lines.append(f"  … and {len(violations) - 20} more")
    advice = (
        f"mend the source, or leave these rows out with max_bad_rows = {bad} under [contract], or "
        "accept the new data as the norm with --renew-contract"
    )
    return "\n".join([f"{settings.data.source} breaks its contract:", *lines, advice])


@step
@click.option("--renew-contract", is_flag=True, help="Infer the contract anew from this data.")
def main(workspace: Workspace, *, renew_contract: bool) -> Outcome:
    """Read the source, check it, cut the holdout and store raw, training and holdout data."""
    settings = workspace.settings
    raw = load_raw(workspace, settings.data.source)
    frame = read_frame(raw, source=settings.data.source, encoding=settings.data.encoding)
    check_columns(frame, settings)
    raw_sha256 = hashlib.sha256(raw.data).hexdigest()
    raw_key = workspace.key("raw", f"{raw_sha256[:16]}.{raw.kind}")
    _put_once(workspace, raw_key, raw.data)

    contract = _stored_contract(workspace, frame, renew=renew_contract)
    prepared = prepare(frame, contract, settings)
    sides = split(prepared.table, prepared.target, contract.split, settings)
    parts = {
        "train": _store_rows(workspace, "train", prepared.table, sides.train),
        "holdout": _store_rows(workspace, "holdout", prepared.table, sides.holdout),
    }
    if sides.batch.any():
        batch = prepared.table[sides.batch].drop(columns=contract.target)
        workspace.store.put(workspace.sample_batch, _parquet(batch))
    known = {
        "model": settings.model,
        "source": settings.data.source,
        "raw": {"key": raw_key, "sha256": raw_sha256},
        "contract_sha256": contract_sha256(contract),
        "contract": contract.model_dump(mode="json"),
    }
    # The manifests come last: whoever reads them finds what they name.
    for side in ("holdout", "train"):
        manifest = json.dumps({**known, "data": parts[side]}, indent=1)
        workspace.store.put(workspace.key(side, MANIFEST), manifest.encode())
    return _outcome(workspace, prepared, parts, int(sides.batch.sum()), raw_sha256)


def contract_sha256(contract: SchemaContract) -> str:
    """The contract's digest; it also tells which rows are held out."""
    canonical = json.dumps(contract.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _stored_contract(workspace: Workspace, frame: "pd.DataFrame", *, renew: bool) -> SchemaContract:
    """The contract of record; the first data (or `renew`) makes it.

    A conditional put decides whether there is one, so that nothing needs the right to list.
    """
    settings = workspace.settings
    key = workspace.key("contracts", "contract.json")
    fresh = _fresh_contract(frame, settings)
    document = json.dumps(fresh.model_dump(mode="json"), indent=1).encode()
    try:
        workspace.store.put(key, document, if_absent=not renew)
    except KeyExistsError:
        stored = SchemaContract.model_validate_json(workspace.store.read(key)[0])
        if stored.target != settings.data.target or set(stored.features) != set(fresh.features):
            changed = sorted(set(stored.features) ^ set(fresh.features))
            raise InputError(
                "the columns are not those of the contract "
                f"(added or gone: {', '.join(changed[:20]) or settings.data.target}): name them in "
                "drop under [data], or pass --renew-contract"
            ) from None
        return stored
    return fresh


def _fresh_contract(frame: "pd.DataFrame", settings: Settings) -> SchemaContract:
    contract = infer(frame, settings)
    prepared = prepare(frame, contract, settings)
    rule = make_rule(prepared.table, prepared.target, settings)
    return contract.model_copy(update={"split": rule})


def _put_once(workspace: Workspace, key: str, data: bytes) -> None:
    """Raw data is never changed in place: its key is its digest."""
    try:
        workspace.store.put(key, data, if_absent=True)
    except KeyExistsError:
        return


def _store_rows(
    workspace: Workspace, side: str, table: "pd.DataFrame", mask: "NDArray[np.bool_]"
) -> dict[str, Any]:
    data = _parquet(table[mask])
    sha256 = hashlib.sha256(data).hexdigest()
    key = workspace.key(side, f"{sha256[:16]}.parquet")
    _put_once(workspace, key, data)
    return {"key": key, "sha256": sha256, "rows": int(mask.sum())}


def _parquet(table: "pd.DataFrame") -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _outcome(
    workspace: Workspace,
    prepared: Prepared,
    parts: dict[str, dict[str, Any]],
    batch: int,
    raw_sha256: str,
) -> Outcome:
    rows = {side: part["rows"] for side, part in parts.items()} | {"batch": batch}
    source = workspace.settings.data.source
    return Outcome(
        lines=[
            f"ingested {source}: {rows['train']} rows to train, {rows['holdout']} held out, "
            f"{batch} to predict, {prepared.set_aside} set aside"
        ],
        values={
            "step": "ingest",
            "model": workspace.model,
            "source": source,
            "raw_sha256": raw_sha256,
            "rows": {**rows, "set_aside": prepared.set_aside},
            "features": prepared.features,
            "keys": {side: part["key"] for side, part in parts.items()},
        },
        warnings=[str(found) for found in prepared.violations],
    )


if __name__ == "__main__":
    main()
