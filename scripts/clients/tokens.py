"""Tokens as the original's identity service makes them, by the original's own code.

    tokens.py DIR    writes the issuers' public keys to DIR, and prints variables for a shell
"""

import json
import pathlib
import sys
import time
import uuid

from spaceone.core.auth.jwt.jwt_util import JWTUtil

DOMAIN, ROOT = "domain-aaaaaaaaaaaa", "domain-root"

directory = pathlib.Path(sys.argv[1])
now = int(time.time())
entries = []


def issuer(domain, reach, roles):
    """Each domain signs with a key of its own, and systems with that of the root."""
    private, public = JWTUtil.generate_jwk()
    file = directory / f"{domain}.json"
    file.write_text(json.dumps({"keys": [public]}))
    said = {"iss": "spaceone.identity", "jwks_file": str(file), "claims": "cloudforet"}
    said |= {"algorithms": ["RS256"], "domains": [reach], "roles": roles}
    entries.append("{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in said.items()) + "}")
    return private


def token(key, domain, **claims):
    claims |= {"iss": "spaceone.identity", "ver": "2.0", "did": domain, "iat": now, "jti": uuid.uuid4().hex}
    return JWTUtil.encode(claims, key)


domain_key = issuer(DOMAIN, DOMAIN, ["USER", "DOMAIN_ADMIN"])
root_key = issuer(ROOT, "*", ["SYSTEM"])
user = {"typ": "ACCESS_TOKEN", "own": "USER", "rol": "USER", "aud": "ann@example.com", "exp": now + 86400}
variables = {
    "DOMAIN": DOMAIN,
    "TOKEN": token(domain_key, DOMAIN, **user),
    "READER": token(domain_key, DOMAIN, **user, permissions=["secret:UserSecret.read"]),
    # That of a system has no end.
    "SYSTEM": token(root_key, ROOT, typ="SYSTEM_TOKEN", own="SYSTEM", aud="root"),
    "USERSECRET_AUTH__ISSUERS": "[" + ", ".join(entries) + "]",
}
for name, value in variables.items():
    print(f"export {name}='{value}'")
