"""The requests and responses about second factors."""

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field, SecretStr

from app.core.schemas import DisplayName, RequestBody, ResponseBody, Timestamp
from app.features.factors.kinds import FactorKind


class FactorAnswer(RequestBody):
    """A `code`; or, of a passkey, the `credential` of the browser (`PublicKeyCredential`) as the text of its JSON."""

    kind: FactorKind
    code: Annotated[SecretStr, Field(min_length=1, max_length=64)] | None = None
    credential: Annotated[SecretStr, Field(min_length=1, max_length=8192)] | None = None


class OfferedCode(ResponseBody):
    """A kind of factor whose `code` answers a challenge."""

    kind: Literal["totp", "recovery_codes"]
    options: ClassVar[None] = None


class OfferedPasskey(ResponseBody):
    """A passkey answers a challenge, by the `options` of `navigator.credentials.get`."""

    kind: Literal["passkey"] = "passkey"
    options: dict[str, Any]


class FactorCreate(FactorAnswer):
    """A kind to add; it is added by its `enrolment`, which the first answer has, and what proves it."""

    enrolment: Annotated[SecretStr, Field(min_length=1, max_length=512)] | None = None
    name: DisplayName | None = None


class FactorRead(ResponseBody):
    """A factor. `remaining` recovery codes are left; `recovery_codes` are shown once, when they are made."""

    id: UUID
    kind: FactorKind
    name: str
    created_at: Timestamp
    last_used_at: Timestamp | None
    last_used_ip: str | None
    remaining: int | None = None
    recovery_codes: list[str] | None = None


class EnrolmentRead(ResponseBody):
    """What is needed to add a factor: the secret of an app, or the `options` of `navigator.credentials.create`."""

    kind: FactorKind
    enrolment: str
    expires_in: int
    secret: str | None = None
    otpauth_uri: str | None = None
    options: dict[str, Any] | None = None
