"""`gateway refused`, `gateway frames`, `gateway deviations`: diagnostics of chargers that do not connect."""

from typing import Annotated

import typer
from rich.text import Text

from gateway.api.v1.diagnostics_pb2 import (
    ConnectionStage,
    Frame,
    FrameKind,
    ListDeviationsRequest,
    ListFlappingRequest,
    ListFramesRequest,
    ListRefusedConnectionsRequest,
    RefusedConnection,
)
from gateway.cli.completion import ChargePointArgument, identities
from gateway.cli.connection import DEFAULT_TARGET, READ_SECONDS, TargetOption, as_dict, connect, moment, pages
from gateway.cli.output import JsonOption, age, local, note, out, print_json, printable, table

LimitOption = Annotated[int, typer.Option(min=1, help="How many at most.")]

NONE_YET = "none since the gateway started"

MEANINGS = {
    "unknown_identity": "no such charge point: add it, or correct the charger's identity (case counts)",
    "identity_missing": "the URL ends before the identity: wss://host:port/prefix/IDENTITY",
    "identity_encoding": "the identity in the URL is not percent-encoded UTF-8",
    "identity_too_long": "the identity is too long",
    "identity_characters": "the identity has characters that none may have",
    "outside_prefix": "the URL's path is not the listener's path_prefix and an identity",
    "authorization_missing": "no password was sent: set its AuthorizationKey and security profile 2",
    "client_certificate_missing": "it showed no certificate, which this listener asks for",
    "certificate_unreadable": "its certificate's names can't be read",
    "certificate_of_another_organization": "its certificate names another organization than client_organization",
    "certificate_of_another_charger": "its certificate names another charger than the identity in its URL",
    "no_serial_number_known": "the charge point has no label with its serial number: `gateway chargers update ID "
    "--label`",
    "authorization_scheme": "it did not use Basic authentication",
    "authorization_malformed": "its Authorization header can't be read",
    "several_authorization_headers": "it sent more than one Authorization header",
    "several_host_headers": "it sent more than one Host header",
    "username_is_not_identity": "the user name is not the identity in the URL",
    "security_profile_too_low": "it came with a lower security profile than it has to have since its upgrade: "
    "`gateway chargers update ID --minimum-profile` changes that",
    "wrong_password": "its key is not the one that is known here: set a new one on both sides; where it sends its key "
    "in hexadecimal digits, `gateway chargers update ID --hex-password on` lets it in",
    "subprotocol_missing": "no subprotocol was offered: `gateway chargers update ID --assume-subprotocol` lets it in",
    "subprotocol_unsupported": "it offers no subprotocol that is spoken here: ocpp1.6 is",
    "not_an_upgrade": "a plain HTTP request: a browser, or a health check",
    "method_not_allowed": "a plain HTTP request: a browser, or a health check",
    "malformed_request": "no HTTP came through TLS",
    "head_too_long": "its HTTP request is too long",
    "http_version": "it speaks another version of HTTP than 1.1",
    "data_before_upgrade": "it sent messages before the WebSocket was open",
    "malformed_upgrade": "the WebSocket handshake is wrong",
    "http_request": "plain HTTP or ws:// on the TLS port: the charger's URL must begin with wss://",
    "wrong_version_number": "no TLS: the charger's URL must begin with wss://",
    "unsupported_protocol": "its TLS is older than 1.2",
    "no_shared_cipher": "it knows none of the ciphers, or no certificate of its kind (RSA, ECDSA) is configured",
    "tlsv1_alert_unknown_ca": "the charger does not trust the server certificate: install its CA",
    "sslv3_alert_bad_certificate": "the charger does not accept the server certificate",
    "sslv3_alert_certificate_unknown": "the charger does not accept the server certificate",
    "sslv3_alert_certificate_expired": "the charger finds the server certificate expired: or its clock is wrong",
    "deadline": "it went silent half-way",
    "closed_by_peer": "it hung up without a word: it may not trust the certificate; also port scanners, health checks",
    "closed_by_network": "the link was lost",
    "crowded_out": "too many connections were being opened at once: it was the slowest",
    "checks_crowded": "many claimed to be it at once with passwords that were not its own: it comes again by itself",
    "overloaded": "the gateway had too much to do: it comes again later",
    "flapping": "it comes and goes: `gateway flapping`; look at its link and firmware",
    "at_capacity": "more chargers than fit: see the capacity in the gateway's log at its start",
    "draining": "the gateway was stopping: it will be back",
    "store-unavailable": "the gateway's store failed: see its log",
    "admission_deadline": "the gateway could not check the password in time",
}
"""What a reason means, or what to do about it. Any other is shown as it is."""

ARROWS = {
    FrameKind.FRAME_KIND_RECEIVED: ("→", "cyan"),
    FrameKind.FRAME_KIND_SENT: ("←", "green"),
    FrameKind.FRAME_KIND_CONNECTED: ("+", "bold"),
    FrameKind.FRAME_KIND_CLOSED: ("×", "bold red"),
}


