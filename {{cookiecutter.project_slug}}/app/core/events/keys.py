"""Security events of the secret key."""

from app.core.events.event import SecurityEvent


class KeyEvent(SecurityEvent):
    """Security events of the secret key."""

    KEY_ROTATED = (
        "key_rotated",
        "`manage rotate-secret-key` made another `SECRET_KEY`",
        "`current`, the name of its key in the trail; `late`",
    )
    KEYS_RETIRED = (
        "keys_retired",
        "`manage rotate-secret-key --retire` removed the earlier keys",
        "`late` where an earlier run was killed before it told",
    )
