"""Whose a certificate is."""

from cryptography import x509


def matches(der: bytes, domain: str, service: str = "xmpp-server") -> bool:
    cert = x509.load_der_x509_certificate(der)
    try:
        san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    names = {n.lower() for n in san.get_values_for_type(x509.DNSName)}
    name = domain if domain.isascii() else domain.encode("idna").decode()
    return name in names or "*." + name.partition(".")[2] in names
