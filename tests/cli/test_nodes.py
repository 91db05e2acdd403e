"""`gateway nodes`: the gateways that work as one, and what `gateway info` says of them."""

import json

from gateway.api.v1 import charge_point_pb2
from gateway.api.v1 import server_pb2 as api
from tests.cli.fakes import at


def listed(*, chores=True):
    nodes = [
        api.Node(
            slot=3,
            name="gw3, process 812",
            version="1.2.3",
            state=api.NODE_STATE_LIVE,
            session_count=19_000,
            incarnation=4,
            since_time=at("2026-05-01T10:00:00Z"),
            renew_time=at("2026-05-01T12:00:00Z"),
            keeps_chores=chores,
        ),
        api.Node(slot=4, name="gw4, process 9", version="1.2.2", state=api.NODE_STATE_SILENT, session_count=2),
        api.Node(slot=5, name="gw5, process 7", version="1.2.2", state=99),
    ]
    return api.ListNodesResponse(nodes=nodes, own_slot=3)


def test_nodes_are_shown_with_who_answers_and_who_keeps_the_chores(fake, run):
    """A state of a later version is shown as one that is not known."""
    fake.answers["ListNodes"] = listed()
    result = run("nodes")
    assert result.exit_code == 0, result.output
    first, second, third = (line for line in result.stdout.splitlines() if "process" in line)
    for part in ("gw3, process 812 (answers)", "1.2.3", "live", "19000", "yes"):
        assert part in first
    assert "silent" in second
    assert "yes" not in second
    assert "?" in third
    assert "chores" not in result.stderr


def test_a_fleet_without_a_keeper_of_its_chores_is_said(fake, run):
    """Else it would be noticed days later, by what retention has left."""
    fake.answers["ListNodes"] = listed(chores=False)
    assert "no node keeps the chores" in run("nodes").stderr


def test_a_gateway_alone_has_no_slot(fake, run):
    """Zero is the number of none."""
    only = api.Node(slot=0, name="gw, process 1", state=api.NODE_STATE_LIVE, keeps_chores=True)
    fake.answers["ListNodes"] = api.ListNodesResponse(nodes=[only])
    (line,) = (line for line in run("nodes").stdout.splitlines() if "process" in line)
    assert line.split()[:2] == ["-", "gw,"]


def test_programs_get_all_of_each(fake, run):
    """Under the names that the contract has."""
    fake.answers["ListNodes"] = listed()
    first, *_ = json.loads(run("nodes", "--json").stdout)
    assert (first["slot"], first["state"], first["session_count"]) == (3, "NODE_STATE_LIVE", "19000")
    assert first["keeps_chores"] is True


def test_info_says_how_many_there_are(fake, run):
    """And which of them answers; one alone is said to be that."""
    several = api.ClusterInfo(node_count=3, own_slot=2, own_name="gw2, process 1", chores_slot=1)
    for cluster, shown in (
        (api.ClusterInfo(node_count=1, own_name="gw, process 1"), "this one alone"),
        (several, "3; slot 2 answers (gw2, process 1), slot 1 keeps the chores"),
        (api.ClusterInfo(node_count=1, own_slot=2), "none keeps the chores"),
    ):
        fake.answers["GetServerInfo"] = api.GetServerInfoResponse(server=api.ServerInfo(cluster=cluster))
        assert shown in run("info").stdout


def test_a_charger_is_shown_with_its_node(fake, run):
    """Only where it is one of several."""
    for slot, shown in ((3, "from 192.0.2.1:4711, at node 3"), (0, "from 192.0.2.1:4711\n")):
        connection = charge_point_pb2.Connection(connected=True, remote_address="192.0.2.1:4711", node_slot=slot)
        point = charge_point_pb2.ChargePoint(identity="CP1", connection=connection)
        fake.answers["GetChargePoint"] = charge_point_pb2.GetChargePointResponse(charge_point=point)
        result = run("chargers", "show", "CP1")
        assert result.exit_code == 0, result.output
        assert shown in "\n".join(line.rstrip(" │|") for line in result.stdout.splitlines())
