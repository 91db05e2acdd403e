"""The yardstick of the control interface: a bare grpc.aio server that does nothing behind the RPC.

It answers the gateway's own methods, so that the same driver drives both: ``TriggerMessage`` at once, with a finished
command of the size that the gateway's have; ``WatchEvents`` with messages at a steady rate, each made once for all
streams, and of one event only: a written message costs the same whatever it holds.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from attrs import frozen

from bench import cores, processes
from gateway.api.v1 import command_pb2, command_pb2_grpc, event_pb2

OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", 1000))


@frozen
class Echo:
    """One that runs, and where."""

    pid: int
    address: str


@contextmanager
def echo(messages_per_second: float = 200.0, message_bytes: int = 3000) -> Iterator[Echo]:
    """The server as a process of its own on the server's core."""
    (port,) = processes.free_ports(1)
    rate, size = str(messages_per_second), str(message_bytes)
    with cores.on([cores.server_core()]):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.servers.echo", "--port", str(port), "--rate", rate, "--bytes", size],
            cwd=processes.ROOT,
        )
    try:
        processes.await_port(process, "127.0.0.1", port)
        yield Echo(process.pid, f"127.0.0.1:{port}")
    finally:
        processes.end(process)


class Commands(command_pb2_grpc.CommandServiceServicer):
    """Confirms at once."""

    async def TriggerMessage(
        self, request: command_pb2.TriggerMessageRequest, context: Any
    ) -> command_pb2.TriggerMessageResponse:
        now = time.time_ns()
        command = command_pb2.Command(
            command_id=f"cmd_{now:032x}",
            charge_point=request.charge_point,
            request_id=request.request_id,
            operation="TriggerMessage",
            state=command_pb2.COMMAND_STATE_ANSWERED,
            arguments_json='{"requested":"Heartbeat"}',
            answer=command_pb2.CommandAnswer(status=command_pb2.StatusAnswer(status="Accepted")),
        )
        for moment in (command.create_time, command.send_time, command.finish_time):
            moment.FromNanoseconds(now)
        return command_pb2.TriggerMessageResponse(command=command, status=command_pb2.TRIGGER_MESSAGE_STATUS_ACCEPTED)


@frozen(eq=False)
class Link:
    """A message, and where the next one will be: a stream that is late misses none."""

    message: bytes
    following: "asyncio.Future[Link]"


class Events:
    """Messages at a steady rate, while a peer reads them."""

    def __init__(self, rate: float, size: int) -> None:
        self._interval = 1 / rate
        self._filling = "x" * size
        self._number = 0
        self._next: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        self._streams = 0

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """Without serializers: what is streamed is bytes."""
        watch = grpc.unary_stream_rpc_method_handler(self._watch)
        return grpc.method_handlers_generic_handler("gateway.api.v1.EventService", {"WatchEvents": watch})

    async def run(self) -> None:
        """Make messages, each when it is due; one that is late moves none of the following."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._interval, loop.time() - 1)
            await asyncio.sleep(due - loop.time())
            if self._streams:
                made, self._next = self._next, loop.create_future()
                made.set_result(Link(self._message(), self._next))

    async def _watch(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            following = self._next
            yield b""  # as the gateway's watch begins
            while True:
                link = await asyncio.shield(following)  # others wait for it, too
                following = link.following
                yield link.message
        finally:
            self._streams -= 1

    def _message(self) -> bytes:
        self._number += 1
        event = event_pb2.Event(event_id=f"ev_{self._number}", type="meter_values.reported")
        event.receive_time.FromNanoseconds(time.time_ns())
        event.meter_values_reported.meter_value_json = self._filling
        return event_pb2.WatchEventsResponse(events=[event], resume_token=b"x" * 29).SerializeToString()


async def serve(port: int, rate: float, size: int) -> None:
    """Until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = grpc.aio.server(options=OPTIONS)
    events = Events(rate, size)
    commands = Commands()  # type: ignore[abstract]  # of its methods one is called
    command_pb2_grpc.add_CommandServiceServicer_to_server(commands, server)
    server.add_generic_rpc_handlers((events.handler(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    making = asyncio.create_task(events.run())
    await stopped.wait()
    making.cancel()
    await server.stop(None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=200.0, help="messages/s of each stream (%(default)s)")
    parser.add_argument("--bytes", type=int, default=3000, help="of each streamed message (%(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the parent's, which then ends this
    asyncio.run(serve(options.port, options.rate, options.bytes))


if __name__ == "__main__":
    main()
