"""Rows to records, of any store with these tables: the column lists of the SELECTs, and what each row becomes."""

from datetime import timedelta
from typing import Any

import attrs
import orjson

from gateway.domain.callers import Caller, Role
from gateway.domain.certificates import CertificateFacts
from gateway.domain.charging_state import ChargingState, StateBasis, Verdict
from gateway.domain.codec import decode_answer, decode_error
from gateway.domain.commands import CommandRecord, CommandState
from gateway.domain.events import BootInformation, StoredEvent
from gateway.domain.records import (
    AppliedConfiguration,
    ChargePointRecord,
    ChargingStateRecord,
    ConnectionRecord,
    ConnectorRecord,
    ConnectorsRecord,
    Credential,
    CredentialKind,
    EnergyRecord,
    IdTagRecord,
    KeyStanding,
    LocalList,
    PendingStart,
    Progress,
    ReservationRecord,
    TransactionRecord,
    TransactionState,
)
from gateway.domain.repeats import Memory
from gateway.domain.steering import InstalledProfile, Steering
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.clock_offsets import clock_offset
from gateway.store.encoding import from_labels, from_quirks, maybe_time, to_flags, to_micros, to_time

Row = tuple[Any, ...]


EVENT = """e.sequence, c.identity, e.epoch, t.name, e.version, e.received_at, e.reported_at, e.reported_raw, e.flags,
    e.cause, e.body, e.txn, txn.transaction_id"""
EVENT_TABLES = """event e JOIN charge_point c ON c.key = e.charge_point JOIN event_type t ON t.code = e.type
    LEFT JOIN txn ON txn.key = e.txn"""

UNKNOWN_TRANSACTION = 0
"""In ``event.txn``: the body names a transaction that the store didn't hold when the event came."""


def event(row: Row, id_prefix: str) -> StoredEvent:
    sequence, identity, epoch, type_, version, received, reported, raw, flags, cause, body, key, transaction_id = row
    if transaction_id is None and key is not None:
        transaction_id = orjson.loads(body).get("transaction_id")
    return StoredEvent(
        sequence,
        f"{id_prefix}{sequence}",
        identity,
        epoch,
        type_,
        version,
        to_time(received),
        None if reported is None else to_time(reported),
        raw,
        to_flags(flags),
        cause,
        body,
        transaction_id,
    )


CHARGE_POINT = """key, identity, registration, created_at, updated_at, revision, description, ever_accepted,
    quirks, boot, booted_at, connected, epoch, connection_since, remote_address, security_profile, last_heard,
    clock_offset, latest, latest_epoch, labels, minimum_security_profile"""


def charge_point(
    row: Row,
    connectors: tuple[ConnectorRecord, ...],
    boot_configuration: tuple[AppliedConfiguration, ...],
    reservations: tuple[ReservationRecord, ...],
    charging_profiles: tuple[InstalledProfile, ...],
    steering: tuple[tuple[ConnectorAddress, Steering], ...],
    progress: tuple[tuple[str, Progress], ...],
    local_list: LocalList | None,
    certificate: CertificateFacts | None,
    charging_states: tuple[ChargingStateRecord, ...],
) -> ChargePointRecord:
    _, identity, registration, created, updated, revision, description, accepted, quirks, boot, booted = row[:11]
    connected, epoch, since, address, security_profile, last_heard = row[11:17]
    clock, latest, latest_epoch, labels, minimum_security_profile = row[17:]
    return ChargePointRecord(
        identity=identity,
        registration=Registration(registration),
        created_at=to_time(created),
        updated_at=to_time(updated),
        revision=revision,
        description=description,
        ever_accepted=bool(accepted),
        quirks=from_quirks(quirks),
        minimum_security_profile=minimum_security_profile,
        labels=from_labels(labels),
        boot=boot_information(boot),
        booted_at=maybe_time(booted),
        connection=ConnectionRecord(
            connected=bool(connected),
            epoch=epoch,
            since=maybe_time(since),
            remote_address=address,
            security_profile=security_profile,
            last_heard=maybe_time(last_heard),
        ),
        connectors=connectors,
        boot_configuration=boot_configuration,
        reservations=reservations,
        charging_profiles=charging_profiles,
        steering=steering,
        progress=progress,
        local_list=local_list,
        certificate=certificate,
        clock=clock_offset(clock),
        charging_states=charging_states,
        latest=latest.encode(),
        latest_epoch=latest_epoch,
    )


CONNECTORS_OF = "key, identity, connected, epoch, connection_since, latest, latest_epoch"


