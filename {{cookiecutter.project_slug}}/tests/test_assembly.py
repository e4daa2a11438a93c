"""`app/assembly.py`: the settings and the mails that features declare."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from jinja2 import TemplateNotFound, UndefinedError
from pydantic import Field, SecretStr

from app.assembly import CORE, FEATURES, make_services, settings_of
from app.core.mail.outbox import MailTemplate
from app.core.services import FeatureError
from app.core.settings.model import FeatureSettings, Settings, load_settings
from app.core.settings.report import SettingsError
from app.feature import Feature
from tests.conftest import MakeSettings
from tests.support.settings_sources import CANARY, PRODUCTION, Sources

pytestmark = pytest.mark.anyio


class NotesSettings(FeatureSettings):
    """Settings of a test."""

    notes_key: SecretStr
    notes_most: int = Field(20, ge=1)
    notes_from: str = Field(default_factory=lambda settings: settings["admin_email"])


class NotesMail(MailTemplate):
    """Mails of a test."""

    NOTE_DELETED = "note_deleted", "A note was deleted", "title"


NOTES = Feature(name="notes", settings=(NotesSettings,))


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sources:
    """Sources that hold what the core needs."""
    return Sources(monkeypatch, tmp_path).environment(**PRODUCTION)


async def test_settings_of_a_feature_are_read_as_all_others(sources: Sources) -> None:
    """From every source, with a default made of the core's; a secret is masked, and they are found by their type."""
    sources.secret("NOTES_KEY", CANARY).dotenv("NOTES_MOST=3\n")
    settings = load_settings(settings_of((CORE, NOTES)))
    services = make_services(settings, (CORE, NOTES))
    await services.aclose()
    own = services[NotesSettings]
    assert (own.notes_key.get_secret_value(), own.notes_most, own.notes_from) == (CANARY, 3, PRODUCTION["ADMIN_EMAIL"])
    assert services[Settings].admin_email == PRODUCTION["ADMIN_EMAIL"]
    assert CANARY not in repr(settings)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("NOTES_MOTS=3", "NOTES_MOTS: is not the name of a setting. Did you mean NOTES_MOST?"),
        ("NOTES_MOST=0", "NOTES_MOST: input should be greater than or equal to 1."),
        ("NOTES_MOST=3", "NOTES_KEY: is missing."),
    ],
)
def test_settings_of_a_feature_are_checked_as_all_others(sources: Sources, line: str, message: str) -> None:
    """A misspelt name, a wrong value and a missing one stop the boot, and are told of by name."""
    sources.dotenv(f"{line}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(settings_of((CORE, NOTES)))
    assert message in str(caught.value)


def test_settings_of_a_feature_that_is_not_there_are_unknown(sources: Sources) -> None:
    """As any other name in `.env`; and a feature does not start on settings that were made without its own."""
    with pytest.raises(FeatureError, match="The settings have no NotesSettings"):
        make_services(load_settings(), (CORE, NOTES))
    assert "NOTES_MOST: is not the name of a setting" in sources.dotenv("NOTES_MOST=3\n").refused()


@pytest.mark.parametrize(
    ("text", "error"), [(None, TemplateNotFound), ("{{ heading }}", UndefinedError), ("{{ title }}", None)]
)
async def test_mails_of_a_feature_are_tried_at_the_start(
    make_settings: MakeSettings, tmp_path: Path, text: str | None, error: type[Exception] | None
) -> None:
    """A template that is missing, or that needs a value which the mail does not have, stops the boot."""
    (tmp_path / "note_deleted.html").write_text("{{ title }}", encoding="utf-8")
    if text is not None:
        (tmp_path / "note_deleted.txt").write_text(text, encoding="utf-8")
    features = (*FEATURES, Feature(name="notes", mails={tmp_path: NotesMail}))
    with pytest.raises(error) if error else nullcontext():
        await make_services(make_settings(), features).aclose()
