"""Secrets that are recognised by their shape, in any text: messages, exceptions, statements, addresses.

A shape catches what stands in running text, where no key tells. It errs towards hiding: a harmless word after
`password=` goes too, and so does every e-mail address, which is personal data (ASVS 14.2.4, 16.2.5).
"""

import re

MASK = "**********"

# Without one of these, no shape can match; most values of a line (identifiers, methods, routes) have none.
_CANDIDATE = re.compile(r"[^\w./{}-]|eyJ|(?:rt|vrf|pwr|eml|inv|cs|ac)_")

_QUOTED = r"""b?(?:"(?:[^"\\]|\\[\s\S])*(?:"|$)|'(?:[^'\\]|\\[\s\S])*(?:'|$))"""
# Before these ends a value without quotes, which may have blanks in it: another name and its value, or an option.
_NEXT = r"""(?:["'(\[{]{0,2}[\w.\[\]-]{1,40}["']?\s{0,4}(?:=|:(?!//))|--[a-z]|-[a-z]\s|HTTP/\d)"""
_WORD = r"(?:[^\s&]++|&(?=\s))++"  # `&` ends the value in a form, and not where a blank follows
_VALUE = rf"(?:{_QUOTED}|{_WORD}(?:[^\S\r\n]++(?!{_NEXT}){_WORD})*)"
# Between a name and its value: `=`, `:`, `=>`, also quoted, or a comma in a pair such as `('password', 'x')`.
_ASSIGNED = r"""(?:\\?["']?\s{0,4}(?:=>|=|:|%3[adAD]|&gt;)|\\?["']\s{0,4},)\s{0,4}\\?"""
# The same where they are members or attributes of one object, head and body of a part of a form, or the value is in
# quotes behind the name.
_TOLD = (
    r"""(?:\\?["']?\s{0,4}[,;]?\s{0,4}\\?["']?\bvalue\\?["']?\s{0,4}[=:]\s{0,4}\\?"""
    r"""|["'][^<>{}]{0,80}?\bvalue=|"?(?:\r?\n|\\r\\n|\\n){2}|\s{1,4}(?=b?["'](?!HTTP/)))"""
)
_NAME = (
    r"(?:passw(?:or)?d|passphrase|(?<![a-z])pass(?![a-z])|\bpwd|\bpw|secret(?!s:)|token|credential|assertion|code_verifier"
    r"|(?:api|private|signing|encryption|access|master|session)[\s_-]?key|recovery[\s_-]?code|csrf|xsrf|\bjwt|\bt?otp|\bpin|(?<![a-z])auth(?![a-z]))"
)
_NAME_HINTS = (
    "pass",
    "pwd",
    "pw",
    "secret",
    "token",
    "key",
    "credential",
    "assertion",
    "code",
    "srf",
    "jwt",
    "otp",
    "pin",
    "auth",
)

