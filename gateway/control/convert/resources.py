"""Charge points and idTags as messages."""

from gateway.api.v1 import charge_point_pb2, id_tag_pb2
from gateway.control.convert.common import connector, int32, int64, offset, timestamp
from gateway.control.convert.enums import CHARGING_STATE, CHARGING_STATE_BASIS, ID_TAG_STATUS, REGISTRATION
from gateway.control.convert.readings import latest
from gateway.control.convert.steering import installed_profile, steering
from gateway.domain.events import BootInformation
from gateway.domain.progress import Work
from gateway.domain.records import ChargePointRecord, ConnectionRecord, ConnectorRecord, IdTagRecord, LocalList
from gateway.domain.values import Switch


def switch(value: Switch) -> bool | None:
    """Unset where it is left to the settings."""
    return None if value is Switch.DEFAULT else value is Switch.ON


def charge_point(record: ChargePointRecord) -> charge_point_pb2.ChargePoint:
    """A charger, as provisioned and as it described itself."""
    return charge_point_pb2.ChargePoint(
        identity=record.identity,
        registration=REGISTRATION.number(record.registration),
        description=record.description,
        assume_subprotocol=record.assume_subprotocol,
        own_requests=switch(record.own_requests),
        accept_hex_password=switch(record.accept_hex_password),
        labels=record.labels,
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
        local_list=None if record.local_list is None else _local_list(record.local_list),
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
    charging = record.charging
    return charge_point_pb2.Connector(
        connector=connector(record.connector),
        status=record.status,
        error_code=record.error_code,
        status_time=timestamp(record.reported_at) if record.status else None,
        info=record.info or "",
        vendor_id=record.vendor_id or "",
        vendor_error_code=record.vendor_error_code or "",
        charging_state=CHARGING_STATE.number(None if charging is None else charging.verdict.state),
        charging_state_basis=CHARGING_STATE_BASIS.number(None if charging is None else charging.verdict.basis),
        charging_state_since_time=timestamp(None if charging is None else charging.since),
        latest=latest(record.latest),
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
    )
