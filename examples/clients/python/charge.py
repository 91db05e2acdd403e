"""A charging platform's first steps: make a charger known, watch what happens, start, limit, stop, read the energy.

    python charge.py provision CP1 FAMILY        prints the charger's key, once
    python charge.py watch events.token out.txt  appends each event once, whatever is killed meanwhile
    python charge.py charge CP1 FAMILY           a start, a limit of 8 A, a stop; prints the energy

The gateway is at GATEWAY_TARGET, 127.0.0.1:50051 unless set; GATEWAY_CA (a file in PEM) turns on TLS, GATEWAY_TOKEN is
the caller's token.
"""

import json
import os
import sys
import time
from pathlib import Path

from gateway_client import FileTokenStore, Gateway, GatewayError, Status, Tls, v1


# [connect]
def address() -> tuple[str, Tls | None, str | None]:
    """The gateway's address, TLS where a CA is given, and the caller's token: what a client is made of."""
    ca = os.environ.get("GATEWAY_CA")
    tls = Tls(ca=Path(ca).read_bytes()) if ca else None
    return os.environ.get("GATEWAY_TARGET", "127.0.0.1:50051"), tls, os.environ.get("GATEWAY_TOKEN")


def connect() -> Gateway:
    """A client. Message sizes, keepalive and deadlines are set as the documentation asks."""
    return Gateway(*address())


# [connect]


# [provision]
def provision(gateway: Gateway, charge_point: str, id_tag: str) -> str:
    """Make a charge point and a tag known; the key that the charger is to be given."""
    created = gateway.charge_points.create_charge_point(
        v1.CreateChargePointRequest(charge_point=v1.ChargePoint(identity=charge_point))
    )
    try:
        tag = v1.IdTag(id_tag=id_tag, status=v1.ID_TAG_STATUS_ACCEPTED)
        gateway.id_tags.create_id_tag(v1.CreateIdTagRequest(id_tag=tag))
    except GatewayError as error:
        if error.reason != "ID_TAG_EXISTS":  # an owner with a second charger
            raise
    key: str = created.generated_authorization_key.decode()
    return key


# [provision]


# [watch]
def watch(gateway: Gateway, token: Path, out: Path) -> None:
    """Append the id, charge point and type of each event to a file, over kills of both ends."""
    out.touch()
    # At a kill the batch that was being written comes again: its ids are among the last ones here.
    seen = {line.split()[0] for line in out.read_text().splitlines()[-5_000:]}
    request = v1.WatchEventsRequest(start_at=v1.WATCH_START_BEGINNING)
    with out.open("a") as file, gateway.watch_events(request, FileTokenStore(token)) as batches:
        for batch in batches:  # asking for the next batch saves the token of this one
            for event in batch.events:
                if event.event_id not in seen:
                    file.write(f"{event.event_id} {event.charge_point} {event.type}\n")
            seen = {event.event_id for event in batch.events}
            file.flush()
            os.fsync(file.fileno())


# [watch]


# [follow]
def follow(gateway: Gateway, operation: v1.Operation) -> v1.Operation:
    """Wait until an operation has ended; raise where its end is not DONE."""
    while operation.end == v1.OPERATION_END_UNSPECIFIED:
        try:
            request = v1.WatchOperationRequest(operation_id=operation.operation_id)
            with gateway.operations.watch_operation(request) as responses:
                for response in responses:
                    operation = response.operation
        except GatewayError as error:
            if error.status is not Status.UNAVAILABLE:
                raise
            time.sleep(0.5)  # the gateway restarts; the operation is on its disk
    if operation.end != v1.OPERATION_END_DONE:
        raise RuntimeError(f"{v1.OperationEnd.Name(operation.end)}: {operation.reason}")
    return operation


# [follow]


# [charge]
def charge(gateway: Gateway, charge_point: str, id_tag: str) -> tuple[str, str]:
    """Start, limit and stop charging; the transaction's id, and its energy in Wh as a decimal number."""
    connector = v1.ConnectorAddress(evse=1, connector=1)
    start = v1.StartChargingRequest(charge_point=charge_point, id_tag=id_tag, connector=connector)
    # The client has given the request an id: the same request again would be the same start.
    started = follow(gateway, gateway.operations.start_charging(start).operation)

    limit = v1.RateLimit(value=8, unit=v1.CHARGING_RATE_UNIT_AMPERES)
    wanted = v1.LimitChargingRequest(charge_point=charge_point, connector=connector, limit=limit)
    follow(gateway, gateway.operations.limit_charging(wanted).operation)

    stop = v1.StopChargingRequest(charge_point=charge_point, transaction_id=started.transaction_id)
    follow(gateway, gateway.operations.stop_charging(stop).operation)

    request = v1.GetTransactionRequest(transaction_id=started.transaction_id)
    transaction = gateway.transactions.get_transaction(request).transaction
    return transaction.transaction_id, transaction.energy.watt_hours


# [charge]


def main(command: str, first: str, second: str) -> None:
    """Run one of the commands."""
    with connect() as gateway:
        if command == "provision":
            print(json.dumps({"key": provision(gateway, first, second)}))
        elif command == "watch":
            watch(gateway, Path(first), Path(second))
        elif command == "charge":
            transaction, energy = charge(gateway, first, second)
            print(json.dumps({"transaction_id": transaction, "watt_hours": energy}))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:4])
    except GatewayError as error:
        sys.exit(f"{error} [{error.repeat.value}]")
    except TypeError:
        sys.exit(__doc__)
