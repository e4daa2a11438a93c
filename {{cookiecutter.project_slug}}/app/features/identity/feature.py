"""Sign-in with an identity provider, as a feature."""

from pathlib import Path

from app.core.database.personal_data import PersonalData
from app.core.services import Services
from app.feature import Feature, RetentionJob
from app.features.identity.api import router as api_router
from app.features.identity.events import IdentityEvent, IdentityMail
from app.features.identity.models import Identity, IdentitySession, never_answered
from app.features.identity.routes import IDENTITIES, IDENTITY_ATTEMPT, IdentityNotice, Providers, logout_router, router
from app.features.identity.service import IdentityService
from app.features.identity.settings import IdentitySettings
from app.features.pages.kit.site import PageLink, Site

_FOLDER = Path(__file__).parent


def provide(services: Services) -> None:
    """Provide the identities, and show the providers on the pages that ask for a password."""
    services.add(IdentityService(services))
    services.add(Providers(services))
    services[Site].common["identity_providers"] = services[IdentitySettings].providers
    services[Site].add(
        templates=_FOLDER / "templates",
        notices=IdentityNotice,
        links=(PageLink(IDENTITIES, "Linked sign-ins", "enter", "With which other accounts you sign in."),),
        goes_with_account=("your linked sign-ins",),
    )


IDENTITY = Feature(
    name="identity",
    uses=("accounts", "pages", "sessions", "signin"),
    settings=(IdentitySettings,),
    provide=provide,
    api=(api_router,),
    root=(logout_router, router),
    tables=(Identity, IdentitySession),
    mails={_FOLDER / "mails": IdentityMail},
    events=(IdentityEvent,),
    keys=(IDENTITY_ATTEMPT,),
    purge=(RetentionJob("unfinished sign-ins with providers", IdentitySession, never_answered),),
    personal_data=(
        PersonalData(name="identities", table=Identity),
        PersonalData(name="identity_sessions", table=IdentitySession, owner="identity_id"),
    ),
)