def connectors_of(
    row: Row, connectors: tuple[ConnectorRecord, ...], charging_states: tuple[ChargingStateRecord, ...]
) -> ConnectorsRecord:
    _, identity, connected, epoch, since, latest, latest_epoch = row
    return ConnectorsRecord(
        identity,
        bool(connected),
        epoch,
        maybe_time(since),
        latest.encode(),
        latest_epoch,
        connectors,
        charging_states,
    )


def bare_charge_point(row: Row) -> ChargePointRecord:
    """A charge point's own fields alone."""
    return charge_point(row, (), (), (), (), (), (), None, None, ())


_BOOT_FIELDS = frozenset(field.name for field in attrs.fields(BootInformation))


def boot_bytes(boot: BootInformation) -> bytes:
    return orjson.dumps({name: value for name, value in attrs.asdict(boot).items() if value is not None})


def boot_information(data: bytes | None) -> BootInformation | None:
    """Fields that a later version wrote are left out."""
    if data is None:
        return None
    return BootInformation(**{name: value for name, value in orjson.loads(data).items() if name in _BOOT_FIELDS})


CONNECTOR = "evse, connector, status, error_code, reported_at, info, vendor_id, vendor_error_code"


def connector(row: Row) -> ConnectorRecord:
    evse, number, status, error_code, at, info, vendor_id, vendor_error_code = row
    address = ConnectorAddress(evse, number)
    return ConnectorRecord(address, status, error_code, to_time(at), info, vendor_id, vendor_error_code)


CHARGING_STATE = "charge_point, evse, connector, state, basis, since"


def charging_state(row: Row) -> tuple[int, ChargingStateRecord]:
    """The charge point's key, and the record."""
    key, evse, number, state, basis, since = row
    verdict = Verdict(ChargingState(state), StateBasis(basis))
    return key, ChargingStateRecord(ConnectorAddress(evse, number), verdict, to_time(since))


APPLIED = "name, value, status, firmware_version, at, attempts, fingerprint"


def applied(row: Row) -> AppliedConfiguration:
    name, value, status, firmware_version, at, attempts, fingerprint = row
    return AppliedConfiguration(name, value, status, firmware_version, to_time(at), attempts, fingerprint)


RESERVATION = """r.reservation_id, r.evse, r.connector, r.id_tag, r.expires_at, r.made_at, r.parent_id_tag,
    r.shown"""


def reservation(row: Row) -> ReservationRecord:
    reservation_id, evse, number, id_tag, expires, made, parent, shown = row
    return ReservationRecord(
        reservation_id, ConnectorAddress(evse, number), id_tag, to_time(expires), to_time(made), parent, bool(shown)
    )


PENDING_START = "command_id, id_tag, evse, connector, queued_at, sent_at, accepted_at"


def pending_start(row: Row) -> PendingStart:
    command_id, id_tag, evse, number, queued, sent, accepted = row
    address = None if evse is None else ConnectorAddress(evse, number)
    return PendingStart(command_id, id_tag, address, to_time(queued), maybe_time(sent), maybe_time(accepted))


MEMORY = "readings, messages, clock, clock_before_boot, ran_back"


def memory(row: Row) -> Memory:
    readings, messages, clock, before, ran_back = row
    return Memory(readings, messages, maybe_time(clock), maybe_time(before), bool(ran_back))


def memory_row(key: int, said: Memory) -> Row:
    """The row of the charge point with that key."""
    return (
        key,
        said.readings,
        said.messages,
        None if said.clock is None else to_micros(said.clock),
        None if said.clock_before_boot is None else to_micros(said.clock_before_boot),
        int(said.ran_back),
    )


CREDENTIAL = "credential_id, kind, salt, verifier, not_before, not_after, standing"


def credential(row: Row) -> Credential:
    credential_id, kind, salt, verifier, not_before, not_after, standing = row
    return Credential(
        credential_id,
        CredentialKind(kind),
        salt,
        verifier,
        to_time(not_before),
        maybe_time(not_after),
        KeyStanding(standing),
    )


TRANSACTION = """txn.transaction_id, txn.number, c.identity, txn.evse, txn.connector, txn.id_tag, txn.status, txn.state,
    txn.meter_start, txn.started_at, txn.start_received_at, txn.start_sequence, txn.start_raw, txn.start_key,
    txn.reservation_id, txn.meter_stop, txn.stopped_at, txn.stop_received_at, txn.stop_raw, txn.stop_sequence,
    txn.stop_reason, txn.stop_id_tag, txn.energy, txn.flags, txn.stale_at, txn.stale_why, txn.closed_at,
    txn.close_reason, txn.close_meter, txn.close_meter_at, txn.energy_revision, txn.energy_mwh, txn.energy_basis,
    txn.energy_doubts, txn.energy_rules, txn.energy_digest, txn.energy_sequence, txn.last_sequence,
    c.connected_for - txn.heard_mark, txn.quiet_before, txn.quiet_needed,
    CASE c.connected WHEN 1 THEN c.connection_since END, txn.start_command_id, txn.closed_by"""
