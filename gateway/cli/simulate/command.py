"""`gateway simulate`: home wallboxes, simulated, over wss."""

import json as jsonlib
import signal
import ssl
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import grpc
import typer

from gateway.api.v1.charge_point_pb2 import ChargePoint, CreateChargePointRequest, UpdateChargePointRequest
from gateway.cli.connection import DEFAULT_TARGET, READ_SECONDS, TargetOption, connect
from gateway.cli.key_options import KeyOption, KeyTextOption, read_keys
from gateway.cli.option_values import refuse_typed
from gateway.cli.output import JsonOption, note, print_json_line, say
from gateway.cli.pem import read_authority
from gateway.cli.simulate.progress import SimulationProgress
from gateway.client import GatewayClient

if TYPE_CHECKING:
    import trio

    from gateway.simulator import ChargerConfig

MAX_CHARGERS = 5_000
"""Of one process: its file descriptors and its single core end about there."""


def simulate(
    url: Annotated[
        str, typer.Option(help="Where chargers connect; the identity is appended.")
    ] = "wss://localhost:9443/ocpp",
    identity: Annotated[
        str, typer.Option(help="The identity of the charger; with --count, what its number is appended to.")
    ] = "SIM",
    count: Annotated[int, typer.Option(min=1, max=MAX_CHARGERS, help="How many: SIM-0001, SIM-0002 ...")] = 1,
    key: KeyOption = None,
    key_text: KeyTextOption = None,
    create: Annotated[
        bool,
        typer.Option(
            "--create",
            help="Make them known to the gateway over gRPC first, with new keys; those that exist get new keys.",
        ),
    ] = False,
    ca: Annotated[
        Path | None, typer.Option(help="The CA that the gateway's certificate comes from (PEM), e.g. certs/ca.pem.")
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            help="The charger's own certificate and its private key (PEM), for security profile 3; renewed ones "
            "replace it while the simulation runs. One charger."
        ),
    ] = None,
    speed: Annotated[float, typer.Option(min=0.01, max=1_000, help="How much faster than real life.")] = 1.0,
    tag: Annotated[str, typer.Option(help="The idTag that people hold to the reader.")] = "HOME-TAG",
    plugged: Annotated[
        bool, typer.Option("--plugged", help="Only plug in, and wait for a remote start; otherwise daily life.")
    ] = False,
    phases: Annotated[int, typer.Option(min=1, max=3, help="1 or 3.")] = 3,
    seed: Annotated[int, typer.Option(help="Another seed is another daily life.")] = 0,
    spread: Annotated[float, typer.Option(min=0, help="Connect over so many seconds.")] = 10.0,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Simulate home wallboxes, until interrupted: they boot, charge along a plausible curve, obey profiles, reconnect.

    Either give their key, one for all of them, or let --create make them known; or give one charger's certificate.
    """
    given = read_keys(key, key_text)
    if given is None and certificate is not None and not create:
        given = b""  # the certificate stands in its place
    if (given is None) == (not create):
        raise typer.BadParameter("give either --key (or --key-text) or --create")
    if not create:
        refuse_typed("goes with --create: chargers connect to --url", target="--target")
    if certificate is not None and count > 1:
        raise typer.BadParameter("a certificate is one charger's", param_hint="--certificate")
    if phases not in (1, 3):
        raise typer.BadParameter("expected 1 or 3", param_hint="--phases")
    if not 0 < len(tag) <= 20:
        raise typer.BadParameter("expected 1 to 20 characters", param_hint="--tag")
    identities = [identity] if count == 1 else [f"{identity}-{number:04d}" for number in range(1, count + 1)]
    traits = {"speed": speed, "id_tag": tag, "phases": phases, "seed": seed}
    # Faults are reported before anything changes in the gateway.
    context = trust(ca)
    if certificate is not None:
        load_certificate(context, certificate)
    configured(dict.fromkeys(identities, b""), url, traits)
    if create:
        with connect(target) as gateway:
            keys = dict(provision(gateway, identities))
    else:
        assert given is not None
        keys = dict.fromkeys(identities, given)
    run(keys, context, url, json, plugged=plugged, spread=spread, **traits)


def provision(gateway: GatewayClient, identities: list[str]) -> Iterator[tuple[str, bytes]]:
    """Make chargers known, each with a fresh key. One that exists gets another key."""
    for identity in identities:
        try:
            created = gateway.charge_points.CreateChargePoint(
                CreateChargePointRequest(charge_point=ChargePoint(identity=identity, description="simulated")),
                timeout=READ_SECONDS,
            )
            yield identity, created.generated_authorization_key
        except grpc.RpcError as error:
            call: Any = error
            if call.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
            request = UpdateChargePointRequest(
                charge_point=ChargePoint(identity=identity), generate_authorization_key=True
            )
            updated = gateway.charge_points.UpdateChargePoint(request, timeout=READ_SECONDS)
            yield identity, updated.generated_authorization_key


def trust(authority: Path | None) -> ssl.SSLContext:
    """Return the authority by which chargers verify the gateway. CommandFailed names a file that is no CA's."""
    if authority is not None:
        read_authority(authority)
    return ssl.create_default_context(cafile=authority)


