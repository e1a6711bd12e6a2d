"""Runs the vectors of a file in the cacophony/snow format through dissononce and hybrid.py, both ends in one process,
every key fixed by the vector. Reads the file's path from stdin; prints a line of JSON with the messages and the hash
of each vector, to be compared by whoever started this program, who also answers for the KEM (see hybrid.py).
"""

import json
import sys

from dissononce.dh.x25519.private import PrivateKey
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.extras.dh.dangerous.dh_nogen import NoGenDH

from engine import build, fresh_keypair
from hybrid import Kem


def end(vector, prefix, role):
    task = {
        "name": vector["protocol_name"],
        "role": role,
        "prologue": vector[prefix + "_prologue"],
        "rs": vector.get(prefix + "_remote_static"),
        "psks": vector.get(prefix + "_psks") or [],
    }
    dh = NoGenDH(X25519DH(), PrivateKey(bytes.fromhex(vector[prefix + "_ephemeral"])))
    kem = Kem(vector.get(prefix + "_kem_seed"), vector.get(prefix + "_kem_message"))
    static = vector.get(prefix + "_static")
    return build(task, fresh_keypair(static) if static else None, dh, kem)


def run(vector):
    ends = [end(vector, "init", "initiator"), end(vector, "resp", "responder")]
    ciphers, messages = None, []
    for number, entry in enumerate(vector["messages"]):
        payload = bytes.fromhex(entry["payload"])
        writer, reader = (0, 1) if number % 2 == 0 else (1, 0)
        if ciphers is None:
            message, received = bytearray(), bytearray()
            ends[writer].write_message(payload, message)
            ciphers = ends[reader].read_message(message, received)
        else:
            message = ciphers[writer].encrypt_with_ad(b"", payload)
        messages.append(bytes(message).hex())
    return {"messages": messages, "hash": ends[0].symmetricstate.get_handshake_hash().hex()}


def main():
    with open(sys.stdin.readline().strip()) as file:
        vectors = json.load(file)["vectors"]
    print(json.dumps({"done": [run(vector) for vector in vectors]}), flush=True)


main()
