"""A second version of OCPP is served beside 1.6 by one gateway: TLS, the store and the control's conversions are real.

The version is ``tests.support.toy_protocol``, which the composition root is given. Nothing else changes for it.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.app.serve import VERSIONS, utc_now
from gateway.control.commands import CommandCalls
from gateway.control.convert.samples import meter_samples
from gateway.control.errors import Failure, Status
from gateway.domain.codec import decode
from gateway.domain.commands import (
    ClearCache,
    Command,
    CommandRecord,
    CommandState,
    RefusalReason,
    Refused,
    RemoteStartTransaction,
    StatusAnswer,
)
from gateway.domain.credentials import make_credential
from gateway.domain.records import CredentialKind
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.api import EventFilter
from gateway.store.commits import AddCredential, CreateChargePoint
from gateway.store.reads import Reads
from tests.app.blocking_charger import KEY, PATIENCE, Charger
from tests.app.running import Running, running, settings, until
from tests.app.test_serve import certificates  # noqa: F401 - a fixture
from tests.support.toy_protocol import LONGEST_TAG, OUTLETS, SUBPROTOCOL, ToyProtocol

LONG_TAG = "T" * LONGEST_TAG
"""Longer than 1.6 takes (20)."""

READING = {"joules": 3_600_000, "at": "2026-01-01T00:01:00Z"}
SAMPLED = {"timestamp": "2026-01-01T00:01:00Z", "sampledValue": [{"value": "10"}]}


class Both:
    """A gateway that serves 1.6 and the toy's version: CP1 speaks the one, TOY1 the other."""

    def __init__(self, serving: Running, authority: Path) -> None:
        self.serving = serving
        self.port = serving.gateway.endpoints.listeners[0].addresses[0][1]
        self.tls = ssl.create_default_context(cafile=str(authority))

    @contextmanager
    def charger(self, identity: str, offer: str) -> Iterator[Charger]:
        charger = Charger(self.port, self.tls, identity, offer=offer)
        try:
            yield charger
        finally:
            charger.socket.close()

    def command(self, identity: str, command: Command, request_id: str) -> Any:
        """The outcome, asked from the charger's thread."""
        return trio.from_thread.run(self.call, identity, command, request_id)

    async def call(self, identity: str, command: Command, request_id: str) -> Any:
        router, deadline = self.serving.gateway.router, trio.current_time() + PATIENCE
        return await router.call(identity, command, request_id=request_id, deadline=deadline)

    def answered(
        self, charger: Charger, identity: str, command: RemoteStartTransaction, answer: Callable[[str], list[Any]]
    ) -> Any:
        """Return the CALL that the charger was sent, and the outcome after its answer."""
        outcomes: list[Any] = []

        async def carry() -> None:
            outcomes.append(await self.call(identity, command, f"start-{command.id_tag}"))

        trio.from_thread.run_sync(self.serving.nursery.start_soon, carry)
        sent = json.loads(charger.next()[1])
        charger.frame(1, json.dumps(answer(sent[1])).encode())
        trio.from_thread.run(self.wait_for, outcomes)
        return sent, outcomes[0]

    async def wait_for(self, outcomes: list[Any]) -> None:
        await until(lambda: outcomes)

    def events(self, identity: str) -> list[Any]:
        page = self.serving.disk.events(0, 1000, EventFilter(charge_points=frozenset({identity})))
        return list(page.events)

    def bodies(self, identity: str) -> list[Any]:
        return [decode(each.type, each.version, each.body_json) for each in self.events(identity)]


async def served(tmp_path: Path, certificates: Path, visit: Callable[[Both], None]) -> None:  # noqa: F811
    """Run a visit, in a thread, while a gateway serves both versions."""
    async with running(settings(tmp_path, certificates), versions=(*VERSIONS, ToyProtocol())) as serving:
        serving.disk.commit([CreateChargePoint("TOY1", Registration.ACCEPTED, (), utc_now())])
        credential = make_credential(KEY, CredentialKind.GENERATED, datetime(2026, 1, 1, tzinfo=UTC))
        serving.disk.commit([AddCredential("CP1", credential), AddCredential("TOY1", credential)])
        await trio.to_thread.run_sync(visit, Both(serving, certificates / "ca.pem"))


async def test_a_second_version_is_negotiated_recorded_and_commanded_beside_1_6(
    tmp_path: Path,
    certificates: Path,  # noqa: F811
) -> None:
    """Each charger by its own messages, at the same time; what is recorded says in whose shape."""

    def visit(both: Both) -> None:
        with both.charger("CP1", "ocpp1.6") as old, both.charger("TOY1", SUBPROTOCOL) as toy:
            assert (old.status, toy.status) == (101, 101)
            old.boot()
            assert toy.call("Hello", {"make": "Toys", "unit": "T"})["welcome"] is True
            assert old.call("MeterValues", {"connectorId": 1, "meterValue": [SAMPLED]}) == {}
            assert toy.call("Meter", {"outlet": 2, "readings": [READING]}) == {}

            start = RemoteStartTransaction("TAG", ConnectorAddress(2, 1))
            sent, outcome = both.answered(toy, "TOY1", start, lambda id_: [3, id_, {"going": True}])
            assert sent[2:] == ["Go", {"who": "TAG", "outlet": 2}]
            assert isinstance(outcome, CommandRecord)
            assert (outcome.state, outcome.answer) == (CommandState.ANSWERED, StatusAnswer("Accepted"))

            sent, outcome = both.answered(old, "CP1", start, lambda id_: [3, id_, {"status": "Rejected"}])
            assert sent[2:] == ["RemoteStartTransaction", {"connectorId": 2, "idTag": "TAG"}]
            assert outcome.answer == StatusAnswer("Rejected")

        types = [each.type for each in both.events("TOY1")]
        assert types[:6] == [
            "charge_point.created",
            "charge_point.connected",
            "charge_point.booted",
            "meter_values.reported",
            "command.queued",
            "command.sent",
        ]
        assert "command.answered" in types
        connected, booted, reported = both.bodies("TOY1")[1:4]
        assert connected.subprotocol == SUBPROTOCOL
        assert (booted.boot.vendor, booted.boot.model) == ("Toys", "T")
        assert (reported.dialect, reported.meter_value) == (SUBPROTOCOL, (READING,))

        metered = [each for each in both.bodies("CP1") if each.TYPE == "meter_values.reported"]
        assert [(each.dialect, each.meter_value) for each in metered] == [("ocpp1.6", (SAMPLED,))]

    await served(tmp_path, certificates, visit)


