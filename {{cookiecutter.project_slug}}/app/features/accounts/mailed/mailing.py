"""What every service needs that mails a token."""

from typing import NamedTuple

from app.features.accounts.mailed.limits import MailLimits
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.mailed.tokens import AccountTokens


class Mailing(NamedTuple):
    """The tokens, the mails that hold them, and how many are sent."""

    tokens: AccountTokens
    mail: AccountMail
    limits: MailLimits
