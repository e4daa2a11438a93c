"""Requests that are made of the OpenAPI document, right ones and wrong ones, against the real server.

Whatever an administrator sends, the answer is one that the document names, by its status and its type, and never a 5xx.
"""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from tests.support.database.databases import Databases
from tests.support.processes.command_line import CommandLine
from tests.support.processes.server import ServerProcess

EMAIL = "ada@people.example"
NO_LIMIT = "100000/minute"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]
# The same requests in every run, and no file of those that failed.
REPEATABLE = settings(
    max_examples=10,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def administrator(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[httpx2.Client]:
    """A server, and a client with the token of its administrator."""
    folder = tmp_path_factory.mktemp("server")
    with databases.migrated(folder) as url:
        manage = CommandLine(folder, url)
        password = manage.create_admin(EMAIL)
        with (
            ServerProcess(
                folder, SECRET_KEY="", DATABASE_URL=url, RATE_LIMIT_DEFAULT=NO_LIMIT, RATE_LIMIT_SIGNIN=NO_LIMIT
            ) as server,
            httpx2.Client(base_url=server.url, timeout=30) as client,
        ):
            answer = client.post("/api/v1/signin", json={"email": EMAIL, "password": password})
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield client


@pytest.mark.asvs("2.2.1", "4.1.1", "16.5.1", "2.2.2")
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_one_that_the_document_names(administrator: httpx2.Client, mode: GenerationMode) -> None:
    """Every operation, with what its schema allows and with what it does not; at the end the service is well."""
    schema = schemathesis.openapi.from_dict(administrator.get("/openapi.json").json())
    url, headers = str(administrator.base_url), {"Authorization": administrator.headers["Authorization"]}
    asked = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @REPEATABLE
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Case[Any]) -> None:
            asked.add(case.operation.label)
            case.call_and_validate(base_url=url, headers=headers, checks=CHECKS)

        if mode is GenerationMode.POSITIVE or operation.body or operation.query or operation.path_parameters:
            ask()
    assert {"POST /api/v1/signin", "GET /api/v1/users", "DELETE /api/v1/sessions/{session_id}"} <= asked
    assert administrator.get("/api/v1/users/me").status_code == 200