def refused(
    charge_point: Annotated[
        str, typer.Option("--charger", autocompletion=identities, help="Only those that named this identity.")
    ] = "",
    address: Annotated[str, typer.Option(help="Only those from this IP address.")] = "",
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Connections that were turned away, and why: where to look when a charger does not connect."""
    request = ListRefusedConnectionsRequest(charge_point=charge_point, address=address)
    with connect(target) as gateway:
        fetch = gateway.diagnostics.ListRefusedConnections
        found = list(pages(fetch, request, lambda page: page.refused_connections))
    found.sort(key=lambda each: each.last_seen_time.ToNanoseconds(), reverse=True)
    shown = found[:limit]
    if json:
        print_json([as_dict(each) for each in shown])
        return
    columns = ("charger", "~address", "last seen", ">times", "~stage", "~>http", "reason", "~path", "~meaning")
    out().print(table(*columns, rows=[*map(_refusal, shown)], empty=NONE_YET))
    if len(found) > limit:
        note(f"the last {limit} of {len(found)}; --limit for more")


def frames(
    charge_point: ChargePointArgument,
    limit: LimitOption = 200,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """The last messages of a charger (→) and to it (←), without secrets; also of one that has gone."""
    with connect(target) as gateway:
        response = gateway.diagnostics.ListFrames(ListFramesRequest(charge_point=charge_point), timeout=READ_SECONDS)
    shown = response.frames[-limit:]
    if json:
        print_json([as_dict(each) for each in shown])
        return
    for each in shown:
        out().print(frame_line(each), soft_wrap=True)
    if not shown:
        note(f"none are kept: {charge_point} has not connected since the gateway started, or went long ago")


def deviations(
    vendor: Annotated[str, typer.Option(help="Only those of this make.")] = "",
    model: Annotated[str, typer.Option(help="Only those of this model.")] = "",
    firmware: Annotated[str, typer.Option(help="Only those of this firmware.")] = "",
    limit: LimitOption = 200,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List the repairs that chargers' messages needed, by make and firmware, the most frequent first."""
    request = ListDeviationsRequest(vendor=vendor, model=model, firmware_version=firmware)
    with connect(target) as gateway:
        found = list(pages(gateway.diagnostics.ListDeviations, request, lambda page: page.deviations))
    found.sort(key=lambda each: (-each.count, each.deviation))
    shown = found[:limit]
    if json:
        print_json([as_dict(each) for each in shown])
        return
    rows = [
        (
            each.deviation,
            each.vendor,
            each.model,
            each.firmware_version,
            each.count,
            age(moment(each, "last_seen_time")),
            each.last_charge_point,
        )
        for each in shown
    ]
    columns = ("deviation", "~vendor", "~model", "~firmware", ">messages", "last", "~by")
    out().print(table(*columns, rows=rows, empty=NONE_YET))
    if len(found) > limit:
        note(f"the {limit} most frequent of {len(found)}; --limit for more")


def flapping(target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Chargers that come and go, and are slowed: the one with the most connects first."""
    with connect(target) as gateway:
        response = gateway.diagnostics.ListFlapping(ListFlappingRequest(), timeout=READ_SECONDS)
    if json:
        print_json([as_dict(each) for each in response.flapping])
        return
    rows = [
        (
            each.charge_point,
            each.connect_count,
            local(moment(each, "since_time")),
            age(moment(each, "last_connect_time")),
            f"{each.kept_out_duration.seconds} s",
        )
        for each in response.flapping
    ]
    out().print(table("charger", ">connects", "since", "last", ">kept out for", rows=rows, empty="none"))


def _refusal(each: RefusedConnection) -> tuple[object, ...]:
    return (
        each.charge_point or "-",
        each.address,
        f"{local(moment(each, 'last_seen_time'))} ({age(moment(each, 'last_seen_time'))})",
        each.count,
        ConnectionStage.Name(each.stage).removeprefix("CONNECTION_STAGE_").lower(),
        each.http_status if each.HasField("http_status") else "",
        each.reason,
        each.path,
        MEANINGS.get(each.reason, ""),
    )


def frame_line(each: Frame) -> Text:
    """A frame in one line."""
    arrow, style = ARROWS.get(each.kind, ("?", ""))
    at = moment(each, "frame_time")
    time = "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03}"
    end = f" … cut, {each.size_bytes} bytes in all" if each.cut else ""
    text = f"closed {each.text}" if each.kind == FrameKind.FRAME_KIND_CLOSED else each.text
    text = f"connected from {text}" if each.kind == FrameKind.FRAME_KIND_CONNECTED else text
    return Text(f"{time} ", style="dim").append(arrow, style=style).append(f" {printable(text)}{end}", style="default")
