"""Redirect addresses: which can be registered, and which is one of those registered."""

import pytest

from app.features.oauth.clients.redirect_uris import check_redirect_uri, is_registered

GOOD = [
    "https://app.example/callback",
    "https://app.example",
    "https://app.example/",
    "https://app.example:8443/a/b.c/d?tenant=1&x=%2F",
    "https://xn--bcher-kva.example/cb",
    "https://[2001:db8::1]/cb",
    "http://127.0.0.1/cb",
    "http://127.0.0.1:4321/cb",
    "http://[::1]:1/cb",
    "com.example.app:/callback",
    "com.example.app://callback/x",
]
BAD = [
    "",
    "/callback",
    "//app.example/callback",
    "app.example/callback",
    "http://app.example/callback",
    "http://localhost/callback",
    "http://127.0.0.1.evil.example/cb",
    "http://127.1/cb",
    "http://2130706433/cb",
    "http://[::ffff:127.0.0.1]/cb",
    "https://app.example/callback#",
    "https://app.example/callback#top",
    "https://*.app.example/callback",
    "https://app.example/*",
    "https://user@app.example/callback",
    "https://user:password@app.example/callback",
    "https://@app.example/",
    "https://app.example\\@evil.example/",
    "https://app.example/\\evil.example",
    "https://APP.example/callback",
    "HTTPS://app.example/callback",
    "https://app.example:/callback",
    "https://app.example:0/callback",
    "https://app.example:0443/callback",
    "https://app.example:99999/callback",
    "https://app.example./callback",
    "https://.app.example/callback",
    "https://-app.example/callback",
    "https://app_x.example/callback",
    "https:///callback",
    "https:app.example/callback",
    "https://app.example/a/../b",
    "https://app.example/./b",
    "https://app.example/a/%2E%2E/b",
    "https://app.example/a/.%2E",
    "https://app.example/a%2Fb",
    "https://app.example/a%5Cb",
    "https://app.example/a%0D%0Ab",
    "https://app.example/%zz",
    "https://app.example/%2",
    "https://app.example/a b",
    " https://app.example/",
    "https://app.example/\n",
    "https://app.example/é",
    "https://äpp.example/",
    "https://app\u3002example/",
    "https://app.example/?code=1",
    "https://app.example/?a=b&state=",
    "https://app.example/?iss",
    "https://app.example/" + "a" * 500,
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "myapp:/callback",
    "com.example.app:callback",
    "com.example.app://user@host/cb",
    "com.example.app:///callback",
    "urn:ietf:wg:oauth:2.0:oob",
]

REGISTERED = "https://app.example/callback"
# What a browser, a parser or a careless comparison could take for the address that is registered.
VARIANTS = [
    "https://app.example/callback/",
    "https://app.example//callback",
    "https://app.example/callback//",
    "https://app.example/Callback",
    "https://APP.example/callback",
    "HTTPS://app.example/callback",
    "https://app.example:443/callback",
    "https://app.example:444/callback",
    "http://app.example/callback",
    "https://app.example/callback/../callback",
    "https://app.example/callback/..",
    "https://app.example/./callback",
    "https://app.example/x/../callback",
    "https://app.example/callback/%2e%2e/evil",
    "https://app.example/%63allback",
    "https://app.example/callback%2f",
    "https://app.example/callback?",
    "https://app.example/callback?next=https://evil.example",
    "https://app.example/callback#",
    "https://app.example/callback#evil",
    "https://user@app.example/callback",
    "https://app.example@evil.example/callback",
    "https://evil.example#@app.example/callback",
    "https://evil.example\\@app.example/callback",
    "https://app.example\\.evil.example/callback",
    "https://app.example.evil.example/callback",
    "https://evil.app.example/callback",
    "https://evilapp.example/callback",
    "https://app.example./callback",
    "https://app\u3002example/callback",
    "https://app\uff0eexample/callback",
    "https://\u0430pp.example/callback",
    "//app.example/callback",
    "/callback",
    "https:/app.example/callback",
    "https:///app.example/callback",
    "https://app.example/callback ",
    " https://app.example/callback",
    "https://app.example/callback\n",
    "https://app.example/callback\x00",
    "https://app.example/callback\t",
    "https://app.example/callback;x",
    "javascript:alert(1)//https://app.example/callback",
    "https://localhost/callback",
    "",
]

LOOPBACK = "http://127.0.0.1/cb"
LOOPBACK_VARIANTS = [
    "http://127.0.0.1:0/cb",
    "http://127.0.0.1:99999/cb",
    "http://127.0.0.1:/cb",
    "http://127.0.0.1:080/cb",
    "http://127.0.0.1:80@evil.example/cb",
    "http://127.0.0.1:80.evil.example/cb",
    "http://127.0.0.1:8000/cb/",
    "http://127.0.0.1:8000/CB",
    "http://127.0.0.1:8000/cb?x=1",
    "http://127.0.0.1:8000/cb#x",
    "http://127.0.0.2:8000/cb",
    "http://[::1]:8000/cb",
    "http://localhost:8000/cb",
    "http://127.1:8000/cb",
    "https://127.0.0.1:8000/cb",
    "http://127.0.0.1:\u0661\u0662/cb",
    "http://user@127.0.0.1:8000/cb",
]


@pytest.mark.parametrize("uri", GOOD)
def test_takes_an_address_with_one_meaning(uri: str) -> None:
    """It is registered as it is."""
    assert check_redirect_uri(uri) == uri


@pytest.mark.parametrize("uri", BAD, ids=ascii)
def test_refuses_what_could_lead_elsewhere(uri: str) -> None:
    """In words, without the address."""
    with pytest.raises(ValueError, match=r"^(must|has)") as refused:
        check_redirect_uri(uri)
    assert not uri or uri not in str(refused.value)


@pytest.mark.asvs("10.4.1")
@pytest.mark.parametrize("uri", VARIANTS, ids=ascii)
def test_a_variant_is_not_the_address(uri: str) -> None:
    """Character by character, nothing else counts."""
    assert is_registered(REGISTERED, [REGISTERED])
    assert not is_registered(uri, [REGISTERED, LOOPBACK])


@pytest.mark.asvs("10.4.1")
@pytest.mark.parametrize("uri", LOOPBACK_VARIANTS, ids=ascii)
def test_a_loopback_address_may_differ_in_its_port_alone(uri: str) -> None:
    """And in a port that there is."""
    for registered in (LOOPBACK, "http://127.0.0.1:4000/cb"):
        assert is_registered("http://127.0.0.1:51234/cb", [registered])
        assert is_registered(LOOPBACK, [registered])
        assert not is_registered(uri, [registered])
    assert is_registered("http://[::1]:51234/cb", ["http://[::1]/cb"])
    assert not is_registered("https://app.example:444/callback", [REGISTERED])
