"""OCPP 1.6: schemas, reading (two lanes), writing, and the protocol object that a session holds.

schemas             compiled validators of the shipped JSON schemas, with the ranges that these leave out
decode_calls        a charger's CALL: the fast lane, and the CALLERROR for what neither lane reads
repairs             the repair lane: a table of named repairs, and the walk that applies it
profiles            decisions on what a charger sends, grouped by OCPP's profiles
actions             the domain's commands and the actions by which they are called on the wire
checks              what must hold of a command before it may be sent; profile_checks for charging profiles
encode              a command to its CALL
decode              a confirmation to its answer
configuration_keys  keys that the gateway itself acts on
own_requests        what the gateway asks a charger for of its own accord
addresses           connectorId and the domain's (evse, connector)
protocol            all of it as one object
"""

from typing import Final

SUBPROTOCOL: Final = "ocpp1.6"
"""The WebSocket subprotocol, and the dialect of what is recorded."""
