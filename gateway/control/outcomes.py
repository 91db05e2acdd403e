"""Every way in which an RPC can end, with what its caller is answered and what a client does then: one table, as data.

``docs/outcomes.md`` shows it, and a test walks it with a charger's log, or the store, beside it.
"""

from enum import StrEnum

from attrs import frozen


class Kind(StrEnum):
    """Kind of an RPC."""

    COMMAND = "command"
    """The operations of CommandService."""
    CHANGE = "change"
    """Creating, changing and deleting charge points, tags and callers, importing fleets, closing connections and
    transactions."""
    OPERATION = "operation"
    """Beginning an operation on charging: StartCharging, StopCharging."""
    READ = "read"
    """Getting and listing."""
    ANY = "any"
    """Each RPC: of requests that can't be read, and where callers are required."""


class Effect(StrEnum):
    """Effect of an RPC: a command's CALL to the charger, or the change."""

    NOTHING = "nothing"
    MAYBE = "not known"
    DONE = "done"


class Then(StrEnum):
    """Reaction of a client."""

    NOTHING = "nothing: it is done"
    SAME_ID = "repeat it with the same request_id"
    NEW_ID = "ask anew, with a new request_id"
    READ = "read whether it was done, then decide"
    REPEAT = "repeat it as it is"
    READ_AND_CHANGE = "read it again, and change what is there now"
    MEND = "do not repeat it as it is"
    WAIT = "wait until the reason is gone, then repeat it as it is"
    WATCH = "watch it to its end"
    INSIST = "wait until the reason is gone, or insist (a start)"
    CHARGER = "as the charger's word demands"


@frozen
class RpcOutcome:
    """One way to end. ``reason`` empty: without ErrorInfo, because not the gateway but gRPC answers. ``metadata``: keys
    that are always there. ``cause``: that key's value, where there is one."""

    name: str
    kind: Kind
    when: str
    status: str
    reason: str
    effect: Effect
    then: Then
    metadata: tuple[str, ...] = ()
    cause: str = ""


_ID = ("charge_point", "request_id")
_RECORD = ("charge_point", "request_id", "command_id", "cause")


def _refused(name: str, when: str, status: str, reason: str, then: Then) -> RpcOutcome:
    return RpcOutcome(name, Kind.COMMAND, when, status, reason, Effect.NOTHING, then, _ID)


def _not_sent(name: str, when: str, status: str, reason: str, cause: str, then: Then = Then.NEW_ID) -> RpcOutcome:
    return RpcOutcome(name, Kind.COMMAND, when, status, reason, Effect.NOTHING, then, _RECORD, cause)


def _unknown(name: str, when: str, cause: str, metadata: tuple[str, ...] = _RECORD) -> RpcOutcome:
    return RpcOutcome(
        name, Kind.COMMAND, when, "UNKNOWN", "OUTCOME_UNKNOWN", Effect.MAYBE, Then.SAME_ID, metadata, cause
    )


