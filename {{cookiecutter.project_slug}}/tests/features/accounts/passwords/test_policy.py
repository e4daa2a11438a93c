"""Which passwords may be set: on every path, said in words, and no good one refused."""

import base64
import random
import re
import string
import time

import pytest
from pydantic import SecretStr

from app.access.roles import Role
from app.core.errors import Unprocessable
from app.features.accounts.passwords import policy as password_policy
from app.features.accounts.passwords.common_passwords import listed_passwords
from app.features.accounts.passwords.hasher import LONGEST_PASSWORD, SHORTEST_PASSWORD, AcceptedPassword, PasswordHasher
from app.features.accounts.passwords.policy import PasswordPolicy
from tests.conftest import MakeSettings, StartService
from tests.support.processes.server import PROJECT
from tests.support.service import Service

LIST, PATTERN = "list of common", "a repetition, a count or a walk"
SERVICE, USER, COMMON = "a name of this service", "your name or your address", "one common password"
WORDS = """
    amber anchor apron badge basil bell bench birch blaze brick candle canyon cedar chalk cliff cloud coral crane
    dagger daisy delta desk drum eagle ember fable falcon fern flute forge garnet ginger glove grape harbor hazel
    heron indigo ivory jacket kettle ladder lantern lemon linen maple marble meadow mirror nectar needle oak olive
    otter paddle pearl pebble pepper pigeon plum pocket quill rabbit raven ribbon river rocket saddle sail shell
    spoon stone sugar thistle timber tulip turtle valley velvet violin walnut willow window yarn zebra
""".split()  # noqa: SIM905  # a list of words reads best as words


@pytest.fixture
def policy(make_settings: MakeSettings) -> PasswordPolicy:
    """The policy of a service with a name and a host of its own."""
    settings = make_settings(
        app_name="Rosebud Ledger", public_url="https://harbor.bluebird.example", admin_email="ops@fernhill.example"
    )
    return PasswordPolicy(settings, PasswordHasher())


def refusal(policy: PasswordPolicy, password: str) -> str:
    """Why it is refused for Ada; empty where it is not. The password is in no text of the error."""
    refused = None
    try:
        accepted = policy.check(SecretStr(password), email="ada.byron1815@lovelace.example", display_name="Ada Königin")
    except Unprocessable as problem:
        refused = problem
    if refused is None:
        assert password not in repr(accepted)
        return ""
    assert refused.errors == [{"location": ["body", "new_password"], "reason": refused.detail}]
    assert "Take several unrelated words" in refused.detail
    assert not password or password not in repr((refused, refused.errors))
    return refused.detail


@pytest.mark.asvs("6.2.5", "6.2.9")
@pytest.mark.parametrize(
    "password",
    [
        "lantern otter plum",
        "lanternotterplumsoup",
        "LANTERN OTTER PLUM",
        "592 047 183 660 29",
        "59204718366029",
        "         lantern ✈ otter          plum   ",
        "🐶🐱🐭🐹🐰🦊🐻🐼🐨🐯🦁🐮🐷🐸🐵",
        "正しい馬電池ホッチキスの針は丈夫",
        "тридцать три коровы",
        "ada and the seven otters",
        "my password is a lantern",
        "admin of nothing but otters",
        "a verse that all of us say, a verse that all of us say",
        "nul\0 and \x1b controls too",
        "p" + "a nice long one, with no end in sight; " * 3 + "qrstz 12",
    ],
)
def test_any_kind_of_character_makes_a_password(policy: PasswordPolicy, password: str) -> None:
    """Letters alone, digits alone, spaces, emoji, any script, and up to 128 characters."""
    password = password.ljust(SHORTEST_PASSWORD, "7")
    assert refusal(policy, password) == ""


@pytest.mark.asvs("6.2.1", "6.2.9")
def test_length_is_counted_in_code_points_as_typed_and_as_hashed(policy: PasswordPolicy) -> None:
    """The first and the last that do; a form that shrinks or grows must fit both ways."""
    longest = "".join(random.Random(1).choices(string.ascii_letters, k=128))  # noqa: S311  # a text, no secret
    assert refusal(policy, longest) == ""
    assert "more than 128" in refusal(policy, longest + "x")
    assert refusal(policy, longest[:15]) == ""
    assert "fewer than 15" in refusal(policy, longest[:14])
    assert "fewer than 15" in refusal(policy, "o\u0308a\u0308u\u0308" * 3)
    assert "more than 128" in refusal(policy, "\ufdfa lantern otter " * 7)
    assert "fewer than 15" in refusal(policy, "")


