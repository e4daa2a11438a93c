"""Secrets that are recognised by their shape, in any text: messages, exceptions, statements, addresses.

A shape catches what stands in running text, where no key tells. It errs towards hiding: a harmless word after
`password=` goes too, and so does every e-mail address, which is personal data (ASVS 14.2.4, 16.2.5).
"""

import re

MASK = "**********"

_PREFIXES = ("rt_", "vrf_", "pwr_", "eml_", "inv_", "cs_", "ac_", "ak_")  # of this service's own tokens
_PREFIX = "|".join(_PREFIXES)
# Without one of these, no shape can match; most values of a line (identifiers, methods, routes) have none.
_CANDIDATE = re.compile(rf"[^\w./{{}}-]|eyJ|{_PREFIX}")

_QUOTED = r"""b?(?:"(?:[^"\\]|\\[\s\S])*(?:"|$)|'(?:[^'\\]|\\[\s\S])*(?:'|$))"""
# Before these ends a value without quotes, which may have blanks in it: another name and its value, or an option.
_NEXT = r"""(?:["'(\[{]{0,2}[\w.\[\]-]{1,40}["']?\s{0,4}(?:=|:(?!//))|--[a-z]|-[a-z]\s|HTTP/\d)"""
_WORD = r"(?:[^\s&]++|&(?=\s))+"  # `&` ends the value in a form, and not where a blank follows
_LIST = rf"(?:[(\[{{]\s{{0,40}}){{1,4}}{_QUOTED}(?:\s{{0,40}},\s{{0,40}}{_QUOTED}){{0,64}}"  # on several lines, too
_VALUE = rf"(?:{_QUOTED}|{_LIST}|{_WORD}(?:[^\S\r\n]++(?!{_NEXT}){_WORD})*)"
# Between a name and its value: `=`, `:`, `=>`, also quoted, or a comma in a pair such as `('password', 'x')`.
_ASSIGNED = r"""(?:\\?["']?\s{0,4}(?:=>|=|:|%3[adAD]|&gt;)|\\?["']\s{0,4},)\s{0,40}\\?"""
# The same where they are members or attributes of one object, head and body of a part of a form, or the value is in
# quotes behind the name.
_TOLD = (
    r"""(?:\\?["']?\s{0,40}[)\]]?\s{0,4}[,;]?\s{0,40}[(\[]?\s{0,40}\\?["']?\bvalue\\?["']?\s{0,4}[=:,]\s{0,40}\\?"""
    r"""|["'][^<>{}]{0,80}?\bvalue=|"?(?:\r?\n|\\r\\n|\\n){2}|\s{1,4}(?=b?["'](?!HTTP/)))"""
)
_NAME = (
    r"(?:passw(?:or)?d|passphrase|(?<![a-z])pass(?![a-z])|\bpwd|\bpw|secret(?!s:)|token|credential|assertion|code_verifier"
    r"|(?:api|private|signing|encryption|access|master|session)[\s_-]?key|recovery[\s_-]?code|csrf|xsrf|\bjwt|\bt?otp|\bpin|(?<![a-z])auth(?![a-z]))"
)
_NAME_HINTS = (
    "pass", "pwd", "pw", "secret", "token", "key", "credential", "assertion", "code", "srf", "jwt", "otp", "pin",
    "auth",
)  # fmt: skip
# What PostgreSQL adds to an error ends here, on as many lines as the values of the row have.
_END_OF_DETAIL = r"(?=\n\[SQL|\n\(Background|\Z)"

