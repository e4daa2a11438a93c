"""Two providers, which every test of the folder has by setting: `good`, and `other`."""

from collections.abc import Iterator

import pytest

from tests.features.identity.providers.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, serving
from tests.support.programs import PROGRAMS, Program

PROGRAMS["npm"] = Program("npm", ("npm",), "npm")


@pytest.fixture(scope="session")
def issuers() -> Iterator[dict[str, Issuer]]:
    """The servers."""
    with serving(Issuer()) as good, serving(Issuer()) as other:
        yield {"good": good, "other": other}


@pytest.fixture(autouse=True)
def _named(issuers: dict[str, Issuer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_PROVIDERS", ",".join(issuers))
    for name, issuer in issuers.items():
        issuer.reset()
        for part, value in {"ISSUER": issuer.url, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}.items():
            monkeypatch.setenv(f"IDP_{name.upper()}_{part}", value)


@pytest.fixture
def good(issuers: dict[str, Issuer]) -> Issuer:
    """The provider that most tests sign in with."""
    return issuers["good"]


@pytest.fixture
def npm() -> str:
    """Where npm is."""
    return PROGRAMS["npm"].required_path()
