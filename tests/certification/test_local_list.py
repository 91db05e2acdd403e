"""OCTT's cases of local lists of tags."""

import pytest
from trio.testing import MockClock

from gateway.domain.commands import (
    GetLocalListVersion,
    LocalListEntry,
    LocalListVersionAnswer,
    RefusalReason,
    SendLocalList,
    StatusAnswer,
    UpdateType,
)
from tests.support.harness import BOOT, Harness
from tests.support.station import ACCEPTED, booted

ENTRIES = (LocalListEntry("TAG", "Accepted"), LocalListEntry("OTHER", "Blocked", parent_id_tag="GROUP"))
FULL = SendLocalList(1, UpdateType.FULL, ENTRIES)
FULL_SENT = {
    "listVersion": 1,
    "updateType": "Full",
    "localAuthorizationList": [
        {"idTag": "TAG", "idTagInfo": {"status": "Accepted"}},
        {"idTag": "OTHER", "idTagInfo": {"status": "Blocked", "parentIdTag": "GROUP"}},
    ],
}
CHANGE = SendLocalList(2, UpdateType.DIFFERENTIAL, (LocalListEntry("NEW", "Accepted"), LocalListEntry("OTHER")))
CHANGE_SENT = {
    "listVersion": 2,
    "updateType": "Differential",
    "localAuthorizationList": [{"idTag": "NEW", "idTagInfo": {"status": "Accepted"}}, {"idTag": "OTHER"}],
}


async def test_tc_042_1_list_version_unsupported(harness: Harness, autojump_clock: MockClock) -> None:
    """-1 is returned as it is, and no list is sent to that charge point until it boots or says otherwise (S §5.10)."""
    async with booted(harness) as station:
        answer = await station.obeys(GetLocalListVersion(), {}, {"listVersion": -1})
        assert answer == LocalListVersionAnswer(-1)
        refused = await station.is_spared(FULL)
        assert refused.reason is RefusalReason.INVALID_COMMAND
        assert "-1" in refused.violations[0].description
        await station.says("BootNotification", **{**BOOT, "firmwareVersion": "2.0"})
        assert await station.obeys(FULL, FULL_SENT, ACCEPTED) == StatusAnswer("Accepted")


async def test_tc_042_2_list_version_empty(harness: Harness, autojump_clock: MockClock) -> None:
    """0 is an empty list, to which one may be sent."""
    async with booted(harness) as station:
        answer = await station.obeys(GetLocalListVersion(), {}, {"listVersion": 0})
        assert answer == LocalListVersionAnswer(0)
        assert await station.obeys(FULL, FULL_SENT, ACCEPTED) == StatusAnswer("Accepted")


async def test_tc_043_1_send_list_not_supported(harness: Harness, autojump_clock: MockClock) -> None:
    """NotSupported is returned, and the session goes on."""
    async with booted(harness) as station:
        assert await station.obeys(FULL, FULL_SENT, {"status": "NotSupported"}) == StatusAnswer("NotSupported")
        assert await station.authorize() == ACCEPTED


@pytest.mark.parametrize("status", ["Failed", "VersionMismatch"])
async def test_tc_043_3_send_list_failed(harness: Harness, autojump_clock: MockClock, status: str) -> None:
    """A change that was not taken is returned by its own word, upon which the operator's full list goes out."""
    async with booted(harness) as station:
        assert await station.obeys(CHANGE, CHANGE_SENT, {"status": status}) == StatusAnswer(status)
        assert await station.obeys(FULL, FULL_SENT, ACCEPTED) == StatusAnswer("Accepted")


async def test_tc_043_4_send_list_full(harness: Harness, autojump_clock: MockClock) -> None:
    """In a full list every entry has its idTagInfo; one without is refused here."""
    async with booted(harness) as station:
        assert await station.obeys(FULL, FULL_SENT, ACCEPTED) == StatusAnswer("Accepted")
        refused = await station.is_spared(SendLocalList(1, UpdateType.FULL, (LocalListEntry("TAG"),)))
        assert refused.violations[0].field == "entries[0].status"


async def test_tc_043_5_send_list_differential(harness: Harness, autojump_clock: MockClock) -> None:
    """In a change an entry without idTagInfo takes a tag away."""
    async with booted(harness) as station:
        assert await station.obeys(CHANGE, CHANGE_SENT, ACCEPTED) == StatusAnswer("Accepted")
