"""Every reason that an error of the control interface can have: one table, as data.

``protos/gateway/api/v1/error.proto`` and ``docs/errors.md`` are made from it (``python -m tests.support.errors_page``),
and a test holds it against the code that raises them. The ways to end, each with what was done, are in ``outcomes``.
"""

from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen


class Repeat(StrEnum):
    """A way in which a client asks again, or does not."""

    SAME = "the same request again, with the same request_id where it has one"
    NEW = "again, with a new request_id"
    READ = "read first, then decide"
    WAIT = "the same request again, once the reason is gone"
    NEVER = "never the same request again"


@frozen
class ErrorReason:
    """One reason. ``statuses`` by gRPC's names. ``metadata``: keys that may be there. ``repeats``: in the order of
    ``advice``, which says when which of several holds; empty: there is one."""

    name: str
    when: str
    statuses: tuple[str, ...]
    metadata: tuple[str, ...]
    repeats: tuple[Repeat, ...]
    advice: str = ""


SAME, NEW, READ, WAIT, NEVER = Repeat.SAME, Repeat.NEW, Repeat.READ, Repeat.WAIT, Repeat.NEVER


def _reason(
    name: str, when: str, statuses: str, metadata: str, repeats: Repeat | tuple[Repeat, ...], advice: str = ""
) -> ErrorReason:
    several = repeats if isinstance(repeats, tuple) else (repeats,)
    return ErrorReason(name, when, tuple(statuses.split()), tuple(metadata.split()), several, advice)


