"""`gateway info`: the gateway that answers."""

import json

from gateway.api.v1 import server_pb2 as api
from tests.cli.fakes import at

FOUND = api.ServerInfo(
    version="1.2.3",
    contract_version="v1",
    contract_digest="abcdef" * 10,
    capabilities=["list-filters", "server-info"],
    limits=api.ServerLimits(request_bytes=4_194_304, response_bytes=16_777_216, page_size=1_000),
    store=api.StoreInfo(store_id="store_1", kind="sqlite", floor_position=7, head_position=1_234),
    start_time=at("2026-05-01T10:00:00Z"),
    ocpp_subprotocols=["ocpp1.6"],
    callers_required=True,
)


def test_what_the_gateway_is_is_shown(fake, run):
    """For people, on a screen."""
    fake.answers["GetServerInfo"] = api.GetServerInfoResponse(server=FOUND)
    result = run("info")
    assert result.exit_code == 0, result.output
    for part in (
        "1.2.3",
        "v1, abcdefabcdef",
        "ocpp1.6",
        "store_1 (sqlite), events 7 to 1234",
        "4,194,304",
        "list-filters",
    ):
        assert part in result.stdout
    assert "must show who they are" in result.stdout


def test_programs_get_all_of_it(fake, run):
    """Under the names that the contract has."""
    fake.answers["GetServerInfo"] = api.GetServerInfoResponse(server=FOUND)
    shown = json.loads(run("info", "--json").stdout)
    assert (shown["version"], shown["store"]["head_position"]) == ("1.2.3", "1234")
    assert shown["capabilities"] == ["list-filters", "server-info"]
