"""Keys and certificates of a cluster, and the files by which its users reach the API server."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from . import packages

if TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")


class Keys:
    """A certificate authority in a folder, and what it signed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.authority = folder / "authority.crt"
        self.accounts = folder / "accounts.key"
        self.accounts_public = folder / "accounts.pub"
        self._request("authority", "/CN=levada", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(self.accounts))
        _openssl("ec", "-in", str(self.accounts), "-pubout", "-out", str(self.accounts_public))

    def sign(self, name: str, subject: str, addresses: str = "") -> tuple[Path, Path]:
        """A certificate for a client or, with addresses, for a server too; and its key."""
        more = ["extendedKeyUsage=clientAuth,serverAuth", "basicConstraints=critical,CA:false"]
        more += [f"subjectAltName={addresses}"] if addresses else []
        authority = ("-CA", str(self.authority), "-CAkey", str(self.folder / "authority.key"))
        self._request(name, subject, *more, signer=authority)
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def kubeconfig(self, name: str, subject: str, server: str) -> Path:
        """A file by which that user reaches the API server."""
        certificate, key = self.sign(name, subject)
        cluster = {"server": server, "certificate-authority": str(self.authority)}
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "levada", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "levada", "context": {"cluster": "levada", "user": name}}],
            "current-context": "levada",
        }
        file = self.folder / f"{name}.kubeconfig"
        file.write_text(json.dumps(config, indent=1))  # which YAML includes
        return file

    def _request(
        self, name: str, subject: str, *extensions: str, signer: tuple[str, ...] = ()
    ) -> None:
        added = [part for one in extensions for part in ("-addext", one)]
        files = ("-keyout", str(self.folder / f"{name}.key"), "-out")
        target = str(self.folder / f"{name}.crt")
        _openssl("req", "-x509", *_KEY, "-subj", subject, *signer, *added, *files, target)


def _openssl(*arguments: str) -> None:
    subprocess.run([packages.program("openssl"), *arguments], check=True, capture_output=True)