REASONS: tuple[ErrorReason, ...] = (
    _reason("OUTCOME_UNKNOWN", "It may have been done, or may yet be; cause says why that is not known.", "UNKNOWN",
            "cause charge_point request_id command_id id_tag transaction_id orphan_event_id caller fleet_job",
            (SAME, READ),
            "A request with a request_id is repeated with it; of any other read first. docs/errors.md has a recipe for "
            "each RPC."),
    _reason("INVALID_REQUEST", "A field can't be as it is; the BadRequest beside it names each.", "INVALID_ARGUMENT",
            "", NEVER),
    _reason("MALFORMED_REQUEST", "The request's bytes are no such message; over HTTP also its JSON, parameters, verb "
            "or headers.", "INVALID_ARGUMENT", "", NEVER),
    _reason("REQUEST_TOO_LARGE", "The request has more bytes than are read.", "RESOURCE_EXHAUSTED",
            "bytes limit", NEVER),
    _reason("INTERNAL", "A bug in the gateway; its log has more. A change was not done.", "INTERNAL", "", NEVER,
            "A watch is begun anew after a pause, with the last resume token."),
    _reason("DEADLINE", "The gateway could not do it before the deadline; nothing was done.", "DEADLINE_EXCEEDED",
            "charge_point request_id", SAME, "With a longer deadline."),
    _reason("DRAINING", "The gateway is stopping; nothing was done. A watch goes on elsewhere, or later.",
            "UNAVAILABLE", "charge_point request_id", SAME),
    _reason("STORE_UNAVAILABLE", "The store can't be read or written now; nothing was done.", "UNAVAILABLE",
            "charge_point request_id", SAME),
    _reason("TOO_MANY_CALLS", "Too many calls are under way; this one did nothing.", "RESOURCE_EXHAUSTED",
            "charge_point request_id", SAME, "After a pause that grows."),
    _reason("CALLER_NOT_NAMED", "The call has neither a token nor a client certificate.", "UNAUTHENTICATED", "",
            NEVER),
    _reason("TOKEN_NOT_KNOWN", "The token is not known, or was revoked.", "UNAUTHENTICATED", "", NEVER),
    _reason("CERTIFICATE_NOT_KNOWN", "No name in the client certificate is a caller's.", "UNAUTHENTICATED", "",
            NEVER),
    _reason("CALLER_REVOKED", "The caller was revoked while it streamed.", "UNAUTHENTICATED", "", NEVER),
    _reason("ROLE_MISSING", "The caller lacks the role that the RPC needs.", "PERMISSION_DENIED", "caller role",
            NEVER),
    _reason("SCOPE_NOT_APPLICABLE", "The caller has a scope that the RPC can't be held to.", "PERMISSION_DENIED",
            "caller", NEVER),
    _reason("SCOPE_NOT_WATCHABLE", "A watch names no charge point, and none or too many are in the caller's scope.",
            "FAILED_PRECONDITION", "caller", NEVER),
    _reason("SCOPE_CHANGED", "Charge points came into the caller's scope or left it while it streamed.",
            "UNAVAILABLE", "", SAME, "With the last resume token."),
    _reason("UNKNOWN_CHARGE_POINT", "There is no such charge point, or it is not in the caller's scope.", "NOT_FOUND",
            "charge_point request_id command_id cause", (NEVER, NEW),
            "With a command_id its charge point was deleted before its turn: it was not sent."),
    _reason("UNKNOWN_TRANSACTION", "There is no such transaction or, of a command, no such open one.", "NOT_FOUND",
            "transaction transaction_id charge_point request_id command_id cause", (NEVER, NEW),
            "With a command_id the transaction ended before its turn: it was not sent."),
    _reason("UNKNOWN_ORPHAN", "There is no such stop without a transaction.", "NOT_FOUND", "orphan", NEVER),
    _reason("UNKNOWN_ID_TAG", "There is no such id tag.", "NOT_FOUND", "id_tag", NEVER),
    _reason("UNKNOWN_COMMAND", "There is no such command, or it is not in the caller's scope.", "NOT_FOUND",
            "command charge_point request_id", NEVER),
    _reason("UNKNOWN_OPERATION", "There is no such operation, or it is not in the caller's scope.", "NOT_FOUND",
            "operation", NEVER),
    _reason("UNKNOWN_CALLER", "There is no caller of that name.", "NOT_FOUND", "caller", NEVER),
    _reason("CHARGE_POINT_EXISTS", "There is a charge point of that identity; of an import, of some.",
            "ALREADY_EXISTS", "charge_point wrong_count total_count", NEVER),
    _reason("ID_TAG_EXISTS", "There is such an id tag.", "ALREADY_EXISTS", "id_tag", NEVER),
    _reason("CALLER_EXISTS", "There is a caller of that name, or of that certificate name.", "ALREADY_EXISTS",
            "caller certificate_name", NEVER),
    _reason("ETAG_MISMATCH", "The etag is not that of the present revision; nothing was done.", "ABORTED",
            "charge_point id_tag", READ),
    _reason("INVALID_COMMAND", "The charge point can't be sent that; the BadRequest beside it names the fields.",
            "INVALID_ARGUMENT", "charge_point request_id", NEVER),
    _reason("REQUEST_ID_REUSED", "The request_id was used for another request of this charge point, or another fleet "
            "job.", "INVALID_ARGUMENT", "charge_point request_id command_id operation_id operation fleet_job", NEW),
    _reason("CHARGE_POINT_OFFLINE", "The charge point is not connected; nothing was sent.", "FAILED_PRECONDITION",
            "charge_point request_id command_id cause last_seen", (WAIT, NEW, NEVER),
            "With a command_id the connection ended before its turn, and that request_id is used up: ask with a new "
            "one. A connection that was to be closed is not there."),
    _reason("CHARGE_POINT_PENDING", "Its registration is Pending: it may not start, stop or charge by remote control.",
            "FAILED_PRECONDITION", "charge_point request_id", WAIT),
    _reason("CHARGE_POINT_REJECTED", "Its registration is Rejected: it is sent nothing.", "FAILED_PRECONDITION",
            "charge_point request_id", WAIT),
    _reason("QUEUE_FULL", "Too many commands wait for the charge point; nothing was sent.", "RESOURCE_EXHAUSTED",
            "charge_point request_id limit", WAIT),
    _reason("NOT_SENT", "A command or an operation was not sent; cause says why, where it is recorded.",
            "DEADLINE_EXCEEDED UNAVAILABLE FAILED_PRECONDITION", "charge_point request_id command_id cause",
            (SAME, NEW), "With a command_id that is this request_id's outcome for ever: ask with a new one."),
    _reason("ID_TAG_NOT_ACCEPTED", "A start with the tag would be refused: unknown, blocked, expired, or in use.",
            "FAILED_PRECONDITION", "charge_point request_id status transaction_ids", WAIT, "Or insist (a start)."),
    _reason("UNKNOWN_CONNECTOR", "The charge point has fewer connectors.", "FAILED_PRECONDITION",
            "charge_point request_id", WAIT, "Or insist (a start)."),
    _reason("CONNECTOR_UNAVAILABLE", "The connector is Faulted or Unavailable.", "FAILED_PRECONDITION",
            "charge_point request_id", WAIT, "Or insist (a start)."),
    _reason("CONNECTOR_RESERVED", "The connector is reserved for another tag.", "FAILED_PRECONDITION",
            "charge_point request_id", WAIT, "Or insist (a start)."),
    _reason("NOT_PLUGGED_IN", "No cable is in, and chargers of its make need that.", "FAILED_PRECONDITION",
            "charge_point request_id", WAIT, "Or insist (a start)."),
    _reason("TRANSACTION_OPEN", "A transaction is open on the connector.", "FAILED_PRECONDITION",
            "charge_point request_id transaction_id", WAIT, "Or insist (a start)."),
    _reason("OPERATION_OPEN", "Another start with the tag is open there, or another change of how the charge "
            "point is let in.", "FAILED_PRECONDITION",
            "charge_point request_id operation_id", WAIT, "Or insist (a start)."),
    _reason("NO_TRANSACTION", "The transaction to be stopped is not open, or none is.", "NOT_FOUND",
            "charge_point request_id transaction_id", NEVER),
    _reason("SEVERAL_TRANSACTIONS", "Several transactions are open, and none is named.", "FAILED_PRECONDITION",
            "charge_point request_id", NEVER),
    _reason("TOO_MANY_OPERATIONS", "Too many operations of the charge point are open.", "RESOURCE_EXHAUSTED",
            "charge_point request_id", WAIT),
    _reason("TRANSACTION_NOT_OPEN", "The transaction has ended.", "FAILED_PRECONDITION", "transaction_id state",
            NEVER),
    _reason("METER_BELOW_LAST", "The register to close it with is below its last one, and insist is not set.",
            "FAILED_PRECONDITION", "transaction_id last_milliwatt_hours", NEVER),
    _reason("METER_BELOW_START", "The stop's register is below the transaction's start, and insist is not set.",
            "FAILED_PRECONDITION", "transaction_id meter_stop", NEVER),
    _reason("TRANSACTION_STOPPED", "The transaction that a stop is to be tied to has one.", "FAILED_PRECONDITION",
            "transaction_id", NEVER),
    _reason("ORPHAN_ATTRIBUTED", "The stop is tied to a transaction already.", "FAILED_PRECONDITION",
            "orphan_event_id transaction_id", NEVER),
    _reason("ENERGY_NOT_KNOWN", "The energy that a cost is asked of is not known.", "FAILED_PRECONDITION",
            "transaction_id", WAIT),
    _reason("ENERGY_REVISED", "The energy is not of the revision that a cost is asked of.", "FAILED_PRECONDITION",
            "transaction_id wanted_revision revision pending", NEVER),
    _reason("TOO_MANY_READINGS", "The transaction has more readings than are worked out.", "FAILED_PRECONDITION",
            "transaction_id", NEVER),
    _reason("BAD_RESUME_TOKEN", "The resume token is damaged, or of another store.", "INVALID_ARGUMENT", "", NEVER,
            "Read the present state, and watch from there."),
    _reason("BELOW_RETENTION", "Events after the resume token were deleted by retention.", "OUT_OF_RANGE", "floor",
            NEVER, "Read the present state, and watch from there."),
    _reason("BEYOND_HEAD", "This store has never been where the resume token is: an older state was restored.",
            "OUT_OF_RANGE", "", NEVER, "Read the present state, and watch from there."),
    _reason("IMPORT_RUNNING", "Another import is running.", "FAILED_PRECONDITION", "", WAIT),
    _reason("IMPORT_TOO_LARGE", "The import has more bytes than are taken.", "RESOURCE_EXHAUSTED", "", NEVER),
    _reason("IMPORT_INCOMPLETE", "More or fewer charge points came than were announced; none was imported.",
            "INVALID_ARGUMENT", "", NEVER),
    _reason("IMPORT_REFUSED", "Some charge points can't be imported, and the faults were sent; none was.",
            "INVALID_ARGUMENT", "wrong_count total_count", NEVER),
    _reason("NOTHING_SENT", "The client's side of the stream was silent for too long.", "DEADLINE_EXCEEDED", "",
            SAME),
    _reason("TOO_MANY_CALLERS", "There are as many callers as there may be.", "RESOURCE_EXHAUSTED", "", NEVER),
    _reason("TOO_MANY_SERVICES", "There are as many services for vendors' data as there may be.",
            "RESOURCE_EXHAUSTED", "", WAIT),
    _reason("FRAMES_NOT_KEPT", "No frames are kept: sessions.kept_frames is 0.", "FAILED_PRECONDITION", "", NEVER),
    _reason("CLOCK_DIFFERS", "The clock shows another time by now than was confirmed.", "FAILED_PRECONDITION",
            "clock_time", READ),
    _reason("TOO_MANY_KEYS", "The command brings a key, and the charge point may use too many already; it was not "
            "sent.", "FAILED_PRECONDITION", "charge_point request_id command_id cause", NEW,
            "Once the charge point has connected anew, which settles them: with a new request_id."),
    _reason("TOKEN_REFUSED", "The JWT is not taken; check says what did not hold: its signature, or a claim's name.",
            "UNAUTHENTICATED", "check", NEVER, "With a new token of the provider."),
    _reason("UNKNOWN_FLEET_JOB", "There is no such fleet job.", "NOT_FOUND", "fleet_job", NEVER),
    _reason("TOO_MANY_FLEET_JOBS", "As many fleet jobs run as may.", "RESOURCE_EXHAUSTED", "", WAIT,
            "Or cancel one."),
    _reason("PREREQUISITE_MISSING", "An upgrade of the security profile needs something that is not there; missing "
            "says what.", "FAILED_PRECONDITION", "charge_point request_id missing", NEVER),
    _reason("PROFILE_NOT_HIGHER", "The charge point has that security profile, or a higher one, already.",
            "FAILED_PRECONDITION", "charge_point request_id security_profile", NEVER),
    _reason("UNKNOWN_METHOD", "Over HTTP: the path is no method's, or the method takes a stream of requests.",
            "UNIMPLEMENTED", "", NEVER),
    _reason("TOO_MANY_TAPS", "As many taps of charge points are open as may be.", "RESOURCE_EXHAUSTED", "", WAIT),
    _reason("NODE_UNREACHABLE", "Another node has the charge point and can't be reached now; nothing was sent.",
            "UNAVAILABLE", "charge_point request_id", SAME),
    _reason("TOO_MANY_LOG_LEVELS", "As many charge points have a log level of their own as may.",
            "RESOURCE_EXHAUSTED", "", WAIT),
)  # fmt: skip
"""In the order of their numbers in the enum, which begin at 1: a new one comes last."""

