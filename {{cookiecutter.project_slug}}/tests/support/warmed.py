"""What every process of the service would make for itself, made once: imported by the server that forks them."""

import gc
import secrets

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from uvicorn.loops.auto import auto_loop_factory

from app.core.settings import Settings
from app.main import create_app


class GivenSettings(Settings):
    """Settings of nobody's environment and files."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, and nothing else."""
        return (init_settings,)


# It is never started: what stays of it are imports, routes and compiled templates.
create_app(
    GivenSettings(
        environment="test",
        admin_email="operator@service.example",
        secret_key=secrets.token_urlsafe(64),
        database_url="sqlite:///never-made.db",
    )
)
auto_loop_factory()
gc.collect()
gc.freeze()
