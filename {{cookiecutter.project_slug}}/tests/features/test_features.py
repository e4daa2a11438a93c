"""What features declare: of each thing one owner, and no more use of each other than they say."""

from pathlib import Path
from typing import Annotated

import grimp
import pytest
from fastapi import APIRouter, FastAPI

from app.access.roles import EVERY_ROLE, Permission
from app.assembly import FEATURES, make_services
from app.core.crypto import Purpose
from app.core.database.database import Base
from app.core.events import SecurityEvent
from app.core.mail.outbox import MailTemplate
from app.core.services import FeatureError, Services, provided, require_services
from app.core.settings.model import FeatureSettings
from app.feature import Feature, check_features
from app.features.installed import FEATURES as INSTALLED
from tests.conftest import MakeSettings
from tests.support.documents import names, rows

HINT = (
    "\nName the table in the `personal_data` of its feature, or the column in docs/data.md or the page of the feature."
)


class Right(Permission):
    """Permissions of a test."""

    NOTES_READ = "notes:read", "Read your notes"
    NOTES_WRITE = "notes:write", "Write your notes"


class Happened(SecurityEvent):
    """Events of a test."""

    SIGNED_OUT = "signed_out", "The same name as one of the sessions"


class Taken(FeatureSettings):
    """Settings of a test."""

    app_name: str = "The same name as one of the core"


class Sent(MailTemplate):
    """Mails of a test."""

    VERIFY = "verify", "The same name as one of the accounts"


@pytest.fixture(scope="module")
def uses() -> dict[str, set[tuple[str, str]]]:
    """What each feature imports of others: the feature, and the module."""
    graph = grimp.build_graph("app")
    found: dict[str, set[tuple[str, str]]] = {feature.name: set() for feature in INSTALLED}
    for module in graph.modules:
        owner = _feature_of(module)
        for imported in graph.find_modules_directly_imported_by(module) if owner else ():
            other = _feature_of(imported)
            if owner and other and other != owner:
                found[owner].add((other, imported))
    return found


def _feature_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[2] if parts[:2] == ["app", "features"] and len(parts) > 3 else None


@pytest.mark.parametrize("feature", INSTALLED, ids=lambda feature: feature.name)
def test_a_feature_uses_what_it_says_and_nothing_else(feature: Feature, uses: dict[str, set[tuple[str, str]]]) -> None:
    """Of the features before it in the list, those it names; of none the tables."""
    before = [other.name for other in INSTALLED[: INSTALLED.index(feature)]]
    assert set(feature.uses) == {name for name, _ in uses[feature.name]}
    assert set(feature.uses) <= set(before)
    assert [module for _, module in uses[feature.name] if module.endswith(".models")] == []


OF_NO_FEATURE = {"compatible_revisions", "principal_changes"}  # the core's own, which migrations make


def test_each_table_belongs_to_one_feature() -> None:
    """None is declared twice or forgotten: migrations compare what features declare."""
    declared = [model.__table__ for feature in FEATURES for model in feature.tables]
    mapped = {table for name, table in Base.metadata.tables.items() if name not in OF_NO_FEATURE}
    assert len(declared) == len(set(declared))
    assert set(declared) == mapped


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (Feature(name="notes", events=(Happened,)), "The event signed_out is declared by sessions and by notes."),
        (Feature(name="notes", settings=(Taken,)), "The setting app_name is declared by core and by notes."),
        (Feature(name="notes", mails={Path(): Sent}), "The mail verify is declared by accounts and by notes."),
        (Feature(name="notes", grants={Right.NOTES_READ: EVERY_ROLE}), "No role has the permission notes:write"),
        (Feature(name="notes", grants=dict.fromkeys(Right, frozenset())), "No role has the permission notes:read"),
    ],
    ids=["event", "setting", "mail", "forgotten permission", "permission of nobody"],
)
def test_what_does_not_go_together_stops_the_boot(feature: Feature, message: str) -> None:
    """A name that is there twice, and a permission that no role has; the message says whose it is."""
    with pytest.raises(FeatureError, match=message):
        check_features((*FEATURES, feature))


def test_a_purpose_has_one_owner() -> None:
    """Two features with one key could read what the other sealed."""
    key = Purpose("same/v1")
    with pytest.raises(FeatureError, match="The key same/v1 is declared by one and by two"):
        check_features((Feature(name="one", keys=(key,)), Feature(name="two", keys=(key,))))


def test_a_missing_service_stops_the_boot_with_its_name(make_settings: MakeSettings) -> None:
    """Features that need each other are in no order in which that does not happen."""

    class Nowhere:
        """A service that nothing provides."""

    def provide(services: Services) -> None:
        services[Nowhere].__str__()

    with pytest.raises(FeatureError, match="Nowhere is needed, and no feature before has provided it"):
        make_services(make_settings(), (*FEATURES, Feature(name="notes", provide=provide)))


def test_a_missing_service_of_a_handler_stops_the_boot_too() -> None:
    """However deep its router is included in others."""

    class Nowhere:
        """A service that nothing provides."""

    inner, outer, app = APIRouter(), APIRouter(), FastAPI(openapi_url=None)

    @inner.get("/notes")
    async def read_notes(service: Annotated[Nowhere, provided(Nowhere)]) -> None:
        """Never called."""

    outer.include_router(inner)
    app.router.routes.extend(outer.routes)
    app.state.services = Services()
    with pytest.raises(FeatureError, match="Nowhere is needed, and no feature before has provided it"):
        require_services(app)


def test_each_column_is_in_the_copy_that_people_have_of_their_data() -> None:
    """Or it names the person, or a document says why it is not; each part has a name of its own."""
    parts = [part for feature in FEATURES for part in feature.personal_data]
    assert len({part.name for part in parts}) == len(parts)
    copied = {f"{part.table.__tablename__}.{name}" for part in parts for name in (part.owner, *part.shown)}
    named = {name for cell, *_ in rows("not in the copy", "why", "feature") for name in names(cell)}
    tables = Base.metadata.sorted_tables
    columns = {f"{each.table.name}.{each.name}" for table in tables if table.name not in named for each in table.c}
    assert columns - copied == {name for name in named if "." in name}, HINT
    assert {name for name in named if "." not in name} <= {table.name for table in tables}
