"""Remote starts that may still become a transaction, and work that charge points report on, on both stores."""

from typing import Any, TypeAlias

import pytest
from attrs import evolve

from gateway.domain.commands import ChargerError, StatusAnswer
from gateway.domain.decision import StartPending
from gateway.domain.events import (
    Body,
    CommandAnswered,
    CommandNotSent,
    CommandOutcomeUnknown,
    CommandQueued,
    CommandSent,
    DiagnosticsStatusReported,
    FirmwareStatusReported,
    LogStatusReported,
    RemoteStartExpired,
)
from gateway.domain.progress import Work
from gateway.domain.records import PendingStart, Progress
from gateway.domain.remote_starts import MAX_PENDING, OPERATION
from gateway.domain.values import ConnectorAddress
from gateway.store.api import Store
from gateway.store.commits import Appended, GuardFailed
from tests.store.builders import append, at, connect

Report: TypeAlias = FirmwareStatusReported | DiagnosticsStatusReported | LogStatusReported

ANYWHERE: dict[str, Any] = {"id_tag": "TAG"}
THERE = {"id_tag": "TAG", "connector": {"evse": 2, "connector": 1}}


def queued(number: int = 1, arguments: dict[str, Any] = THERE, operation: str = OPERATION) -> CommandQueued:
    return CommandQueued(f"cmd_{number}", operation, f"req{number}", arguments, "print")


def sent(operation: str = OPERATION, request: int | None = None) -> CommandSent:
    return CommandSent("cmd_1", operation, request)


def answered(status: str = "Accepted", operation: str = OPERATION) -> CommandAnswered:
    return CommandAnswered("cmd_1", operation, StatusAnswer(status))


@pytest.fixture
def store(store: Store) -> Store:
    """With a charge point that is connected."""
    connect(store)
    return store


def pending(store: Store) -> dict[str, PendingStart]:
    found = store.state("CP1", at(99))
    assert found is not None
    return {command_id: evolve(each, held_until=None) for command_id, each in found.state.pending_starts.items()}


def test_a_start_is_pending_from_its_queuing_on(store: Store) -> None:
    """With its connector, if one is named; other commands are none."""
    append(store, queued(1), queued(2, ANYWHERE), queued(3, ANYWHERE, "ClearCache"), seconds=5)
    assert pending(store) == {
        "cmd_1": PendingStart("cmd_1", "TAG", ConnectorAddress(2, 1), at(5)),
        "cmd_2": PendingStart("cmd_2", "TAG", None, at(5)),
    }


def test_a_start_notes_when_it_was_sent_and_accepted(store: Store) -> None:
    """Each at its own time; the other one stays as it is."""
    append(store, queued(1), queued(2))
    append(store, sent(), seconds=3)
    assert pending(store)["cmd_1"] == PendingStart("cmd_1", "TAG", ConnectorAddress(2, 1), at(), at(3))
    append(store, answered(), seconds=4)
    assert pending(store)["cmd_1"] == PendingStart("cmd_1", "TAG", ConnectorAddress(2, 1), at(), at(3), at(4))
    assert pending(store)["cmd_2"] == PendingStart("cmd_2", "TAG", ConnectorAddress(2, 1), at())


ENDS: dict[str, Body] = {
    "refused": answered("Rejected"),
    "an error": CommandAnswered("cmd_1", OPERATION, error=ChargerError("InternalError", "")),
    "not sent": CommandNotSent("cmd_1", OPERATION, "deadline"),
    "expired": RemoteStartExpired("cmd_1", "TAG", ConnectorAddress(2, 1), True),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_start_is_over_with_each_of_its_ends(store: Store, end: str) -> None:
    """And the other one stays."""
    append(store, queued(1), queued(2), *() if end == "not sent" else (sent(),))
    assert isinstance(append(store, guards=[StartPending("cmd_1")]), Appended)
    append(store, ENDS[end])
    assert set(pending(store)) == {"cmd_2"}
    assert append(store, guards=[StartPending("cmd_1")]) == GuardFailed(StartPending("cmd_1"))


@pytest.mark.parametrize("was_sent", [True, False])
def test_an_unknown_outcome_may_have_been_sent(store: Store, was_sent: bool) -> None:
    """At the time of sending, as far as that is known; else at that of queuing."""
    append(store, queued(1), queued(2))
    if was_sent:
        append(store, sent(), seconds=3)
    append(store, CommandOutcomeUnknown("cmd_1", OPERATION, "disconnected"), seconds=9)
    found = pending(store)
    assert (found["cmd_1"].sent_at, found["cmd_2"].sent_at) == (at(3 if was_sent else 0), None)


def test_no_more_starts_are_pending_than_the_bound(store: Store) -> None:
    """Also where others are in the same batch."""
    append(store, *(queued(number) for number in range(MAX_PENDING - 1)))
    append(store, queued(100), seconds=1)
    append(store, queued(101), seconds=1)
    assert len(pending(store)) == MAX_PENDING
    assert {"cmd_100", "cmd_101"} & set(pending(store)) == {"cmd_100"}


# --- work that is reported on -----------------------------------------------------------------------------------

WORKS: list[tuple[Work, str, Report, Report]] = [
    (
        Work.FIRMWARE,
        "UpdateFirmware",
        FirmwareStatusReported("Downloading"),
        FirmwareStatusReported("Installed", command_id="cmd_1"),
    ),
    (
        Work.DIAGNOSTICS,
        "GetDiagnostics",
        DiagnosticsStatusReported("Uploading"),
        DiagnosticsStatusReported("Uploaded", command_id="cmd_1"),
    ),
    (Work.LOG, "GetLog", LogStatusReported("Uploading", 9), LogStatusReported("Uploaded", 9, "cmd_1")),
]


@pytest.mark.parametrize(("work", "operation", "first", "last"), WORKS)
def test_reports_count_for_the_command_that_was_sent_last(
    store: Store, work: Work, operation: str, first: Report, last: Report
) -> None:
    """With their time; of each kind of work by itself."""
    append(store, queued(1, {}, operation))
    append(store, sent(operation, 9), seconds=1)

    def progress() -> dict[Any, Progress]:
        found = store.state("CP1", at(99))
        assert found is not None
        return dict(found.state.progress)

    begun = progress()
    assert set(begun) == {work}
    assert (begun[work].command_id, begun[work].reported_at) == ("cmd_1", None)
    append(store, first, seconds=2)
    assert (progress()[work].status, progress()[work].reported_at) == (first.status, at(2))
    append(store, last, seconds=3)
    assert (progress()[work].status, progress()[work].reported_at) == (last.status, at(3))
    assert progress()[work].status_command_id == "cmd_1"
