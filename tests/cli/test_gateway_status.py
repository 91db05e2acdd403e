"""`gateway status`: what is shown of the store, the watchers and the certificates."""

from typing import Any

from gateway.api.v1 import diagnostics_pb2 as api
from tests.cli.fakes import at

STATUS = api.GatewayStatus(
    store=api.StoreStatus(
        healthy=True,
        database_bytes=512 * 2**20,
        log_bytes=4 * 2**20,
        free_bytes=2**30,
        disk_bytes=2**31,
        waiting_write_count=3,
    ),
    watchers=[api.EventWatcher(method="WatchEvents", start_time=at("2024-05-01T10:00:00Z"), events_behind=12)],
    watcher_count=1,
    certificates=[api.ServedCertificate(listener="main", kind="ECDSA", expire_time=at("2025-01-01T00:00:00Z"))],
)


def words(run: Any) -> str:
    return " ".join(run("status").stdout.split())


def test_the_figures_that_count_are_shown(fake: Any, run: Any) -> None:
    """In mebibytes, and with the time by which each certificate ends."""
    fake.answers["GetGatewayStatus"] = api.GetGatewayStatusResponse(status=STATUS)
    shown = words(run)
    for part in (
        "takes commits",
        "512 MiB",
        "4 MiB",
        "1,024 MiB of 2,048 MiB",
        "WatchEvents 2024-05-01 10:00:00 12",
        "main ECDSA 2025-01-01 00:00:00",
    ):
        assert part in shown, part
    assert '"events_behind": ' in run("status", "--json").stdout


def test_of_a_server_no_disk_is_shown(fake: Any, run: Any) -> None:
    """Its own monitoring knows it."""
    status = api.GatewayStatus(store=api.StoreStatus(healthy=False, database_bytes=2**20))
    fake.answers["GetGatewayStatus"] = api.GetGatewayStatusResponse(status=status)
    shown = words(run)
    assert "takes no commits" in shown
    assert "free on its disk" not in shown
