"""Forms, checked as JSON bodies are. One that is refused shows what is wrong, and what was typed but `SecretStr`."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from starlette.responses import Response

from app.core.errors import Problem, Unprocessable
from app.features.pages.kit.words import words_with_time

LONGEST_SHOWN = 2000

_REASONS = {
    "missing": "Please fill this in.",
    "extra_forbidden": "This form has no such field.",
    "string_too_short": "Use at least {min_length} characters.",
    "string_too_long": "Use at most {max_length} characters.",
    "too_short": "Use at least {min_length} characters.",
    "too_long": "Use at most {max_length} characters.",
    "uuid_parsing": "This is not an id.",
    "literal_error": "Choose one of the list.",
    "string_pattern_mismatch": "This is not in the form that is asked for.",
}


class FormBody(BaseModel):
    """Fields of a form that no body of the API has, or none. An empty one counts as missing, or has its default."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SearchForm(FormBody):
    """A text to find in a list, and the part of the list; `done` is the notice of the page before."""

    q: Annotated[str, Field(max_length=100)] | None = None
    cursor: Annotated[str, Field(max_length=200)] | None = None
    done: str | None = None


Fields = TypeVar("Fields", bound=BaseModel)


class FormRefused(Exception):
    """A form broke a rule; `page` shows it again."""

    def __init__(self, page: Response) -> None:
        super().__init__("the form is refused")
        self.page = page


def parse_fields(kind: type[Fields], typed: Mapping[str, object]) -> Fields:
    """Check what was typed; raises `Unprocessable` with a reason for each field, `""` for the form as a whole."""
    try:
        return kind.model_validate(typed)
    except ValidationError as error:
        errors = []
        for item in error.errors():
            field = str(item["loc"][0]) if item["loc"] else ""
            errors.append({"location": [field if field in kind.model_fields else ""], "reason": _reason(dict(item))})
        raise Unprocessable("The form breaks a rule.", errors=errors) from None


def shown_values(kind: type[BaseModel], typed: Mapping[str, str]) -> dict[str, str]:
    """Return what the form shows again: no secret, and nothing without a field of its own."""
    return {
        name: typed[name][:LONGEST_SHOWN]
        for name, field in kind.model_fields.items()
        if name in typed and SecretStr not in {field.annotation, *getattr(field.annotation, "__args__", ())}
    }


def errors_by_field(problem: Problem, beside: Mapping[str, type[Problem]]) -> dict[str, str]:
    """Return what to say beside each field, or under `""` on top; `beside` names the field of a problem without one."""
    if isinstance(problem, Unprocessable) and problem.errors:
        return {str(list(error["location"])[-1]): str(error["reason"]) for error in problem.errors}  # type: ignore[call-overload]
    field = next((name for name, kind in beside.items() if isinstance(problem, kind)), "")
    return {field: words_with_time(problem)}


def _reason(error: Mapping[str, Any]) -> str:
    known = _REASONS.get(error["type"])
    if known is not None:
        return known.format(**error.get("ctx", {}))
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"This {text}." if error["type"] == "value_error" and error["loc"] else f"{text}."
