"""`gateway chargers import`: a fleet with the keys that its chargers have, all of it or none."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import grpc
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.api.v1.charge_point_pb2 import (
    ImportBatch,
    ImportChargePointsRequest,
    ImportFault,
    ImportHeader,
    ImportProgress,
    ImportStage,
)
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, connect, describe
from gateway.cli.fleet_file import LABEL, MAX_FILE_BYTES, WRONG_LINES, FleetFile, Row, Wrong, read_fleet
from gateway.cli.last_call import METHOD
from gateway.cli.output import JsonOption, counted, err, fail, print_json, say
from gateway.client import GatewayClient, problem_of

IMPORT = "/gateway.api.v1.ChargePointService/ImportChargePoints"

BATCH = 500
"""Chargers in one message: below 100 kB, and twice as many are allowed."""

BASE_SECONDS, SECONDS_PER_CHARGER = 60.0, 1.0
"""The deadline of an import. A key's hash takes some 30 ms of a core; a busy machine may need far longer."""

STAGES = {
    ImportStage.IMPORT_STAGE_CHECKING: "checking",
    ImportStage.IMPORT_STAGE_HASHING: "hashing keys",
    ImportStage.IMPORT_STAGE_COMMITTING: "writing",
}


def import_fleet(
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(
            metavar="FILE",
            help="CSV in UTF-8 with a header: identity, key_hex or key_text, and optionally registration, description, "
            "assume_subprotocol. - reads standard input.",
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")] = False,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Make a fleet known with the keys that its chargers have already: all of it or, if a line is wrong, none.

    key_hex holds a key's bytes as hexadecimal digits, key_text a password as it is. Keys are never shown.
    """
    fleet = read_fleet(file.read(MAX_FILE_BYTES + 1))
    if not fleet.rows and not fleet.wrong:
        fail("there are no chargers in the file")
    found, trouble = _ask(fleet, dry_run or bool(fleet.wrong), target)
    wrong = sorted({*fleet.wrong, *found}, key=lambda each: (each.line, each.column))
    if wrong:
        lines = len({each.line for each in wrong})
        headline = f"nothing was imported: {lines} {'lines are' if lines > 1 else 'line is'} wrong"
        message = "\n".join([headline, *(f"  {each}" for each in wrong), *([trouble] if trouble else [])])
        fail(message, reason=WRONG_LINES, violations=[(each.place, each.reason) for each in wrong])
    count = len(fleet.rows)
    if json:
        print_json({"charge_points": count, "dry_run": dry_run})
    elif dry_run:
        say(f"{counted(count, 'charger')} could be imported; nothing was changed")
    else:
        say(f"{counted(count, 'charger')} imported")


def _ask(fleet: FleetFile, validate_only: bool, target: str) -> tuple[list[Wrong], str]:
    """Return the faults that the gateway found and, where it could not check although there are faults, the reason.

    With neither the import is done. Raises grpc.RpcError.
    """
    if not fleet.rows:
        return [], ""
    wrong: list[Wrong] = []
    known = {(each.line, each.column) for each in fleet.wrong}
    try:
        with connect(target) as gateway:
            for fault in _faults(gateway, fleet.rows, validate_only):
                found = _in_the_file(fault, fleet.rows)
                if (found.line, found.column) not in known:
                    wrong.append(found)
    except grpc.RpcError as error:
        if problem_of(error).metadata.get("wrong_count"):
            return wrong, ""
        if not fleet.wrong:
            raise
        return wrong, f"the gateway did not check the rest: {describe(error)}"
    return wrong, ""


def _faults(gateway: GatewayClient, rows: Sequence[Row], validate_only: bool) -> Iterator[ImportFault]:
    """Import, and show how far it has come; what the gateway finds wrong."""
    seconds = BASE_SECONDS + SECONDS_PER_CHARGER * len(rows)
    bar = Progress(
        TextColumn("{task.description:12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err(),
        transient=True,
        disable=not err().is_terminal,
    )
    if not validate_only:
        METHOD.set(IMPORT)
    with bar:
        task = bar.add_task("sending", total=len(rows))
        for response in gateway.charge_points.ImportChargePoints(_requests(rows, validate_only), timeout=seconds):
            if response.HasField("progress"):
                progress: ImportProgress = response.progress
                stage = STAGES.get(progress.stage, "working")
                bar.update(task, description=stage, completed=progress.done_count, total=progress.total_count)
            yield from response.faults.faults


def _requests(rows: Sequence[Row], validate_only: bool) -> Iterator[ImportChargePointsRequest]:
    header = ImportHeader(charge_point_count=len(rows), validate_only=validate_only)
    yield ImportChargePointsRequest(header=header)
    for start in range(0, len(rows), BATCH):
        batch = ImportBatch(charge_points=[row.charge_point for row in rows[start : start + BATCH]])
        yield ImportChargePointsRequest(batch=batch)


def _in_the_file(fault: ImportFault, rows: Sequence[Row]) -> Wrong:
    """A fault by line and column."""
    row = rows[fault.index]
    column = fault.field.removeprefix("charge_point.")
    if column == "authorization_key":
        column = row.key_column
    if column.startswith("labels["):
        column = f"{LABEL}{column.removeprefix('labels[').removesuffix(']')}"
    reason = fault.description
    if fault.HasField("duplicate_of_index"):
        reason = f"is that of line {rows[fault.duplicate_of_index].line} too"
    return Wrong(row.line, column, reason)
