"""`gateway audit`: which caller did what to which charger, when, and what came of it."""

from datetime import datetime
from typing import Annotated, Any

import typer

from gateway.api.v1.audit_pb2 import AuditEntry, AuditOutcome, ListAuditRequest
from gateway.cli.completion import identities
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, as_dict, connect, moment, pages
from gateway.cli.option_values import moment_of
from gateway.cli.output import JsonOption, local, note, out, print_json, table
from gateway.cli.transactions import LimitOption


def audit(
    charge_point: Annotated[
        list[str] | None,
        typer.Option(
            "--charger", metavar="CHARGER", autocompletion=identities, help="Only about this charger; repeat it."
        ),
    ] = None,
    caller: Annotated[
        list[str] | None, typer.Option("--caller", metavar="CALLER", help="Only by this caller; repeat it.")
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option("--action", metavar="RPC", help="Only this action, e.g. RemoteStartTransaction; repeat it."),
    ] = None,
    since: Annotated[
        Any, typer.Option("--since", parser=moment_of, metavar="TIME", help="Only recorded at this time or later.")
    ] = None,
    before: Annotated[
        Any, typer.Option("--before", parser=moment_of, metavar="TIME", help="Only recorded before this time.")
    ] = None,
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List who did what to which charger, the newest first. For administrators.

    There are entries from when the settings have require_callers, and as long as the events of their time are kept.
    """
    request = ListAuditRequest(callers=caller or (), charge_points=charge_point or (), actions=action or ())
    _set(request.recorded_from_time, since)
    _set(request.recorded_before_time, before)
    with connect(target) as gateway:
        found = list(pages(gateway.audit.ListAudit, request, lambda page: page.entries, limit=limit))
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [
        (
            local(moment(each, "record_time")),
            each.caller,
            each.action,
            each.charge_point,
            _subject(each),
            _outcome(each),
        )
        for each in found
    ]
    out().print(table("when", "caller", "action", "charger", "~of", "~outcome", rows=rows))
    if len(found) == limit:
        note(f"the newest {limit}; --limit for more")


def _set(field: Any, given: datetime | None) -> None:
    if given is not None:
        field.FromDatetime(given)


def _subject(entry: AuditEntry) -> str:
    name = entry.WhichOneof("subject")
    return "" if name is None else str(getattr(entry, name))


def _outcome(entry: AuditEntry) -> str:
    word = AuditOutcome.Name(entry.outcome).removeprefix("AUDIT_OUTCOME_").lower().replace("_", " ")
    more = f", {entry.omitted_count} more before" if entry.omitted_count else ""
    return (f"{word}: {entry.detail}" if entry.detail else word) + more