@pytest.mark.asvs("6.2.8")
def test_nothing_but_the_normal_form_is_changed(policy: PasswordPolicy) -> None:
    """No trimming, no folding, no cut."""
    accepted = policy.check(SecretStr("  Zwo\u0308lf Otter, PLUMS  "), email="a@b.example", display_name=None)
    assert accepted.normalized.get_secret_value() == "  Zwölf Otter, PLUMS  "


@pytest.mark.asvs("6.2.4", "6.2.12")
def test_every_password_of_the_list_is_refused(policy: PasswordPolicy) -> None:
    """All that are long enough to be set, in any case; and the famous ones."""
    passwords = [entry for entry in listed_passwords() if len(entry) >= SHORTEST_PASSWORD]
    assert len(passwords) >= 3000
    for password in passwords:
        assert LIST in refusal(policy, password)
        assert LIST in refusal(policy, password.swapcase())


@pytest.mark.asvs("6.2.4", "6.2.11")
@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Correct-Horse-Battery-Staple1", LIST),
        ("Per aspera ad astra!", LIST),
        ("aaaaaaaaaaaaaaa", LIST),
        (" " * 15, PATTERN),
        ("🙂" * 15, PATTERN),
        ("kjHG76%%kjHG76%%", PATTERN),
        ("Xk7!Xk7!Xk7!Xk7!Xk7!", PATTERN),
        ("Zm4%rTq9vbZm4%rTq9vb", PATTERN),
        ("zebra-lamp1zebra-lamp2", PATTERN),
        ("11 12 13 14 15 16 17", PATTERN),
        ("zyxwvutsrqponmlkj", PATTERN),
        ("poiuytrewqlkjhgf!", PATTERN),
        ("RosebudLedger2024", SERVICE),
        ("r0s3bud-r0s3bud-l3dg3r", SERVICE),
        ("Bluebird!!harbor99", SERVICE),
        ("fernhill, ops of fernhill", SERVICE),
        ("Administrator#2024", SERVICE),
        ("admin-auditor-member", SERVICE),
        ("Lovelace!Lovelac3", USER),
        ("Lovelace!1815!byron", USER),
        ("königin.KÖNIGIN.2024x", USER),
        ("@d@.byron1815@Lov3lace", USER),
        ("ada rosebud lovelace", USER),
        ("Password2024!!!!", COMMON),
        ("p4$$w0rd-p4$$w0rd-ada", COMMON),
        ("IloveyouRosebud!1", COMMON),
        ("!!!Dragon 2019-03-04", COMMON),
    ],
)
def test_what_is_tried_first_is_refused_in_words(policy: PasswordPolicy, password: str, why: str) -> None:
    """Listed, repeated, counted, walked, or made of names or of one common word, whatever fills it up."""
    assert why in refusal(policy, password)


def test_names_of_others_and_short_names_are_no_reason(policy: PasswordPolicy) -> None:
    """A name is crossed out, not forbidden; three letters are in too many words."""
    password = SecretStr("Lovelace!1815!byron")
    policy.check(password, email="bob@people.example", display_name="Bob")
    policy.check(SecretStr("bob bob and bobsled"), email="bob@bo.example", display_name="Bob")
    policy.check(SecretStr("Lovelace 4829 7105 3386 92"), email="x@lovelace.example", display_name=None)


def test_passphrases_and_random_passwords_are_not_refused(policy: PasswordPolicy) -> None:
    """Thousands of four words, of five without a space, and of what password managers make."""
    draw = random.Random(63)  # noqa: S311  # samples, no secrets
    good = [draw.choice([" ", "-", "1"]).join(draw.sample(WORDS, 4)) for _ in range(2000)]
    good += ["".join(draw.sample(WORDS, 5)) for _ in range(1000)]
    good += [base64.b64encode(draw.randbytes(18)).decode() for _ in range(1000)]
    good += [draw.randbytes(16).hex() for _ in range(1000)]
    assert [password for password in good if len(password) >= SHORTEST_PASSWORD and refusal(policy, password)] == []


