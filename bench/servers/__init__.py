"""Other servers that do a gateway's least work, to hold the gateway against: nothing decided, nothing stored.

bare                     the yardstick: the leanest transport that Trio, OpenSSL and ``websockets`` allow
lean_gateway             the gateway's own transport, doing the same
trio_websocket           trio-websocket over ``trio.SSLStream``, doing the same
mobilityhouse            ``websockets`` on asyncio and mobilityhouse's ``ocpp``, as their documentation shows
ocpp_rpc.js              ``ocpp-rpc`` on Node in strict mode, as its documentation shows
gateway_trio_websocket   the whole gateway, its transport exchanged for trio-websocket

work                     what the first three do with a message
process                  starting any of them and waiting until it is ready
behaviour                what the transports do with peers that misbehave: ``python -m bench.servers.behaviour``

Each listens on an ephemeral port of 127.0.0.1, prints ``ready PORT``, and goes on until SIGTERM.
"""
