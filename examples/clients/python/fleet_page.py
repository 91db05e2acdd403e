"""The back end of a fleet page: the present of all charge points as JSON, read once and then kept by watching.

    python fleet_page.py 8080        then GET http://127.0.0.1:8080/fleet

A page's visitors cost the gateway nothing: they are answered from memory.
"""

import json
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from charge import connect
from gateway_client import Gateway, MemoryTokenStore, duration, v1


# [fleet]
class Fleet:
    """The state of each charge point, by identity. Filled by two threads, read by visitors."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self._points: dict[str, dict[str, Any]] = {}

    def read(self) -> bytes:
        """Read a snapshot; the token of what it is true for. What comes after it is watched from there."""
        token = b""
        with self._gateway.charge_points.stream_latest_readings(v1.StreamLatestReadingsRequest()) as responses:
            for response in responses:
                token = response.resume_token
                for each in response.charge_points:
                    states = [v1.ChargingState.Name(each_one.charging_state) for each_one in each.connectors]
                    self.update(each.charge_point, connected=each.connected, states=states)
        return token

    def watch_events(self, token: bytes) -> None:
        """Keep up with connections, statuses and transactions."""
        types = [
            "charge_point.created",
            "charge_point.deleted",
            "charge_point.connected",
            "charge_point.disconnected",
            "connector.status_changed",
            "transaction.started",
            "transaction.stopped",
        ]
        request = v1.WatchEventsRequest(types=types)
        for batch in self._gateway.watch_events(request, MemoryTokenStore(token)):
            for event in batch.events:
                body = event.WhichOneof("body")
                if body == "charge_point_deleted":
                    with self._lock:
                        self._points.pop(event.charge_point, None)
                elif body == "charge_point_created":
                    self.update(event.charge_point, connected=False)
                elif body == "charge_point_connected":
                    self.update(event.charge_point, connected=True)
                elif body == "charge_point_disconnected":
                    self.update(event.charge_point, connected=False)
                elif body == "connector_status_changed":
                    self.update(event.charge_point, status=event.connector_status_changed.status)
                elif body == "transaction_started":
                    self.update(event.charge_point, charging=True)
                elif body == "transaction_stopped":
                    self.update(event.charge_point, charging=False, watts=0)

    def watch_power(self) -> None:
        """Keep the newest power of each, once a second: a screen needs no past."""
        request = v1.WatchMeterValuesRequest(
            measurands=["Power.Active.Import"],
            latest_interval=duration(timedelta(seconds=1)),
            start_at=v1.WATCH_START_NOW,
        )
        for batch in self._gateway.watch_meter_values(request):
            for sample in batch.samples:
                if sample.HasField("power_watts") and not sample.phase:
                    self.update(sample.charge_point, watts=sample.power_watts)

    def update(self, charge_point: str, **changes: Any) -> None:
        """Change what is shown of a charge point."""
        with self._lock:
            self._points.setdefault(charge_point, {}).update(changes)

    def as_json(self) -> bytes:
        """The page's data."""
        with self._lock:
            return json.dumps(self._points).encode()


# [fleet]


def main(port: int) -> None:
    """Serve the page's data on loopback."""
    with connect() as gateway:
        fleet = Fleet(gateway)
        token = fleet.read()
        threading.Thread(target=fleet.watch_events, args=[token], daemon=True).start()
        threading.Thread(target=fleet.watch_power, daemon=True).start()

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path == "/fleet"
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(fleet.as_json() if found else b"{}")

        ThreadingHTTPServer(("127.0.0.1", port), Page).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
