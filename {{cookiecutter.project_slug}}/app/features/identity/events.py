"""Security events of identities and the mail about them."""

from app.core.events import ACTOR, SecurityEvent
from app.core.mail.outbox import MailTemplate


class IdentityEvent(SecurityEvent):
    """Security events of identities."""

    IDENTITY_LINKED = "identity_linked", ACTOR
    IDENTITY_UNLINKED = "identity_unlinked", ACTOR
    PROVIDER_LOGOUT_REFUSED = "provider_logout_refused"


class IdentityMail(MailTemplate):
    """The mails about identities, which nobody can switch off."""

    IDENTITY_LINKED = "identity_linked", "A sign-in was linked to your account", "provider", "ip"
    IDENTITY_UNLINKED = "identity_unlinked", "A sign-in was unlinked from your account", "provider", "ip"
