"""A test-only extension of dissononce: the hfs modifier with the tokens e1 and ekem1, after the draft "KEM-based Hybrid
Forward Secrecy for Noise", revision 1. Written from that text alone; the KEM is ML-KEM-768 behind a pipe: each
operation is a line of JSON to stdout, its answer a line on stdin.
"""

import json
import sys

from dissononce.dh.dh import DH
from dissononce.processing.handshakepatterns.handshakepattern import HandshakePattern
from dissononce.processing.impl.handshakestate import HandshakeState

KEM_NAME = "MLKEM768"
PUBLIC_KEY, CIPHERTEXT, TAG = 1184, 1088, 16


class Kem(object):
    """GENERATE_KEM_KEYPAIR, GENERATE_KEM_CIPHERTEXT and KEM of section 3, asked of whoever started this program."""

    def __init__(self, seed=None, message=None):
        self._seed = seed
        self._message = message

    def generate(self):
        answer = self._ask(operation="generate", seed=self._seed)
        return answer["publicKey"], answer["privateKey"]

    def encapsulate(self, public_key):
        answer = self._ask(operation="encapsulate", publicKey=public_key.hex(), message=self._message)
        return answer["ciphertext"], answer["secret"]

    def decapsulate(self, private_key, ciphertext):
        return self._ask(operation="decapsulate", privateKey=private_key.hex(), ciphertext=ciphertext.hex())["secret"]

    @staticmethod
    def _ask(**question):
        print(json.dumps(question), flush=True)
        return {key: bytes.fromhex(value) for key, value in json.loads(sys.stdin.readline()).items()}


class HybridDH(DH):
    """A DH that differs in its name only: section 5 wants both algorithms there."""

    def __init__(self, dh):
        super(HybridDH, self).__init__("%s+%s" % (dh.name, KEM_NAME), dh.dhlen)
        self.dh, self.create_public, self.generate_keypair = dh.dh, dh.create_public, dh.generate_keypair


def without_hfs(name):
    """Noise_XXhfs+psk0_25519+MLKEM768_... -> Noise_XXpsk0_25519_..."""
    return name.replace("hfs+", "").replace("hfs", "").replace("+" + KEM_NAME, "")


def with_hfs(pattern):
    """Section 5: e1 after the first e (or the DH that follows it), ekem1 after the first ee."""
    messages = [list(tokens) for tokens in pattern.message_patterns]
    at = messages[0].index("e") + 1
    if messages[0][at:] and messages[0][at] in ("es", "ss"):
        at += 1
    messages[0].insert(at, "e1")
    answer = next(tokens for tokens in messages if "ee" in tokens)
    answer.insert(answer.index("ee") + 1, "ekem1")
    modifiers = "+".join(("hfs",) + pattern.modifiers)
    return HandshakePattern(
        pattern.origin_name + modifiers,
        tuple(tuple(tokens) for tokens in messages),
        pattern.initiator_pre_message_pattern,
        pattern.responder_pre_message_pattern,
    )


class HybridHandshakeState(HandshakeState):
    """Takes each message apart into single tokens, since the base class knows whole messages only."""

    def __init__(self, symmetricstate, dh, kem):
        super(HybridHandshakeState, self).__init__(symmetricstate, dh)
        self._kem = kem
        self._e1 = None
        self._re1 = None

    def write_message(self, payload, message_buffer):
        sym = self._symmetricstate
        for token in self._message_patterns.pop(0):
            if token == "e":
                self._e = self._dh.generate_keypair()
                message_buffer.extend(self._e.public.data)
                self._mix_ephemeral(self._e.public.data)
            elif token == "s":
                message_buffer.extend(sym.encrypt_and_hash(self._s.public.data))
            elif token == "e1":
                public_key, self._e1 = self._kem.generate()
                message_buffer.extend(sym.encrypt_and_hash(public_key))
            elif token == "ekem1":
                ciphertext, output = self._kem.encapsulate(self._re1)
                message_buffer.extend(sym.encrypt_and_hash(ciphertext))
                sym.mix_key(output)
            else:
                self._mix(token)
        message_buffer.extend(sym.encrypt_and_hash(payload))
        return self._end()

    def read_message(self, message, payload_buffer):
        sym = self._symmetricstate
        rest = bytes(message)
        for token in self._message_patterns.pop(0):
            if token == "e":
                self._re, rest = self._dh.create_public(rest[:32]), rest[32:]
                self._mix_ephemeral(self._re.data)
            elif token == "s":
                field, rest = self._field(rest, 32)
                self._rs = self._dh.create_public(field)
            elif token == "e1":
                self._re1, rest = self._field(rest, PUBLIC_KEY)
            elif token == "ekem1":
                ciphertext, rest = self._field(rest, CIPHERTEXT)
                sym.mix_key(self._kem.decapsulate(self._e1, ciphertext))
            else:
                self._mix(token)
        payload_buffer.extend(sym.decrypt_and_hash(rest))
        return self._end()

    def _field(self, rest, length):
        if self._symmetricstate.cipherstate_has_key():
            length += TAG
        return self._symmetricstate.decrypt_and_hash(rest[:length]), rest[length:]

    def _mix_ephemeral(self, public_key):
        self._symmetricstate.mix_hash(public_key)
        if self._pskmode:
            self._symmetricstate.mix_key(public_key)

    def _mix(self, token):
        if token == "psk":
            self._symmetricstate.mix_key_and_hash(self._psks.pop(0))
            return
        mine, theirs = token if self._initiator else reversed(token)
        pair = self._e if mine == "e" else self._s
        self._symmetricstate.mix_key(self._dh.dh(pair, self._re if theirs == "e" else self._rs))

    def _end(self):
        return None if self._message_patterns else self._symmetricstate.split()
