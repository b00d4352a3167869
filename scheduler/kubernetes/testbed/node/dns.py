#!/usr/bin/env python3
"""The names of services for the pods of a sandbox; Debian has no package of the usual server.

    dns.py ADDRESS API-SERVER CA CERTIFICATE KEY

Answers questions for addresses (type A) over UDP: SERVICE.NAMESPACE.svc.cluster.local with the service's address, or,
for a headless one, with those of its ready pods; HOST.SERVICE.NAMESPACE.svc.cluster.local with that of one pod. Of
other names there are none. While the API server is away the last names that it told hold.
"""

import json
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.request

ZONE = "svc.cluster.local"
SECONDS_BETWEEN_READS = 0.5
SECONDS_TO_LIVE = 1
# As many as fit a datagram of 512 bytes with a name of usual length.
MOST_ADDRESSES = 20
NO_ERROR, NO_SUCH_NAME = 0, 3
A, INTERNET = 1, 1


def names(services, endpoints):
    """Every name, with its addresses."""
    table, headless = {}, set()
    for service in services:
        meta, address = service["metadata"], service["spec"].get("clusterIP")
        name = f"{meta['name']}.{meta['namespace']}.{ZONE}"
        if address == "None":
            headless.add(name)
            table[name] = []
        elif address:
            table[name] = [address]
    for endpoint in endpoints:
        name = f"{endpoint['metadata']['name']}.{endpoint['metadata']['namespace']}.{ZONE}"
        if name not in headless:
            continue
        for subset in endpoint.get("subsets") or []:
            for address in subset.get("addresses") or []:
                table[name].append(address["ip"])
                if address.get("hostname"):
                    table[f"{address['hostname']}.{name}"] = [address["ip"]]
    return {name.lower(): sorted(set(addresses)) for name, addresses in table.items()}


def question(packet):
    """The name that is asked for, the type, and where the question ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("ascii").lower())
        at += packet[at] + 1
    (kind,) = struct.unpack_from(">H", packet, at + 1)
    return ".".join(labels), kind, at + 5


def answer(packet, table):
    name, kind, end = question(packet)
    # A name that exists has no addresses of other types; that is no error, and clients go on to ask for this one.
    status = NO_ERROR if name in table else NO_SUCH_NAME
    addresses = table.get(name, [])[:MOST_ADDRESSES] if kind == A else []
    # A response (0x8000), with authority (0x0400), to one that may have wished for recursion (0x0180).
    header = packet[:2] + struct.pack(">HHHHH", 0x8580 | status, 1, len(addresses), 0, 0)
    records = b"".join(
        struct.pack(">HHHIH", 0xC00C, A, INTERNET, SECONDS_TO_LIVE, 4) + socket.inet_aton(address) for address in addresses
    )
    return header + packet[12:end] + records


class Names:
    """The names that the API server told last."""

    def __init__(self, server, authority, certificate, key):
        self.server, self.table = server, {}
        self.tls = ssl.create_default_context(cafile=authority)
        self.tls.load_cert_chain(certificate, key)

    def items(self, kind):
        with urllib.request.urlopen(f"{self.server}/api/v1/{kind}", context=self.tls, timeout=5) as response:
            return json.load(response)["items"]

    def read_for_ever(self):
        failing = False
        while True:
            try:
                self.table = names(self.items("services"), self.items("endpoints"))
                failing = False
            except (OSError, ValueError, KeyError) as problem:
                if not failing:
                    print(f"names cannot be read: {problem}", file=sys.stderr, flush=True)
                failing = True
            time.sleep(SECONDS_BETWEEN_READS)


def main():
    address, server, authority, certificate, key = sys.argv[1:]
    known = Names(server, authority, certificate, key)
    threading.Thread(target=known.read_for_ever, daemon=True).start()
    port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port.bind((address, 53))
    while True:
        packet, client = port.recvfrom(4096)
        try:
            reply = answer(packet, known.table)
        except (IndexError, struct.error, UnicodeDecodeError):
            continue
        port.sendto(reply, client)


if __name__ == "__main__":
    main()
