"""A user's slips, each of which `mypy --strict` has to find: the lines that end with their kind of error."""

from gateway_client import Gateway, v1

gateway = Gateway("127.0.0.1:50051")
gateway.operations.begin_charging(v1.StartChargingRequest())  # attr-defined
gateway.operations.start_charging(v1.StopChargingRequest())  # arg-type
v1.StartChargingRequest(chargepoint="CP1")  # call-arg
v1.StartChargingRequest(charge_point=1)  # arg-type
v1.ResetRequest(type=v1.CHARGE_POINT_VIEW_BASIC)  # arg-type
v1.Event().event_identifier  # attr-defined
v1.Event().HasField("transaction_begun")  # arg-type
v1.Event().receive_time.seconds = "now"  # assignment
