"""The sources of the settings, as a test fills them."""

import secrets
from pathlib import Path

import pytest

from app.core.settings.model import load_settings
from app.core.settings.report import SettingsError

CANARY = "canary-that-is-never-shown"
GOOD = {
    "ADMIN_EMAIL": "operator@service.example",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "DATABASE_URL": "sqlite:///app.db",
}
PRODUCTION = {**GOOD, "PUBLIC_URL": "https://api.service.example", "SMTP_URL": "smtps://smtp.service.example"}


class Sources:
    """The environment, `.env` and the folder of secrets, each empty to begin with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.monkeypatch = monkeypatch
        self.env_file = folder / ".env"
        self.secrets = folder / "secrets"
        monkeypatch.setattr("app.core.settings.model.ENV_FILE", self.env_file)
        monkeypatch.setattr("app.core.settings.model.SECRETS_DIR", self.secrets)

    def environment(self, **values: str) -> "Sources":
        """Set variables of the environment."""
        for name, value in values.items():
            self.monkeypatch.setenv(name, value)
        return self

    def dotenv(self, text: str | bytes) -> "Sources":
        """Write `.env`."""
        self.env_file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self

    def secret(self, name: str, value: str) -> "Sources":
        """Write a file of a secret."""
        self.secrets.mkdir(exist_ok=True)
        (self.secrets / name).write_text(value)
        return self

    def refused(self) -> str:
        """The message with which the settings are refused; no value is in it."""
        with pytest.raises(SettingsError) as caught:
            load_settings()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert CANARY not in str(caught.value)
        return str(caught.value)
