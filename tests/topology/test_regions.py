"""Regions: names and jurisdictions are checked, and a region is a frozen value."""

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology import Region

KR = Region("ap-northeast-2", "KR")
NOWHERE = Region("lab")


@pytest.mark.parametrize("name", ["a", "us-east-1", "0", "a" * 63])
def test_a_region_takes_usable_names(name):
    assert Region(name).name == name


@pytest.mark.parametrize("name", ["", "-a", "US", "a_b", "a.b", "a" * 64, "a\n", None, 7, "é"])
def test_a_region_refuses_other_names(name):
    with pytest.raises(ConfigurationError, match="not a usable region name"):
        Region(name)


@pytest.mark.parametrize("word", ["", " US", "US ", "a b", 7])
def test_a_region_refuses_unusable_jurisdictions(word):
    with pytest.raises(ConfigurationError, match="not a usable jurisdiction"):
        Region("lab", word)


def test_regions_are_frozen_and_compare_by_value():
    assert Region("lab") == NOWHERE and hash(Region("lab")) == hash(NOWHERE)
    with pytest.raises(AttributeError):
        NOWHERE.name = "other"
    assert (str(KR), str(NOWHERE)) == ("ap-northeast-2 (KR)", "lab")
