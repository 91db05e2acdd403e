"""`gateway info`: the gateway that the command line reaches."""

from gateway.api.v1.server_pb2 import ClusterInfo, GetServerInfoRequest
from gateway.cli.connection import DEFAULT_TARGET, READ_SECONDS, TargetOption, as_dict, connect, moment
from gateway.cli.output import JsonOption, facts, local, out, print_json


def info(target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Show the version, contract, capabilities, limits and store of the gateway that answers."""
    with connect(target) as gateway:
        found = gateway.server.GetServerInfo(GetServerInfoRequest(), timeout=READ_SECONDS).server
    if json:
        print_json(as_dict(found))
        return
    limits, store = found.limits, found.store
    out().print(
        facts(
            (
                ("version", found.version),
                ("contract", f"{found.contract_version}, {found.contract_digest[:12]}"),
                ("chargers speak", ", ".join(found.ocpp_subprotocols)),
                ("runs since", local(moment(found, "start_time"))),
                ("callers", "must show who they are" if found.callers_required else "any that reach it"),
                ("nodes", _nodes(found.cluster)),
                ("store", f"{store.store_id} ({store.kind}), events {store.floor_position} to {store.head_position}"),
                ("requests", f"at most {limits.request_bytes:,} bytes; answers {limits.response_bytes:,}"),
                ("pages", f"at most {limits.page_size:,} items"),
                ("capabilities", ", ".join(found.capabilities)),
            )
        )
    )


def _nodes(cluster: ClusterInfo) -> str:
    if not cluster.own_slot:
        return "this one alone"
    keeper = f"slot {cluster.chores_slot} keeps" if cluster.HasField("chores_slot") else "none keeps"
    return f"{cluster.node_count}; slot {cluster.own_slot} answers ({cluster.own_name}), {keeper} the chores"