# Each shape with the texts of which one must be there, in lower case, and what to put in its place.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (
        ("private key",),
        re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)", re.DOTALL),
        MASK,
    ),
    (("eyj",), re.compile(r"eyJ[A-Za-z0-9_-]{8,}={0,2}(?:\.[A-Za-z0-9_-]*){0,4}"), MASK),
    (
        ("rt_", "vrf_", "pwr_", "eml_", "inv_", "cs_", "ac_"),
        re.compile(r"\b(?:rt|vrf|pwr|eml|inv|cs|ac)_[A-Za-z0-9_-]{16,}"),
        MASK,
    ),
    (("$",), re.compile(r"\$(?:argon2\w*|2[abxy]|scrypt|pbkdf2[\w-]*|[156y])\$[^\s'\")]+"), MASK),
    # What PostgreSQL adds to an error holds the values of the row, on as many lines as they have.
    (
        ("detail:", "failing row", ")=(", "parameters:"),
        re.compile(r"(DETAIL: |Failing row contains |\)=|\[parameters: ).*?(?=\n\[SQL|\n\(Background|\Z)", re.DOTALL),
        rf"\1{MASK}",
    ),
    (
        ("query argument", "input syntax"),
        re.compile(
            r"(query argument \$\d+: |input syntax for [\w ]{1,40}: ).*?(?=\n\[SQL|\n\(Background|\Z)", re.DOTALL
        ),
        rf"\1{MASK}",
    ),
    # A cookie alone: a browser takes one with such a name from a secure origin only, so its value opens something.
    (("__",), re.compile(rf"(__(?:Host|Secure)-[\w-]{{1,40}}{_ASSIGNED})[^\s;,]+", re.IGNORECASE), rf"\1{MASK}"),
    # Header fields: everything up to the end of the line, for a cookie field holds many pairs.
    (
        ("authorization", "cookie"),
        re.compile(rf"((?:authorization|cookie2?)[\w-]{{0,20}}{_ASSIGNED})(?:{_QUOTED}|[^\r\n]+)", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (
        ("bearer", "basic", "dpop"),
        re.compile(r"""\b(bearer|basic|dpop)((?:\s|%20|\+){1,4})["']?[^\s"',;<>]+""", re.IGNORECASE),
        rf"\1\2{MASK}",
    ),
    (
        _NAME_HINTS,
        # Possessive (`+`): no shorter name could be followed by what assigns, and to try each takes long.
        re.compile(
            rf"({_NAME}[\w\[\].-]{{0,40}}+(?:{_TOLD}|{_ASSIGNED})"
            rf"|(?<![\w-])--?[\w-]{{0,20}}{_NAME}[\w-]{{0,40}}+\s{{1,4}}){_VALUE}",  # an option of a command
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # A pair without quotes, and the text of an element of XML or HTML that is called so or has such an attribute.
    (
        _NAME_HINTS,
        re.compile(
            rf"([(\[]\s{{0,4}}{_NAME}[\w.-]{{0,40}}+\s{{0,4}},\s{{0,4}})[^,()\[\]]{{1,256}}(?=[)\]])", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    (
        _NAME_HINTS,
        re.compile(
            rf"(<(?!/)[^<>]{{0,80}}?{_NAME}[^<>]{{0,200}}>)(?:<!\[CDATA\[.*?(?:\]\]>|\Z)|[^<]+)",
            re.IGNORECASE | re.DOTALL,
        ),
        rf"\1{MASK}",
    ),
    # Pydantic's errors and OAuth's answers.
    (
        ("input", "code", "state"),
        re.compile(rf"(\binput(?:_value)?{_ASSIGNED}|[?&](?:code|state)=)(?:{_QUOTED}|[^\s&]+)"),
        rf"\1{MASK}",
    ),
    # Credentials in a URL; a port, which also follows a colon, is none. Without an `@` it is not even looked for.
    (
        ("@",),
        re.compile(r"""://(?:[^\s/"'<>]{1,256}|[^\s/:@"'<>]{0,256}:(?!\d{1,5}[/?#])[^\s"'<>]{0,256})@"""),
        f"://{MASK}@",
    ),
    # One candidate a word, so that a long text costs no more than its length.
    (
        ("@", "%40"),
        re.compile(r"""(?<![^\s"'<>(){}\[\],;:=&/?|@])[^\s"'<>(){}\[\],;:=&/?|@]+(?:@|%40)[\w-]+(?:\.[\w-]+)+"""),
        MASK,
    ),
)


_HINTS = sorted({hint for hints, _, _ in _SHAPES for hint in hints})
_BY_HINT = tuple((frozenset(hints), shape.sub, replacement) for hints, shape, replacement in _SHAPES)


def may_hold_secrets(text: str) -> bool:
    """Whether any shape could match: a quick answer, for most values of a line hold nothing of the kind."""
    return _CANDIDATE.search(text) is not None


def redact_shapes(text: str) -> str:
    """The text with a mask in the place of everything that has the shape of a secret or of an e-mail address."""
    lowered = text.lower()
    found = [hint for hint in _HINTS if hint in lowered]
    if found:
        for hints, substitute, replacement in _BY_HINT:
            if not hints.isdisjoint(found):
                text = substitute(replacement, text)
    return text
