"""`gateway latencies`: the time that answers take, by make and firmware."""

from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from gateway.api.v1.diagnostics_pb2 import LatencyKind, ListLatenciesRequest
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, as_dict, connect, pages
from gateway.cli.output import JsonOption, note, out, print_json, table

KINDS = {LatencyKind.LATENCY_KIND_ANSWER: "to charger", LatencyKind.LATENCY_KIND_CALL: "of charger"}


def latencies(
    vendor: Annotated[str, typer.Option(help="Only those of this make.")] = "",
    model: Annotated[str, typer.Option(help="Only those of this model.")] = "",
    firmware: Annotated[str, typer.Option(help="Only those of this firmware.")] = "",
    action: Annotated[str, typer.Option(help="Only those of this action, e.g. Heartbeat.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 200,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List how long answers take, by action, make and firmware, the slowest first: to chargers, and theirs to calls."""
    request = ListLatenciesRequest(vendor=vendor, model=model, firmware_version=firmware, action=action)
    with connect(target) as gateway:
        found = list(pages(gateway.diagnostics.ListLatencies, request, lambda page: page.latencies))
    found.sort(key=lambda each: (-each.p99_duration.ToNanoseconds(), each.action))
    shown = found[:limit]
    if json:
        print_json([as_dict(each) for each in shown])
        return
    rows = [
        (
            KINDS.get(each.kind, "?"),
            each.action,
            each.vendor,
            each.model,
            each.firmware_version,
            each.count,
            _length(each.mean_duration),
            _length(each.median_duration),
            _length(each.p99_duration),
        )
        for each in shown
    ]
    columns = ("answer", "action", "~vendor", "~model", "~firmware", ">answers", ">mean", ">median", ">99 %")
    out().print(table(*columns, rows=rows, empty="none since the gateway started"))
    if len(found) > limit:
        note(f"the {limit} slowest of {len(found)}; --limit for more")


def _length(duration: Duration) -> str:
    """Milliseconds below a second, else seconds, with three digits."""
    seconds = duration.ToNanoseconds() / 1e9
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"
