"""The settings of callers that show a JWT."""

from pathlib import Path
from typing import Literal

from attrs import field, frozen

from gateway.app.settings.expectations import Problems, about, at_most, filled, number, text
from gateway.domain.labels import KEY_RULE, faults


@frozen
class JwtRoleSettings:
    """A value of the roles' claim, and the role that it gives."""

    value: str = field(metadata=about("The value of the claim.", text(200, "a value"), example="gateway-operators"))
    role: Literal["read", "operate", "administer", "vendor_data", "signing"] = field(
        metadata=about("The role.", example="operate")
    )


@frozen
class JwtScopeSettings:
    """A label of charge points, and the claim that says which value of it a caller is held to."""

    label: str = field(metadata=about("The label.", text(63, "a label"), example="site"))
    claim: str = field(metadata=about("The claim.", text(100, "a claim"), example="site"))

    def problems(self) -> Problems:
        """A key that no charge point can have."""
        if any(faults({self.label: "x"})):
            yield "label", KEY_RULE


@frozen
class JwtSettings:
    """Callers that show a JWT of an identity provider (with require_callers)."""

    jwks_file: Path | None = field(
        default=None,
        metadata=about(
            "The provider's public keys, a JSON Web Key Set; read again when it changes and at SIGHUP. The gateway "
            "asks no provider: something else puts the file there. Without it no JWT is taken.",
            example="certs/jwks.json",
        ),
    )
    issuer: str = field(default="", metadata=about("The iss of the tokens.", example="https://login.example.com/"))
    audience: str = field(
        default="", metadata=about("What their aud has to hold: the gateway's name there.", example="ocpp-gateway")
    )
    algorithms: tuple[Literal["RS256", "ES256", "EdDSA"], ...] = field(
        default=("RS256", "ES256", "EdDSA"),
        metadata=about("Algorithms of signatures; there are no others.", filled("algorithms", 3)),
    )
    caller_claim: str = field(
        default="sub",
        metadata=about("The claim that names the caller; in records it has jwt: before it.", text(100, "a claim")),
    )
    roles_claim: str = field(
        default="roles",
        metadata=about("The claim with the caller's roles: a list of texts, or words in one.", text(100, "a claim")),
    )
    roles: tuple[JwtRoleSettings, ...] = field(
        default=(),
        metadata=about(
            "What its values stand for. Others give no role.",
            at_most("tables of value and role", 100),
            example=[{"value": "gateway-operators", "role": "operate"}],
        ),
    )
    scope: tuple[JwtScopeSettings, ...] = field(
        default=(),
        metadata=about(
            'Claims that hold a caller to charge points with a label. Each has to be there; "*" stands for all charge '
            "points.",
            at_most("tables of label and claim", 10),
            example=[{"label": "site", "claim": "site"}],
        ),
    )
    leeway_seconds: float = field(
        default=30.0, metadata=about("By which the provider's clock may be off.", number(0, 600, "seconds"))
    )

    def problems(self) -> Problems:
        """Keys without an issuer and an audience would take tokens that are for others."""
        if self.jwks_file is None:
            return
        for name in ("issuer", "audience"):
            if not getattr(self, name):
                yield name, "missing: jwks_file needs issuer, audience and roles"
        if not self.roles:
            yield "roles", "missing: without it no token gives a role"
