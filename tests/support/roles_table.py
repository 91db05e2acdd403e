"""The table of roles in ``docs/security.md``, made from ``gateway.control.access``. Run as a module it prints it."""

from gateway.control.access import NEEDS, Need, Open
from gateway.domain.callers import Role

ORDER: tuple[Need, ...] = (*Open, *Role)


def table() -> str:
    """A line for each service and role, with the methods that need it."""
    lines = ["| service | needs | methods |", "| --- | --- | --- |"]
    for service, methods in NEEDS.items():
        for need in ORDER:
            names = [name for name, needed in methods.items() if needed is need]
            shown = f"`{need}`" if isinstance(need, Role) else need.value
            if names:
                lines.append(f"| {service.removeprefix('gateway.api.v1.')} | {shown} | {', '.join(names)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table())
