"""The settings of the identity providers: `IDENTITY_PROVIDERS` names them, and each has settings of its own name."""

import re
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, create_model
from pydantic_settings import SettingsConfigDict

from app.core.email_address import EmailAddress, parse_email_address
from app.core.names import clean_name
from app.core.settings.model import FeatureSettings
from app.core.settings.rules import is_local, refuse, refuse_if, split_url

GITHUB = "https://github.com"

_NAME = re.compile(r"[a-z][a-z0-9]{0,19}")
_PARTS = ("issuer", "client_id", "client_secret", "label", "private", "domains", "second_factor", "kind")
_ONE_FACTOR = frozenset({"0", "fed", "pwd"})
"""What says that there was no second factor (OpenID Connect Core section 2, RFC 8176)."""


def _names(value: Any) -> Any:
    """Read names with commas between them: each is a part of paths and of the names of settings."""
    names = [name.strip().lower() for name in value.split(",")] if isinstance(value, str) else list(value)
    is_wrong = not all(map(_NAME.fullmatch, names)) or len(set(names)) < len(names)
    refuse_if(is_wrong, "is not a list of different names: up to 20 letters and digits each, with commas between them")
    return tuple(names)


def _issuer(value: str, info: ValidationInfo) -> str:
    """Accept the URL of an issuer, exactly as its discovery document and its tokens write it."""
    parts = split_url(value)
    refuse_if(parts.scheme not in {"http", "https"} or not parts.hostname, "does not begin with https:// and a host")
    more = parts.username is not None or parts.query or parts.fragment or value[-1] in "?#"
    refuse_if(more, "holds more than a scheme, a host, a port and a path")
    may_be_plain = is_local(parts.hostname) and info.data.get("environment") != "production"
    is_plain = parts.scheme == "http"
    refuse_if(is_plain and not may_be_plain, "must begin with https://, unless it is this machine in development")
    return value


def _split(value: Any) -> Any:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def domain_of(address: EmailAddress) -> str:
    """Return the domain of an address in its one spelling."""
    return address.mailbox.rpartition("@")[2]


def _domain(value: str) -> str:
    """Accept the domain of e-mail addresses; returns it in its one spelling."""
    try:
        return domain_of(parse_email_address(f"a@{value}"))
    except ValueError:
        refuse("is not the domain of e-mail addresses, such as example.com")


def _factor(value: str) -> str:
    """Accept a value of `acr`, or a member of `amr`."""
    refuse_if(value in _ONE_FACTOR, "names what a sign-in with one factor says, too")
    return value


_Text = Annotated[str, Field(min_length=1, max_length=500)]
_List = BeforeValidator(_split)


class Provider(NamedTuple):
    """An identity provider; `private` is whether its issuer may have an address that is not public.

    If there are `domains`, verified addresses of these alone make accounts. `second_factor` are the values of `acr` and
    members of `amr` that count as one.
    """

    name: str
    issuer: str
    client_id: str
    client_secret: SecretStr
    label: str
    private: bool
    domains: tuple[str, ...]
    second_factor: tuple[str, ...]
    kind: str

    @property
    def is_github(self) -> bool:
        """Whether it is GitHub, which has no OpenID Connect."""
        return self.kind == "github" or self.issuer == GITHUB


class IdentitySettings(FeatureSettings):
    """The identity providers."""

    identity_providers: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field((), examples=["google,keycloak"])
    """Names of the OpenID Connect providers that people can sign in with. Each needs `IDP_<NAME>_ISSUER`,
    `IDP_<NAME>_CLIENT_ID` and `IDP_<NAME>_CLIENT_SECRET`, and may have more, such as `IDP_<NAME>_DOMAINS`:
    docs/features/identity.md."""

    @classmethod
    def with_named(cls) -> type[Self]:
        """Add the settings of each provider that `IDENTITY_PROVIDERS` names, wherever that is set."""
        try:
            names = _Names().identity_providers
        except ValidationError:
            names = ()  # All settings are read once more, and tell what is wrong with it.
        fields: dict[str, Any] = {}
        for name in names:
            own = (
                (Annotated[str, AfterValidator(_issuer)], Field(examples=["https://accounts.google.com"])),
                (_Text, Field(examples=["the-id-that-the-provider-gave"])),
                (Annotated[SecretStr, Field(min_length=1)], Field()),
                (Annotated[str, AfterValidator(clean_name), Field(max_length=50)], name.capitalize()),
                (bool, False),
                (Annotated[tuple[Annotated[str, AfterValidator(_domain)], ...], _List], ()),
                (Annotated[tuple[Annotated[str, AfterValidator(_factor)], ...], _List], ()),
                (Literal["openid", "github"], "openid"),
            )
            fields |= {f"idp_{name}_{part}": kind for part, kind in zip(_PARTS, own, strict=True)}
        kind = super().with_named()
        return create_model(kind.__name__, __base__=kind, **fields) if fields else kind

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The providers, in the order of their names' list."""
        values = ((getattr(self, f"idp_{name}_{part}") for part in _PARTS) for name in self.identity_providers)
        return tuple(Provider(name, *own) for name, own in zip(self.identity_providers, values, strict=True))


class _Names(IdentitySettings):
    """The names alone, read before the settings that need them."""

    model_config = SettingsConfigDict(extra="ignore")
