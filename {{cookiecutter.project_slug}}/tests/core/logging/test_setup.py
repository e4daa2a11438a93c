"""One pipe for every line: what comes out of it, and that nothing breaks it."""

import io
import json
import logging
import sys
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from app.core.logging import setup as subject
from app.core.logging.setup import configure_logging
from tests.support.records.logs import Log, captured_log, log_settings

CANARY = "c4naryValue"


class _Unprintable:
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


@pytest.mark.asvs("16.2.1", "16.2.2", "16.2.4")
def test_a_line(log: Log) -> None:
    """Time in UTC, level, event, logger, context, fields, in this order."""
    structlog.contextvars.bind_contextvars(request_id="r1", client="203.0.113.9")
    structlog.get_logger("app.http").info("request", status=200)
    line = log.line
    assert list(line)[:4] == ["timestamp", "level", "event", "logger"]
    assert set(line) == {"timestamp", "level", "event", "logger", "request_id", "client", "status"}
    assert line["timestamp"].endswith("Z")
    assert len(line["timestamp"]) == len("2026-11-24T10:00:00.000000Z")
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)
    assert line["level"] == "info"
    assert line["event"] == "request"
    assert line["logger"] == "app.http"
    assert line["request_id"] == "r1"


def test_a_logger_without_a_name_is_the_apps(log: Log) -> None:
    """`get_logger()` names the package."""
    structlog.get_logger().warning("something")
    assert (log.line["logger"], log.line["level"]) == ("app", "warning")


@pytest.mark.asvs("16.4.1")
def test_fields_cannot_pass_for_the_pipes_own(log: Log) -> None:
    """A field or a foreign extra that is called like a key of the pipe gets another name."""
    structlog.get_logger("app.x").info("mine", level="critical", timestamp="1970", logger="security")
    logging.getLogger("x").info("theirs", extra={"level": "critical", "timestamp": "1970", "event": "signed_out"})
    own, foreign = log.lines
    assert (own["level"], own["level_"], own["logger"], own["logger_"]) == ("info", "critical", "app.x", "security")
    assert (foreign["event"], foreign["level"], foreign["level_"]) == ("theirs", "info", "critical")


def test_foreign_lines(log: Log) -> None:
    """Records of the standard library look the same, with the context of the request and what was given as extra."""
    structlog.contextvars.bind_contextvars(request_id="r1")
    logging.getLogger("uvicorn.error").info(
        "Started server process [%d]", 5, extra={"color_message": "\x1b[36m5", "port": 8000}
    )
    line = log.line
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "Started server process [5]",
        "logger": "uvicorn.error",
        "port": 8000,
        "request_id": "r1",
    }


@pytest.mark.asvs("1.3.10", "16.4.1")
@pytest.mark.parametrize(
    ("message", "args"),
    [("%s %s", ("one",)), ("%d", ("text",)), ("%(name)s", ({},)), ("%s", (_Unprintable(),)), ("%s%n{0.__class__}", ())],
)
def test_foreign_lines_whose_arguments_do_not_fit(
    log: Log, capsys: pytest.CaptureFixture[str], message: str, args: tuple[object, ...]
) -> None:
    """The message is written as it is; nothing goes to stderr behind the pipe's back."""
    logging.getLogger("x").warning(message, *args)
    assert log.line["event"] == message
    assert capsys.readouterr() == ("", "")


def test_a_foreign_stack(log: Log) -> None:
    """`stack_info` is kept, for its innermost places."""
    logging.getLogger("x").info("here", stack_info=True)
    assert "test_a_foreign_stack" in log.line["stack"]


@pytest.mark.asvs("1.3.10")
def test_texts_are_no_formats(log: Log) -> None:
    """Placeholders in the name of an event and in values appear literally."""
    structlog.get_logger().info("user %s", user="%s%n{0.__class__}")
    logging.getLogger("x").info("%s%n{0.__class__}")
    own, foreign = log.lines
    assert (own["event"], own["user"]) == ("user %s", "%s%n{0.__class__}")
    assert foreign["event"] == "%s%n{0.__class__}"


@pytest.mark.asvs("16.2.4")
def test_exceptions(log: Log) -> None:
    """An exception is data on the same line, given in any of the usual ways."""
    try:
        raise ValueError("first\nsecond")  # noqa: TRY301  # the text matters
    except ValueError as error:
        structlog.get_logger().exception("one")
        structlog.get_logger().error("two", exc_info=error)
        structlog.get_logger().error("three", exc_info=(ValueError, error, error.__traceback__))
        logging.getLogger("x").exception("four")
    structlog.get_logger().error("none", exc_info=True)
    *with_exception, without = log.lines
    assert len(with_exception) == 4
    for line in with_exception:
        (exception,) = line["exception"]
        assert exception["type"] == "ValueError"
        assert exception["message"] == "first\\nsecond"
        assert "test_setup.py" in exception["frames"][-1]
    assert "exception" not in without


