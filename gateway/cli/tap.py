"""`gateway tap`, `gateway replay`: the frames of one charger as they come, and what was recorded, played back."""

import json as jsonlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from gateway.api.v1.diagnostics_pb2 import Frame, FrameKind, TapChargePointRequest, TapChargePointResponse
from gateway.cli.completion import ChargePointArgument
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, as_dict, connect
from gateway.cli.diagnostics import frame_line
from gateway.cli.key_options import KeyOption, KeyTextOption, read_keys
from gateway.cli.output import CommandFailed, Interrupted, JsonOption, counted, note, out, print_json_line, say
from gateway.cli.simulate.command import interrupted, interruptible, trust
from gateway.cli.simulate.progress import hinted

if TYPE_CHECKING:
    from gateway.simulator.replay import RecordedFrame, Step

KINDS = {
    FrameKind.FRAME_KIND_RECEIVED: "received",
    FrameKind.FRAME_KIND_SENT: "sent",
    FrameKind.FRAME_KIND_CONNECTED: "connected",
    FrameKind.FRAME_KIND_CLOSED: "closed",
}


def tap(
    charge_point: ChargePointArgument,
    output: Annotated[
        Path | None, typer.Option(help="Write to a new file, readable by its owner alone; `gateway replay` reads it.")
    ] = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Show the messages of a charger (→) and to it (←) as they come, without secrets, until interrupted."""
    missing = count = 0
    with connect(target) as gateway, _file(output) as file:
        # Without a deadline: it lasts for as long as its reader does.
        stream = gateway.diagnostics.TapChargePoint(TapChargePointRequest(charge_point=charge_point))
        try:
            for number, response in enumerate(stream):
                if number == 0:
                    note(f"tapping {charge_point}; Ctrl-C ends")
                count += len(response.frames)
                missing += response.missing_count
                _write(response, file, json)
        except KeyboardInterrupt:
            pass
        finally:
            stream.cancel()  # type: ignore[no-untyped-call] # of gRPC
    if output is not None:
        note(f"{counted(count, 'frame')} in {output}")
    if missing:
        note(f"{counted(missing, 'frame')} missing: more came than were read")


def _write(response: TapChargePointResponse, file: TextIO | None, json: bool) -> None:
    for each in response.frames:
        if file is not None:
            file.write(jsonlib.dumps(_recorded(each), ensure_ascii=False) + "\n")
        elif json:
            print_json_line(as_dict(each))
        else:
            out().print(frame_line(each), soft_wrap=True)
    if file is not None:
        file.flush()
    if response.missing_count and file is None and not json:
        note(f"{counted(response.missing_count, 'frame')} missing here")


def _recorded(each: Frame) -> dict[str, object]:
    return {"time": each.frame_time.ToJsonString(), "kind": KINDS.get(each.kind, ""), "text": each.text}


@contextmanager
def _file(path: Path | None) -> Iterator[TextIO | None]:
    """A new file for its owner alone; None: none is wanted. Raises CommandFailed."""
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yield file


def replay(
    recording: Annotated[Path, typer.Argument(metavar="FILE", help="What `gateway tap --output` has written.")],
    identity: Annotated[str, typer.Option(help="The identity of the charger that plays it.")] = "SIM",
    url: Annotated[
        str, typer.Option(help="Where chargers connect; the identity is appended.")
    ] = "wss://localhost:9443/ocpp",
    key: KeyOption = None,
    key_text: KeyTextOption = None,
    ca: Annotated[
        Path | None, typer.Option(help="The CA that the gateway's certificate comes from (PEM), e.g. certs/ca.pem.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say to a gateway, a test one, what a charger said in a recording, and show where the answers differ.

    The charger that plays it must be known there, by --identity with its key. What was redacted is sent as it stands.
    """
    given = read_keys(key, key_text)
    if given is None:
        raise typer.BadParameter("give --key or --key-text")
    frames = _read(recording)
    context = trust(ca)
    import trio

    from gateway.simulator.link import LinkError, Target, TlsDial, open_link
    from gateway.simulator.replay import Replay
    from gateway.simulator.session import Session

    try:
        address = Target.of(url, identity, given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    playback, count, differing = Replay(frames), 0, 0

    def played(step: "Step") -> None:
        nonlocal count, differing
        count, differing = count + 1, differing + step.differs
        _show(step, json)

    ends_at_interrupt = interruptible()

    async def play() -> None:
        async with trio.open_nursery() as nursery:
            if ends_at_interrupt:
                nursery.start_soon(interrupted, nursery.cancel_scope)
            link = await nursery.start(open_link, address, TlsDial(context))
            session = Session(link, playback.reply)
            async with trio.open_nursery() as dialogue:
                dialogue.start_soon(session.run)
                await playback.run(session.call, played)
                dialogue.cancel_scope.cancel()  # before the link is closed: its end would be a failure to the session
            await link.aclose()
            nursery.cancel_scope.cancel()

    problem = ""
    try:
        trio.run(play)
    except* LinkError as group:
        failed: BaseException = group
        while isinstance(failed, BaseExceptionGroup):
            failed = failed.exceptions[0]
        problem = hinted(str(failed))
    except* KeyboardInterrupt:
        note("interrupted")
    if problem:
        raise CommandFailed(f"{url}: {problem}")
    if count < len(playback):
        raise Interrupted(f"{count} of {len(playback)} messages were played, {differing} answered otherwise")
    if not json:
        note(f"{counted(len(playback), 'message')}, {differing} answered otherwise than in the recording")


def _read(path: Path) -> "list[RecordedFrame]":
    from gateway.simulator.replay import read_recording

    try:
        with path.open(encoding="utf-8") as file:
            return read_recording(file)
    except UnicodeDecodeError:
        raise CommandFailed(f"{path}: not UTF-8") from None
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CommandFailed(f"{path}: {error}") from None


def _show(step: "Step", json: bool) -> None:
    if json:
        answers = {"recorded": step.recorded, "answered": step.answered}
        refusals = {"recorded_refusal": step.was_refused or None, "refusal": step.refused or None}
        print_json_line({"action": step.action, **answers, **refusals, "differs": step.differs})
        return
    answer = step.refused or _words(step.answered)
    before = f"  (recorded: {step.was_refused or _words(step.recorded)})" if step.differs else ""
    say(f"{step.action:<24} {answer}{before}")


def _words(payload: Mapping[str, Any] | None) -> str:
    return "nothing" if payload is None else jsonlib.dumps(payload, ensure_ascii=False)
