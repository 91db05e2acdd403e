"""`gateway nodes`: the gateways that work as one."""

from gateway.api.v1 import server_pb2 as api
from gateway.cli.connection import DEFAULT_TARGET, READ_SECONDS, TargetOption, as_dict, connect, moment
from gateway.cli.output import JsonOption, age, local, note, out, print_json, table

STATES = {
    api.NODE_STATE_LIVE: "live",
    api.NODE_STATE_DRAINING: "draining",
    api.NODE_STATE_SILENT: "silent",
    api.NODE_STATE_ENDED: "ended",
}


def nodes(target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """List the gateways that share the store: state, sessions, since when, and who keeps the chores of the fleet."""
    with connect(target) as gateway:
        found = gateway.server.ListNodes(api.ListNodesRequest(), timeout=READ_SECONDS)
    if json:
        print_json([as_dict(each) for each in found.nodes])
        return
    rows = [
        (
            "-" if each.slot == 0 else each.slot,
            f"{each.name}{' (answers)' if each.slot == found.own_slot else ''}",
            each.version,
            STATES.get(each.state, "?"),
            each.session_count,
            local(moment(each, "since_time")) or "?",
            age(moment(each, "renew_time")),
            "yes" if each.keeps_chores else "",
        )
        for each in found.nodes
    ]
    out().print(table("slot", "name", "version", "state", "sessions", "since", "renewed", "chores", rows=rows))
    if not any(each.keeps_chores for each in found.nodes):
        note("no node keeps the chores of the fleet at this moment: one takes them within seconds")