@pytest.mark.parametrize(
    "text", ["a", "ab", "lovelace", "abcdefghijklm", "password", "1 ", "\u0390", "aab", "p4$$w0rd!", "qazwsx"]
)
def test_a_check_is_quick_whatever_is_sent(policy: PasswordPolicy, text: str) -> None:
    """The longest password of every kind that a search could stumble over: some milliseconds at most."""
    password = (text * LONGEST_PASSWORD)[:LONGEST_PASSWORD]
    refusal(policy, password)
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        refusal(policy, password)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.005


@pytest.mark.asvs("6.1.2", "2.1.3", "6.1.1")
def test_the_docs_have_the_numbers_of_the_code() -> None:
    """In the order in which they stand."""
    text = (PROJECT / "docs" / "passwords.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^\|.*\| (\d+) \|$", text, re.MULTILINE)]
    limits = (password_policy.SHORTEST_NAME, password_policy.FEWEST_LEFT, password_policy.MOST_PADDING)
    assert numbers[:5] == [SHORTEST_PASSWORD, LONGEST_PASSWORD, *limits]
    assert all(f"`{name}`" in text for name in ("APP_NAME", "PUBLIC_URL", "ADMIN_EMAIL", "administrator"))


@pytest.mark.anyio
async def test_no_path_can_set_a_password_that_was_not_accepted() -> None:
    """A hash is made of an `AcceptedPassword` alone, which only the policy makes; argon2 is used in one module."""
    hasher = PasswordHasher()
    with pytest.raises(AttributeError):
        await hasher.hash(SecretStr("a text that nobody has judged"))  # type: ignore[arg-type]
    await hasher.pool.close()
    sources = {
        path.relative_to(PROJECT).as_posix(): path.read_text("utf-8") for path in (PROJECT / "app").rglob("*.py")
    }
    assert [name for name, text in sources.items() if re.search(r"AcceptedPassword\(|cast\(.*Accepted", text)] == [
        "app/features/accounts/passwords/policy.py"
    ]
    assert [
        name for name, text in sources.items() if re.search(r"^(from|import) (pwdlib|argon2)", text, re.MULTILINE)
    ] == ["app/features/accounts/passwords/hasher.py"]
    assert AcceptedPassword.__slots__ == ("normalized",)


async def change(service: Service, bearer: dict[str, str], current: str, new: str) -> tuple[int, str]:
    """Ask for another password: the status and the body."""
    body = {"current_password": current, "new_password": new}
    answer = await service.client.post("/api/v1/users/me/password", json=body, headers=bearer)
    return answer.status_code, answer.text


@pytest.mark.anyio
@pytest.mark.asvs("6.2.4", "6.2.11", "6.2.12")
async def test_a_change_of_password_is_judged(start: StartService, capsys: pytest.CaptureFixture[str]) -> None:
    """Over HTTP: 422 with where, why and how to do better, never the password, which stays as it was."""
    async with start(app_name="Rosebud Ledger") as service:
        person = await service.person(email="ada.byron@lovelace.example")
        tokens = await service.sign_in(person)
        listed = [entry for entry in listed_passwords() if len(entry) >= SHORTEST_PASSWORD]
        for new in [
            *listed[::400],
            "Lovelace#2024#byron",
            "Rosebud-Ledger-2024",
            "Password2024!!!!",
            "ö" + "o\u0308" * 7,
        ]:
            status, text = await change(service, tokens.bearer, person.password, new)
            assert status == 422
            assert '"location":["body","new_password"]' in text
            assert "Take several unrelated words" in text
            assert new not in text
            assert new not in capsys.readouterr().out
        assert (await change(service, tokens.bearer, "wrong", listed[0]))[0] == 403
        await service.sign_in(person)


@pytest.mark.anyio
async def test_the_name_of_this_moment_counts(service: Service) -> None:
    """A change of name comes before a change of password."""
    person, tokens = await service.signed_in(Role.MEMBER)
    await service.client.patch("/api/v1/users/me", json={"display_name": "Wilhelmina"}, headers=tokens.bearer)
    assert (await change(service, tokens.bearer, person.password, "Wilhelmina!!2024"))[0] == 422
