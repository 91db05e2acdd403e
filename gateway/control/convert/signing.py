"""Signing: registrations and answers read, and messages to the service."""

from gateway.api.v1 import signing_pb2 as pb
from gateway.control.convert.common import timestamp
from gateway.control.convert.requests import Fields
from gateway.control.signing import Declined, Signed, SigningNotice, SigningRefusal, SigningStream
from gateway.domain.signing import SigningRecord

MAX_ID = 100
"""Characters of an id that is echoed; the gateway's are shorter."""

MAX_REASON = 255
"""Characters of a refusal."""

REFUSALS = {
    SigningRefusal.NOT_WAITING: pb.SIGNING_ANSWER_REFUSAL_NOT_WAITING,
    SigningRefusal.BAD_CHAIN: pb.SIGNING_ANSWER_REFUSAL_BAD_CHAIN,
    SigningRefusal.BAD_ANSWER: pb.SIGNING_ANSWER_REFUSAL_BAD_ANSWER,
    SigningRefusal.UNAVAILABLE: pb.SIGNING_ANSWER_REFUSAL_UNAVAILABLE,
}


def read_registration(request: pb.SignCertificatesRequest | None) -> None:
    """Read the registration of the first request. Raises ``Failure``."""
    fields = Fields()
    if request is None or request.WhichOneof("part") != "registration":
        fields.wrong("part", "must be a registration in the first message")
    fields.check()


def read_answer(request: pb.SignCertificatesRequest) -> tuple[str, Signed | Declined | None]:
    """The request's id and the answer; None: it is none. Raises ``Failure`` for any other message."""
    fields = Fields()
    if request.WhichOneof("part") != "answer":
        fields.wrong("part", "must be an answer: the registration comes once, first")
    fields.check()
    given = request.answer
    signing_id = given.signing_id[:MAX_ID]
    match given.WhichOneof("outcome"):
        case "certificate_chain":
            return signing_id, Signed(given.certificate_chain)
        case "refusal" if 1 <= len(given.refusal) <= MAX_REASON:
            return signing_id, Declined(given.refusal)
        case _:
            return signing_id, None


def response(item: SigningStream | SigningRecord | SigningNotice) -> pb.SignCertificatesResponse:
    """Return a message to the service."""
    match item:
        case SigningRecord():
            asked = pb.SigningRequest(
                signing_id=item.signing_id,
                charge_point=item.charge_point,
                csr=item.csr,
                receive_time=timestamp(item.created_at),
                expire_time=timestamp(item.expires_at),
            )
            return pb.SignCertificatesResponse(request=asked)
        case SigningNotice():
            refused = pb.SigningAnswerRefused(
                signing_id=item.signing_id, reason=REFUSALS[item.reason], description=item.description
            )
            return pb.SignCertificatesResponse(refused=refused)
        case _:
            return pb.SignCertificatesResponse(registered=pb.SigningRegistered())
