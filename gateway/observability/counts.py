"""Counts that the gateway's parts report by a word, and the metric that each of them is.

A part says ``count(what, label)``; the table here gives the family's name by Prometheus' conventions, and the names of
its labels. No label is a charge point, an address or a text that a charger chooses: their values come from vocabularies
of the gateway, of OpenSSL and of OCPP.
"""

from collections.abc import Mapping
from typing import Final

from attrs import frozen


@frozen
class Counted:
    """A counter: its name without ``_total``, what it counts, its label's name ("" for none; of several, with spaces
    between, as between their values), and labels that are the same for all that is counted by this word."""

    name: str
    help: str
    label: str = ""
    fixed: Mapping[str, str] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of all its labels."""
        return (*self.fixed, *self.label.split())

    def values(self, label: str) -> tuple[str, ...]:
        """Values of all its labels, for what was counted with ``label``; one that stands for all stands for each."""
        given = label.split() if " " in self.label else [label] if self.label else []
        count = len(self.label.split())
        return (*self.fixed.values(), *(given if len(given) == count else given[:1] * count))


_FAILED = "Connections that ended before they were upgraded, by the stage that they had reached and the reason."


def _failed(stage: str) -> Counted:
    return Counted("gateway_handshake_failures", _FAILED, "reason", {"stage": stage})


COUNTED: Final[Mapping[str, Counted]] = {
    "call_timeouts": Counted("gateway_call_timeouts", "CALLs that a charge point did not answer in time."),
    "calls_before_acceptance": Counted(
        "gateway_calls_before_acceptance", "CALLs of charge points that are not accepted, answered with CALLERROR."
    ),
    "calls_refused": Counted(
        "gateway_calls_refused", "CALLs answered with CALLERROR for what they hold.", "code action"
    ),
    "certificate_reloads": Counted("gateway_certificate_reloads", "Reloads of certificates.", "result"),
    "clock_jumps": Counted("gateway_clock_jumps", "Times that the wall clock was doubted anew."),
    "closed_at_capacity": Counted("gateway_sessions_over_capacity", "Upgraded connections without a place."),
    "connections_accept": _failed("accept"),
    "connections_tls": _failed("tls"),
    "connections_http": _failed("http"),
    "connections_admission": _failed("admission"),
    "connections_session": Counted("gateway_connections_served", "Connections that were upgraded and are over.", "end"),
    "deviations": Counted("gateway_deviations", "Repairs of messages, by the repair's name.", "deviation"),
    "from_another_life": Counted(
        "gateway_from_another_life", "Numbers and tokens that another life of the store gave out.", "kind"
    ),
    "handler_failures": Counted("gateway_handler_failures", "CALLs on which the gateway failed.", "action"),
    "ignored_messages": Counted("gateway_messages_ignored", "Messages of a type that OCPP-J does not know."),
    "late_answers": Counted("gateway_answers_late", "Answers of charge points to CALLs that had timed out."),
    "malformed_messages": Counted("gateway_messages_malformed", "Messages that are no OCPP-J message."),
    "messages_too_large": Counted("gateway_messages_too_large", "Messages beyond the limit, which end connections."),
    "node_calls": Counted("gateway_node_calls", "Calls to the nodes that have the charge points.", "result"),
    "nodes_ended": Counted("gateway_nodes_ended", "Silent nodes that this one has ended."),
    "nodes_freed": Counted("gateway_nodes_freed", "Times that connections of stopped nodes were ended by this one."),
    "ocsp_answers": Counted("gateway_ocsp_answers", "Questions to OCSP responders, by what came of them.", "result"),
    "refused_rpcs": Counted("gateway_rpcs_refused", "RPCs refused for their callers, before their method.", "reason"),
    "overloads": Counted("gateway_overloads", "Times that handshakes began to be paced for load."),
    "refused_upgrades": Counted("gateway_upgrades_refused", "Upgrades that admission has refused.", "reason"),
    "session_failures": Counted("gateway_session_failures", "Sessions that ended by a defect of the gateway."),
    "sessions_ended": Counted("gateway_sessions_ended", "Sessions that are over.", "reason"),
    "sessions_opened": Counted("gateway_sessions_opened", "Sessions that began."),
    "signings": Counted("gateway_signings", "Requests of chargers for a certificate, by what came of them.", "result"),
    "silent_sessions": Counted("gateway_sessions_silent", "Sessions ended because nothing was heard any more."),
    "slowed": Counted("gateway_slowed", "Times that a peer had to wait because it sent too fast.", "what"),
    "task_failures": Counted("gateway_task_failures", "Failures of tasks that serve all charge points.", "task"),
    "unmatched_answers": Counted("gateway_answers_unmatched", "Answers of charge points to no CALL that was sent."),
    "unread_messages": Counted(
        "gateway_messages_unread", "Messages with more values than are read, recorded as text.", "action"
    ),
    "vendor_data": Counted("gateway_vendor_data", "Vendors' DataTransfer handed to services.", "result"),
}
"""By the word that the parts use. A word that is missing here is not shown: tests/observability/test_counts.py finds
it."""
