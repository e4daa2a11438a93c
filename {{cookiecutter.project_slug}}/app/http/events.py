"""Security events of the HTTP layer."""

from app.core.events import SecurityEvent


class HttpEvent(SecurityEvent):
    """Security events of the HTTP layer."""

    CROSS_ORIGIN_REFUSED = (
        "cross_origin_refused",
        "A page of another origin tried to change something, or a preflight was refused",
    )
    HOST_REFUSED = "host_refused", "The request was for another host"
    RATE_LIMITED = "rate_limited", "An address made too many requests"
