"""What a key is: a form that scanners find and check without asking anybody, a digest at rest, and nothing in a log."""

import re
import secrets
import tomllib
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from app.access.roles import Role
from app.core.crypto import digest
from app.core.database.database import Database
from app.core.logging.secret_shapes import MASK, redact_shapes
from app.features.api_keys.models import ApiKey, id_in, new_key
from app.features.api_keys.service import ApiKeyService
from tests.conftest import StartService
from tests.features.api_keys.steps import PATH, bearer, created, opens, report, rotate, wrongly
from tests.support.records.trail import execute
from tests.support.service import Service

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parents[3] / "docs" / "features" / "api-keys.md"


@pytest.mark.asvs("11.5.1", "7.2.3")
def test_ten_thousand_keys_are_different_and_have_one_form() -> None:
    """256 random bits each, also for one row; the id can be read from each, at both ends of what an id can be."""
    ids = [UUID(int=0), UUID(int=2**128 - 1), *(uuid4() for _ in range(98))]
    keys = {new_key(each): each for each in ids for _ in range(100)}
    assert len(keys) == 10_000
    assert {len(key) for key in keys} == {107}
    assert all(id_in(key) == each for key, each in keys.items())
    assert len({key[35:51] for key in keys}) == 10_000


def test_a_typing_error_is_found_by_the_checksum() -> None:
    """Any character that is another one, is missing, or is there twice: it names no row."""
    key = new_key(uuid4())
    for place in range(len(key)):
        other = "0" if key[place] == "1" else "1"
        for wrong in (
            key[:place] + other + key[place + 1 :],
            key[:place] + key[place + 1 :],
            key[:place] + key[place:],
        ):
            assert (id_in(wrong) is None) == (wrong != key)


@pytest.mark.parametrize("text", ["", "ak_", "ak_" + "\u0660" * 104, f"ak_{'A' * 104}", "0" * 107, f"ak_{'0' * 104}\n"])
def test_no_other_text_names_a_row(text: str) -> None:
    """Whatever it is like: other digits, capitals, no prefix, a line break at the end."""
    assert id_in(text) is None


@pytest.mark.asvs("14.2.4", "16.2.5")
def test_the_log_knows_the_form() -> None:
    """A key in running text is masked."""
    key = new_key(uuid4())
    assert redact_shapes(f"tried {key}, twice") == f"tried {MASK}, twice"


def test_the_documented_expression_finds_keys_and_nothing_else() -> None:
    """The one for scanners, in the page of the feature and in `.gitleaks.toml`."""
    (documented,) = re.findall(r"`(\\bak_.*?\\b)`", DOCS.read_text("utf-8"))
    rules = tomllib.loads((DOCS.parents[2] / ".gitleaks.toml").read_text("utf-8"))["rules"]
    assert [rule["regex"] for rule in rules if "ak_" in rule["keywords"]] == [documented]
    key = new_key(uuid4())
    assert re.findall(documented, f"key={key}\nsnak_{key[3:]} {key}x") == [key]


@pytest.mark.asvs("14.2.4", "16.2.5")
async def test_no_key_is_in_a_log_line(start: StartService, capsys: pytest.CaptureFixture[str]) -> None:
    """Made, used, replaced, reported, ended and refused, with every line that the service writes."""
    async with start(log_level="DEBUG", rate_limit_signin="2/minute") as service:
        _, tokens = await service.signed_in()
        made = [await created(service, tokens) for _ in range(2)]
        made.append((await rotate(service, tokens, made[0]["id"])).json())
        shown = [key["key"] for key in made]
        for key in [*shown, *map(wrongly, shown)]:
            await opens(service, key)
            await service.client.get("/api/v1/users", headers=bearer(key))
        await report(service, shown[1])
        await service.client.post(f"{PATH}/leaked", json={"key": shown[0], "more": 1})
    lines = capsys.readouterr().out
    assert "api_key_leaked" in lines
    assert [key for key in shown if key[35:60] in lines] == []


@pytest.mark.asvs("11.2.2", "13.3.4")
async def test_keys_outlive_a_rotation_of_the_secret_key(start: StartService) -> None:
    """With the old one as a fallback, and without it once they are sealed anew; not without that."""
    old, new = secrets.token_urlsafe(64), secrets.token_urlsafe(64)
    async with start(secret_key=old) as service:
        _, tokens = await service.signed_in()
        first, second = [(await created(service, tokens))["key"] for _ in range(2)]
    async with start(secret_key=new) as service:
        assert await opens(service, first) == 401
    async with start(secret_key=new, secret_key_fallbacks=[old]) as service:
        assert await opens(service, first) == 200
        async with service[Database].transaction() as db:
            assert [await service[ApiKeyService].reseal(db, limit=1) for _ in range(3)] == [1, 1, 0]
    async with start(secret_key=new) as service:
        assert [await opens(service, key) for key in (first, second)] == [200, 200]


@pytest.mark.asvs("14.1.2")
async def test_a_digest_opens_in_its_own_row_alone(service: Service) -> None:
    """Somebody who writes the database can give nobody's key to somebody else, and no digest of their own to a row."""
    _, tokens = await service.signed_in()
    victim, _ = await service.signed_in(Role.ADMIN)
    key = await created(service, tokens)
    mine = update(ApiKey).where(ApiKey.id == UUID(key["id"]))
    assert await opens(service, key["key"]) == 200
    await execute(service, mine.values(user_id=victim.id))
    assert await opens(service, key["key"]) == 401
    other = await created(service, tokens)
    await execute(service, update(ApiKey).where(ApiKey.id == UUID(other["id"])).values(sealed=digest(other["key"])))
    assert await opens(service, other["key"]) == 401
