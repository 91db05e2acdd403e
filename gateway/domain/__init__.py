"""The gateway's own vocabulary: events, state, commands, readings. Sans-I/O: no Trio, no sockets, no clock.

Names are the field's, but not one protocol version's: a connector is addressed (evse, connector), transactions and
commands carry the gateway's string ids, and OCPP 1.6's integers stay with the code for 1.6.
"""
