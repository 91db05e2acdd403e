"""One charger's session: its reader, its outgoing calls, when it may be spoken to, and how it ends.

A charger's frame goes through ``session.Session._read`` and back out of it; a command to it through ``calls.Calls``.
"""
