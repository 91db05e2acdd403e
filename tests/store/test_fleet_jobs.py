"""Fleet jobs, as both stores keep them: created once, items with one outcome, an end, and the operations they began."""

import pytest
from attrs import evolve

from gateway.domain.codec import UnreadableBody, decode_value
from gateway.domain.commands import UpdateFirmware
from gateway.domain.events import (
    BootInformation,
    ChargePointBooted,
    CommandQueued,
    CommandSent,
    FirmwareStatusReported,
    OperationAccepted,
    OperationAdvanced,
    OperationEnded,
)
from gateway.domain.fleet import MAX_JOBS, MAX_RUNNING, UNDER_WAY, WAITING, FleetEnd, FleetItem, FleetJob, Pace
from gateway.domain.operations import End, OperationKind, OperationRequest, Stage
from gateway.domain.security_commands import SignedUpdateFirmware
from gateway.domain.values import Registration
from gateway.store.commits import Done, Exists, GuardFailed, Missing
from gateway.store.fleet import CancelFleetJob, CreateFleetJob, EndFleetJob, RecordFleetItems, to_firmware
from gateway.store.postgres import PostgresStore
from gateway.store.postgres.recovery import recover
from tests.store.builders import T0, append, at, connect, create, one

KIND = OperationKind.ROTATE_AUTHORIZATION_KEY


def job(name: str) -> FleetJob:
    return FleetJob(f"job_{name}", f"request_{name}", KIND, Pace(60.0, 5), T0, at(3_600), "ops")


def begin(store, name: str, *charge_points: str):
    return one(store, CreateFleetJob(job(name), charge_points))


def test_a_job_is_there_with_its_items_once(store):
    """By its id and by its request id, which is used up."""
    assert begin(store, "a", "CP2", "CP1", "CP2") == Done()
    assert begin(store, "a", "CP3") == Exists()
    made = store.fleet_job("job_a")
    assert made is not None
    assert (made.kind, made.pace, made.created_at, made.expires_at, made.caller, made.end, dict(made.counts)) == (
        *(KIND, Pace(60.0, 5), T0, at(3_600), "ops", None),
        {WAITING: 2},
    )
    assert (made.reset, made.insist) == (False, False)
    one(store, CreateFleetJob(evolve(job("reset"), reset=True, insist=True), ("CP1",)))
    resets = store.fleet_job("job_reset")
    assert resets is not None
    assert (resets.reset, resets.insist) == (True, True)
    assert store.fleet_job_by_request("request_a") == made
    assert [store.fleet_job("job_b"), store.fleet_job_by_request("request_b")] == [None, None]
    assert store.fleet_items("job_a", "", "", 10) == [FleetItem("CP1"), FleetItem("CP2")]


def test_a_job_keeps_the_digest_of_what_was_asked_for(store):
    """Of one that a gateway of before made there is none."""
    one(store, CreateFleetJob(evolve(job("a"), asked="d1" * 16), ("CP1",)))
    begin(store, "before", "CP1")
    kept = {each.job_id: each.asked for each in store.fleet_jobs(False)}
    assert kept == {"job_a": "d1" * 16, "job_before": ""}
    for found in (store.fleet_job("job_a"), store.fleet_job_by_request("request_a")):
        assert found is not None
        assert found.asked == "d1" * 16


def test_a_job_keeps_the_number_of_failures_that_ends_it(store):
    """Of one that a gateway of before made there is none; and it ends by it."""
    one(store, CreateFleetJob(evolve(job("a"), max_failures=100_000), ("CP1", "CP2", "CP3", "CP4")))
    begin(store, "before", "CP1")
    assert {each.job_id: each.max_failures for each in store.fleet_jobs(True)} == {"job_a": 100_000, "job_before": 0}
    ended = [FleetItem("CP1", "op_1", "REFUSED"), FleetItem("CP2", "op_2", "DONE"), FleetItem("CP3", "", "NOT_BEGUN")]
    one(store, RecordFleetItems("job_a", tuple(ended)))
    found = store.fleet_job("job_a")
    assert found is not None
    assert (found.failures, dict(found.counts)) == (1, {"REFUSED": 1, "DONE": 1, "NOT_BEGUN": 1, "WAITING": 1})
    one(store, EndFleetJob("job_a", FleetEnd.TOO_MANY_FAILURES, at(60)))
    found = store.fleet_job_by_request("request_a")
    assert found is not None
    assert (found.end, found.max_failures) == (FleetEnd.TOO_MANY_FAILURES, 100_000)


