"""Which network addresses may be dialled: a table with a reason per row, and one predicate.

Python's ``is_global`` is asked too, but not trusted alone: it lets through multicast, 6to4, NAT64 and the addresses
that clouds give to their host agents, and its answers differ from one Python release to the next.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from food_vision.settings import Network

Address = IPv4Address | IPv6Address


class Row(NamedTuple):
    """A network that links may not point into, and why."""

    network: Network
    reason: str


def _rows(*rows: tuple[str, str]) -> tuple[Row, ...]:
    return tuple(Row(ip_network(network), reason) for network, reason in rows)


REFUSED = _rows(
    ("0.0.0.0/8", "this host on this network (RFC 1122); Linux connects 0.0.0.0 to itself"),
    ("10.0.0.0/8", "private (RFC 1918)"),
    ("100.64.0.0/10", "shared by carriers and clouds for inner traffic (RFC 6598)"),
    ("127.0.0.0/8", "loopback (RFC 1122)"),
    ("169.254.0.0/16", "link-local (RFC 3927); clouds hand out credentials on 169.254.169.254 and 169.254.170.2"),
    ("172.16.0.0/12", "private (RFC 1918)"),
    ("192.0.0.0/24", "protocol assignments (RFC 6890); 192.0.0.192 is a cloud's metadata service"),
    ("192.0.2.0/24", "documentation (RFC 5737)"),
    ("192.88.99.0/24", "6to4 relay anycast, given up (RFC 7526)"),
    ("192.168.0.0/16", "private (RFC 1918)"),
    ("198.18.0.0/15", "benchmarks (RFC 2544)"),
    ("198.51.100.0/24", "documentation (RFC 5737)"),
    ("203.0.113.0/24", "documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast (RFC 5771)"),
    ("240.0.0.0/4", "reserved, and broadcast (RFC 1112, RFC 919)"),
    ("168.63.129.16/32", "a cloud's host agent, reachable from every virtual machine in it"),
    ("2001::/23", "protocol assignments (RFC 2928): Teredo wraps an IPv4 address, ORCHID is not routed"),
    ("2001:db8::/32", "documentation (RFC 3849)"),
    ("2002::/16", "6to4 (RFC 3056): wraps an IPv4 address"),
    ("3fff::/20", "documentation (RFC 9637)"),
)

# Everything that may be reached over IPv6 lies here (RFC 4291, section 2.4). Asking for it refuses loopback, unique
# local, link-local, site-local, multicast, NAT64, IPv4-compatible and IPv4-translated addresses all at once, and with
# them whatever is carved out of the rest tomorrow.
GLOBAL_UNICAST = IPv6Network("2000::/3")

# An interface id of 0000:5efe or 0200:5efe and an IPv4 address is a tunnel to that address (ISATAP, RFC 5214). The two
# bits that may differ are the universal and the group bit.
ISATAP_MASK, ISATAP_ID = 0xFCFF_FFFF, 0x0000_5EFE


def refusal(address: str, allow_networks: Iterable[Network] = ()) -> str | None:
    """Say why an address may not be dialled, for the log only; ``None`` where it may.

    Args:
        address: As a resolver gives it: dotted IPv4, or IPv6 without brackets.
        allow_networks: Networks that pass whatever the table says.
    """
    try:
        parsed = _unwrapped(ip_address(address))
    except ValueError:
        return "not an address"
    if _scope(parsed):
        return "a scope id points at one interface of this machine"
    if _lies_in(parsed, allow_networks):
        return None
    return _ipv6_refusal(parsed) or _table_refusal(parsed)


def is_address(host: str) -> bool:
    """Tell whether a host is an address in its plain spelling: for that no look-up has another answer than itself.

    What only a resolver takes for an address (``0x7f.1``, ``2130706433``) is none here, and neither is ``010.0.0.1``,
    which resolvers read in two ways.
    """
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_listed(address: str, networks: Iterable[Network]) -> bool:
    """Tell whether an address, IPv4-mapped or not, lies in one of the networks."""
    return _lies_in(_unwrapped(ip_address(address)), networks)


def _unwrapped(address: Address) -> Address:
    """``::ffff:127.0.0.1`` is dialled as 127.0.0.1, so it is judged as 127.0.0.1."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped and not address.scope_id:
        return address.ipv4_mapped
    return address


def _scope(address: Address) -> str | None:
    return address.scope_id if isinstance(address, IPv6Address) else None


def _lies_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _ipv6_refusal(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return None
    if address not in GLOBAL_UNICAST:
        return "outside global unicast (RFC 4291)"
    if (int(address) >> 32) & ISATAP_MASK == ISATAP_ID:
        return "an ISATAP interface id wraps an IPv4 address (RFC 5214)"
    return None


def _table_refusal(address: Address) -> str | None:
    for row in REFUSED:
        if address in row.network:
            return f"in {row.network}: {row.reason}"
    if not address.is_global or address.is_multicast:
        return "not global (IANA special-purpose registries)"
    return None
