"""The bases of what comes in and what goes out, and the text types that all features share."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Generic, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from app.core.names import clean_name

Item = TypeVar("Item")

# PostgreSQL stores no NUL, UTF-8 no half of a character.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class TextWithMore(StrEnum):
    """An enumeration of texts. A member is declared as its text and what belongs to it, which `__init__` keeps."""

    def __new__(cls, text: str, *_: object) -> Self:
        """Make a member that is its text."""
        member = str.__new__(cls, text)
        member._value_ = text
        return member


class RequestBody(BaseModel):
    """A JSON body: no coercion, no unknown field (ASVS 15.3.3, 15.3.5)."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ResponseBody(BaseModel):
    """What the service answers: only the declared fields leave it (ASVS 15.3.1)."""

    model_config = ConfigDict(from_attributes=True)


class Page(ResponseBody, Generic[Item]):
    """A part of a list. `next_cursor` asks for the next part, and is null at the end."""

    items: list[Item]
    next_cursor: str | None


def _without_controls(text: str) -> str:
    if _CONTROLS.search(text):
        raise ValueError("must not hold control characters but line breaks and tabs")
    return text


def _required(value: Item | None) -> Item:
    if value is None:
        raise ValueError("must not be null")
    return value


NotNull = AfterValidator(_required)
"""For a field that may be left out: null is no value of it."""

DisplayName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(clean_name)]
"""A name as people write it: 1 to 100 characters on one line (`core/names.py`)."""

LongText = Annotated[str, AfterValidator(_without_controls)]
"""A text of several lines, which every database can hold. Give it a `max_length`."""

Timestamp = Annotated[datetime, PlainSerializer(lambda time: time.isoformat().replace("+00:00", "Z"), return_type=str)]
"""A time in UTC, as RFC 3339 with `Z`."""