COMMANDS: tuple[RpcOutcome, ...] = (
    RpcOutcome("confirmed", Kind.COMMAND, "the charger confirmed, also with a refusal such as Rejected", "OK", "",
            Effect.DONE, Then.NOTHING),
    RpcOutcome("charger-error", Kind.COMMAND, "the charger answered with an error; the reason is the charger's code",
            "FAILED_PRECONDITION", "GenericError", Effect.DONE, Then.CHARGER,
            (*_ID, "command_id", "code", "description", "details")),
    RpcOutcome("charger-knows-no-such-operation", Kind.COMMAND, "the same, with NotImplemented or NotSupported",
            "UNIMPLEMENTED", "NotSupported", Effect.DONE, Then.MEND,
            (*_ID, "command_id", "code", "description", "details")),
    _refused("bad-request", "the request is malformed, or this charge point can't be sent that", "INVALID_ARGUMENT",
             "INVALID_COMMAND", Then.MEND),
    _refused("request-id-reused", "another command of this charge point has the request_id", "INVALID_ARGUMENT",
             "REQUEST_ID_REUSED", Then.NEW_ID),
    _refused("unknown-charge-point", "there is no such charge point", "NOT_FOUND", "UNKNOWN_CHARGE_POINT", Then.MEND),
    _refused("unknown-transaction", "the charge point has no such open transaction", "NOT_FOUND",
             "UNKNOWN_TRANSACTION", Then.MEND),
    _refused("offline", "the charge point is not connected", "FAILED_PRECONDITION", "CHARGE_POINT_OFFLINE", Then.WAIT),
    _refused("pending", "its registration is Pending, and it was to be started or stopped", "FAILED_PRECONDITION",
             "CHARGE_POINT_PENDING", Then.WAIT),
    _refused("rejected", "its registration is Rejected", "FAILED_PRECONDITION", "CHARGE_POINT_REJECTED", Then.WAIT),
    _refused("queue-full", "too many commands wait for the charge point", "RESOURCE_EXHAUSTED", "QUEUE_FULL",
             Then.WAIT),
    RpcOutcome("too-many-calls", Kind.COMMAND, "too many calls are under way; an earlier call was not looked for",
            "RESOURCE_EXHAUSTED", "TOO_MANY_CALLS", Effect.MAYBE, Then.SAME_ID, _ID),
    _refused("no-time-to-send", "the caller's deadline is nearer than the margin", "DEADLINE_EXCEEDED", "NOT_SENT",
             Then.SAME_ID),
    _not_sent("deadline-before-sent", "the caller's deadline came while the command waited for its turn",
              "DEADLINE_EXCEEDED", "NOT_SENT", "deadline"),
    _unknown("deadline-after-sent", "the caller's deadline came while the charger had not answered yet", "deadline"),
    _unknown("deadline-of-a-repeat", "a repeated request's deadline came while its command was under way", "deadline"),
    _unknown("charger-silent", "the charger did not answer within the call time-out", "timeout"),
    _not_sent("transaction-ended", "its transaction was over before its turn", "NOT_FOUND", "UNKNOWN_TRANSACTION",
              "transaction-ended"),
    _not_sent("too-many-keys", "it brings a key, and the charge point may use too many already", "FAILED_PRECONDITION",
              "TOO_MANY_KEYS", "too-many-keys"),
    _not_sent("link-lost-before-sent", "the connection ended before its turn", "FAILED_PRECONDITION",
              "CHARGE_POINT_OFFLINE", "disconnected"),
    _unknown("link-lost-after-sent", "the connection ended before the answer", "disconnected"),
    _not_sent("takeover-before-sent", "a newer connection of the charge point came before its turn",
              "FAILED_PRECONDITION", "CHARGE_POINT_OFFLINE", "disconnected"),
    _unknown("takeover-after-sent", "a newer connection of the charge point came before the answer", "disconnected"),
    _not_sent("deleted-before-sent", "the charge point was deleted before its turn", "NOT_FOUND",
              "UNKNOWN_CHARGE_POINT", "deleted"),
    _unknown("deleted-after-sent", "the charge point was deleted before the answer", "deleted"),
    _not_sent("registration-changed-before-sent", "the operator stopped accepting the charge point before its turn",
              "FAILED_PRECONDITION", "CHARGE_POINT_OFFLINE", "disconnected"),
    _unknown("registration-changed-after-sent", "the operator stopped accepting it before the answer",
             "disconnected"),
    _refused("draining", "the gateway is stopping, and takes no new command", "UNAVAILABLE", "DRAINING", Then.SAME_ID),
    _not_sent("drained-before-sent", "the gateway stopped before its turn", "UNAVAILABLE", "NOT_SENT", "draining"),
    _not_sent("drained-before-sent-repeated", "the same, to a request that repeats it", "FAILED_PRECONDITION",
              "NOT_SENT", "draining"),
    _unknown("drained-after-sent", "the gateway stopped before the answer, at the drain's deadline or by a second "
             "signal", "draining"),
    _unknown("ended-while-the-disk-stalls", "the gateway ended, by a second signal, before its disk had answered",
             "draining", (*_ID, "cause")),
    _not_sent("restarted-before-sent", "a repeated request: the gateway was killed before its turn",
              "FAILED_PRECONDITION", "NOT_SENT", "gateway-restarted"),
    _unknown("restarted-after-sent", "a repeated request: the gateway was killed before the answer",
             "gateway-restarted"),
    _refused("store-refuses", "the store can't keep a command, and took nothing", "UNAVAILABLE", "STORE_UNAVAILABLE",
             Then.SAME_ID),
    _refused("node-unreachable", "another node has the charge point, and can't be reached", "UNAVAILABLE",
             "NODE_UNREACHABLE", Then.SAME_ID),
    _not_sent("node-silent", "another node has the charge point, and had not answered by the caller's deadline; it "
              "can't send it any more", "DEADLINE_EXCEEDED", "NOT_SENT", "deadline"),
    _unknown("node-silent-after-sent", "the same, and it had recorded the command", "deadline"),
    _unknown("store-in-doubt", "the store failed while it was recording the command", "store-unavailable"),
    _unknown("store-in-doubt-repeated", "the same, to a request that repeats it before the store is back",
             "store-unavailable", (*_ID, "cause")),
    _not_sent("store-fails-before-sent", "the store failed before the command's turn", "UNAVAILABLE", "NOT_SENT",
              "store-unavailable"),
    _unknown("store-fails-after-sent", "the store failed while the sending or the answer was recorded",
             "store-unavailable"),
    _unknown("store-stalls", "the disk had not answered by the caller's deadline", "deadline"),
    _not_sent("store-stalls-before-sent", "the same, of a command that was recorded and waited for its turn",
              "DEADLINE_EXCEEDED", "NOT_SENT", "deadline"),
    _unknown("store-unreadable", "the store can't be read: whether the request repeats another is not known",
             "store-unavailable", (*_ID, "cause")),
    _unknown("store-reads-too-slowly", "the same, and it had not answered by the caller's deadline", "deadline",
             (*_ID, "cause")),
    _unknown("bug", "a bug in the gateway; its log has more", "internal-error", (*_ID, "cause")),
)  # fmt: skip


