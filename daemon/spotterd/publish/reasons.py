"""Why a broker said no, as sentences: MQTT 5 reason codes, 3.1.1 return codes, network errors."""

import socket
import ssl

UNSUPPORTED_PROTOCOL = 0x84
NOT_AUTHORIZED = 0x87
QUOTA_EXCEEDED = 0x97

# MQTT 5.0, 2.4 "Reason Code". paho turns the return codes of 3.1.1 into these.
_WORDS = {
    0x81: "it calls our packet malformed",
    0x82: "it calls our packet a protocol error",
    UNSUPPORTED_PROTOCOL: "it does not speak this version of MQTT",
    0x85: "it does not accept our client id",
    0x86: "bad user name or password; check mqtt.username and mqtt.password_file",
    NOT_AUTHORIZED: "not authorised; check mqtt.username, the password and the broker's ACL",
    0x88: "it is not available now",
    0x89: "it is busy",
    0x8A: "we are banned",
    0x8B: "it is shutting down",
    0x8D: "it heard nothing from us for too long",
    0x8E: "another client took over our client id; see that no two boards have the same node name",
    0x90: "it does not accept the topic",
    0x93: "too many messages under way",
    0x95: "the message is larger than it takes",
    QUOTA_EXCEEDED: "its quota is exceeded",
    0x98: "somebody at the broker cut the connection",
    0x99: "it does not accept the payload's format",
    0x9C: "it says to use another server",
    0x9D: "it says the server has moved",
    0x9F: "too many connections",
}


def in_words(code: int, name: str) -> str:
    """What a reason code means; `name` is what the standard calls it."""
    return _WORDS.get(code, f"{name} (code {code})")


def of_network(error: OSError) -> str:
    """Why no connection came about, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its TLS certificate is not trusted ({error.verify_message}); "
            "check mqtt.ca_file and the host name in mqtt.url"
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error}); check that this is the broker's TLS port"
    if isinstance(error, socket.gaierror):
        return "its host name cannot be resolved; check mqtt.url and the network"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there; check that the broker runs"
    if isinstance(error, ConnectionResetError):
        return "it hung up at once; check the port (mqtts:// wants the broker's TLS port)"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return error.strerror or str(error)
