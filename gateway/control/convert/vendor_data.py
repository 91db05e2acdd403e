"""Vendors' data: registrations and answers read, and messages to services."""

from gateway.api.v1 import vendor_data_pb2 as pb
from gateway.control.convert.common import timestamp
from gateway.control.convert.enums import VENDOR_DATA_STATUS
from gateway.control.convert.requests import Fields
from gateway.control.vendor_data import AnswerRefusal, AnswerRefused, Asked, Interests, ServiceStream, fold
from gateway.domain.vendor_data import VendorAnswer

MAX_INTERESTS = 100
"""Vendors of one service; there are not many more in the whole field."""

MAX_MESSAGE_IDS = 100
"""Of one vendor; who handles more handles all."""

MAX_VENDOR_ID, MAX_MESSAGE_ID = 255, 50
"""Characters: CiString255 and CiString50 (S §6.15)."""

MAX_DATA = 65_536
"""Characters for a charger: several times what the largest are known to take."""

MAX_DATA_ID = 100
"""Characters of an id that is echoed; the gateway's are shorter."""

REFUSALS = {
    AnswerRefusal.NOT_WAITING: pb.VENDOR_DATA_ANSWER_REFUSAL_NOT_WAITING,
    AnswerRefusal.BAD_STATUS: pb.VENDOR_DATA_ANSWER_REFUSAL_BAD_STATUS,
    AnswerRefusal.DATA_TOO_LONG: pb.VENDOR_DATA_ANSWER_REFUSAL_DATA_TOO_LONG,
}


def read_registration(request: pb.HandleVendorDataRequest | None) -> Interests:
    """Read the registration of the first request. Raises ``Failure``."""
    fields = Fields()
    interests: dict[str, frozenset[str]] = {}
    if request is None or request.WhichOneof("part") != "registration":
        fields.wrong("part", "must be a registration in the first message")
    else:
        given = request.registration.interests
        if not 1 <= len(given) <= MAX_INTERESTS:
            fields.wrong("registration.interests", f"must have 1 to {MAX_INTERESTS}")
        for index, each in enumerate(given[:MAX_INTERESTS]):
            name = f"registration.interests[{index}]"
            _interest(each, name, fields)
            if fold(each.vendor_id) in interests:
                fields.wrong(f"{name}.vendor_id", "is there twice")
            interests[fold(each.vendor_id)] = frozenset(map(fold, each.message_ids))
    fields.check()
    return interests


def _interest(given: pb.VendorInterest, name: str, fields: Fields) -> None:
    if not 1 <= len(given.vendor_id) <= MAX_VENDOR_ID:
        fields.wrong(f"{name}.vendor_id", f"must have 1 to {MAX_VENDOR_ID} characters")
    if len(given.message_ids) > MAX_MESSAGE_IDS:
        fields.wrong(f"{name}.message_ids", f"must have at most {MAX_MESSAGE_IDS}")
    if any(len(each) > MAX_MESSAGE_ID for each in given.message_ids):
        fields.wrong(f"{name}.message_ids", f"must have at most {MAX_MESSAGE_ID} characters each")


def read_answer(request: pb.HandleVendorDataRequest) -> tuple[str, VendorAnswer | AnswerRefusal]:
    """The data's id and the answer, or what is wrong with it. Raises ``Failure`` for what is no answer."""
    fields = Fields()
    if request.WhichOneof("part") != "answer":
        fields.wrong("part", "must be an answer: the registration comes once, first")
    fields.check()
    given = request.answer
    data_id = given.data_id[:MAX_DATA_ID]
    status = VENDOR_DATA_STATUS.word(given.status)
    if status is None:
        return data_id, AnswerRefusal.BAD_STATUS
    if len(given.data) > MAX_DATA:
        return data_id, AnswerRefusal.DATA_TOO_LONG
    return data_id, VendorAnswer(status, given.data if given.HasField("data") else None)


def response(item: ServiceStream | Asked | AnswerRefused) -> pb.HandleVendorDataResponse:
    """Return a message to a service."""
    match item:
        case Asked():
            data = pb.VendorDataRequest(
                data_id=item.data_id,
                charge_point=item.charge_point,
                vendor_id=item.vendor_id,
                message_id=item.message_id or "",
                data_json=item.json.decode(),
                receive_time=timestamp(item.received_at),
                answer_deadline_time=timestamp(item.answer_by),
            )
            return pb.HandleVendorDataResponse(data=data)
        case AnswerRefused():
            refused = pb.VendorDataAnswerRefused(data_id=item.data_id, reason=REFUSALS[item.reason])
            return pb.HandleVendorDataResponse(refused=refused)
        case _:
            return pb.HandleVendorDataResponse(registered=pb.VendorDataRegistered())
