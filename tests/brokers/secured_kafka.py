"""Apache Kafka with a listener for each way to log in, and certificates that nobody else trusts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trustme
from confluent_kafka import admin as kafka_admin
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.kafka import Kafka
from tests.brokers.kafka_program import make_addresses
from tests.brokers.process import free_port, memory

USER, PASSWORD = "billing", "correct-horse-battery"
LISTENERS = {
    "PLAINTEXT": "PLAINTEXT",
    "CONTROLLER": "PLAINTEXT",
    "PASSWORDS": "SASL_PLAINTEXT",
    "CERTIFICATE": "SSL",
    "BOTH_CERTIFICATES": "SSL",
    "ENCRYPTED_PASSWORDS": "SASL_SSL",
}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_LOGIN_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecuredKafka(Kafka):
    """The broker; `bootstrap` needs no login. USER logs in with PASSWORD where a listener asks for passwords."""

    addresses: dict[str, str] = field(kw_only=True)
    """By listener."""
    ca: str = field(kw_only=True)
    """The file with the certificate to trust."""
    certificate: str = field(kw_only=True)
    """The file with a client's certificate and its key."""


@contextmanager
def secured_kafka() -> Iterator[SecuredKafka]:
    """Run the broker for as long as the block lasts."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        files = _write_certificates(Path(folder))
        ports = {name: free_port() for name in LISTENERS}
        properties = {**make_addresses(ports), **_configure_security(files["ca"], files["server"])}
        with apache_kafka(properties, port=ports["PLAINTEXT"]) as kafka:
            _add_user(kafka)
            addresses = {name: f"localhost:{port}" for name, port in ports.items()}
            yield SecuredKafka(kafka.bootstrap, addresses=addresses, ca=files["ca"], certificate=files["client"])


def _write_certificates(folder: Path) -> dict[str, str]:
    authority = trustme.CA()
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    for name, identity in (("server", ["localhost", "127.0.0.1"]), ("client", ["client.example"])):
        issued = authority.issue_cert(*identity)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        # Java reads no other format of a key.
        parts = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
        parts += [certificate.bytes() for certificate in issued.cert_chain_pems]
        (folder / f"{name}.pem").write_bytes(b"".join(parts))
    return {name: str(folder / f"{name}.pem") for name in ("ca", "server", "client")}


def _configure_security(ca: str, server: str) -> dict[str, str]:
    protocols = ",".join(f"{name}:{protocol}" for name, protocol in LISTENERS.items())
    properties = {
        "listener.security.protocol.map": protocols,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": server,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": ca,
        "listener.name.both_certificates.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
    }
    for name in ("passwords", "encrypted_passwords"):
        listener = f"listener.name.{name}"
        plain = f"{_LOGIN_MODULES}.plain.PlainLoginModule required user_{USER}='{PASSWORD}';"
        properties[f"{listener}.plain.sasl.jaas.config"] = plain
        for mechanism in MECHANISMS[1:]:
            scram = f"{_LOGIN_MODULES}.scram.ScramLoginModule required;"
            properties[f"{listener}.{mechanism.lower()}.sasl.jaas.config"] = scram
    return properties


def _add_user(kafka: Kafka) -> None:
    api: Any = kafka_admin  # it has no types
    admin = api.AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for mechanism in (api.ScramMechanism.SCRAM_SHA_256, api.ScramMechanism.SCRAM_SHA_512):
        info = api.ScramCredentialInfo(mechanism, 4096)
        change = api.UserScramCredentialUpsertion(USER, info, PASSWORD.encode())
        for answer in admin.alter_user_scram_credentials([change]).values():
            answer.result(30)