def _change(name: str, when: str, status: str, reason: str, effect: Effect, then: Then, cause: str = "") -> RpcOutcome:
    return RpcOutcome(name, Kind.CHANGE, when, status, reason, effect, then, ("cause",) if cause else (), cause)


def _unknown_change(name: str, when: str, cause: str) -> RpcOutcome:
    return _change(name, when, "UNKNOWN", "OUTCOME_UNKNOWN", Effect.MAYBE, Then.READ, cause)


CHANGES: tuple[RpcOutcome, ...] = (
    _change("changed", "it is on disk", "OK", "", Effect.DONE, Then.NOTHING),
    _change("malformed", "a field can't be as it is", "INVALID_ARGUMENT", "INVALID_REQUEST", Effect.NOTHING,
            Then.MEND),
    _change("no-such-thing", "there is no such charge point, tag or transaction; the reason names which", "NOT_FOUND",
            "UNKNOWN_CHARGE_POINT", Effect.NOTHING, Then.MEND),
    _change("taken", "there is one of that name already; the reason names which", "ALREADY_EXISTS",
            "CHARGE_POINT_EXISTS", Effect.NOTHING, Then.MEND),
    _change("changed-by-another", "the etag is not that of the present revision", "ABORTED", "ETAG_MISMATCH",
            Effect.NOTHING, Then.READ_AND_CHANGE),
    _change("not-connected", "the connection to be closed is not there", "FAILED_PRECONDITION",
            "CHARGE_POINT_OFFLINE", Effect.NOTHING, Then.MEND),
    _change("not-open", "the transaction to be closed has ended otherwise", "FAILED_PRECONDITION",
            "TRANSACTION_NOT_OPEN", Effect.NOTHING, Then.MEND),
    _change("below-the-last-register", "the register that a transaction is to be closed with is below its last one, "
            "and the operator does not insist", "FAILED_PRECONDITION", "METER_BELOW_LAST", Effect.NOTHING, Then.MEND),
    _change("below-the-start", "the stop to be attributed is below the transaction's start, likewise",
            "FAILED_PRECONDITION", "METER_BELOW_START", Effect.NOTHING, Then.MEND),
    _change("has-a-stop", "the transaction that a stop is to be attributed to has one", "FAILED_PRECONDITION",
            "TRANSACTION_STOPPED", Effect.NOTHING, Then.MEND),
    _change("attributed", "the stop to be attributed is tied to a transaction already", "FAILED_PRECONDITION",
            "ORPHAN_ATTRIBUTED", Effect.NOTHING, Then.MEND),
    _change("attributed-by-that-id", "another attribution of the charge point has the request_id", "INVALID_ARGUMENT",
            "REQUEST_ID_REUSED", Effect.NOTHING, Then.NEW_ID),
    _change("no-room-for-a-change", "too many calls are under way", "RESOURCE_EXHAUSTED", "TOO_MANY_CALLS",
            Effect.NOTHING, Then.REPEAT),
    _change("no-time-to-change", "the caller's deadline came before anything was handed to the disk",
            "DEADLINE_EXCEEDED", "DEADLINE", Effect.NOTHING, Then.REPEAT),
    _unknown_change("deadline-while-changing", "the disk had not answered by the caller's deadline", "deadline"),
    _change("store-takes-no-change", "the store can't keep it, and took nothing", "UNAVAILABLE", "STORE_UNAVAILABLE",
            Effect.NOTHING, Then.REPEAT),
    _unknown_change("store-fails-while-changing", "the store failed while it was recording the change",
                    "store-unavailable"),
    _unknown_change("store-fails-after-the-change", "it is on disk, and can't be read back", "store-unavailable"),
    _change("stopped-before-the-change", "the gateway stopped before anything was handed to the disk", "UNAVAILABLE",
            "DRAINING", Effect.NOTHING, Then.REPEAT),
    _unknown_change("stopped-while-changing", "the gateway stopped before the disk had answered", "draining"),
    _change("bug-before-the-change", "a bug in the gateway before anything was handed to the disk; its log has more",
            "INTERNAL", "INTERNAL", Effect.NOTHING, Then.MEND),
    _unknown_change("bug-after-the-change", "a bug in the gateway after that", "internal-error"),
)  # fmt: skip


