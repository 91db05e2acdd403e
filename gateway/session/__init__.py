"""One charger's session: its reader, its outgoing calls, when it may be spoken to, and how it ends.

A charger's frame goes through ``reader``, ``requests`` and ``answers``; a command to it through ``router``,
``commands.queue``, ``commands.command_task`` and ``commands.calls``.
"""
