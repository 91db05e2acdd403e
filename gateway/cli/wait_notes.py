"""Notes on standard error while a call of the control interface is waited for.

A charger may take half a minute for its answer, and one command more may be before it: without a word a person takes
the command for hung, and repeats it.
"""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc

from gateway.cli.output import note

FIRST_NOTE_SECONDS: float = 3.0
"""Nearly every charger answers sooner."""

NOTE_SECONDS: float = 10.0
"""Between two notes."""

COMMANDS: Final = "/gateway.api.v1.CommandService/"


if TYPE_CHECKING:
    Interceptor = grpc.UnaryUnaryClientInterceptor[Any, Any]
else:  # generic for the type checker only
    Interceptor = grpc.UnaryUnaryClientInterceptor


class WaitNotes(Interceptor):
    """Says what is waited for, and for how long already, from a thread that ends with the call."""

    def __init__(self, say: Callable[[str], None] = note) -> None:
        self._say = say

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Carry out the call, with notes on the way."""
        with self._noting(subject(details.method, request)):
            return continuation(details, request)

    @contextmanager
    def _noting(self, what: str) -> Any:
        over = threading.Event()
        thread = threading.Thread(target=self._note, args=(what, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _note(self, what: str, over: threading.Event) -> None:
        seconds = FIRST_NOTE_SECONDS
        waited = seconds
        while not over.wait(seconds):
            self._say(f"waiting for {what} ({waited:.0f} s so far)")
            seconds = NOTE_SECONDS
            waited += seconds


def subject(method: str, request: Any) -> str:
    """Return what a call waits for: a charger's answer where it is a command, otherwise the gateway's."""
    charge_point = getattr(request, "charge_point", "")
    if method.startswith(COMMANDS) and isinstance(charge_point, str) and charge_point and "/List" not in method:
        return f"{charge_point}'s answer"
    return "the gateway's answer"
