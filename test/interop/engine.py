"""What peer.py and vectors.py share: a handshake state from a description, and the conversation over any channel."""

from dissononce.dh.x25519.private import PrivateKey
from dissononce.dh.x25519.public import PublicKey
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.extras.meta.protocol.factory import NoiseProtocolFactory
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState

import hybrid


def fresh_keypair(private=None):
    """A key pair from 32 bytes in hex, or a new one."""
    return X25519DH().generate_keypair(PrivateKey(bytes.fromhex(private)) if private else None)


def build(task, s, dh=None, kem=None):
    """task: name, role, prologue, rs, psks. dh: another DH object (fixed ephemerals). kem: fixed KEM randomness."""
    name = task["name"]
    if "hfs" in name:
        plain = NoiseProtocolFactory().get_noise_protocol(hybrid.without_hfs(name))
        pattern = hybrid.with_hfs(plain.pattern)
        symmetric = SymmetricState(CipherState(plain.cipher), plain.hash)
        state = hybrid.HybridHandshakeState(symmetric, hybrid.HybridDH(dh or plain.dh), kem or hybrid.Kem())
    else:
        plain = NoiseProtocolFactory().get_noise_protocol(name)
        pattern = plain.pattern
        state = HandshakeState(SymmetricState(CipherState(plain.cipher), plain.hash), dh or plain.dh)
    state.initialize(
        pattern,
        task["role"] == "initiator",
        bytes.fromhex(task["prologue"]),
        s=s,
        rs=PublicKey(bytes.fromhex(task["rs"])) if task.get("rs") else None,
        psks=[bytes.fromhex(psk) for psk in task["psks"]] or None,
    )
    if state.protocol_name != name:
        raise ValueError("built %s instead of %s" % (state.protocol_name, name))
    return state


def talk(state, task, channel):
    """The handshake with the payload "message N" each time, then task["payloads"] sent one by one, an answer to each."""
    is_initiator = task["role"] == "initiator"
    split, number = None, 0
    while split is None:
        payload = b"message %d" % number
        if (number % 2 == 0) == is_initiator:
            message = bytearray()
            split = state.write_message(payload, message)
            channel.send(message)
        else:
            received = bytearray()
            split = state.read_message(channel.receive(), received)
            if received != payload:
                raise ValueError("another payload in message %d" % number)
        number += 1
    sender, receiver = split if is_initiator else reversed(split)
    answers = []
    for payload in task["payloads"]:
        if is_initiator:
            channel.send(sender.encrypt_with_ad(b"", bytes.fromhex(payload)))
        answers.append(receiver.decrypt_with_ad(b"", channel.receive()).hex())
        if not is_initiator:
            channel.send(sender.encrypt_with_ad(b"", bytes.fromhex(payload)))
    return {
        "hash": state.symmetricstate.get_handshake_hash().hex(),
        "remoteStatic": state.rs.data.hex(),
        "answers": answers,
    }