TRANSACTION_TABLES = "txn JOIN charge_point c ON c.key = txn.charge_point"


def transaction(row: Row) -> TransactionRecord:
    transaction_id, number, identity, evse, connector_number, id_tag, status, state, meter_start, started = row[:10]
    start_received, start_sequence, start_raw, start_key, reservation_id, meter_stop, stopped = row[10:17]
    stop_received, stop_raw, stop_sequence, stop_reason, stop_id_tag, energy, flags = row[17:24]
    stale, stale_why, closed, close_reason, close_meter, close_meter_at = row[24:30]
    return TransactionRecord(
        transaction_id=transaction_id,
        number=number,
        charge_point=identity,
        connector=ConnectorAddress(evse, connector_number),
        id_tag=id_tag,
        status=status,
        state=TransactionState(state),
        meter_start=meter_start,
        started_at=to_time(started),
        start_received_at=to_time(start_received),
        start_sequence=start_sequence,
        start_raw=start_raw,
        start_key=start_key,
        reservation_id=reservation_id,
        meter_stop=meter_stop,
        stopped_at=maybe_time(stopped),
        stop_received_at=maybe_time(stop_received),
        stop_raw=stop_raw,
        stop_sequence=stop_sequence,
        stop_reason=stop_reason,
        stop_id_tag=stop_id_tag,
        energy=energy,
        flags=to_flags(flags),
        start_command_id=row[42],
        closed_by=row[43],
        stale_at=maybe_time(stale),
        stale_why=stale_why,
        closed_at=maybe_time(closed),
        close_reason=close_reason,
        close_meter=close_meter,
        close_meter_at=maybe_time(close_meter_at),
        settlement=NEVER_ENDED if state == TransactionState.OPEN else _settlement(row[30:42]),
    )


NEVER_ENDED = EnergyRecord()


def _settlement(row: Row) -> EnergyRecord:
    revision, mwh, basis, doubts, rules, digest, position, newest, quiet, before, needed, since = row
    return EnergyRecord(
        revision=revision,
        mwh=mwh,
        basis=basis,
        doubts=tuple(doubts.split()),
        rules_version=rules,
        digest=digest,
        position=position,
        newest=newest,
        quiet=timedelta(microseconds=quiet),
        quiet_before=timedelta(microseconds=before),
        quiet_needed=None if needed is None else timedelta(microseconds=needed),
        connected_since=maybe_time(since),
    )


ID_TAG = """id_tag, status, created_at, updated_at, expiry_date, parent_id_tag, allow_concurrent, description,
    revision, created_by, updated_by"""


def id_tag(row: Row) -> IdTagRecord:
    tag, status, created, updated, expiry, parent, allow_concurrent, description, revision = row[:9]
    return IdTagRecord(
        tag,
        status,
        to_time(created),
        to_time(updated),
        maybe_time(expiry),
        parent,
        bool(allow_concurrent),
        description,
        revision,
        *row[9:],
    )


COMMAND = """m.command_id, c.identity, m.request_id, m.operation, m.arguments, m.state, m.created_at, m.fingerprint,
    m.sent_at, m.finished_at, m.answer, m.error, m.late, m.reason, m.caller"""
COMMAND_TABLES = "command m JOIN charge_point c ON c.key = m.charge_point"


def command(row: Row) -> CommandRecord:
    command_id, identity, request_id, operation, arguments, state, created, fingerprint = row[:8]
    sent, finished, answer, error, late, reason, caller = row[8:]
    return CommandRecord(
        command_id=command_id,
        charge_point=identity,
        request_id=request_id,
        operation=operation,
        arguments=orjson.loads(arguments),
        state=CommandState(state),
        created_at=to_time(created),
        fingerprint=fingerprint,
        sent_at=maybe_time(sent),
        finished_at=maybe_time(finished),
        answer=None if answer is None else decode_answer(answer),
        error=None if error is None else decode_error(error),
        late=bool(late),
        reason=reason,
        caller=caller,
    )


CALLER = "name, roles, created_at, token_digest, certificate_name, scope"

_KNOWN_ROLES = frozenset(Role)


def caller(row: Row) -> Caller:
    """Roles that a later version wrote and this one doesn't know give nothing here."""
    name, roles, created, digest, certificate, scope = row
    known = tuple(Role(word) for word in roles.split() if word in _KNOWN_ROLES)
    return Caller(name, known, to_time(created), digest or b"", certificate or "", from_labels(scope))
