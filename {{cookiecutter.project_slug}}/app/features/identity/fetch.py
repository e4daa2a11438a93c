"""Requests to a provider: over TLS, to public addresses, without redirects, bounded in time and size (SSRF).

What a provider's documents name is as untrusted as what a stranger sends. The address that is connected to is the one
that was checked: a name that resolves to another one a moment later changes nothing.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network
from ssl import SSLContext
from typing import cast

import httpx2

from app.features.identity.settings import Provider

SECONDS = 5
LARGEST = 256 * 1024

_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address


class RefusedFetchError(Exception):
    """A provider's document leads where this service does not go, or is none that it reads."""


def is_public(text: str) -> bool:
    """Return whether an address is of the internet, also where IPv6 stands for IPv4."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address.sixtofour or address.teredo:
            return False
        address = ip_address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address.ipv4_mapped or address
    return address.is_global and not address.is_multicast


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error where it is too large."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._body:
            size += len(part)
            if size > LARGEST:
                raise RefusedFetchError("a document is too large")
            yield part

    async def aclose(self) -> None:
        await self._body.aclose()


class ProviderTransport(httpx2.AsyncBaseTransport):
    """Connects to addresses that it has checked. The issuer's own origin may be private if the settings say so."""

    def __init__(self, provider: Provider) -> None:
        issuer = httpx2.URL(provider.issuer)
        # `http://` is this machine in development: the settings let it be nothing else.
        is_exempt = provider.private or issuer.scheme == "http"
        self._exempt = (issuer.scheme, issuer.host, issuer.port) if is_exempt else None
        self._inner = httpx2.AsyncHTTPTransport(verify=_tls(), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; raises `RefusedFetchError`, or what httpx raises."""
        url = request.url
        exempt = (url.scheme, url.host, url.port) == self._exempt
        if url.scheme != "https" and not exempt:
            raise RefusedFetchError("an address is not https")
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        addresses = [str(place[0]) for *_, place in found]
        if not exempt and not all(map(is_public, addresses)):
            raise RefusedFetchError("an address is not public")
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        response = await self._send(request, url, addresses)
        if "Content-Encoding" in response.headers:
            await response.aclose()
            raise RefusedFetchError("a document is compressed, though nobody asked for that")
        stream = _Bounded(cast("httpx2.AsyncByteStream", response.stream))
        return httpx2.Response(response.status_code, headers=response.headers, stream=stream)

    async def _send(self, request: httpx2.Request, url: httpx2.URL, addresses: list[str]) -> httpx2.Response:
        """Send it to the first address that takes it; the certificate and `Host` are those of the name."""
        for address in addresses[:-1]:
            request.url = url.copy_with(host=address)
            try:
                return await self._inner.handle_async_request(request)
            except httpx2.ConnectError:
                continue
        request.url = url.copy_with(host=addresses[-1])
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


@cache
def _tls() -> SSLContext:
    return httpx2.create_ssl_context()
