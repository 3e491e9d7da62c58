"""What scripts/sslyze.sh needs beside sslyze: certificates to scan with, and a stricter look at a result.

    tls_scan.py certificates DIR    an authority, two certificates of a server and one of a client
    tls_scan.py verdict FILE        fails when the scan in FILE is not whole, or found what no profile asks about
"""

import datetime
import ipaddress
import json
import pathlib
import sys

# Strict-Transport-Security speaks of a whole host to browsers. That is not for a service on one of its ports to say.
NOT_ASKED = {"http_headers"}


def certificates(directory):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.timezone.utc)

    def make(name, key, issuer, extensions):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer_name, issuer_key = issuer or (subject, key)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(authority, critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(issuer_key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        (directory / f"{name}.crt").write_bytes(certificate.public_bytes(pem))
        private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (directory / f"{name}.key").write_bytes(key.private_bytes(pem, *private))
        return subject, key

    def leaf(name, key, usage):
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        extensions = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage([usage]), False),
            (x509.SubjectAlternativeName([loopback]), False),
        ]
        make(name, key, authority, extensions)

    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    extensions = [(x509.BasicConstraints(ca=True, path_length=0), True), (usage, True)]
    authority = make("ca", ec.generate_private_key(ec.SECP256R1()), None, extensions)
    leaf("ecdsa", ec.generate_private_key(ec.SECP256R1()), ExtendedKeyUsageOID.SERVER_AUTH)
    leaf("rsa", rsa.generate_private_key(65537, 3072), ExtendedKeyUsageOID.SERVER_AUTH)
    leaf("client", ec.generate_private_key(ec.SECP256R1()), ExtendedKeyUsageOID.CLIENT_AUTH)


def verdict(file):
    scans = json.loads(file.read_text())["server_scan_results"]
    complaints = [] if len(scans) == 1 else ["the service was not scanned"]
    for scan in scans:
        attempts = scan["scan_result"]
        for command, attempt in attempts.items():
            if attempt["status"] != "COMPLETED" and command not in NOT_ASKED:
                complaints.append(f"{command}: {attempt['status']} {attempt['error_reason']}")
        results = {command: attempt["result"] or {} for command, attempt in attempts.items()}
        for version in ("1_2", "1_3"):
            suites = results[f"tls_{version}_cipher_suites"].get("accepted_cipher_suites", [])
            names = [suite["cipher_suite"]["name"] for suite in suites]
            print(f"TLS {version.replace('_', '.')}: {', '.join(names)}")
            if not names:
                complaints.append(f"TLS {version}: not there")
            # Finite-field Diffie-Hellman is in the profile, and not in ours.
            complaints += [f"{name}: CBC or DHE" for name in names if "CBC" in name or "_DHE_" in name]
        curves = results["elliptic_curves"].get("supported_curves") or []
        print(f"curves: {', '.join(curve['name'] for curve in curves)}")
        if results["tls_1_3_early_data"].get("supports_early_data") is not False:
            complaints.append("0-RTT: a request could be replayed")
        if results["session_renegotiation"].get("is_vulnerable_to_client_renegotiation_dos") is not False:
            complaints.append("renegotiation: clients may ask for it")
    for complaint in complaints:
        print(f"tls_scan: {complaint}", file=sys.stderr)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    {"certificates": certificates, "verdict": verdict}[sys.argv[1]](pathlib.Path(sys.argv[2]))
