"""The one predicate: which addresses may be dialled."""

from ipaddress import ip_network

import pytest

from food_vision.intake.addresses import is_address, is_listed, refusal
from tests.bad_addresses import BAD_ADDRESSES

GOOD_ADDRESSES = [
    pytest.param("8.8.8.8", id="public"),
    pytest.param("1.1.1.1", id="public, low"),
    pytest.param("9.255.255.255", id="below 10/8"),
    pytest.param("11.0.0.0", id="above 10/8"),
    pytest.param("100.63.255.255", id="below carrier NAT"),
    pytest.param("100.128.0.0", id="above carrier NAT"),
    pytest.param("126.255.255.255", id="below loopback"),
    pytest.param("128.0.0.1", id="above loopback"),
    pytest.param("169.253.255.255", id="below link-local"),
    pytest.param("169.255.0.0", id="above link-local"),
    pytest.param("172.15.255.255", id="below 172.16/12"),
    pytest.param("172.32.0.0", id="above 172.16/12"),
    pytest.param("192.0.1.0", id="between protocol assignments and documentation"),
    pytest.param("192.167.255.255", id="below 192.168/16"),
    pytest.param("192.169.0.0", id="above 192.168/16"),
    pytest.param("198.17.255.255", id="below benchmarks"),
    pytest.param("198.20.0.0", id="above benchmarks"),
    pytest.param("223.255.255.255", id="below multicast"),
    pytest.param("168.63.129.15", id="beside the host agent"),
    pytest.param("::ffff:8.8.8.8", id="v4-mapped public"),
    pytest.param("2606:4700::1111", id="v6 public"),
    pytest.param("2001:4860:4860::8888", id="v6 public near the assignments"),
    pytest.param("2001:200::1", id="first after 2001::/23"),
    pytest.param("2a00:1450:4001::5efe", id="5efe elsewhere is no ISATAP"),
]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_refused(address: str) -> None:
    assert refusal(address)


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_passes(address: str) -> None:
    assert refusal(address) is None


@pytest.mark.parametrize(
    "address", ["", "localhost", "127.1", "0177.0.0.1", "2130706433", "0x7f000001", "1.2.3.4 ", "[::1]", "127.0.0.01"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert refusal(address) == "not an address"
    assert not is_address(address)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        pytest.param("10.1.2.3", "10.1.0.0/16", id="private"),
        pytest.param("::ffff:10.1.2.3", "10.1.0.0/16", id="private, v4-mapped"),
        pytest.param("127.0.0.1", "127.0.0.0/8", id="loopback"),
        pytest.param("fd00:ec2::254", "fd00::/8", id="unique local"),
        pytest.param("224.0.0.1", "224.0.0.0/4", id="multicast"),
    ],
)
def test_allowed_networks_win(address: str, network: str) -> None:
    assert refusal(address)
    assert refusal(address, [ip_network(network)]) is None
    assert is_listed(address, [ip_network(network)])


@pytest.mark.parametrize(
    ("address", "network"),
    [
        pytest.param("10.2.0.0", "10.1.0.0/16", id="beside it"),
        pytest.param("::10.1.0.1", "10.1.0.0/16", id="v4-compatible is not v4"),
        pytest.param("64:ff9b::a01:1", "10.1.0.0/16", id="NAT64 is not v4"),
        pytest.param("fe80::1%lo", "fe80::/10", id="scopes stay refused"),
    ],
)
def test_allowed_networks_allow_no_more(address: str, network: str) -> None:
    assert refusal(address, [ip_network(network)])


def test_reasons_name_the_row_for_the_log() -> None:
    assert "169.254.0.0/16" in str(refusal("169.254.169.254"))
