"""The certificates of the delivery over OTLP: whom it trusts, and who it is itself."""

from __future__ import annotations

import ssl

from asyncdsm.errors import SettingError
from asyncdsm.settings import Settings


def make_tls_context(settings: Settings) -> ssl.SSLContext:
    """Return what the settings say, with the system's certificates unless they name others. Reads from the disk.

    Raises SettingError, which names the setting, the file, and what is wrong with it.
    """
    trusted, own, key = settings.otlp_certificate, settings.otlp_client_certificate, settings.otlp_client_key
    try:
        context = ssl.create_default_context(cafile=trusted)
    except OSError as error:  # an SSLError is one
        raise _refuse_file("otlp_certificate", trusted, "a file of certificates", error) from error
    if own is not None:
        try:
            context.load_cert_chain(own, key, password=_refuse_password)
        except (OSError, ValueError) as error:
            name, file = ("otlp_client_certificate", own) if key is None else _choose_faulty(own, key)
            raise _refuse_file(name, file, "a file of a certificate and its key, without a password", error) from error
    elif key is not None:
        raise SettingError("otlp_client_key", key, "given together with otlp_client_certificate")
    return context


def _choose_faulty(certificate: str, key: str) -> tuple[str, str]:
    """Return the setting and the file that is at fault: the certificate, unless it can be read on its own."""
    try:
        ssl.create_default_context(cafile=certificate)
    except OSError:
        return "otlp_client_certificate", certificate
    return "otlp_client_key", key


def _refuse_password() -> str:
    raise ValueError("it is encrypted")  # instead of a question on the terminal


def _refuse_file(name: str, file: str | None, what: str, error: Exception) -> SettingError:
    reason = getattr(error, "strerror", None) or str(error)
    return SettingError(name, file, f"{what} that can be read ({reason})")