def _begun(
    name: str, when: str, status: str, reason: str, then: Then, effect: Effect = Effect.NOTHING, cause: str = ""
) -> RpcOutcome:
    metadata = _ID if reason else ()
    return RpcOutcome(name, Kind.OPERATION, when, status, reason, effect, then, metadata, cause)


OPERATIONS: tuple[RpcOutcome, ...] = (
    _begun("begun", "the operation is on disk, or was begun by an earlier request with the request_id", "OK", "",
           Then.WATCH, Effect.DONE),
    RpcOutcome("malformed-operation", Kind.OPERATION, "a field can't be as it is", "INVALID_ARGUMENT",
               "INVALID_REQUEST", Effect.NOTHING, Then.MEND),
    _begun("operation-that-can-not-be-sent", "the version of OCPP does not take it as it is", "INVALID_ARGUMENT",
           "INVALID_COMMAND", Then.MEND),
    _begun("operation-id-reused", "another operation of this charge point has the request_id", "INVALID_ARGUMENT",
           "REQUEST_ID_REUSED", Then.NEW_ID),
    RpcOutcome("operation-of-no-charge-point", Kind.OPERATION, "there is no such charge point", "NOT_FOUND",
               "UNKNOWN_CHARGE_POINT", Effect.NOTHING, Then.MEND),
    _begun("operation-of-an-absent-charge-point", "the charge point is not connected", "FAILED_PRECONDITION",
           "CHARGE_POINT_OFFLINE", Then.WAIT),
    _begun("operation-of-a-pending-charge-point", "its registration is Pending", "FAILED_PRECONDITION",
           "CHARGE_POINT_PENDING", Then.WAIT),
    _begun("operation-of-a-rejected-charge-point", "its registration is Rejected", "FAILED_PRECONDITION",
           "CHARGE_POINT_REJECTED", Then.WAIT),
    _begun("tag-not-accepted", "a start with the tag would be refused: unknown, blocked, expired, or in use",
           "FAILED_PRECONDITION", "ID_TAG_NOT_ACCEPTED", Then.INSIST),
    _begun("no-such-connector", "the charge point has fewer connectors", "FAILED_PRECONDITION", "UNKNOWN_CONNECTOR",
           Then.INSIST),
    _begun("connector-out-of-order", "the connector is Faulted or Unavailable", "FAILED_PRECONDITION",
           "CONNECTOR_UNAVAILABLE", Then.INSIST),
    _begun("connector-reserved", "the connector is reserved for another tag", "FAILED_PRECONDITION",
           "CONNECTOR_RESERVED", Then.INSIST),
    _begun("not-plugged-in", "no cable is in, and chargers of its make need that", "FAILED_PRECONDITION",
           "NOT_PLUGGED_IN", Then.INSIST),
    _begun("occupied", "a transaction is open on the connector", "FAILED_PRECONDITION", "TRANSACTION_OPEN",
           Then.INSIST),
    _begun("asked-for-already", "another start with the tag is open there", "FAILED_PRECONDITION", "OPERATION_OPEN",
           Then.INSIST),
    _begun("upgrade-without-its-needs", "an upgrade of the security profile needs something that is not there; missing "
           "says what", "FAILED_PRECONDITION", "PREREQUISITE_MISSING", Then.MEND),
    _begun("upgrade-to-what-it-has", "the charge point has the security profile, or a higher one, already",
           "FAILED_PRECONDITION", "PROFILE_NOT_HIGHER", Then.MEND),
    _begun("nothing-to-stop", "the transaction is not open, or none is", "NOT_FOUND", "NO_TRANSACTION", Then.MEND),
    _begun("too-much-to-stop", "several transactions are open and none is named", "FAILED_PRECONDITION",
           "SEVERAL_TRANSACTIONS", Then.MEND),
    _begun("too-many-operations", "too many operations of the charge point are open", "RESOURCE_EXHAUSTED",
           "TOO_MANY_OPERATIONS", Then.WAIT),
    _begun("operation-and-a-full-queue", "too many commands wait for the charge point", "RESOURCE_EXHAUSTED",
           "QUEUE_FULL", Then.WAIT),
    _begun("no-room-for-an-operation", "too many calls are under way; an earlier call was not looked for",
           "RESOURCE_EXHAUSTED", "TOO_MANY_CALLS", Then.SAME_ID, Effect.MAYBE),
    _begun("no-time-to-begin", "the caller's deadline is nearer than the margin", "DEADLINE_EXCEEDED", "NOT_SENT",
           Then.SAME_ID),
    _begun("no-operation-while-draining", "the gateway is stopping", "UNAVAILABLE", "DRAINING", Then.SAME_ID),
    _begun("store-takes-no-operation", "the store can't keep it, and took nothing", "UNAVAILABLE",
           "STORE_UNAVAILABLE", Then.SAME_ID),
    _begun("operation-and-a-node-unreachable", "another node has the charge point, and can't be reached",
           "UNAVAILABLE", "NODE_UNREACHABLE", Then.SAME_ID),
    _begun("operation-in-doubt", "the store failed while it was recording the operation", "UNKNOWN",
           "OUTCOME_UNKNOWN", Then.SAME_ID, Effect.MAYBE, "store-unavailable"),
    _begun("deadline-while-beginning", "the disk had not answered by the caller's deadline", "UNKNOWN",
           "OUTCOME_UNKNOWN", Then.SAME_ID, Effect.MAYBE, "deadline"),
    _begun("bug-while-beginning", "a bug in the gateway; its log has more", "UNKNOWN", "OUTCOME_UNKNOWN",
           Then.SAME_ID, Effect.MAYBE, "internal-error"),
)  # fmt: skip


