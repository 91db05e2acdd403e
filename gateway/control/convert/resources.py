"""Charge points and idTags as messages."""

from gateway.api.v1 import charge_point_pb2, id_tag_pb2
from gateway.control.convert.common import connector, int32, int64, offset, timestamp
from gateway.control.convert.enums import CHARGING_STATE, CHARGING_STATE_BASIS, ID_TAG_STATUS, REGISTRATION
from gateway.control.convert.quirks import quirk_origins, quirk_profile
from gateway.control.convert.readings import latest
from gateway.control.convert.steering import installed_profile, steering
from gateway.domain.certificates import CertificateFacts
from gateway.domain.charging_state import Followed
from gateway.domain.events import BootInformation
from gateway.domain.latest import Latest
from gateway.domain.progress import Work
from gateway.domain.quirks import NO_VALUES, EffectiveQuirks
from gateway.domain.records import ChargePointRecord, ConnectionRecord, ConnectorRecord, IdTagRecord, LocalList
from gateway.domain.values import ConnectorAddress


def charge_point(record: ChargePointRecord, effective: EffectiveQuirks | None = None) -> charge_point_pb2.ChargePoint:
    """A charger, as provisioned and as it described itself; ``effective``: with the quirk profile that counts."""
    return charge_point_pb2.ChargePoint(
        identity=record.identity,
        registration=REGISTRATION.number(record.registration),
        description=record.description,
        assume_subprotocol=bool(record.quirks.assume_subprotocol),
        own_requests=record.quirks.own_requests,
        accept_hex_password=record.quirks.accept_hex_password,
        quirks=None if record.quirks == NO_VALUES else quirk_profile(record.quirks),
        effective_quirks=None if effective is None else quirk_profile(effective),
        quirk_origins=() if effective is None else quirk_origins(effective),
        labels=record.labels,
        minimum_security_profile=record.minimum_security_profile,
        ever_accepted=record.ever_accepted,
        boot=None if record.boot is None else boot_information(record.boot),
        boot_time=timestamp(record.booted_at),
        connection=_connection(record.connection),
        connectors=list(map(connector_status, record.connectors)),
        boot_configuration=[
            charge_point_pb2.AppliedConfiguration(
                key=each.key,
                value=each.value,
                status=each.status,
                firmware_version=each.firmware_version or "",
                apply_time=timestamp(each.at),
                attempt_count=each.attempts,
            )
            for each in record.boot_configuration
        ],
        create_time=timestamp(record.created_at),
        update_time=timestamp(record.updated_at),
        etag=str(record.revision),
        clock_offset=offset(record.clock.offset),
        clock_offset_time=timestamp(record.clock.measured_at),
        reservations=[
            charge_point_pb2.Reservation(
                reservation_id=int64(each.reservation_id),
                connector=connector(each.connector),
                id_tag=each.id_tag,
                parent_id_tag=each.parent_id_tag or "",
                expire_time=timestamp(each.expires_at),
                create_time=timestamp(each.made_at),
            )
            for each in record.reservations
        ],
        charging_profiles=list(map(installed_profile, record.charging_profiles)),
        steering=[steering(address, each) for address, each in record.steering],
        firmware_update=_progress(record, Work.FIRMWARE),
        diagnostics_upload=_progress(record, Work.DIAGNOSTICS),
        log_upload=_progress(record, Work.LOG),
        local_list=None if record.local_list is None else _local_list(record.local_list),
        certificate=None if record.certificate is None else _certificate(record.certificate),
    )


def _certificate(record: CertificateFacts) -> charge_point_pb2.ChargerCertificate:
    return charge_point_pb2.ChargerCertificate(
        serial_number=record.serial_number, expire_time=timestamp(record.not_after)
    )


def _local_list(record: LocalList) -> charge_point_pb2.LocalList:
    return charge_point_pb2.LocalList(
        list_version=int64(record.version),
        update_type=record.update_type,
        command_id=record.command_id,
        change_time=timestamp(record.changed_at),
    )


def _progress(record: ChargePointRecord, work: Work) -> charge_point_pb2.WorkProgress | None:
    found = dict(record.progress).get(work)
    if found is None:
        return None
    return charge_point_pb2.WorkProgress(
        command_id=found.command_id,
        status=found.status,
        status_command_id=found.status_command_id,
        receive_time=timestamp(found.reported_at),
    )


def connector_status(record: ConnectorRecord) -> charge_point_pb2.Connector:
    """A connector as it was reported, and as it is."""
    return connector_present(record.connector, record, record.charging, record.latest)


def connector_present(
    address: ConnectorAddress, reported: ConnectorRecord | None, charging: Followed | None, readings: Latest | None
) -> charge_point_pb2.Connector:
    """The same of what is known apart; ``reported`` None: it has never sent a status."""
    return charge_point_pb2.Connector(
        connector=connector(address),
        status=reported.status if reported else "",
        error_code=reported.error_code if reported else "",
        status_time=timestamp(reported.reported_at) if reported and reported.status else None,
        info=(reported.info if reported else None) or "",
        vendor_id=(reported.vendor_id if reported else None) or "",
        vendor_error_code=(reported.vendor_error_code if reported else None) or "",
        charging_state=CHARGING_STATE.number(charging.verdict.state if charging else None),
        charging_state_basis=CHARGING_STATE_BASIS.number(charging.verdict.basis if charging else None),
        charging_state_since_time=timestamp(charging.since if charging else None),
        latest=latest(readings),
    )


def boot_information(boot: BootInformation) -> charge_point_pb2.BootInformation:
    """Return a charge point's boot information as a message."""
    return charge_point_pb2.BootInformation(
        vendor=boot.vendor,
        model=boot.model,
        charge_point_serial_number=boot.charge_point_serial_number or "",
        charge_box_serial_number=boot.charge_box_serial_number or "",
        firmware_version=boot.firmware_version or "",
        iccid=boot.iccid or "",
        imsi=boot.imsi or "",
        meter_type=boot.meter_type or "",
        meter_serial_number=boot.meter_serial_number or "",
    )


def _connection(connection: ConnectionRecord) -> charge_point_pb2.Connection | None:
    if connection.epoch == 0:
        return None
    return charge_point_pb2.Connection(
        connected=connection.connected,
        epoch=connection.epoch,
        since_time=timestamp(connection.since),
        remote_address=connection.remote_address,
        security_profile=int32(connection.security_profile),
        last_heard_time=timestamp(connection.last_heard),
        node_slot=connection.node,
    )


def id_tag(record: IdTagRecord) -> id_tag_pb2.IdTag:
    """A tag of the operator's table."""
    return id_tag_pb2.IdTag(
        id_tag=record.id_tag,
        status=ID_TAG_STATUS.number(record.status),
        expire_time=timestamp(record.expiry_date),
        parent_id_tag=record.parent_id_tag or "",
        allow_concurrent=record.allow_concurrent,
        description=record.description,
        create_time=timestamp(record.created_at),
        update_time=timestamp(record.updated_at),
        etag=str(record.revision),
        create_caller=record.created_by,
        update_caller=record.updated_by,
    )