def test_a_job_keeps_the_firmware_that_it_installs(store):
    """Each field, so that what a charger is sent next week is what was asked for."""
    firmware = SignedUpdateFirmware(7, "https://f.example/1.bin", T0, "PEM", "c2ln", at(60), 3, 30)
    asked = evolve(job("f"), kind=OperationKind.INSTALL_FIRMWARE, firmware=firmware)
    assert one(store, CreateFleetJob(asked, ("CP1",))) == Done()
    made = store.fleet_job("job_f")
    assert made is not None
    assert (made.firmware, made.operation.own_command) == (firmware, firmware)
    begin(store, "a", "CP1")
    other = store.fleet_job("job_a")
    assert other is not None
    assert other.firmware is None


@pytest.mark.parametrize(
    "firmware",
    [
        UpdateFirmware("https://f.example/1.bin", T0, 3, 30),
        UpdateFirmware("https://f.example/1.bin"),
        SignedUpdateFirmware(7, "https://f.example/1.bin", None, "PEM", "c2ln"),
    ],
    ids=["plain", "plain at once", "signed at once"],
)
def test_a_job_keeps_firmware_that_is_plain_or_for_at_once(store, firmware):
    """As it was asked for; so that a repeated request is held against it."""
    asked = evolve(job("f"), kind=OperationKind.INSTALL_FIRMWARE, firmware=firmware)
    assert one(store, CreateFleetJob(asked, ("CP1",))) == Done()
    made = store.fleet_job_by_request("request_f")
    assert made is not None
    assert (made.firmware, made.operation.own_command) == (firmware, firmware)


def test_an_older_gateway_begins_nothing_of_a_job_that_it_does_not_know():
    """It reads a job's firmware as signed, each field of it: plain firmware it can't read; of signed firmware for at
    once it reads the job's time."""
    plain = to_firmware(evolve(job("f"), firmware=UpdateFirmware("https://f.example/1.bin")))
    with pytest.raises(UnreadableBody):
        decode_value(plain.encode(), SignedUpdateFirmware)
    signed = SignedUpdateFirmware(7, "https://f.example/1.bin", None, "PEM", "c2ln")
    kept = to_firmware(evolve(job("f"), firmware=signed))
    assert decode_value(kept.encode(), SignedUpdateFirmware) == evolve(signed, retrieve_date=T0)


def test_a_job_of_a_later_version_is_left_alone(store):
    """It is no job of this gateway's, and in the way of no other."""
    later = SignedUpdateFirmware("of another kind", "https://f.example/1.bin", T0, "PEM", "c2ln")  # type: ignore[arg-type]
    one(store, CreateFleetJob(evolve(job("later"), kind=OperationKind.INSTALL_FIRMWARE, firmware=later), ("CP1",)))
    begin(store, "a", "CP1")
    for running in (True, False):
        assert [each.job_id for each in store.fleet_jobs(running)] == ["job_a"]


def test_an_item_says_how_far_its_charge_point_has_come(store):
    """By the newest stage of its operation; of one that has none it says nothing."""
    begin(store, "a", "CP1", "CP2")
    epoch = connect(store, "CP1").epoch
    accepted = OperationAccepted("op_1", "job_a", OperationRequest(KIND), at(60))
    append(store, accepted, OperationAdvanced("op_1", Stage.SENT), epoch=epoch)
    one(store, RecordFleetItems("job_a", (FleetItem("CP1", "op_1"),)))
    assert store.fleet_items("job_a", "", "", 10) == [FleetItem("CP1", "op_1", stage=Stage.SENT), FleetItem("CP2")]


def test_what_a_charge_point_showed_of_its_firmware_is_read_back(store):
    """The version before, from the acceptance; a boot with another one, and when that was; reports in their order."""
    epoch = connect(store, "CP1").epoch
    before, after = (BootInformation("V", "M", firmware_version=each) for each in ("1.0", "2.0"))
    arguments = {"location": "https://f.example/1.bin"}
    asked = OperationRequest(OperationKind.INSTALL_FIRMWARE, arguments=arguments)
    append(store, ChargePointBooted(after, Registration.ACCEPTED, 300), epoch=epoch)
    append(
        store,
        OperationAccepted("op_1", "r1", asked, at(86_400), firmware_version="1.0"),
        CommandQueued("cmd_1", "UpdateFirmware", "op_1", arguments, operation_id="op_1"),
        CommandSent("cmd_1", "UpdateFirmware"),
        FirmwareStatusReported("Downloading", command_id="cmd_1"),
        ChargePointBooted(before, Registration.ACCEPTED, 300),
        epoch=epoch,
    )
    found = store.state("CP1", at(60)).state.operations["op_1"]
    assert (found.firmware_before, found.seen, found.renewed_at) == ("1.0", ("Downloading",), None)
    append(store, ChargePointBooted(after, Registration.ACCEPTED, 300), epoch=epoch, seconds=50)
    found = store.state("CP1", at(60)).state.operations["op_1"]
    assert found.renewed_at == at(50)


