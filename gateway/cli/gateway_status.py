"""`gateway status`: how the gateway fares, in the figures that operators look at first."""

from collections.abc import Iterator

from gateway.api.v1.diagnostics_pb2 import GatewayStatus, GetGatewayStatusRequest
from gateway.cli.connection import DEFAULT_TARGET, READ_SECONDS, TargetOption, as_dict, connect, moment
from gateway.cli.output import JsonOption, facts, local, out, print_json, table

MEBIBYTE = 1024 * 1024


def status(target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Show the store and its disk, the watchers of events and how far behind they are, and certificates' ends."""
    with connect(target) as gateway:
        found = gateway.diagnostics.GetGatewayStatus(GetGatewayStatusRequest(), timeout=READ_SECONDS).status
    if json:
        print_json(as_dict(found))
        return
    out().print(facts(_facts(found)))
    watchers = [
        (each.caller or "-", each.method, local(moment(each, "start_time")), each.events_behind)
        for each in found.watchers
    ]
    out().print(table("watcher", "method", "since", ">events behind", rows=watchers))
    ends = [(each.listener, each.kind, local(moment(each, "expire_time"))) for each in found.certificates]
    out().print(table("served by", "what", "ends", rows=ends))


def _facts(found: GatewayStatus) -> Iterator[tuple[str, object]]:
    store = found.store
    yield "store", "takes commits" if store.healthy else "takes no commits"
    yield "database", _size(store.database_bytes)
    if store.HasField("free_bytes"):
        yield "its log", _size(store.log_bytes)
        yield "free on its disk", f"{_size(store.free_bytes)} of {_size(store.disk_bytes)}"
    yield "writes that wait", store.waiting_write_count
    yield "watchers", found.watcher_count


def _size(count: int) -> str:
    return f"{count / MEBIBYTE:,.0f} MiB"
