"""`docs/data.md` and the pages of features say of each column what kind of data it holds."""

import pytest

from app.assembly import FEATURES
from app.core.database.database import Base
from tests.support.documents import names, rows

HINT = "\nGive each column its class: in docs/data.md, or in the page of its feature, in a table with the same head."
HEADER = ("table", "secret", "personal", "other", "feature")

pytestmark = pytest.mark.same_on_every_database


@pytest.mark.asvs("14.1.1", "14.1.2")
def test_every_column_is_in_one_class() -> None:
    """No column of a table is missing, in two classes, or gone."""
    documented: dict[str, list[str]] = {}
    for table, secret, personal, other, _ in rows(*HEADER):
        documented[names(table)[0]] = sorted(names(secret) + names(personal) + names(other))
    assert documented == {table.name: sorted(table.columns.keys()) for table in Base.metadata.sorted_tables}, HINT
    assert {model.__tablename__ for feature in FEATURES for model in feature.tables} <= documented.keys()


@pytest.mark.asvs("14.1.2", "11.4.2")
def test_what_is_secret_has_a_type_that_hides_it() -> None:
    """A column of secrets holds bytes, which are a digest or sealed; that of a password is a text, argon2id's."""
    texts = {"password_hash"}
    for table, secret, *_ in rows(*HEADER):
        columns = Base.metadata.tables[names(table)[0]].columns
        kinds = {column: columns[column].type.python_type for column in names(secret) if column not in texts}
        assert set(kinds.values()) <= {bytes}, (table, kinds)
