"""Tasks of a session: each once however often it is woken, and none once the session is over."""

from types import SimpleNamespace

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.commands import ClearCache
from gateway.domain.operations import OperationKind, OperationRecord, OperationRequest
from gateway.domain.values import ConnectorAddress
from gateway.session.task_group import TaskGroup
from tests.certification.test_charger_certificates import asks, signs
from tests.session.commands.test_commands import ready
from tests.session.test_remote_starts import asked_to_start
from tests.support.harness import Harness
from tests.support.station import booted


def parts(task: trio.lowlevel.Task | None = None) -> int:
    """The tasks that sessions have started, of all there are."""
    task = task or trio.lowlevel.current_root_task()
    assert task is not None
    below = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return task.name.endswith("TaskGroup._run") + sum(map(parts, below))


async def test_one_task_waits_for_the_end_of_starts_however_many_commands_are_answered(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Each answer looks whether a start is pending."""
    harness.asks_nothing()
    async with ready(harness) as (charger, asked):
        await asked_to_start(charger, asked)
        for _ in range(5):
            outcome = asked.ask(ClearCache())
            message_id, *_ = await charger.next_call("ClearCache")
            await charger.answer(message_id, {"status": "Accepted"})
            await outcome()
            await wait_all_tasks_blocked()
            assert parts() == 1


async def test_one_task_looks_after_operations_however_often_they_change(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Beside it one that has a command on the wire; also where another node's word of a change comes again."""
    harness.asks_nothing()
    async with ready(harness) as (charger, _asked):
        session = harness.router.session("CP1")
        assert session is not None
        request = OperationRequest(OperationKind.STOP_CHARGING, ConnectorAddress(1, 1))
        await charger.call(
            "StartTransaction",
            {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-03-01T12:00:00Z"},
        )
        assert isinstance(await harness.router.operate("CP1", request, "r", 60), OperationRecord)
        message_id, *_ = await charger.next_call("RemoteStopTransaction")
        await charger.answer(message_id, {"status": "Accepted"})
        await wait_all_tasks_blocked()
        assert parts() == 1
        for _ in range(5):
            harness.router.operation_begun("CP1")
            session.changed(())
            await wait_all_tasks_blocked()
            assert parts() == 1


async def test_one_task_delivers_a_certificate_however_often_it_is_announced(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """And one carries the command."""
    harness.asks_nothing()
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        await signs(harness)
        await station.charger.next_call("CertificateSigned")
        session = harness.router.session("CP1")
        assert session is not None
        for _ in range(5):
            session.changed(())
            await wait_all_tasks_blocked()
            assert parts() == 2


async def test_what_is_started_when_the_nursery_has_just_closed_is_left_out() -> None:
    """Between the end of the last task and the session's word for it lies a step, in which an operator may ask."""
    tasks = TaskGroup(SimpleNamespace(ending=None))  # type: ignore[arg-type]
    ran: list[str] = []

    async def part() -> None:
        ran.append("part")

    async with trio.open_nursery() as nursery:
        tasks.begin(nursery)
        tasks.start(part)
    tasks.start(part)
    assert ran == ["part"]
    assert not tasks.open
