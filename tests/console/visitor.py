"""A browser without a window: it keeps cookies, follows forms, and reads streams. The console runs in a thread."""

import asyncio
import json
import queue
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import unquote, urlencode, urlsplit

from attrs import define

from gateway.console.application import application
from gateway.console.settings import ConsoleSettings

T = TypeVar("T")

SECONDS = 60.0
"""For anything that a page or a stream is waited for."""


@define
class Answer:
    """A response of the console."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.text)
        assert found is not None, (self.status, self.words)
        return found[1]

    @property
    def words(self) -> str:
        """The text of the page, without its marks."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.text).split())


@define
class Stream:
    """A stream of server-sent events."""

    chunks: "queue.Queue[str]"
    close: Callable[[], object]
    buffer: str = ""

    def next(self, event: str, has: Callable[[Any], bool] = lambda _: True) -> tuple[Any, str]:
        """The data of the next such event, and its id."""
        ends = monotonic() + SECONDS
        while True:
            while "\n\n" in self.buffer:
                block, self.buffer = self.buffer.split("\n\n", 1)
                fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
                if fields.get("event") == event:
                    data = json.loads(fields["data"])
                    if has(data):
                        return data, fields.get("id", "")
            left = ends - monotonic()
            assert left > 0, f"no {event} within {SECONDS:g} seconds"
            self.buffer += self.chunks.get(timeout=left)

    def ended(self) -> None:
        """Wait until nothing more comes: the last part of a response is empty."""
        while self.chunks.get(timeout=SECONDS):
            pass


class Visitor:
    """One person's browser on a console."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop, host: str = "localhost:8080") -> None:
        self._app = app
        self._loop = loop
        self.host = host
        self.cookies: dict[str, str] = {}

    def run(self, made: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(made, self._loop).result(SECONDS * 2)

    def get(self, place: str, **headers: str) -> Answer:
        return self.run(self._ask("GET", place, b"", headers))

    def post(self, place: str, form: dict[str, str], **headers: str) -> Answer:
        headers = {"content-type": "application/x-www-form-urlencoded"} | headers
        return self.run(self._ask("POST", place, urlencode(form).encode(), headers))

    def open(self, place: str) -> Answer:
        """A page that has to be there."""
        page = self.get(place)
        assert page.status == 200, (page.status, page.words)
        return page

    def submit(self, place: str, **form: str) -> Answer:
        """Open a form, and send it back filled in."""
        page = self.open(place)
        found = re.search(r'name="request_id" value="([^"]+)"', page.text)
        hidden = {"form_token": page.form_token} | ({} if found is None else {"request_id": found[1]})
        return self.post(place, hidden | form)

    def sign_in(self, token: str, to: str = "/") -> Answer:
        """Sign in, with a credential that is taken."""
        answer = self.try_to_sign_in(token, to)
        assert answer.status == 303, (answer.status, answer.words)
        return answer

    def try_to_sign_in(self, token: str, to: str = "/") -> Answer:
        """Send a credential, which may be refused."""
        return self.post("/sign-in", {"form_token": self.open("/sign-in").form_token, "token": token, "to": to})

    def follow(self, answer: Answer) -> Answer:
        """Go where a response leads."""
        assert answer.status == 303, (answer.status, answer.words)
        return self.get(answer.headers["location"])

    def _scope(self, method: str, place: str, headers: dict[str, str]) -> dict[str, Any]:
        parts = urlsplit(place)
        named = {"host": self.host} | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            named["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(parts.path),  # as servers do
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
            "root_path": "",
        }

    async def _ask(self, method: str, place: str, body: bytes, headers: dict[str, str]) -> Answer:
        status, found, parts = 0, list[tuple[str, str]](), bytearray()
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                found.extend(self._taken(message))
            else:
                parts.extend(message.get("body", b""))

        await self._app(self._scope(method, place, headers), receive, send)
        return Answer(status, dict(found), parts.decode())

    def _taken(self, message: Any) -> list[tuple[str, str]]:
        """The headers of a response; its cookies are kept, as browsers do also for streams."""
        found = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
        for name, value in found:
            if name == "set-cookie":
                key, _, rest = value.partition("=")
                kept = rest.split(";")[0].strip('"')
                self.cookies.pop(key, None)
                if kept:
                    self.cookies[key] = kept
        return found

    @contextmanager
    def stream(self, place: str, **headers: str) -> Iterator[Stream]:
        """Read a stream until the block is left."""
        chunks: queue.Queue[str] = queue.Queue()

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._taken(message)
            else:
                chunks.put(message.get("body", b"").decode())

        scope = self._scope("GET", place, {"accept": "text/event-stream"} | headers)
        reading = asyncio.run_coroutine_threadsafe(self._app(scope, receive, send), self._loop)
        try:
            yield Stream(chunks, reading.cancel)
        finally:
            reading.cancel()


@contextmanager
def console(settings: ConsoleSettings, clock: Callable[[], float] | None = None) -> Iterator[Callable[[], Visitor]]:
    """A console in a thread; makes visitors."""
    loop = asyncio.new_event_loop()
    app = application(settings) if clock is None else application(settings, clock)
    lifespan = app.router.lifespan_context(app)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(lifespan.__aenter__(), loop).result(SECONDS)
    try:
        yield lambda: Visitor(app, loop)
    finally:
        asyncio.run_coroutine_threadsafe(_over(lifespan), loop).result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()


async def _over(lifespan: Any) -> None:
    """End what still reads, then the console."""
    tasks = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await lifespan.__aexit__(None, None, None)