UNKNOWN_CODE = "UnknownErrorCode"
"""The reason where a charger's own error code can't be one: it stands in the metadata as it was sent."""

_BY_REQUEST_ID = "Repeat it with the same request_id: it returns the first outcome, and does nothing twice."

RECIPES: tuple[tuple[str, str], ...] = (
    ("CommandService: all that is sent to a charger", "Repeat it with the same request_id, or GetCommand by charge "
     "point and request_id: state ANSWERED holds the charger's word. OUTCOME_UNKNOWN stays until a late answer comes, "
     "an event command.answered with late set; GetConfiguration, GetCompositeSchedule or the events then show what "
     "the charger has done. NOT_FOUND: nothing was recorded, and nothing was sent."),
    ("StartCharging StopCharging PauseCharging ResumeCharging LimitCharging", _BY_REQUEST_ID),
    ("RotateAuthorizationKey UpgradeSecurityProfile UploadLog InstallFirmware RenewCertificate", _BY_REQUEST_ID),
    ("SetWantedLimit LiftWantedLimit SetPlan ClearPlan", _BY_REQUEST_ID),
    ("AttributeOrphan", _BY_REQUEST_ID),
    ("CreateChargePoint", "Repeat it with the same request_id: it returns the charge point, with a generated key anew "
     "while it has neither connected nor been changed. Without one GetChargePoint. It is there: it was created, and "
     "UpdateChargePoint with generate_authorization_key gives another key. NOT_FOUND: repeat it."),
    ("ImportChargePoints", "GetChargePoint of one of them: all are there, or none. None: repeat it."),
    ("UpdateChargePoint", "GetChargePoint. The fields and the etag say whether it was done; repeat it with the present "
     "etag. A generated key whose answer was lost: generate another one."),
    ("DeleteChargePoint", "GetChargePoint. NOT_FOUND: it was deleted. Else repeat it."),
    ("DisconnectChargePoint", "GetChargePoint: connection.epoch or since_time have changed if it was closed. A repeat "
     "may close the connection that came after it."),
    ("CloseTransaction", "Repeat it as it is: closing one again as it is closed changes nothing and returns it."),
    ("CreateIdTag", "GetIdTag. It is there: it was created. NOT_FOUND: repeat it."),
    ("UpdateIdTag", "GetIdTag. The fields and the etag say whether it was done; repeat it with the present etag."),
    ("DeleteIdTag", "GetIdTag. NOT_FOUND: it was deleted. Else repeat it."),
    ("CreateCaller", "ListCallers. A caller whose token was lost with the answer: revoke it, and create it anew."),
    ("RotateAuthorizationKeys RenewCertificates RollOutFirmware CancelFleetJob",
        "Repeat it: it changes nothing that is as it asks."),
    ("RevokeCaller", "ListCallers. It is still there: repeat it."),
    ("Drain", "WatchDrain: a stage other than serving says that it has begun; else repeat it. A gateway that does not "
     "answer has drained."),
    ("SetLogLevel", "GetLogLevels. Repeat it: the same level is set anew, for the whole time."),
    ("ConfirmClock", "GetRetention: waiting says whether the clock is doubted still. If so, confirm the time "
     "that it shows now."),
)  # fmt: skip
"""From OUTCOME_UNKNOWN to what has happened, by RPC."""

COMMAND_SERVICE = RECIPES[0][0]


def recipes_of(rpcs: Iterable[str]) -> dict[str, str]:
    """The recipe of each RPC that is named by one."""
    by_name = {name: recipe for names, recipe in RECIPES[1:] for name in names.split()}
    return {rpc: by_name[rpc] for rpc in rpcs if rpc in by_name}