def test_only_so_many_run(store):
    """One that has ended gives its place to another."""
    for number in range(MAX_RUNNING):
        assert begin(store, str(number), "CP1") == Done()
    assert begin(store, "more", "CP1") == GuardFailed()
    assert one(store, EndFleetJob("job_0", FleetEnd.DONE, at(9))) == Done()
    assert begin(store, "more", "CP1") == Done()
    assert [each.job_id for each in store.fleet_jobs(True)][:2] == ["job_more", f"job_{MAX_RUNNING - 1}"]
    assert len(store.fleet_jobs(False)) == MAX_RUNNING + 1


def test_only_so_many_are_kept(store):
    """The oldest ones that have ended go, with their items."""
    for number in range(MAX_JOBS + 2):
        begin(store, str(number), "CP1")
        one(store, EndFleetJob(f"job_{number}", FleetEnd.DONE, at(9)))
    assert len(store.fleet_jobs(False)) in (MAX_JOBS, MAX_JOBS + 1)
    assert store.fleet_job("job_0") is None
    assert store.fleet_items("job_0", "", "", 10) == []


def test_an_item_keeps_its_outcome(store):
    """And is found by it, by its state, and page by page."""
    begin(store, "a", "CP1", "CP2", "CP3")
    one(store, RecordFleetItems("job_a", (FleetItem("CP1", "op_1", "DONE"), FleetItem("CP2", "op_2"))))
    one(store, RecordFleetItems("job_a", (FleetItem("CP1", "op_1", "FAILED", "late"), FleetItem("CP4", "op_4"))))
    assert store.fleet_items("job_a", "DONE", "", 10) == [FleetItem("CP1", "op_1", "DONE")]
    assert store.fleet_items("job_a", UNDER_WAY, "", 10) == [FleetItem("CP2", "op_2")]
    assert [each.charge_point for each in store.fleet_items("job_a", "", "CP1", 1)] == ["CP2"]
    assert [each.charge_point for each in store.open_fleet_items("job_a")] == ["CP2", "CP3"]
    found = store.fleet_job("job_a")
    assert found is not None
    assert dict(found.counts) == {"DONE": 1, UNDER_WAY: 1, WAITING: 1}


def test_a_job_is_cancelled_until_it_has_ended(store):
    """The first time counts; one that is not there is named so."""
    begin(store, "a", "CP1")
    assert not store.fleet_job_cancelled("job_a")
    assert one(store, CancelFleetJob("job_a", at(1), "ops")) == Done()
    assert one(store, CancelFleetJob("job_a", at(2), "ops")) == Done()
    assert one(store, CancelFleetJob("job_b", at(1), "ops")) == Missing()
    one(store, EndFleetJob("job_a", FleetEnd.CANCELLED, at(3)))
    one(store, EndFleetJob("job_a", FleetEnd.DONE, at(4)))
    found = store.fleet_job("job_a")
    assert found is not None
    assert store.fleet_job_cancelled("job_a")
    assert (found.cancelled_at, found.end, found.ended_at) == (at(1), FleetEnd.CANCELLED, at(3))


def test_the_operations_of_a_job_are_found_by_its_id(store):
    """With their end, and whether they hold a place: those of charge points that are away hold none."""
    begin(store, "a", "CP1", "CP2", "CP3")
    epoch = connect(store, "CP1").epoch
    create(store, "CP2")
    create(store, "CP3")
    asked = OperationRequest(KIND)
    begun = OperationAccepted("op_1", "job_a", asked, at(60))
    append(store, begun, OperationAdvanced("op_1", Stage.SENT), epoch=epoch)
    append(store, OperationAccepted("op_2", "job_a", asked, at(60)), identity="CP2")
    append(store, OperationEnded("op_2", End.NO_EFFECT, "rejected"), identity="CP2")
    found = {each.charge_point: each for each in store.fleet_progress("job_a", ["CP1", "CP2", "CP3"])}
    assert found.keys() == {"CP1", "CP2"}
    assert (found["CP1"].operation_id, found["CP1"].end, found["CP1"].holds_place) == ("op_1", None, True)
    assert (found["CP2"].end, found["CP2"].reason, found["CP2"].holds_place) == ("NO_EFFECT", "rejected", False)


@pytest.mark.postgres
def test_a_recovered_database_is_another_store(own_database):
    """Tokens of before are refused by its id, and epochs keep clear of those that were given out."""
    store = PostgresStore(own_database, clock=lambda: T0, durability=None)
    before, epoch = store.store_id, connect(store).epoch
    store.close()
    done = recover(own_database)
    assert done.old_id == before
    store = PostgresStore(own_database, clock=lambda: T0, durability=None)
    try:
        assert store.store_id == done.store_id != before
        assert connect(store, seconds=9).epoch > epoch + 1_000
    finally:
        store.close()
