"""One end of a Noise handshake with Debian's python3-dissononce, over a loopback socket.

Reads one line of JSON from stdin: port, name, role, prologue, s, rs, psks, payloads. Connects, runs the handshake with a
16-bit big-endian length before each message, then sends and receives the transport payloads in turn. Prints one line of
JSON: the handshake hash, all messages in order, and what was received after the handshake.
For hfs names its KEM is asked for over the same two pipes, see hybrid.py.
"""

import json
import socket
import struct
import sys

from engine import build, fresh_keypair, talk


class Channel(object):
    """Messages with a length before them."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        self.transcript = []

    def send(self, message):
        self.transcript.append(bytes(message).hex())
        self._socket.sendall(struct.pack(">H", len(message)) + bytes(message))

    def receive(self):
        (length,) = struct.unpack(">H", self._exactly(2))
        message = self._exactly(length)
        self.transcript.append(message.hex())
        return message

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise EOFError("the other side closed")
            data += more
        return data

    def close(self):
        self._socket.close()


def main():
    task = json.loads(sys.stdin.readline())
    state = build(task, fresh_keypair(task["s"]))
    channel = Channel(task["port"])
    result = talk(state, task, channel)
    channel.close()
    result["messages"] = channel.transcript
    print(json.dumps({"done": result}), flush=True)


main()