# Each shape after the texts of which one must be there, in lower case. A mask takes the place of what it matches, but
# for its group.
_SHAPES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("private key",), r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)"),
    (("eyj",), r"eyJ[A-Za-z0-9_-]{8,}={0,2}(?:\.[A-Za-z0-9_-]*){0,4}"),
    (_PREFIXES, rf"\b(?:{_PREFIX})[A-Za-z0-9_-]{{16,}}"),
    (("$",), r"\$(?:argon2\w*|2[abxy]|scrypt|pbkdf2[\w-]*|[156y])\$[^\s'\")]+"),
    (
        ("detail:", "failing row", ")=(", "parameters:"),
        rf"(?s)(DETAIL: |Failing row contains |\)=|\[parameters: ).*?{_END_OF_DETAIL}",
    ),
    (
        ("query argument", "input syntax"),
        rf"(?s)(query argument \$\d+: |input syntax for [\w ]{{1,40}}: ).*?{_END_OF_DETAIL}",
    ),
    # A cookie alone: a browser takes one with such a name from a secure origin only, so its value opens something.
    (("__",), rf"(?i)(__(?:Host|Secure)-[\w-]{{1,40}}{_ASSIGNED})[^\s;,]+"),
    # Header fields: everything up to the end of the line, for a cookie field holds many pairs.
    (("authorization", "cookie"), rf"(?i)((?:authorization|cookie2?)[\w-]{{0,20}}{_ASSIGNED})(?:{_QUOTED}|[^\r\n]+)"),
    (("bearer", "basic", "dpop"), r"""(?i)\b((?:bearer|basic|dpop)(?:\s|%20|\+){1,4})["']?[^\s"',;<>]+"""),
    # A value behind its name, or behind an option of a command. Possessive (`+`): no shorter name could be followed by
    # what assigns, and to try each takes long.
    (
        _NAME_HINTS,
        (
            rf"(?i)({_NAME}[\w\[\].-]{{0,40}}+(?:{_TOLD}|{_ASSIGNED})"
            rf"|(?<![\w-])--?[\w-]{{0,20}}{_NAME}[\w-]{{0,40}}+\s{{1,4}}){_VALUE}"
        ),
    ),
    # A pair without quotes, and the text of an element of XML or HTML that is called so or has such an attribute.
    (_NAME_HINTS, rf"(?i)([(\[]\s{{0,4}}{_NAME}[\w.-]{{0,40}}+\s{{0,4}},\s{{0,4}})[^,()\[\]]{{1,256}}(?=[)\]])"),
    (_NAME_HINTS, rf"(?is)(<(?!/)[^<>]{{0,80}}?{_NAME}[^<>]{{0,200}}>)(?:<!\[CDATA\[.*?(?:\]\]>|\Z)|[^<]+)"),
    # Pydantic's errors and OAuth's answers.
    (("input", "code", "state"), rf"(\binput(?:_value)?{_ASSIGNED}|[?&](?:code|state)=)(?:{_QUOTED}|[^\s&]+)"),
    # Credentials in a URL; a port, which also follows a colon, is none. Without an `@` it is not even looked for.
    (("@",), r"""(://)(?:[^\s/"'<>]{1,256}|[^\s/:@"'<>]{0,256}:(?!\d{1,5}[/?#])[^\s"'<>]{0,256})(?=@)"""),
    # An e-mail address. One candidate a word, so that a long text costs no more than its length.
    (("@", "%40"), r"""(?<![^\s"'<>(){}\[\],;:=&/?|@])[^\s"'<>(){}\[\],;:=&/?|@]+(?:@|%40)[\w-]+(?:\.[\w-]+)+"""),
)
_HINTS = sorted({hint for hints, _ in _SHAPES for hint in hints})
_COMPILED = [(frozenset(hints), re.compile(shape)) for hints, shape in _SHAPES]
_MASKED = [(hints, shape.sub, rf"\1{MASK}" if shape.groups else MASK) for hints, shape in _COMPILED]


def may_hold_secrets(text: str) -> bool:
    """Return whether any shape could match: a quick answer, for most values of a line hold nothing of the kind."""
    return _CANDIDATE.search(text) is not None


def redact_shapes(text: str) -> str:
    """Put a mask in the place of everything that has the shape of a secret or of an e-mail address."""
    lowered = text.lower()
    found = [hint for hint in _HINTS if hint in lowered]
    if found:
        for hints, substitute, replacement in _MASKED:
            if not hints.isdisjoint(found):
                text = substitute(replacement, text)
    return text
