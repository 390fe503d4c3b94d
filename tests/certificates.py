"""Certificates for tests, made by openssl: quickly, as they are of elliptic curves."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str, *alternatives: str, signed_by: str = "") -> tuple[Path, Path]:
    """Make `name`.pem and `name`.key for the alternative names, as `DNS:a.example` or `IP:127.0.0.1`.

    Signed by itself, or by the certificate of another name.
    """
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "3650"]
    command += ["-subj", f"/O=Tests, Inc/CN={name}"]
    if alternatives:
        command += ["-addext", f"subjectAltName={','.join(alternatives)}"]
    if signed_by:
        command += ["-CA", str(folder / f"{signed_by}.pem"), "-CAkey", str(folder / f"{signed_by}.key")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return certificate, key
