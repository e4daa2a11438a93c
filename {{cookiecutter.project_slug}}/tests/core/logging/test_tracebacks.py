"""Exceptions as data: places and messages, no values of variables, bounded."""

import json

import pytest

from app.core.logging.lines import INNER_FRAMES, MOST_EXCEPTIONS, OUTER_FRAMES, describe

CANARY = "c4naryValue"


def _raised(error: BaseException) -> BaseException:
    local = CANARY  # what a careless traceback would show
    try:
        raise error  # noqa: TRY301  # what is tested
    except BaseException as caught:  # noqa: BLE001  # any kind
        assert local
        return caught


def _recurse(depth: int) -> None:
    if depth == 0:
        raise RecursionError
    _recurse(depth - 1)


@pytest.mark.asvs("16.2.5")
def test_places_without_variables() -> None:
    """Type, message and place are there, the values of local variables are not."""
    (described,) = describe(_raised(ValueError("reason")))
    assert described["type"] == "ValueError"
    assert described["message"] == "reason"
    assert described["relation"] == "raised"
    assert [frame.rpartition(" in ")[2] for frame in described["frames"]] == ["_raised"]
    assert CANARY not in json.dumps(described)


def test_causes_contexts_members_and_notes() -> None:
    """What led to an exception, and what a group holds, is described with its relation."""
    cause = KeyError("cause")
    cause.add_note("a note")
    group = ExceptionGroup("group", [OSError("member"), TimeoutError("other")])
    group.__cause__ = cause
    with pytest.raises(RuntimeError) as during:  # noqa: PT012  # what is tested
        try:
            raise group
        except ExceptionGroup:
            raise RuntimeError from None
    assert [item["relation"] for item in describe(during.value)] == ["raised"]
    during.value.__suppress_context__ = False
    described = describe(during.value)
    assert [item["relation"] for item in described] == ["raised", "context", "cause", "member", "member"]
    assert described[2]["message"] == "'cause'\na note"


def test_a_chain_that_bites_its_tail_ends() -> None:
    """A cause that is its own cause is described once."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert [item["message"] for item in describe(first)] == ["first", "second"]


def test_is_bounded() -> None:
    """Long chains, large groups and deep stacks are cut."""
    with pytest.raises(RecursionError) as deep:
        _recurse(200)
    frames = describe(deep.value)[0]["frames"]
    assert len(frames) == OUTER_FRAMES + 1 + INNER_FRAMES
    assert "frames left out" in frames[OUTER_FRAMES]
    group = ExceptionGroup("group", [ValueError(number) for number in range(1000)])
    assert len(describe(group)) == MOST_EXCEPTIONS


def test_an_exception_without_a_text() -> None:
    """Where the exception's own text raises, its type has to do."""

    class UnreadableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError(CANARY)

    (described,) = describe(UnreadableError())
    assert described["message"] == "<no text: RuntimeError>"
    assert described["type"].endswith("UnreadableError")
