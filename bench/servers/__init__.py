"""Other servers, to hold the gateway against: they do its least work, and decide and store nothing.

bare                     the yardstick: the leanest transport that Trio, OpenSSL and ``websockets`` allow
lean_gateway             the gateway's own transport, doing the same
trio_websocket           trio-websocket over ``trio.SSLStream``, doing the same
mobilityhouse            ``websockets`` on asyncio and mobilityhouse's ``ocpp``, as their documentation shows
ocpp_rpc.js              ``ocpp-rpc`` on Node in strict mode, as its documentation shows
ocpp_go/                 ``ocpp-go``, as its documentation shows; built where Go is there
gateway_trio_websocket   the whole gateway, its transport exchanged for trio-websocket

echo                     a bare gRPC server in place of the control interface

work                     what the first three do with a message
process                  starting those that chargers connect to and waiting until they are ready
measuring                one measurement, the same for all of these
behaviour                what the transports do with peers that misbehave: ``python -m bench.servers.behaviour``

Each listens on an ephemeral port of 127.0.0.1 and goes on until SIGTERM.
"""
