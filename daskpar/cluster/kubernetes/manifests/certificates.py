"""Certificates by cert-manager: an authority of the namespace's own, and a certificate in the Secret `tls`.

A Secret with `tls.crt`, `tls.key` and `ca.crt` from elsewhere does as well; then leave this file out.
"""

from __future__ import annotations

from daskpar.cluster.kubernetes.manifests.run import Run
from daskpar.cluster.kubernetes.pods import Json

_API = "cert-manager.io/v1"


def certificates(run: Run) -> list[Json]:
    """Return issuers and certificates; [] for a run without encryption."""
    if not run.pods.tls:
        return []
    authority = f"{run.name}-authority"
    root = {"name": f"{run.name}-self-signed", "kind": "Issuer", "group": "cert-manager.io"}
    issuer = {**root, "name": authority}
    own = {"isCA": True, "commonName": authority, "secretName": authority, "issuerRef": root}
    names = [f"*.{run.namespace}.svc.cluster.local", f"*.{run.namespace}.svc", "localhost"]
    certificate = {
        "secretName": run.pods.tls,
        "commonName": run.name,
        "dnsNames": names,
        "usages": ["server auth", "client auth"],
        "privateKey": {"algorithm": "ECDSA", "size": 256},
        "issuerRef": issuer,
    }
    return [
        run.resource(_API, "Issuer", str(root["name"]), spec={"selfSigned": {}}),
        run.resource(_API, "Certificate", authority, spec=own),
        run.resource(_API, "Issuer", authority, spec={"ca": {"secretName": authority}}),
        run.resource(_API, "Certificate", spec=certificate),
    ]