def test_levels() -> None:
    """Below `LOG_LEVEL` nothing is written, neither of our own nor of others."""
    with captured_log(log_settings(log_level="warning")) as log:
        for write in (structlog.get_logger(), logging.getLogger("x")):
            write.info("no")
            write.warning("yes")
        assert [line["event"] for line in log.lines] == ["yes", "yes"]


@pytest.mark.asvs("16.2.5")
def test_others_never_write_debug_lines() -> None:
    """Drivers print statements with their parameters at `debug`, even where such a logger was set to it."""
    with captured_log(log_settings(log_level="debug")) as log:
        logging.getLogger("aiosqlite").debug("executing %s", CANARY)
        chatty = logging.getLogger("chatty")
        chatty.setLevel(logging.DEBUG)
        chatty.debug(CANARY)
        structlog.get_logger().debug("own")
        assert log.line["event"] == "own"


@pytest.mark.asvs("16.2.4")
def test_a_crash_in_the_pipe_keeps_the_line(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written leaves its name and the reason, and no value."""

    def crash(_: Any) -> dict[str, Any]:
        raise LookupError(CANARY)

    monkeypatch.setattr(subject, "redact_fields", crash)
    structlog.get_logger().error("signin_failed", user=CANARY)
    structlog.get_logger().info(f"not a name {CANARY}")
    logging.getLogger("x").warning(CANARY + " said")  # noqa: G003  # as foreign code does it
    first, second, third = log.lines
    assert (first["event"], first["level"], first["lost"]) == ("signin_failed", "error", "LookupError")
    assert second["event"] == third["event"] == "unwritable_event"
    assert CANARY not in log.text


def test_an_event_that_is_no_text(log: Log) -> None:
    """Neither an object nor one that cannot be shown stops the caller."""
    structlog.get_logger().info(["list", 1])
    structlog.get_logger().info(_Unprintable())
    listed, lost = log.lines
    assert listed["event"] == "['list', 1]"
    assert lost["lost"] == "RuntimeError"


def test_a_closed_stream_stops_nobody() -> None:
    """Where the reader is gone the line is, but the caller goes on."""
    with captured_log(log_settings()) as log:
        log.stream.close()
        structlog.get_logger().info("event")
        logging.getLogger("x").info("event")


def test_goes_to_what_stdout_is_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, lines follow `sys.stdout`, also to a stream that takes only text."""
    with captured_log(log_settings()):
        configure_logging(log_settings())
        structlog.get_logger().info("first")
        assert json.loads(capsys.readouterr().out)["event"] == "first"
        monkeypatch.setattr(sys, "stdout", text := io.StringIO())
        structlog.get_logger().info("second")
        assert json.loads(text.getvalue())["event"] == "second"
        assert capsys.readouterr() == ("", "")


def test_the_last_configuration_counts() -> None:
    """Configured again, also loggers that were used before write each line once, to the new stream."""
    own, foreign = structlog.get_logger("a"), logging.getLogger("b")
    with captured_log(log_settings()) as first:
        own.info("one")
        foreign.info("one")
        with captured_log(log_settings()) as second:
            own.info("two")
            foreign.info("two")
        assert [line["event"] for line in first.lines] == ["one", "one"]
        assert [line["event"] for line in second.lines] == ["two", "two"]


@pytest.mark.asvs("15.4.1")
def test_one_event_is_one_line_with_many_threads(log: Log) -> None:
    """Lines of threads do not mix."""

    def write(number: int) -> None:
        for _ in range(50):
            structlog.get_logger().info("event", number=number, text="x" * 2000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.lines) == 400


@pytest.mark.asvs("16.4.1")
def test_console() -> None:
    """Text for people: one line an event, and marked lines for a traceback that no message can imitate."""
    with captured_log(log_settings(log_format="console")) as log:
        structlog.get_logger().info("event", user="a\n2026-11-24T10:00:00.000000Z info forged")
        try:
            raise ValueError("a\n2026-11-24T10:00:00.000000Z info forged")  # noqa: TRY301  # the text matters
        except ValueError:
            structlog.get_logger().exception("failed")
        first, second, *traceback = log.raw_lines
    assert first[27:] == ' info     event user="a\\\\n2026-11-24T10:00:00.000000Z info forged" [app]'
    assert second[27:] == " error    failed [app]"
    assert len(traceback) == 2
    assert all(line.startswith("    | ") for line in traceback)
    assert "\x1b" not in log.text


def test_a_line_is_cheap(log: Log) -> None:
    """A line of the usual size takes far less than the request that it tells of."""
    fields = {"method": "GET", "route": "/api/v1/users/{user_id}", "status": 200, "principal": "0" * 36}
    write, count = structlog.get_logger().info, 2000
    start = time.process_time()
    for _ in range(count):
        write("request", **fields)
    assert (time.process_time() - start) / count < 0.0005
    assert len(log.lines) == count
