"""The course of a rotation as a table: each stage and what has happened, to what follows."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.commands import CommandState
from gateway.domain.credentials import MAX_KEYS, id_for_command
from gateway.domain.events import OperationAdvanced, OperationEnded
from gateway.domain.operations import (
    OpenOperation,
    OperationKind,
    OperationRecord,
    OperationRequest,
    OwnCommand,
    Stage,
    StageReached,
)
from gateway.ocpp.v16.own_requests import OwnRequests16
from gateway.security.rotation import LAST_WAIT, MOST_KEYS, RETRY, ROTATION_WAIT, TABLE, step
from gateway.security.steps import NO_CONNECTION, Connection, Entry, SecurityStep, ToSend

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SENT, ANSWERED, UNKNOWN = CommandState.SENT, CommandState.ANSWERED, CommandState.OUTCOME_UNKNOWN
NOT_SENT, QUEUED = CommandState.NOT_SENT, CommandState.QUEUED


def command(number: int, state: CommandState, said: str = "", reason: str = "") -> OwnCommand:
    return OwnCommand(f"cmd_{number}", "ChangeConfiguration", state, said, reason)


def rotation(stage: Stage, *commands: OwnCommand, of: str = "cmd_1") -> OpenOperation:
    """One that has reached a stage, with the command of it."""
    record = OperationRecord(
        "op",
        "CP1",
        "r",
        OperationRequest(OperationKind.ROTATE_AUTHORIZATION_KEY),
        NOW,
        NOW + ROTATION_WAIT,
        (StageReached(Stage.ACCEPTED, NOW, 1), StageReached(stage, NOW, 2)),
        "" if stage is Stage.ACCEPTED else of,
    )
    return OpenOperation(record, commands=commands)


def then(
    operation: OpenOperation, connection: Connection = NO_CONNECTION, after: timedelta = timedelta()
) -> SecurityStep:
    return step(operation, connection, NOW + after, OwnRequests16().answer_in)


def events(found: SecurityStep) -> list[str]:
    """Stages that are reached, and the end with its reason."""
    shown = []
    for body in found.events:
        if isinstance(body, OperationEnded):
            shown.append(f"{body.end} {body.reason}".strip())
        else:
            assert isinstance(body, OperationAdvanced)
            shown.append(body.stage)
    return shown


@pytest.mark.parametrize(
    ("operation", "connection", "expected"),
    [
        (rotation(Stage.ACCEPTED, command(1, SENT)), NO_CONNECTION, ["SENT"]),
        (
            rotation(Stage.ACCEPTED, command(1, ANSWERED, "Accepted")),
            NO_CONNECTION,
            ["SENT", "CHARGER_ACCEPTED", "DONE"],
        ),
        (rotation(Stage.ACCEPTED, command(1, UNKNOWN)), NO_CONNECTION, ["SENT", "OUTCOME_UNKNOWN"]),
        (
            rotation(Stage.ACCEPTED, command(1, NOT_SENT, reason="too-many-keys")),
            NO_CONNECTION,
            ["NOT_SENT too-many-keys"],
        ),
        (rotation(Stage.SENT, command(1, ANSWERED, "RebootRequired")), NO_CONNECTION, ["REBOOT_REQUIRED"]),
        (rotation(Stage.SENT, command(1, ANSWERED, "Rejected")), NO_CONNECTION, ["REFUSED Rejected"]),
        (rotation(Stage.SENT, command(1, ANSWERED, "NotImplemented")), NO_CONNECTION, ["REFUSED NotImplemented"]),
        (rotation(Stage.SENT, command(1, ANSWERED, "InternalError")), NO_CONNECTION, ["OUTCOME_UNKNOWN"]),
        (rotation(Stage.SENT, command(1, ANSWERED, "")), NO_CONNECTION, ["OUTCOME_UNKNOWN"]),
        (
            rotation(Stage.OUTCOME_UNKNOWN, command(1, UNKNOWN)),
            Connection(Entry(id_for_command("cmd_1"))),
            ["KEY_USED", "DONE"],
        ),
        (rotation(Stage.OUTCOME_UNKNOWN, command(1, UNKNOWN)), Connection(Entry("another")), []),
        (rotation(Stage.OUTCOME_UNKNOWN, command(1, UNKNOWN), command(2, SENT)), NO_CONNECTION, ["SENT"]),
        (
            rotation(Stage.SENT, command(1, ANSWERED, "Accepted"), command(2, SENT), of="cmd_2"),
            NO_CONNECTION,
            ["CHARGER_ACCEPTED", "DONE"],
        ),
        (
            rotation(Stage.SENT, command(1, UNKNOWN), command(2, ANSWERED, "Rejected"), of="cmd_2"),
            NO_CONNECTION,
            ["UNKNOWN Rejected"],
        ),
        (
            rotation(Stage.REBOOT_REQUIRED, command(1, ANSWERED, "RebootRequired")),
            Connection(Entry(id_for_command("cmd_1"))),
            ["KEY_USED", "DONE"],
        ),
        (rotation(Stage.REBOOT_REQUIRED, command(1, ANSWERED, "RebootRequired")), Connection(Entry("old")), []),
    ],
)
def test_each_happening_has_its_stage(operation: OpenOperation, connection: Connection, expected: list[str]) -> None:
    """Several stages are reached at once where that is what the events say."""
    assert events(then(operation, connection)) == expected


def test_a_key_is_sent_when_there_is_none_under_way() -> None:
    """At once at first; after one that was not sent, at the next look; a minute after an unknown outcome."""
    assert then(rotation(Stage.ACCEPTED)).send is ToSend.KEY
    for state in (QUEUED, SENT):
        assert then(rotation(Stage.SENT, command(1, state))) == SecurityStep()
    assert then(rotation(Stage.ACCEPTED, command(1, NOT_SENT, reason="disconnected"))).send is ToSend.KEY
    unknown = rotation(Stage.OUTCOME_UNKNOWN, command(1, UNKNOWN))
    assert then(unknown) == SecurityStep(due=NOW + RETRY)
    assert then(unknown, after=RETRY).send is ToSend.KEY


def test_keys_are_bounded() -> None:
    """After the last one the charger has some time to use one; and a link that is always lost before a key is sent ends
    the rotation, too."""
    unknown = [command(number, UNKNOWN) for number in range(MOST_KEYS)]
    last = rotation(Stage.OUTCOME_UNKNOWN, *unknown, of=unknown[-1].command_id)
    assert then(last) == SecurityStep(due=NOW + LAST_WAIT)
    assert events(then(last, after=LAST_WAIT)) == ["UNKNOWN no-answer"]
    unsent = [command(number, NOT_SENT, reason="disconnected") for number in range(MOST_KEYS)]
    assert events(then(rotation(Stage.ACCEPTED, *unsent))) == ["NOT_SENT disconnected"]
    assert MOST_KEYS < MAX_KEYS


def test_each_stage_is_left_by_time_at_the_latest() -> None:
    """But while a command is under way, which has deadlines of its own."""
    assert events(then(rotation(Stage.ACCEPTED), after=ROTATION_WAIT)) == ["NOT_SENT deadline"]
    unknown = rotation(Stage.OUTCOME_UNKNOWN, command(1, UNKNOWN))
    assert events(then(unknown, after=ROTATION_WAIT)) == ["UNKNOWN deadline"]
    rebooting = rotation(Stage.REBOOT_REQUIRED, command(1, ANSWERED, "RebootRequired"))
    assert then(rebooting) == SecurityStep(due=NOW + ROTATION_WAIT)
    assert events(then(rebooting, after=ROTATION_WAIT)) == ["UNKNOWN no-boot"]
    assert then(rotation(Stage.SENT, command(1, SENT)), after=ROTATION_WAIT) == SecurityStep()
    assert set(TABLE) == {
        Stage.ACCEPTED,
        Stage.SENT,
        Stage.OUTCOME_UNKNOWN,
        Stage.CHARGER_ACCEPTED,
        Stage.REBOOT_REQUIRED,
        Stage.RESET_SENT,
        Stage.RESET_REFUSED,
        Stage.RESET_UNKNOWN,
        Stage.KEY_USED,
    }