def _read(name: str, when: str, status: str, reason: str, then: Then) -> RpcOutcome:
    return RpcOutcome(name, Kind.READ, when, status, reason, Effect.NOTHING, then)


READS: tuple[RpcOutcome, ...] = (
    _read("malformed-read", "a field can't be as it is", "INVALID_ARGUMENT", "INVALID_REQUEST", Then.MEND),
    _read("nothing-to-read", "there is no such thing; the reason names what", "NOT_FOUND", "UNKNOWN_CHARGE_POINT",
          Then.MEND),
    _read("nothing-to-bill", "nothing tells the energy that a cost is asked of", "FAILED_PRECONDITION",
          "ENERGY_NOT_KNOWN", Then.WAIT),
    _read("another-revision", "the energy is not of the revision that a cost is asked of; both are named",
          "FAILED_PRECONDITION", "ENERGY_REVISED", Then.MEND),
    _read("nothing-to-wait-for", "the transaction whose end of charging is asked for has ended",
          "FAILED_PRECONDITION", "TRANSACTION_NOT_OPEN", Then.MEND),
    _read("too-much-to-read", "a transaction has more readings than are worked out", "FAILED_PRECONDITION",
          "TOO_MANY_READINGS", Then.MEND),
    _read("no-time-to-read", "the store had not answered by the caller's deadline", "DEADLINE_EXCEEDED", "DEADLINE",
          Then.REPEAT),
    _read("store-gives-nothing", "the store can't be read", "UNAVAILABLE", "STORE_UNAVAILABLE", Then.REPEAT),
    _read("stopped-while-reading", "the gateway stopped", "UNAVAILABLE", "DRAINING", Then.REPEAT),
    _read("bug-while-reading", "a bug in the gateway; its log has more", "INTERNAL", "INTERNAL", Then.MEND),
)  # fmt: skip