def load_certificate(context: ssl.SSLContext, certificate: Path) -> None:
    """Have chargers present a certificate. Raises BadParameter for a file that is none, or lacks the key."""
    try:
        context.load_cert_chain(certificate, password=lambda: "")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(
            f"{certificate}: no certificate with its private key in PEM, not encrypted", param_hint="--certificate"
        ) from error


def configured(keys: Mapping[str, bytes], url: str, traits: Mapping[str, Any]) -> "list[ChargerConfig]":
    """The chargers to be simulated. Raises BadParameter."""
    from gateway.simulator import ChargerConfig

    try:
        return [ChargerConfig(url, identity, password, **traits) for identity, password in keys.items()]
    except ValueError as error:
        raise typer.BadParameter(str(error.args[0])) from None


def run(
    keys: Mapping[str, bytes],
    context: ssl.SSLContext,
    url: str,
    json: bool,
    *,
    plugged: bool,
    spread: float,
    **traits: Any,
) -> None:
    """Simulate until interrupted."""
    import trio

    from gateway.simulator import SimulatedCharger, simulate_many

    configs = configured(keys, url, traits)
    progress = SimulationProgress(len(configs))

    def report(identity: str, name: str, details: Mapping[str, Any]) -> None:
        if json:
            print_json_line({"identity": identity, "event": name, **details})
            return
        for what, facts in progress.lines(identity, name, details):
            say(f"{identity:<12} {what:<22} {_words(facts)}".rstrip())
        if progress.complete() and progress.size > 1:
            say(f"all {progress.size} are connected")

    async def plug_in(charger: SimulatedCharger) -> None:
        await charger.wait_for(lambda each: each.registration == "Accepted")
        charger.plug_in()

    async def live() -> None:
        running = partial(simulate_many, configs, context, spread=spread, lively=not plugged, on_event=report)
        async with trio.open_nursery() as nursery:
            chargers = await nursery.start(running)
            if not json:
                note(f"{len(chargers)} simulated; Ctrl-C ends")
            if plugged:
                for charger in chargers:
                    nursery.start_soon(plug_in, charger)

    ends_at_interrupt = interruptible()

    async def until_interrupted() -> None:
        async with trio.open_nursery() as nursery:
            if ends_at_interrupt:
                nursery.start_soon(interrupted, nursery.cancel_scope)
            await live()
            nursery.cancel_scope.cancel()

    try:
        trio.run(until_interrupted)
    except* KeyboardInterrupt:
        note("interrupted")


def interruptible() -> bool:
    """Return true if Ctrl-C is for this process: not where it is ignored (nohup), nor in a thread. Asked before Trio
    runs, which puts a handler of its own in the default one's place."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


async def interrupted(scope: "trio.CancelScope") -> None:
    """Cancel at Ctrl-C. A KeyboardInterrupt can be raised within any line, also within Trio's own."""
    import trio

    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            note("interrupted")
            scope.cancel()
            return


def _words(details: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_word(value)}" for name, value in details.items() if value not in (None, ""))


def _word(value: object) -> str:
    match value:
        case float():
            return f"{value:.1f}"
        case str():
            return value
        case _:
            return jsonlib.dumps(value, default=str)
