"""The course of operations that change how a charger is let in, as tables. Pure."""