def _caller(name: str, when: str, status: str, reason: str, then: Then, metadata: tuple[str, ...] = ()) -> RpcOutcome:
    return RpcOutcome(name, Kind.ANY, when, status, reason, Effect.NOTHING, then, metadata)


CALLERS: tuple[RpcOutcome, ...] = (
    _caller("no-caller", "it has neither a token nor a client certificate", "UNAUTHENTICATED", "CALLER_NOT_NAMED",
            Then.MEND),
    _caller("no-such-token", "its token is not known, or was revoked", "UNAUTHENTICATED", "TOKEN_NOT_KNOWN", Then.MEND),
    _caller("token-refused", "its JWT is not taken: forged, expired, for another audience, of a key that is gone",
            "UNAUTHENTICATED", "TOKEN_REFUSED", Then.MEND, ("check",)),
    _caller("no-such-certificate", "no name in its client certificate is a caller's, or the caller was revoked",
            "UNAUTHENTICATED", "CERTIFICATE_NOT_KNOWN", Then.MEND),
    _caller("revoked", "its caller was revoked while it streamed", "UNAUTHENTICATED", "CALLER_REVOKED", Then.MEND),
    _caller("no-role", "its caller lacks the role that it needs", "PERMISSION_DENIED", "ROLE_MISSING", Then.MEND,
            ("caller", "role")),
    _caller("no-scope", "its caller has a scope that it can't be held to", "PERMISSION_DENIED", "SCOPE_NOT_APPLICABLE",
            Then.MEND, ("caller",)),
    _caller("scope-not-watchable", "a watch names no charge point, and none or 1,000 and more are in the scope",
            "FAILED_PRECONDITION", "SCOPE_NOT_WATCHABLE", Then.MEND, ("caller",)),
    _caller("scope-changed", "charge points have come into its caller's scope or left it while it streamed",
            "UNAVAILABLE", "SCOPE_CHANGED", Then.REPEAT),
    _caller("callers-unread", "the store can't be read, and the callers are not in memory", "UNAVAILABLE",
            "STORE_UNAVAILABLE", Then.REPEAT),
)  # fmt: skip

REQUESTS: tuple[RpcOutcome, ...] = (
    _caller("no-such-message", "the request's bytes are no such message", "INVALID_ARGUMENT", "MALFORMED_REQUEST",
            Then.MEND),
    _caller("too-much-to-take", "the request has more than 4 MiB", "RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", Then.MEND,
            ("bytes", "limit")),
)  # fmt: skip


@frozen
class Bare:
    """A way to end in which gRPC answers, on either side, without ErrorInfo. ``never_begun``: nothing was done, now or
    later; otherwise it says nothing of what was."""

    name: str
    when: str
    status: str
    never_begun: bool


BARE: tuple[Bare, ...] = (
    Bare("cancelled", "the caller cancelled it; a command goes its way all the same", "CANCELLED", False),
    Bare("deadline-passed", "the caller's clock ran out before an answer reached it", "DEADLINE_EXCEEDED", False),
    Bare("connection-lost", "the connection to the gateway broke, or there is none", "UNAVAILABLE", False),
    Bare("too-large", "the request has more than 16 MiB", "RESOURCE_EXHAUSTED", True),
    Bare("no-such-rpc", "the gateway, an older one, has no such RPC", "UNIMPLEMENTED", True),
)

ALL: tuple[RpcOutcome, ...] = COMMANDS + OPERATIONS + CHANGES + READS + REQUESTS + CALLERS
