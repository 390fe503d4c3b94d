"""What is read out of certificates: names, addresses, and the subject as text."""

from __future__ import annotations

import ssl
from pathlib import Path

from pierhead.transports.certificate import alternative_names, distinguished_name
from tests.certificates import make_certificate


def der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


def test_the_names_and_addresses_a_certificate_is_for(tmp_path: Path) -> None:
    names = ["DNS:a.example", "DNS:*.b.example", "email:me@a.example", "IP:192.0.2.1", "IP:2001:db8::1"]
    certificate, _ = make_certificate(tmp_path, "a", *names)
    found = ["a.example", "*.b.example", "192.0.2.1", "2001:db8::1"]
    assert alternative_names(der(certificate)) == found


def test_names_that_are_critical_are_read_as_well(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "a", "critical", "DNS:a.example")
    assert alternative_names(der(certificate)) == ["a.example"]


def test_many_names_take_long_lengths(tmp_path: Path) -> None:
    names = [f"host-{number}.example" for number in range(40)]
    certificate, _ = make_certificate(tmp_path, "a", *(f"DNS:{name}" for name in names))
    assert alternative_names(der(certificate)) == names


def test_a_certificate_without_names_is_for_none(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "a")
    assert alternative_names(der(certificate)) == []


def test_what_is_cut_off_ends_there(tmp_path: Path) -> None:
    whole = der(make_certificate(tmp_path, "a", "DNS:a.example")[0])
    for end in range(len(whole)):
        assert all("a.example".startswith(name) for name in alternative_names(whole[:end]))


def test_a_subject_is_written_from_its_end() -> None:
    subject = ((("countryName", "DE"),), (("organizationName", "A+B"), ("x", "1")), (("commonName", "me"),))
    assert distinguished_name({"subject": subject}) == "CN=me,O=A\\+B+x=1,C=DE"
    assert distinguished_name({}) is None
