"""Certificates of an encrypted cluster, from a Secret."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from daskpar.cluster.kubernetes.api import Kubernetes
from daskpar.errors import InputError

if TYPE_CHECKING:
    from distributed.security import Security

_KEYS = "ca.crt", "tls.crt", "tls.key"


async def security_from(kubernetes: Kubernetes, name: str) -> Security:
    """Return the settings of a client that connects with the certificates of a Secret.

    Raises InputError if the Secret does not exist or lacks one of `ca.crt`, `tls.crt` and `tls.key`.
    """
    from distributed.security import Security

    secret = await kubernetes.get("secrets", name)
    if secret is None:
        raise InputError(f"cluster.tls={name}: there is no such Secret in namespace {kubernetes.namespace}")
    data = {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}
    missing = [key for key in _KEYS if not data.get(key)]
    if missing:
        raise InputError(f"cluster.tls={name}: the Secret lacks {', '.join(missing)}")
    ca, certificate, key = (data[name] for name in _KEYS)
    return Security(require_encryption=True, tls_ca_file=ca, tls_client_cert=certificate, tls_client_key=key)
