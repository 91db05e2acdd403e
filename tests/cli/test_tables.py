"""Tables on terminals of any width: what stays side by side, what stands below, and that nothing is cut."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gateway.api.v1 import charge_point_pb2, command_pb2, common_pb2, diagnostics_pb2, transaction_pb2
from gateway.cli import output
from gateway.cli.dashboard import Dashboard, Outlet
from gateway.cli.output import counted, table
from tests.cli.fakes import at

ONE = common_pb2.ConnectorAddress(evse=1, connector=1)
ID = "tx_01hx3v5k8q2m4n6p7r9s0t1v2w"


@pytest.fixture
def narrow(monkeypatch):
    """Standard output is a terminal of 80 columns."""

    def out() -> Console:
        return Console(file=output.sys.stdout, width=80, highlight=False, markup=False, emoji=False)

    for name in ("transactions", "commands", "chargers", "diagnostics"):
        monkeypatch.setattr(f"gateway.cli.{name}.out", out)


def lines(result) -> list[str]:
    """The printed lines, none of them too wide and none of them cut."""
    assert result.exit_code == 0, result.output
    assert "…" not in result.stdout
    found = result.stdout.splitlines()
    assert all(len(each) <= 80 for each in found)
    return found


def test_transactions_keep_their_energy_and_times_at_80_columns(fake, run, narrow):
    """The id is below, whole, to be copied."""
    found = transaction_pb2.Transaction(
        transaction_id=ID,
        charge_point="HOME-0001",
        connector=ONE,
        id_tag="A-TAG-OF-20-LETTERS-",
        state=transaction_pb2.TransactionState.TRANSACTION_STATE_STOPPED,
        start_time=at("2024-05-01T10:00:00Z"),
        stop_time=at("2024-05-01T12:00:00Z"),
        energy=common_pb2.Energy(milliwatt_hours=12_345_000),
        stop_reason="EVDisconnected",
    )
    fake.answers["ListTransactions"] = transaction_pb2.ListTransactionsResponse(transactions=[found])
    header, row, *below = lines(run("transactions"))
    assert header.split()[:5] == ["charger", "state", "started", "stopped", "energy"]
    assert row.split("  ") == ["HOME-0001", "stopped", "2024-05-01 10:00:00", "2024-05-01 12:00:00", "12.345 kWh"]
    assert f"transaction {ID}" in below[0]
    assert "tag A-TAG-OF-20-LETTERS-" in "\n".join(below)


def test_commands_keep_charger_state_and_time_at_80_columns(fake, run, narrow):
    """And their outcome, below."""
    found = command_pb2.Command(
        command_id=ID.replace("tx", "cmd"),
        charge_point="HOME-0001",
        operation="SetChargingProfile",
        state=command_pb2.CommandState.COMMAND_STATE_ANSWERED,
        create_time=at("2024-05-01T10:00:00Z"),
        error=command_pb2.CommandError(code="PropertyConstraintViolation", description="stackLevel"),
    )
    fake.answers["ListCommands"] = command_pb2.ListCommandsResponse(commands=[found])
    _, row, *below = lines(run("commands"))
    assert row.split("  ") == ["HOME-0001", "SetChargingProfile", "answered", "2024-05-01 10:00:00"]
    assert "outcome PropertyConstraintViolation: stackLevel" in "\n".join(below)


def test_a_refusals_reason_and_meaning_are_whole_at_80_columns(fake, run, narrow):
    """The manual is searched for the reason."""
    reasons = ("sslv3_alert_certificate_unknown", "several_authorization_headers", "unknown_identity")
    found = [
        diagnostics_pb2.RefusedConnection(
            charge_point="HOME-0001",
            address="2001:db8::1234:5678",
            reason=each,
            count=3,
            http_status=404,
            last_seen_time=at("2024-05-01T10:00:00Z"),
        )
        for each in reasons
    ]
    fake.answers["ListRefusedConnections"] = diagnostics_pb2.ListRefusedConnectionsResponse(refused_connections=found)
    shown = "\n".join(lines(run("refused")))
    assert all(each in shown for each in reasons)
    assert "the charger does not accept the server certificate" in shown
    assert shown.count("2024-05-01 10:00:00") == 3


def test_chargers_keep_their_headings_at_80_columns(fake, run, narrow):
    """Make and firmware stand below."""
    found = charge_point_pb2.ChargePoint(
        identity="HOME-0001",
        registration=common_pb2.Registration.REGISTRATION_ACCEPTED,
        boot=charge_point_pb2.BootInformation(vendor="Wallbox Works", model="Home 11", firmware_version="1.2.3"),
        connection=charge_point_pb2.Connection(connected=True, last_heard_time=at("2024-05-01T10:00:00Z")),
        connectors=[charge_point_pb2.Connector(connector=ONE, status="SuspendedEVSE")],
    )
    fake.answers["ListChargePoints"] = charge_point_pb2.ListChargePointsResponse(charge_points=[found])
    shown = "\n".join(lines(run("chargers", "list")))
    assert "identity   connection  registration" in shown
    assert "Wallbox Works" in shown


def test_the_live_view_fits_80_columns():
    """Tag and time of change make room; charger, status, power and energy stay."""
    dashboard = Dashboard(online={"HOME-0001": True})
    dashboard.outlets["HOME-0001", "1"] = Outlet(
        "SuspendedEVSE", 7360.0, "tx_1", "A-TAG-OF-20-LETTERS-", 0, 99_123_000, at("2024-05-01T10:00:00Z").ToDatetime()
    )
    shown = drawn(dashboard.render(), 80)
    assert "…" not in shown
    assert all(each in shown for each in ("HOME-0001", "SuspendedEVSE", "7.36 kW", "99.123 kWh"))
    assert max(map(len, shown.splitlines())) <= 80


def test_a_pipe_gets_a_line_for_each_row():
    """Programs that cut columns out of it find them."""
    shown = drawn(table("~id", "text", rows=[["x" * 100, "y" * 200], ["z", ""]]), output.PIPE_WIDTH)
    assert shown.splitlines()[1:] == ["x" * 100 + "  " + "y" * 200, "z"]


def test_an_empty_table_says_so():
    """A heading alone is no answer."""
    assert drawn(table("a", rows=[])) == "none\n"


@given(
    st.lists(
        st.lists(st.text(st.characters(categories=["L", "N"], max_codepoint=127), max_size=30), min_size=4), max_size=4
    ),
    st.integers(10, 100),
)
def test_no_table_loses_a_letter(rows, width):
    """Whatever the width: every value is there, in its order of letters, and no line is wider than the terminal."""
    rows = [row[:4] for row in rows]
    shown = drawn(table("a", "~b", ">c", "~>d", rows=rows), width)
    assert all(len(each) <= width for each in shown.splitlines())
    together = "".join(shown.split())
    assert all(each in together for row in rows for each in row)


def drawn(renderable, width: int = 80) -> str:
    """As it stands on a terminal of a width."""
    file = io.StringIO()
    Console(file=file, width=width).print(renderable)
    return "\n".join(line.rstrip() for line in file.getvalue().split("\n"))


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (12_345, "12,345 frames")]
)
def test_what_is_counted_is_in_the_plural_unless_it_is_one(count: int, text: str) -> None:
    """As a reader would write it."""
    assert counted(count, "frame") == text
