"""The service, made of its features: once for the application, and in the same way for each command."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import cast

from pydantic import create_model

from app.access.guard import AccessEvent, Authentication
from app.access.roles import RoleTable
from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.core.database.migrations import require_current
from app.core.database.personal_data import DataExport
from app.core.events import EventCatalog, UpkeepEvent
from app.core.limits import Limiter
from app.core.mail.delivery import MailDelivery
from app.core.mail.outbox import MAIL_KEY, MailFolders, Outbox, OutboxMail
from app.core.mail.transport import mail_transport
from app.core.pagination import CURSOR_KEY
from app.core.services import FeatureError, Services
from app.core.settings import model
from app.core.settings.model import FeatureSettings, Settings
from app.feature import Feature, ResealJob, RetentionJob, check_features
from app.features.installed import FEATURES as INSTALLED
from app.http.request.base import HttpEvent


def provide(services: Services) -> None:
    """Provide what every feature may need."""
    settings = services[Settings]
    database = Database(settings.database_url)
    services.add(database, close=database.close)
    limiter = Limiter(settings.redis_url, settings.public_url)
    services.add(limiter, close=limiter.close)
    outbox = services.add(Outbox(services.add(KeyRing(settings.secret_key, settings.secret_key_fallbacks))))
    services.add(MailDelivery(database, outbox, partial(mail_transport, settings)))
    services.add(Authentication())


CORE = Feature(
    name="core",
    settings=(Settings,),
    provide=provide,
    tables=(OutboxMail,),
    events=(AccessEvent, HttpEvent, UpkeepEvent),
    keys=(CURSOR_KEY, MAIL_KEY),
    purge=(RetentionJob("mail", OutboxMail, lambda _, before: OutboxMail.finished_at < before),),
    reseal=(ResealJob("mail", lambda services: services[Outbox]),),
)
FEATURES = (CORE, *INSTALLED)

# What stands above goes first: deleting a session would delete what is left of its tokens, however many.
RETENTION_JOBS = tuple(job for feature in reversed(FEATURES) for job in feature.purge)
RESEAL_JOBS = tuple(job for feature in FEATURES for job in feature.reseal)


def settings_of(features: tuple[Feature, ...]) -> type[Settings]:
    """Make one class of the settings of all features: a rule may look at those of the features before."""
    kinds = tuple(kind for feature in reversed(features) for kind in feature.settings)
    return cast("type[Settings]", create_model("ServiceSettings", __base__=kinds))


SETTINGS = settings_of(FEATURES)
load_settings = partial(model.load_settings, SETTINGS)
"""Read and check the settings of all features; raises `SettingsError`, which lists every problem, and no value."""


def make_services(settings: Settings, features: Iterable[Feature] = FEATURES) -> Services:
    """Make every service once, in the order of the features; raises `FeatureError`."""
    features = tuple(features)
    check_features(features)
    services = Services()
    kinds: set[type[FeatureSettings]] = {Settings, *(kind for feature in features for kind in feature.settings)}
    for kind in kinds:
        if not isinstance(settings, kind):
            raise FeatureError(f"The settings have no {kind.__name__}: make them with app.assembly.SETTINGS.")
        services.add(settings, kind=kind)
    services.add(RoleTable({name: roles for feature in features for name, roles in feature.grants.items()}))
    services.add(EventCatalog(event for feature in features for events in feature.events for event in events))
    services.add(MailFolders(each for feature in features for each in feature.mails.items()))
    services.add(DataExport(services, (part for feature in features for part in feature.personal_data)))
    for feature in features:
        made = feature.provide(services)
        if made is not None:
            services.add(made)
    return services


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Do what surrounds the time in which the service answers: each feature its own, then the delivery of mail."""
    async with AsyncExitStack() as stack:
        for feature in FEATURES:
            await stack.enter_async_context(feature.run(services))
        await stack.enter_async_context(services[MailDelivery].running())
        yield


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Services]:
    """Make the services for a command, on a database that has the schema of this version, and close them."""
    async with make_services(settings) as services:
        await require_current(services[Database])
        yield services
