"""${NAME}: put in after parsing, so that a value stays one part; a missing one is named, a value never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.errors import ConfigurationError
from regionkit.topology import sql_url
from regionkit.topology.variables import expand, expand_url, scrubber

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
AWKWARD = "p@ss:w/o?r#d%41&=+ ${HOME} [é]"


@given(texts)
def test_a_password_needs_no_encoding(password):
    url = expand_url("postgresql://app:x${PW}%2Fy@db:1/d", {"PW": password}, "here")
    parsed = sql_url(url, is_async=False)
    assert parsed.password == f"x{password}/y"
    assert (parsed.username, parsed.host, parsed.port, parsed.database) == ("app", "db", 1, "d")


def test_every_part_may_hold_variables():
    url = expand_url(
        "postgresql://${U}:${P}@${H}:${N}/${D}?application_name=${A}&sslrootcert=${A}+b",
        {"U": AWKWARD, "P": AWKWARD, "H": "::1", "N": "6432", "D": "d?x=y", "A": AWKWARD},
        "here",
    )
    parsed = sql_url(url, is_async=False)
    assert (parsed.username, parsed.password, parsed.host, parsed.port) == (AWKWARD, AWKWARD, "::1", 6432)
    assert parsed.database == "d?x=y"
    assert parsed.query == (("application_name", AWKWARD), ("sslrootcert", f"{AWKWARD} b"))


@given(texts)
def test_a_host_can_not_become_another_part(value):
    url = expand_url("postgresql://app:secret@${H}/d", {"H": value}, "here")
    try:
        parsed = sql_url(url, is_async=False)
    except ConfigurationError:
        return
    assert (parsed.username, parsed.password, parsed.database) == ("app", "secret", "d")
    assert parsed.host == (value or None)


def test_one_variable_alone_is_a_whole_url():
    assert expand_url("${URL}", {"URL": "postgresql://a:b%40c@h/d"}, "here") == "postgresql://a:b%40c@h/d"


def test_a_url_without_variables_is_left_as_it_is():
    assert expand_url("anything at all", {}, "here") == "anything at all"


@pytest.mark.parametrize("make", [expand, expand_url])
@pytest.mark.parametrize("text", ["${NOPE}", "x://a:${NOPE}@h"])
def test_a_missing_variable_is_named_with_its_path(make, text):
    with pytest.raises(ConfigurationError, match=r"stores\.orders\.url: the environment variable NOPE is not set"):
        make(text, {"OTHER": "CANARY"}, "stores.orders.url")


@pytest.mark.parametrize("text", ["${}", "a${b-c}", "${1A}", "x ${ A }", "${UNCLOSED"])
def test_a_misspelt_variable_is_refused(text):
    with pytest.raises(ConfigurationError, match=r"here: '\$\{' begins no variable"):
        expand(text, {}, "here")


def test_values_are_not_looked_into_again():
    assert expand("${A}-${B}", {"A": "${B}", "B": "2"}, "here") == "${B}-2"
    assert expand("plain $HOME {x} $", {}, "here") == "plain $HOME {x} $"


def test_a_scrubber_puts_the_names_back():
    scrub = scrubber("a = '${PW}'\nb = '${LONG} ${N}'", {"PW": "p@ss", "LONG": "p@ssword", "N": "1", "X": "other"})
    assert scrub("p@ssword, p@ss, p%40ss, 1, other") == "${LONG}, ${PW}, ${PW}, 1, other"
