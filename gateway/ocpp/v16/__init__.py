"""OCPP 1.6: schemas, reading (two lanes), writing, and the protocol object that a session holds.

schemas     compiled validators of the shipped JSON schemas, with the ranges that these leave out
decode_calls  a charger's CALL: the fast lane, and the CALLERROR for what neither lane reads
repairs     the repair lane: a table of named repairs, and the walk that applies it
encode      a command to its CALL
decode      a confirmation to its answer
addresses   connectorId and the domain's (evse, connector)
protocol    all of it as one object
"""
