"""The composition root: settings, and the assembly of everything into one running gateway."""
