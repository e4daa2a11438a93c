"""What every start of the service does alike, done once for the process: the tests start it thousands of times.

Anything else than before, such as another template or another variable, is looked at as ever.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest

from app.core.settings.report import misspelt
from app.features.accounts.mailed.mails import AccountMail


def once(work: Callable[..., Any], key: Callable[..., Hashable]) -> Callable[..., Any]:
    """The work, whose result for each key is kept; work that fails is done again."""
    results: dict[Hashable, Any] = {}

    def kept(*arguments: Any) -> Any:
        of = key(*arguments)
        if of not in results:
            results[of] = work(*arguments)
        return results[of]

    return kept


@pytest.fixture(scope="session", autouse=True)
def _alike_at_every_start() -> Iterator[None]:
    """Try the templates of mails once for each folder and set of values; look for misspelt variables once."""
    with pytest.MonkeyPatch.context() as patch:
        try_all = once(AccountMail._try_all, lambda mail: (mail._folders, *mail._common.values()))  # noqa: SLF001
        patch.setattr(AccountMail, "_try_all", try_all)
        names = once(misspelt, lambda given, fields: (frozenset(name for name in given if given[name]), *fields))
        patch.setattr("app.core.settings.model.misspelt", names)
        yield
