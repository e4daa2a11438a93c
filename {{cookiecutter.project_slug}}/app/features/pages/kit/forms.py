"""Forms: what was typed is checked as a JSON body is; what is wrong is said beside its field, and nothing is lost.

What a field of type `SecretStr` holds is never shown again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from app.core.errors import Problem, Unprocessable
from app.features.pages.kit.messages import words_with_time

LONGEST_SHOWN = 2000

_REASONS = {
    "missing": "Please fill this in.",
    "extra_forbidden": "This form has no such field.",
    "string_too_short": "Use at least {min_length} characters.",
    "string_too_long": "Use at most {max_length} characters.",
    "too_short": "Use at least {min_length} characters.",
    "too_long": "Use at most {max_length} characters.",
    "uuid_parsing": "This is not an id.",
    "enum": "Choose one of the list.",
    "string_pattern_mismatch": "This is not in the form that is asked for.",
}


class FormBody(BaseModel):
    """The fields of a form. One that is left empty is not there: it is missing, or has its default."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


Body = TypeVar("Body", bound=FormBody)


class NoFields(FormBody):
    """A form that is a button."""


class FormRefused(Exception):  # noqa: N818  # what the form is, not what went wrong here
    """The form is to be shown again: with `values`, and with `errors` by field (`""` is the form as a whole)."""

    def __init__(
        self, form: "Form[Any]", errors: Mapping[str, str], *, status: int, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("the form is refused")
        self.form = form
        self.errors = errors
        self.status = status
        self.headers = dict(headers or {})


class Form(Generic[Body]):
    """A form that was sent, and the page that it is on: `template`, with `context` beside what was typed."""

    def __init__(self, kind: type[Body], template: str, typed: Mapping[str, str], context: Mapping[str, Any]) -> None:
        self.template = template
        self.context = context
        self.values = {
            name: typed[name][:LONGEST_SHOWN]
            for name, field in kind.model_fields.items()
            if name in typed and not _is_secret(field)
        }

    @contextmanager
    def handle_errors(self, **fields: type[Problem]) -> Iterator[None]:
        """Show a problem that the block raises on the page: beside the field that is given its class, or on top."""
        try:
            yield
        except Unprocessable as problem:
            raise FormRefused(self, _by_field(problem), status=problem.status) from None
        except Problem as problem:
            field = next((name for name, kind in fields.items() if isinstance(problem, kind)), "")
            said = words_with_time(problem)
            raise FormRefused(self, {field: said}, status=problem.status, headers=problem.headers) from None


async def read_form(request: Request, kind: type[Body], template: str, **context: Any) -> tuple[Form[Body], Body]:
    """Read the form of a request; raises `FormRefused`, which shows the template again, where it breaks a rule."""
    return _read({name: str(value) for name, value in (await request.form()).items()}, kind, template, context)


def read_query(request: Request, kind: type[Body], template: str, **context: Any) -> tuple[Form[Body], Body]:
    """Read what a form with the method GET asks for; raises `FormRefused` as `read_form` does."""
    return _read(dict(request.query_params), kind, template, context)


def _read(
    sent: Mapping[str, str], kind: type[Body], template: str, context: Mapping[str, Any]
) -> tuple[Form[Body], Body]:
    typed = {name: value for name, value in sent.items() if value != ""}
    form = Form(kind, template, typed, context)
    try:
        return form, kind.model_validate(typed)
    except ValidationError as error:
        errors = {str(item["loc"][0]) if item["loc"] else "": _reason(dict(item)) for item in error.errors()}
        known = {name if name in kind.model_fields else "": reason for name, reason in errors.items()}
        raise FormRefused(form, known, status=Unprocessable.status) from None


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in {field.annotation, *getattr(field.annotation, "__args__", ())}


def _by_field(problem: Unprocessable) -> dict[str, str]:
    """What a service says about single fields, or about the whole."""
    errors = {str(list(item["location"])[-1]): str(item["reason"]) for item in problem.errors or ()}  # type: ignore[call-overload]
    return errors or {"": problem.detail}


def _reason(error: Mapping[str, Any]) -> str:
    known = _REASONS.get(error["type"])
    if known is not None:
        return known.format(**error.get("ctx", {}))
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"This {text}." if error["type"] == "value_error" else f"{text}."
