"""Charge points, transactions and idTags as messages."""

from gateway.api.v1 import charge_point_pb2, id_tag_pb2, transaction_pb2
from gateway.control.convert.common import connector, energy_of_watt_hours, flags, int32, int64, timestamp
from gateway.control.convert.enums import ID_TAG_STATUS, REGISTRATION, TRANSACTION_STATE
from gateway.control.convert.steering import installed_profile, steering
from gateway.domain.events import BootInformation
from gateway.domain.records import ChargePointRecord, ConnectionRecord, IdTagRecord, TransactionRecord
from gateway.domain.values import Flag, Switch


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
        ever_accepted=record.ever_accepted,
        boot=None if record.boot is None else boot_information(record.boot),
        boot_time=timestamp(record.booted_at),
        connection=_connection(record.connection),
        connectors=[
            charge_point_pb2.Connector(
                connector=connector(each.connector),
                status=each.status,
                error_code=each.error_code,
                status_time=timestamp(each.reported_at),
                info=each.info or "",
                vendor_id=each.vendor_id or "",
                vendor_error_code=each.vendor_error_code or "",
            )
            for each in record.connectors
        ],
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


def transaction(record: TransactionRecord) -> transaction_pb2.Transaction:
    """A charging transaction."""
    return transaction_pb2.Transaction(
        transaction_id=record.transaction_id,
        charge_point=record.charge_point,
        connector=connector(record.connector),
        id_tag=record.id_tag,
        id_tag_status=record.status,
        state=TRANSACTION_STATE.number(record.state),
        meter_start=energy_of_watt_hours(record.meter_start),
        start_time=timestamp(record.started_at),
        start_time_raw=record.start_raw or "",
        start_receive_time=timestamp(record.start_received_at),
        reservation_id=None if record.reservation_id is None else int64(record.reservation_id),
        meter_stop=energy_of_watt_hours(record.meter_stop),
        stop_time=timestamp(record.stopped_at),
        stop_time_raw=record.stop_raw or "",
        stop_receive_time=timestamp(record.stop_received_at),
        stop_reason=record.stop_reason or "",
        stop_id_tag=record.stop_id_tag or "",
        energy=energy_of_watt_hours(record.energy),
        flags=flags(record.flags if record.stale_at is None else (*record.flags, Flag.STALE)),
        number=int64(record.number),
        stale_time=timestamp(record.stale_at),
        stale_reason=record.stale_why,
        close_time=timestamp(record.closed_at),
        close_reason=record.close_reason,
        start_command_id=record.start_command_id,
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
