"""What every process of the service would make for itself, made once: imported by the server that forks them."""

import gc
import secrets

from pydantic import SecretStr
from uvicorn.loops.auto import auto_loop_factory

from app.assembly import SETTINGS
from app.main import create_app

# It is never started: what stays of it are imports, routes and compiled templates. Nobody's environment and files are
# read for its settings.
create_app(
    SETTINGS.model_construct(
        environment="test",
        admin_email="operator@service.example",
        secret_key=SecretStr(secrets.token_urlsafe(64)),
        database_url=SecretStr("sqlite+aiosqlite:///never-made.db"),
    )
)
auto_loop_factory()
gc.collect()
gc.freeze()
