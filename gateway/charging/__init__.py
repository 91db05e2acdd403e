"""Charging that is steered: limits and plans as charging profiles, operations and wanted state as tables.

Values in, values out: nothing here does I/O, reads a clock or knows a protocol. What a version of OCPP and a charge
point can do is given as ``gateway.domain.steering.ChargingAbilities``.
"""
