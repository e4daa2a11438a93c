"""The requests and responses about second factors."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, SecretStr

from app.core.schemas import DisplayName, RequestBody, ResponseBody, Timestamp
from app.features.factors.kinds import FactorKind

_Code = Annotated[SecretStr, Field(min_length=1, max_length=64)]


class FactorAnswer(RequestBody):
    """The code that an authenticator app shows, or a recovery code."""

    kind: FactorKind
    code: _Code


class FactorCreate(RequestBody):
    """A kind to add; an app is added by its `enrolment`, which the first answer has, and a `code` that it shows."""

    kind: FactorKind
    enrolment: Annotated[SecretStr, Field(min_length=1, max_length=512)] | None = None
    code: _Code | None = None
    name: DisplayName | None = None


class FactorRead(ResponseBody):
    """A factor. `remaining` recovery codes are left; `recovery_codes` are shown once, when they are made."""

    id: UUID
    kind: str
    name: str
    created_at: Timestamp
    last_used_at: Timestamp | None
    remaining: int | None = None
    recovery_codes: list[str] | None = None


class EnrolmentRead(ResponseBody):
    """What is needed to add an authenticator app: its secret, for people and for a QR code."""

    kind: str
    enrolment: str
    expires_in: int
    secret: str
    otpauth_uri: str