async def test_meter_values_of_a_second_version_are_read_by_its_own_reader(
    tmp_path: Path,
    certificates: Path,  # noqa: F811
) -> None:
    """Services get typed samples of both, in the same units."""

    def visit(both: Both) -> None:
        with both.charger("CP1", "ocpp1.6") as old, both.charger("TOY1", SUBPROTOCOL) as toy:
            old.call("MeterValues", {"connectorId": 1, "meterValue": [SAMPLED]})
            toy.call("Meter", {"outlet": 2, "readings": [READING, {"joules": "many"}]})
        energies = {
            identity: [
                sample.energy.milliwatt_hours for event in both.events(identity) for sample in meter_samples(event)
            ]
            for identity in ("CP1", "TOY1")
        }
        assert energies == {"CP1": [10_000], "TOY1": [1_000_000]}

    await served(tmp_path, certificates, visit)


async def test_limits_and_errors_are_those_of_the_version_that_was_negotiated(
    tmp_path: Path,
    certificates: Path,  # noqa: F811
) -> None:
    """A tag of 36 characters, an operation that one of them lacks, and each one's error codes."""

    def refusal(outcome: Any) -> tuple[RefusalReason, list[str]]:
        assert isinstance(outcome, Refused), outcome
        return outcome.reason, [each.field for each in outcome.violations]

    invalid = RefusalReason.INVALID_COMMAND

    def visit(both: Both) -> None:
        with both.charger("CP1", "ocpp1.6") as old, both.charger("TOY1", SUBPROTOCOL) as toy:
            toy.call("Hello", {"make": "Toys", "unit": "T"})
            long = RemoteStartTransaction(LONG_TAG)
            assert refusal(both.command("CP1", long, "a")) == (invalid, ["id_tag"])
            sent, outcome = both.answered(toy, "TOY1", long, lambda id_: [4, id_, "NeverHeardOf", "", {}])
            assert sent[3]["who"] == LONG_TAG
            assert outcome.error.code == "NeverHeardOf"
            assert refusal(both.command("TOY1", ClearCache(), "b")) == (invalid, ["operation"])
            beyond = RemoteStartTransaction("TAG", ConnectorAddress(OUTLETS + 1, 1))
            assert refusal(both.command("TOY1", beyond, "c")) == (invalid, ["connector.evse"])
            for charger, code in ((old, "FormationViolation"), (toy, "NoCall")):
                charger.frame(1, b'[2,"m","Hello"]')
                assert json.loads(charger.next()[1])[:3] == [4, "m", code]
            toy.frame(1, b'[2,"n","MeterValues",{}]')
            assert json.loads(toy.next()[1])[:3] == [4, "n", "NeverHeardOf"]

    await served(tmp_path, certificates, visit)


async def test_without_a_connection_only_what_no_version_can_carry_is_invalid(
    tmp_path: Path,
    certificates: Path,  # noqa: F811
) -> None:
    """The version is not known: what one of them can carry is not the caller's mistake."""

    def visit(both: Both) -> None:
        offline = both.command("TOY1", RemoteStartTransaction(LONG_TAG), "a")
        assert offline.reason is RefusalReason.CHARGE_POINT_OFFLINE
        invalid = both.command("TOY1", RemoteStartTransaction(LONG_TAG + "T"), "b")
        assert invalid.reason is RefusalReason.INVALID_COMMAND
        assert "at most 20" in invalid.violations[0].description  # by the preferred version
        assert both.command("TOY1", ClearCache(), "c").reason is RefusalReason.CHARGE_POINT_OFFLINE

    await served(tmp_path, certificates, visit)


async def test_a_second_versions_word_for_an_unknown_operation_is_unimplemented_to_callers(
    tmp_path: Path,
    certificates: Path,  # noqa: F811
) -> None:
    """As NotImplemented and NotSupported of 1.6 are."""

    async def carried(both: Both) -> Status:
        gateway = both.serving.gateway
        calls = CommandCalls(Reads(both.serving.disk, gateway.journal), gateway.router, utc_now)
        with pytest.raises(Failure) as failed:
            await calls.carry("TOY1", RemoteStartTransaction("TAG"), "a", PATIENCE)
        return failed.value.status

    def visit(both: Both) -> None:
        statuses: list[Status] = []

        async def carry() -> None:
            statuses.append(await carried(both))

        with both.charger("TOY1", SUBPROTOCOL) as toy:
            toy.call("Hello", {"make": "Toys", "unit": "T"})
            trio.from_thread.run_sync(both.serving.nursery.start_soon, carry)
            toy.frame(1, json.dumps([4, json.loads(toy.next()[1])[1], "NeverHeardOf", "", {}]).encode())
            trio.from_thread.run(both.wait_for, statuses)
        assert statuses == [Status.UNIMPLEMENTED]

    await served(tmp_path, certificates, visit)
