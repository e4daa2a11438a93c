"""What a feature declares of itself: one value in its module `feature.py`, which `app/features/installed.py` lists."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, FastAPI
from sqlalchemy import ColumnElement

from app.access.roles import Grants
from app.core.crypto import Purpose
from app.core.database.batches import Resealable
from app.core.database.database import Base
from app.core.database.personal_data import PersonalData
from app.core.events import SecurityEvent
from app.core.mail.outbox import MailTemplate
from app.core.services import FeatureError, Services
from app.core.settings.model import FeatureSettings, Settings

API_PREFIX = "/api/v1"


class RetentionJob(NamedTuple):
    """Rows that `manage purge` deletes: what people call them, their table, and which were over before a time."""

    name: str
    table: type[Base]
    over: Callable[[Services, datetime], ColumnElement[bool]]


class ResealJob(NamedTuple):
    """Rows that `manage rotate-secret-key --reseal` seals anew: what people call them, and the service that does it."""

    name: str
    service: Callable[[Services], Resealable]
    delays_rotation: bool = True
    """False if nothing is sealed, but confirmed with a key."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature. Everything but its name, which is that of its folder, is optional.

    - `uses` are the features before it whose code it imports; a test holds it to them.
    - `provide` adds its services, made of those that are there, or returns the one that it has.
    - `api` are routes below `/api/v1`; `root` are others, or what makes them of the settings.
    - `settings` are its own: classes whose fields are read, checked and shown as all others are.
    - `tables`, `events`, `keys` are its own: models, security events, purposes of derived keys.
    - `mails` are its own by the folder of their templates, each as text and HTML; one of the name of an earlier
      feature's holds instead of that. `AccountMail.alert` sends them.
    - `grants` are its permissions, each with the roles that have it.
    - `purge` and `reseal` are its part of the upkeep.
    - `personal_data` are its tables with rows about a person, for the copy that everybody can have of their data.
    - `install` changes the application itself, after all services are there, such as its exception handlers.
    - `spans` says whether FastAPI makes spans of requests, for a feature that takes what may leave from them.
    - `run` surrounds the time in which the service answers requests.
    """

    name: str
    uses: tuple[str, ...] = ()
    settings: tuple[type[FeatureSettings], ...] = ()
    provide: Callable[[Services], object] = lambda _: None
    api: tuple[APIRouter, ...] = ()
    root: tuple[APIRouter | Callable[[Settings], APIRouter], ...] = ()
    tables: tuple[type[Base], ...] = ()
    mails: Mapping[Path, Iterable[MailTemplate]] = field(default_factory=dict)
    grants: Grants = field(default_factory=dict)
    events: tuple[type[SecurityEvent], ...] = ()
    keys: tuple[Purpose, ...] = ()
    purge: tuple[RetentionJob, ...] = ()
    reseal: tuple[ResealJob, ...] = ()
    personal_data: tuple[PersonalData, ...] = ()
    install: Callable[[FastAPI], None] = lambda _: None
    spans: Callable[[Services], bool] = lambda _: False
    run: Callable[[Services], AbstractAsyncContextManager[object]] = lambda _: nullcontext()


def check_features(features: Iterable[Feature]) -> None:
    """Raise `FeatureError` if two features declare one name (of a setting, an event), or for a right of nobody."""
    owners: dict[tuple[str, str], str] = {}
    for feature in features:
        granted = {type(permission) for permission in feature.grants}
        kinds: Mapping[str, Iterable[Iterable[str]]]
        kinds = {"permission": granted, "event": feature.events, "key": [feature.keys]}
        kinds |= {"setting": [kind.model_fields for kind in feature.settings], "mail": feature.mails.values()}
        for kind, names in kinds.items():
            for name in (str(member) for members in names for member in members):
                other = owners.setdefault((kind, name), feature.name)
                if other != feature.name:
                    raise FeatureError(f"The {kind} {name} is declared by {other} and by {feature.name}.")
        for permission in (member for members in granted for member in members):
            if not feature.grants.get(permission):
                raise FeatureError(f"No role has the permission {permission} of {feature.name}.")
