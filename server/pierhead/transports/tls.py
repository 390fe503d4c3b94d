"""TLS: certificates by name, read again when their files change, and what a connection knows of its own.

Everything is `ssl` of the standard library, for TLS 1.2 and later. Each certificate has a context; the one
that listens chooses among them at every handshake, by the name the client asks for (SNI, RFC 6066, 3). So a
renewed certificate counts from the next handshake on, and connections that are open are left alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from pierhead.config.settings import speaks_http2
from pierhead.errors import ConfigError
from pierhead.log import facts
from pierhead.messages.tls import TLSInfo
from pierhead.transports.certificate import alternative_names, distinguished_name
from pierhead.transports.connection import HttpConnection

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.transports.limits import ListenerLimits
    from pierhead.transports.server import Server

__all__ = ["CertificateError", "Certificates", "TlsConnection", "load_certificates"]

logger = logging.getLogger("pierhead.tls")

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERSION_NUMBERS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
# For TLS 1.2: forward secrecy and authenticated encryption only. Those of TLS 1.3 are all of that kind.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

_LOOK_S = 2.0
_CLOSE_TIMEOUT_S = 3.0

_Signature = tuple[tuple[int, int, int], ...]


class CertificateError(ConfigError):
    """A certificate or key cannot be used; the message names the setting, the file and the reason."""


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """The contexts made of the files as they were at one time."""

    default: ssl.SSLContext
    by_name: dict[str, ssl.SSLContext]
    pem: dict[ssl.SSLContext, str]
    """The certificate of each, without its chain."""


class Certificates:
    """The certificates of the settings; raises CertificateError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._look_at = 0.0
        if not settings.tls_certificate:
            raise CertificateError("an https:// listener needs a certificate: set tls_certificate")
        keys = settings.tls_key or settings.tls_certificate
        self._pairs = list(zip(settings.tls_certificate, keys, strict=True))
        self._signature = self._sign()
        self._loaded = self._load()
        self.context = self._make_context(*self._pairs[0])
        """What listens; it has the first certificate."""
        self.context.sni_callback = self._choose
        self.cipher_numbers = {one["name"]: one["id"] & 0xFFFF for one in self.context.get_ciphers()}
        """The number of each cipher suite in IANA's registry, by its name in OpenSSL."""

    def tick(self, now: float) -> None:
        """Look every few seconds whether the files have changed; log what came of it."""
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        try:
            if self.refresh():
                logger.info(
                    "read the certificates again: their files have changed", extra=facts("certificates_read")
                )
        except CertificateError as error:
            logger.error(  # noqa: TRY400
                "the certificates from before stay in use: %s",
                error,
                extra=facts("certificates_not_read", reason=str(error)),
            )

    def refresh(self) -> bool:
        """Read the files again where they have changed; returns whether others are in use now.

        Raises CertificateError where they can't be used: those from before stay in use, and the next try is
        when they change once more.
        """
        signature = self._sign()
        if signature == self._signature:
            return False
        self._signature = signature
        self._loaded = self._load()
        return True

    def pem_of(self, context: ssl.SSLContext) -> str | None:
        """Return the certificate that connections of a context show, in PEM."""
        return self._loaded.pem.get(context)

    def _sign(self) -> _Signature:
        """Return what changes when a file is replaced or written to."""
        found = []
        for path in sorted({path for pair in self._pairs for path in pair}):
            try:
                status = Path(path).stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

    def _load(self) -> _Loaded:
        by_name: dict[str, ssl.SSLContext] = {}
        pem: dict[ssl.SSLContext, str] = {}
        contexts = []
        for certificate, key in self._pairs:
            context = self._make_context(certificate, key)
            contexts.append(context)
            pem[context] = _first_certificate(certificate)
            for name in alternative_names(ssl.PEM_cert_to_DER_cert(pem[context])):
                by_name.setdefault(name.lower(), context)
        return _Loaded(contexts[0], by_name, pem)

    def _make_context(self, certificate: str, key: str) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[settings.tls_minimum_version]
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["h2", "http/1.1"] if speaks_http2(settings) else ["http/1.1"])
        context.options |= ssl.OP_NO_RENEGOTIATION
        for name, path in (("tls_certificate", certificate), ("tls_key", key)):
            try:
                with Path(path).open("rb"):
                    pass
            except OSError as error:
                raise CertificateError(f"{name} {path}: {error.strerror}") from None
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise CertificateError(_reason(certificate, key, error)) from None
        if settings.tls_client_ca:
            try:
                context.load_verify_locations(settings.tls_client_ca)
            except OSError as error:
                why = (
                    error.strerror
                    if not isinstance(error, ssl.SSLError)
                    else "it holds no certificates in PEM"
                )
                raise CertificateError(f"tls_client_ca {settings.tls_client_ca}: {why}") from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Give a handshake the certificate for the name that the client asks for, or the first one."""
        loaded = self._loaded
        asked = (name or "").lower()
        context = loaded.by_name.get(asked)
        if context is None:  # a wildcard stands for one label (RFC 9525, 6.3)
            context = loaded.by_name.get("*." + asked.partition(".")[2], loaded.default)
        connection.context = context


def load_certificates(settings: Settings) -> Certificates:
    """Return the certificates of the settings, as this process or the one it was forked from read them.

    So they are read while they may be, before the process becomes another user. Raises CertificateError.
    """
    key = (
        settings.tls_certificate,
        settings.tls_key,
        settings.tls_client_ca,
        settings.tls_minimum_version,
        speaks_http2(settings),
    )
    known = _known.get(key)
    if known is None:
        known = _known[key] = Certificates(settings)
    return known


_known: dict[tuple[object, ...], Certificates] = {}


class TlsConnection(HttpConnection):
    """The server's side of one connection over TLS."""

    def __init__(self, server: Server, limits: ListenerLimits, certificates: Certificates) -> None:
        super().__init__(server, limits)
        self._certificates = certificates
        self._closing_at = math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the peer."""
        super().connection_made(transport)
        self.scheme = "https"
        connection: ssl.SSLObject = transport.get_extra_info("ssl_object")
        self.tls = self._facts(connection)
        if connection.selected_alpn_protocol() == "h2" and not self._lingers:  # else it is one too many
            self.switch_to_http2(b"")

    def eof_received(self) -> bool:
        """Take the end of what the client sends; in `asyncio` it ends the other direction with it."""
        super().eof_received()
        return False

    def tick(self, now: float) -> None:
        """Act on deadlines; one of them is for the client to answer the end of TLS, as many never do."""
        super().tick(now)
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self._closing_at = math.inf
        elif self._closing_at == math.inf:
            self._closing_at = now + _CLOSE_TIMEOUT_S
        elif now >= self._closing_at:
            self._closing_at = math.inf
            self.transport.abort()

    def _facts(self, connection: ssl.SSLObject) -> TLSInfo:
        cipher = connection.cipher()
        numbers = self._certificates.cipher_numbers
        client = connection.getpeercert(binary_form=True)
        return TLSInfo(
            tls_version=_VERSION_NUMBERS.get(connection.version() or ""),
            cipher_suite=numbers.get(cipher[0]) if cipher else None,
            server_cert=self._certificates.pem_of(connection.context),
            client_cert_chain=(ssl.DER_cert_to_PEM_cert(client),) if client else (),
            client_cert_name=distinguished_name(connection.getpeercert()) if client else None,
        )


def _no_password() -> str:
    raise ValueError("encrypted")


def _first_certificate(path: str) -> str:
    text = Path(path).read_text("ascii", "replace")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return begin + text.partition(begin)[2].partition(end)[0] + end + "\n"


def _reason(certificate: str, key: str, error: Exception) -> str:
    if str(error) == "encrypted":
        return f"tls_key {key}: it is encrypted, and there is nobody to ask for its password; decrypt it"
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return f"tls_key {key}: it is not the key of tls_certificate {certificate}"
    if "BEGIN CERTIFICATE" not in Path(certificate).read_text("ascii", "replace"):
        return f"tls_certificate {certificate}: it holds no certificate in PEM"
    if "PRIVATE KEY" not in Path(key).read_text("ascii", "replace"):
        hint = "" if key != certificate else "; name its file in tls_key"
        return f"tls_key {key}: it holds no private key in PEM{hint}"
    return f"tls_certificate {certificate}: it cannot be used with tls_key {key}: {reason or error}"
