#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets into fuzz/seeds/.

  fuzz/seeds.py                        the hand-made ones, hostile and ordinary
  fuzz/seeds.py CAPTURE GATEWAY_PORT   those of foreign programs, from a capture of `tests/interop_capture.rs`:
                                       SMPPGW_CAPTURE=story.pcapng cargo test --test interop_capture no_fault
                                       (it prints the port); needs tshark

Seeds are in the form that their target reads: fuzz/src/*.rs say which. Those named found-* were found by fuzzing.
"""

import struct
import subprocess
import sys
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"
CONF = Path(__file__).parent.parent / "conf"

COMMANDS = {
    0x80000000: "generic_nack", 1: "bind_receiver", 2: "bind_transmitter", 3: "query_sm", 4: "submit_sm", 5: "deliver_sm",
    6: "unbind", 7: "replace_sm", 8: "cancel_sm", 9: "bind_transceiver", 0x15: "enquire_link", 0x103: "data_sm",
}
SUBMIT, DELIVER, DATA = 4, 5, 0x103
# In the order in which the story lets them connect to the gateway.
PROGRAMS = ["smpplib", "net_smpp", "node_smpp", "node_smpp-v33", "node_smpp-v50", "kannel"]
# Different PDUs of one command kept of each program.
KEPT = 3


def put(target, name, content):
    (SEEDS / target).mkdir(parents=True, exist_ok=True)
    (SEEDS / target / name).write_bytes(content)


def pdu(command, body=b"", sequence=1, length=None, status=0):
    return struct.pack(">IIII", 16 + len(body) if length is None else length, command, status, sequence) + body


def piece(octets):
    """A step of the session target: so many octets arrive."""
    steps = [octets[at:at + 255] for at in range(0, len(octets), 255)]
    return b"".join(bytes([4, len(step)]) + step for step in steps)


def tlv(tag, value):
    return struct.pack(">HH", tag, len(value)) + value


def submit(text, esm_class=0, data_coding=0, tlvs=b"", sm_length=None, destination=b"358401234567"):
    length = len(text) if sm_length is None else sm_length
    return (b"\0\x05\0SHOP\0\x01\x01" + destination + b"\0" + bytes([esm_class, 0, 0]) + b"\0\0"
            + bytes([1, 0, data_coding, 0, length]) + text + tlvs)


BIND = b"app\0secret\0\0\x34\0\0\0"

# What peers do wrong, by fault: whole streams.
STREAMS = {
    "length-0": pdu(SUBMIT, length=0),
    "length-4": pdu(SUBMIT, length=4),
    "length-15": pdu(SUBMIT, length=15),
    "length-16-unknown-command": pdu(0x12345678),
    "length-above-limit": pdu(SUBMIT, length=70 * 1024 + 1),
    "length-4-gib": pdu(SUBMIT, length=0xFFFFFFFF, sequence=77),
    "length-beyond-what-comes": pdu(SUBMIT, submit(b"Moi"), length=200),
    "header-alone-cut-short": pdu(SUBMIT)[:11],
    "three-in-one": pdu(0x15) + pdu(SUBMIT, submit(b"Moi"), 2) + pdu(6, sequence=3),
    "http-request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls-client-hello": bytes.fromhex("16030100c5010000c10303") + bytes(range(64)),
    "sequence-0": pdu(SUBMIT, submit(b"Moi"), 0),
    "sequence-above-31-bits": pdu(SUBMIT, submit(b"Moi"), 0xFFFFFFFF),
}

BODIES = {
    "empty": b"",
    "submit": submit(b"Moi"),
    "sm_length-beyond-body": submit(b"Hi", sm_length=200),
    "tlv-overrun": submit(b"Moi", tlvs=b"\x04\x24\xff\xff\x01"),
    "tlv-header-cut": submit(b"Moi", tlvs=b"\x04\x24\x00"),
    "tlv-stray-octet": submit(b"Moi", tlvs=b"\x00"),
    "tlv-length-0": submit(b"", tlvs=tlv(0x0424, b"")),
    "message_payload": submit(b"", tlvs=tlv(0x0424, b"Moi" * 100)),
    "text-twice": submit(b"Moi", tlvs=tlv(0x0424, b"Moi")),
    "tlv-repeated": submit(b"", tlvs=tlv(0x0424, b"one") + tlv(0x0424, b"two")),
    "sar": submit(b"one", tlvs=tlv(0x020C, b"\0\x07") + tlv(0x020E, b"\x02") + tlv(0x020F, b"\x01")),
    "sar-part-3-of-2": submit(b"one", tlvs=tlv(0x020C, b"\0\x07") + tlv(0x020E, b"\x02") + tlv(0x020F, b"\x03")),
    "udh": submit(b"\x05\0\x03\x07\x02\x01Moi", 0x40),
    "udh-longer-than-text": submit(b"\xff\0\x03", 0x40),
    "udh-element-overrun": submit(b"\x05\0\xff\x07\x02\x01Moi", 0x40),
    "udh-and-sar": submit(b"\x05\0\x03\x07\x02\x01Moi", 0x40,
                          tlvs=tlv(0x020C, b"\0\x07") + tlv(0x020E, b"\x02") + tlv(0x020F, b"\x01")),
    "ucs2-odd": submit(b"\0M\0", 0, 8),
    "ucs2-lone-surrogate": submit(b"\xd8\x3d\0M", 0, 8),
    "address-without-end": b"\0\x01\x01" + b"3" * 300,
    "times": submit(b"Moi").replace(b"\0\0\x01\0\0\0\x03", b"991231235959948+\0000000000100000R\0\x01\0\0\0\x03"),
    "data_sm": b"\0\x01\x01100\0\x01\x01358401234567\0\0\x01\0" + tlv(0x0424, b"Moi"),
    "bind": BIND,
    "bind-without-end": b"a" * 40,
    "bind-long-password": b"app\0" + b"p" * 200 + b"\0\0\x34\0\0\0",
    "query": b"gw10000002a\0\x05\0SHOP\0",
    "query_resp": b"gw10000002a\0" + b"991231235959948+\0\x02\0",
}

RECEIPT = b"id:0A1B2C sub:001 dlvrd:001 submit date:2401051200 done date:2401051201 stat:DELIVRD err:000 text:Moi"

RECEIPTS = {
    "by-the-book": RECEIPT,
    "upper-case-and-underscores": RECEIPT.replace(b" date", b"_date").upper(),
    "no-spaces": RECEIPT.replace(b" ", b""),
    "only-colons": b":" * 200,
    "names-without-values": b"id: sub: dlvrd: submit date: done date: stat: err: text:",
    "ucs2": RECEIPT.decode().encode("utf-16-be"),
    "date-of-15-digits": RECEIPT.replace(b"2401051201", b"240105120159948+"),
    "month-13": RECEIPT.replace(b"2401051201", b"2413051201"),
    "uuid": RECEIPT.replace(b"0A1B2C", b"550e8400-e29b-41d4-a716-446655440000"),
    "id-of-40-digits": RECEIPT.replace(b"0A1B2C", b"9" * 40),
    "fields-within-text": RECEIPT + b" id:other stat:UNDELIV",
}

TEXTS = {
    "gsm7": (0, "Hyvää päivää €".encode("latin-1", "ignore")),
    "escape-at-the-end": (0, b"Moi\x1b"),
    "escapes": (0, b"\x1b\x1b\x1b\x65" * 50),
    "latin1": (3, "Hyvää päivää".encode("latin-1")),
    "utf8": (0, "šakki 😀 €".encode()),
    "ucs2": (8, "Моi 😀".encode("utf-16-be")),
    "ucs2-flags": (8, "🇫🇮🇸🇪".encode("utf-16-be")),
    "cyrillic": (6, bytes(range(0xA1, 0xFF))),
    "hebrew": (7, bytes(range(0xE0, 0xFB))),
    "octets": (4, bytes(range(256))),
    "flash": (0x10, b"Moi"),
    "voicemail": (0xC8, b"Moi"),
    "unknown-coding": (0x0A, b"Moi"),
    "at-signs": (0, b"\0" * 160),
}

HEADERS = {
    "concatenation-8": b"\x05\0\x03\x07\x02\x01Moi",
    "concatenation-16": b"\x06\x08\x04\x01\x07\x02\x01Moi",
    "both": b"\x0b\0\x03\x07\x02\x01\x08\x04\x01\x07\x03\x02Moi",
    "between-others": b"\x0d\x05\x04\x0b\x84\0\0\0\x03\x07\x02\x01\x01\0Moi",
    "ports": b"\x06\x05\x04\x0b\x84\x23\xf0Moi",
    "part-0": b"\x05\0\x03\x07\x02\0Moi",
    "part-3-of-2": b"\x05\0\x03\x07\x02\x03Moi",
    "element-overrun": b"\x05\0\xff\x07\x02\x01Moi",
    "element-cut": b"\x01\0Moi",
    "longer-than-text": b"\xff\0\x03",
    "longest": b"\xff" + b"\x70\xfd" + bytes(253) + b"Moi",
    "nothing": b"\0Moi",
    "empty": b"",
}

LINES = {
    "stats": b'{"command":"stats"}', "message": b'{"command":"message","id":"gw10000002a"}', "no-id": b'{"command":"message"}',
    "id-a-number": b'{"command":"message","id":5}', "misspelt": b'{"command":"stat"}', "empty": b"", "list": b"[]",
    "nested": b'{"command":' + b"[" * 300, "not-utf8": b'{"command":"\xff"}', "long-name": b'{"command":"' + b"x" * 3000 + b'"}',
    "twice": b'{"command":"stats","command":"drain"}', "id-a-map": b'{"command":"message","id":{"a":[1,2,3]}}',
}

IDS = {
    "long": b"gw10000002a", "short": b"0000002a", "upper-case": b"gw10000002A", "plus": b"gw1+0000002a", "short-plus": b"+2a",
    "seventeen-digits": b"gw10000000000000002a", "too-large": b"gw1ffffffffffffffffff", "minus": b"-1", "empty": b"",
}


def le(*numbers):
    return b"".join(number.to_bytes(size, "little") for number, size in numbers)


def segment(number=1, epoch=0x1122334455667788, previous=(0, 0, 0), floor=1, next_id=5, version=3, records=b""):
    """Header and records of a file for the spool target, which puts the checksums in."""
    header = b"smppgwsp" + le((version, 4), (number, 4), (epoch, 8), (previous[0], 4), (previous[1], 4), (previous[2], 8),
                              (floor, 4), (65536, 4), (next_id, 8), (0, 4), (0, 4))
    content = header + records
    return le((len(content), 2)) + content


def record(id, payload, kind=1, full=1, length=None):
    length = len(payload) if length is None else length
    octets = bytes(4) + le((length, 4), (id, 8), (kind, 1), (full, 1), (0, 2)) + payload
    return octets + bytes(-len(octets) % 4)


TWO = record(1, b"one", full=0x81) + record(2, b"two") + record(1, b"", 2, 0x82)
# First octet: 1 the sound spool with changes, 2 checksums of headers put right, 4 those of records.
SPOOLS = {
    "one-segment": b"\x06" + segment(records=TWO),
    "two-segments": b"\x06" + segment(records=TWO) + segment(2, 7, (1, 8192 + len(TWO), 0x1122334455667788), records=TWO),
    "version-2": b"\x06" + segment(version=2, records=TWO),
    "checksums-wrong": b"\x00" + segment(records=TWO),
    "last-number": b"\x06" + segment(0xFFFFFFFE, records=TWO),
    "number-beyond-the-last": b"\x06" + segment(0xFFFFFFFF, records=TWO),
    "number-0": b"\x06" + segment(0, records=TWO),
    "last-id": b"\x06" + segment(next_id=2**64 - 1, records=TWO + record(2**64 - 1, b"last")),
    "previous-ends-at-4-gib": b"\x06" + segment(records=TWO) + segment(2, 7, (1, 0xFFFFFFFF, 0x1122334455667788)),
    "previous-is-itself": b"\x06" + segment(2, 7, (2, 9000, 7), records=TWO),
    "floor-above": b"\x06" + segment(1, floor=9, records=TWO),
    "payload-of-4-gib": b"\x06" + segment(records=TWO + record(3, b"x", length=0xFFFFFFFF)),
    "payload-beyond-end": b"\x06" + segment(records=TWO + record(3, b"x", length=60000)),
    "torn-tail": b"\x06" + segment(records=TWO[:-3]),
    "hole-in-the-last-group": b"\x06" + segment(records=TWO + bytes(8) + TWO[24:48]),
    "empty": b"\x00",
    "sound": b"\x01",
    "bit-in-a-record": b"\x01\x00\x20\x08\x01",
    "bit-in-both-headers": b"\x01\x00\x00\x10\x01\x00\x10\x10\x01",
    "version-changed": b"\x03\x00\x00\x08\x03",
    "end-changed": b"\x03\x01\x00\x1c\x80\x01\x10\x1c\x80",
    "file-cut": b"\x01\x01\x30\x00\x00",
    "file-gone": b"\x01\xc1\x00\x00\x00",
}


def short(octets):
    return bytes([len(octets)]) + octets


def message_payload(flags=0, alphabet=0, text=b"Moi"):
    address = b"\x01\x01" + short(b"358401234567")
    return (bytes([flags]) + short(b"shop") + b"\x05\0" + short(b"SHOP") + address + (address if flags & 1 else b"") + short(b"")
            + bytes(5) + struct.pack(">QQQH", 1000, 0, 2**40, 7) + bytes(4) + short(b"")
            + bytes([alphabet]) + struct.pack(">I", len(text)) + text + struct.pack(">I", 0))


def entry(kind, id, payload):
    return bytes([kind, id]) + struct.pack(">H", len(payload)) + payload


def mail_payload(closes=(), receipt=True):
    head = struct.pack(">H", len(closes)) + b"".join(struct.pack(">Q", id) for id in closes) + struct.pack(">Q", 0)
    kind = b"\x01" + struct.pack(">QB", 1, 2) if receipt else b"\x02"
    return (head + kind + short(b"shop") + b"\x01\x01" + short(b"358401234567") + b"\x05\0" + short(b"SHOP") + bytes([4, 0, 0])
            + struct.pack(">QQ", 1000, 2**40) + bytes(4) + short(b"") + b"\0" + struct.pack(">I", 3) + b"Moi"
            + struct.pack(">I", 0))




def sent_payload(*parts):
    """Parts are id, part, total."""
    head = struct.pack(">I", 1_700_000_000) + short(b"elisa")
    return head + b"".join(struct.pack(">QBB", *part) + short(b"0A1B2C") for part in parts)


PART = b"\x01" + struct.pack(">I", 1_700_000_000) + short(b"elisa") + short(b"0A1B2C")
PARKED = (short(b"elisa") + struct.pack(">Q", 1_700_000_000_000) + b"\x01\x01" + short(b"358401234567") + b"\x05\0" + short(b"SHOP")
          + short(b"0A1B2C") + b"\x02\0" + short(b"000") + short(b"") + struct.pack(">Q", 0))
MO = (short(b"elisa") + b"\x01\x01" + short(b"358401234567") + b"\x01\x01" + short(b"13123") + bytes(2)
      + struct.pack(">Q", 1_700_000_000_000) + b"\0\x07\x02\x01" + short(b"") + b"\0" + struct.pack(">I", 3) + b"Moi"
      + struct.pack(">I", 0))
LEDGERS = {
    "message": entry(1, 1, message_payload()),
    "message-of-all-flags": entry(1, 1, message_payload(7, 1, b"\0M")),
    "sent-and-done": entry(1, 1, message_payload()) + entry(3, 1, sent_payload((1, 0, 1))) + entry(5, 1, b""),
    "two-sent-and-done-together": entry(1, 1, message_payload()) + entry(1, 2, message_payload())
    + entry(3, 1, sent_payload((1, 0, 1), (2, 1, 2), (2, 0, 2))) + entry(5, 1, struct.pack(">Q", 2)),
    "done-with-half-an-id": entry(1, 1, message_payload()) + entry(5, 1, b"\0\0\0"),
    "part-final": entry(1, 1, message_payload()) + entry(4, 1, b"\x00\x02\x05\0\x01" + short(b"elisa")),
    "carried": entry(2, 1, message_payload() + b"\x02" + PART + b"\x02\x02\0\0" + bytes(4) + short(b"elisa") + short(b"")),
    "carried-with-255-parts": entry(2, 1, message_payload() + b"\xff" + PART * 255),
    "sent-part-200-of-255": entry(1, 1, message_payload()) + entry(3, 1, sent_payload((1, 200, 255))),
    "mail": entry(1, 1, message_payload()) + entry(6, 2, mail_payload([1])),
    "mail-of-an-mo": entry(6, 2, mail_payload([], False)),
    "mail-that-closes-itself": entry(6, 2, mail_payload([2, 2])),
    "parked": entry(7, 3, PARKED),
    "mo-part": entry(8, 4, MO) + entry(8, 5, MO),
    "one-id-for-two-things": entry(1, 1, message_payload()) + entry(8, 1, MO),
    "unknown-kind": entry(9, 1, b"x"),
    "text-of-4-gib": entry(1, 1, message_payload().replace(b"\0\0\0\x03Moi", b"\xff\xff\xff\xffMoi")),
    "account-not-utf8": entry(1, 1, message_payload().replace(b"shop", b"sh\xffp")),
}

PAIRS = {
    "requests-and-answers": b"\x07\0\x00\0\x02\xff\x05\0\x03\xff\x01\0\x03\xff\x04\0\x02\xff",
    "octet-by-octet": b"\x02\x01" * 60 + b"\x03\x01" * 40 + b"\x00\0\x02\x05\x02\x0b\x02\x04",
    "windows-full": b"\x07\0" + b"\x00\0\x01\0" * 6 + b"\x07\0" + b"\x05\x01\x04\x02" * 6,
    "unbind-from-both": b"\x07\0\x00\0\x01\0\x06\0\x06\x01\x07\0",
    "unbind-with-requests-open": b"\x07\0\x00\0\x00\0\x06\x01\x02\xff\x07\0",
    "unbind-before-bound": b"\x06\0\x07\0",
}


def stream_seeds(name, stream):
    put("frame", name, b"\x05" + stream)
    put("wire", name, b"\x00\x00" + stream)
    # The server reads it unbound and bound, as client it comes before and after the answer to the bind.
    put("session", f"server-{name}", b"\x01" + piece(stream))
    put("session", f"bound-server-{name}", b"\x01" + piece(pdu(9, BIND)) + piece(stream))
    put("session", f"client-{name}", b"\x00" + piece(stream))


def hand_made():
    for name, stream in STREAMS.items():
        stream_seeds(name, stream)
    put("wire", "above-limit-all-there", b"\x80\x90" + pdu(SUBMIT, length=71 * 1024))
    answer = piece(pdu(0x80000009, b"smsc\0"))
    put("session", "client-window", b"\x00" + answer + b"\x02\x01" * 6 + piece(pdu(0x80000004, b"id\0", 2)) + b"\x02\x00")
    put("session", "client-time", b"\x00" + answer + b"\x02\x01\x00\x1f\x01\x00\x00\x1f\x01\x00")
    put("session", "server-window", b"\x01" + piece(pdu(9, BIND)) + b"".join(
        piece(pdu(SUBMIT, submit(b"Moi"), n)) for n in range(2, 8)) + b"\x03\x01" * 3)
    for name, body in BODIES.items():
        put("views", name, body)
        for how, command in [(0x00, "submit_sm"), (0x40, "data_sm"), (0x80, "deliver_sm")]:
            put("submission", f"{command}-{name}", bytes([how]) + body)
    for name, text in RECEIPTS.items():
        put("receipt_text", name, b"\x04\x00\x00\x00\x00" + text)
        put("receipt_text", f"{name}-unflagged", b"\x00\x08\x00\x00\x00" + text)
    put("receipt_text", "tlvs", b"\x04\x00\x07\x02\x060A1B2C" + RECEIPT)
    put("receipt_text", "tlvs-empty", b"\x00\x00\x07\xff\x00")
    for name, (coding, text) in TEXTS.items():
        for how in range(0, 256, 0x2A):
            put("text", f"{name}-{how:02x}", bytes([how & 0xFE, coding, 0]) + text)
        put("text", f"{name}-long", bytes([0x20, coding, 12]) + text)
    for name, header in HEADERS.items():
        put("udh", name, header)
        for how in (0x01, 0x21, 0x61):
            put("text", f"header-{name}-{how:02x}", bytes([how, 0, 0]) + header)
    for name, line in LINES.items():
        put("control", name, line)
    for name, text in IDS.items():
        put("message_id", name, b"\x00" + struct.pack(">Q", 0x3_0000_0010) + text)
    for name in ("smppgw.toml", "demo.toml"):
        put("config", name, (CONF / name).read_bytes())
    put("config", "empty", b"")
    put("config", "nested", b"a = " + b"[" * 500)
    put("config", "wrong-types", b"node = 1\n[limits]\nconnections = -1\npdu = \"1 YB\"\n[[account]]\n[[operator]]\n[routing]\nprefixes = 7\n")
    put("config", "credential", b"[[account]]\nsystem_id = \"shop\"\npassword_file = \"credential:../secret\"\n")
    for name, which in (("prefixes.csv", b"\x00"), ("ported.csv", b"\x01")):
        put("routes", name, which + (CONF / name).read_bytes()[:1500])
    put("routes", "plain-prefixes", b"\x00358,elisa\n35840,telia\n")
    put("routes", "plain-ported", b"\x01358401234567,elisa\n358401234568,dna\n")
    put("routes", "header", b"\x00operators,prefix\nelisa|dna,358\n# x\n\n")
    put("routes", "quotes-open", b"\x00358,\"elisa\n40,telia\n")
    put("routes", "not-utf8", b"\x00358,\xff\n\xfe,elisa\n")
    put("routes", "twice", b"\x01358401234567,elisa\n358401234567,elisa\n")
    put("routes", "no-digits", b"\x00+358,elisa\n12345678901234567,elisa\n,elisa\n")
    for name, content in SPOOLS.items():
        put("spool", name, content)
    for name, content in LEDGERS.items():
        put("ledger", name, content)
    for name, content in PAIRS.items():
        put("pair", name, content)


def tshark(capture, *arguments):
    return subprocess.run(["tshark", "-n", "-r", capture, *arguments], check=True, capture_output=True, text=True).stdout


def directions(capture, stream):
    """The octets of a TCP stream: from the client, and from the server."""
    both = {False: b"", True: b""}
    for line in tshark(capture, "-q", "-z", f"follow,tcp,raw,{stream}").splitlines():
        octets = line.strip()
        if octets and all(c in "0123456789abcdef" for c in octets):
            both[line.startswith("\t")] += bytes.fromhex(octets)
    return both[False], both[True]


def pdus(octets):
    while len(octets) >= 16:
        length = int.from_bytes(octets[:4], "big")
        yield octets[:length]
        octets = octets[length:]


def command_name(one):
    command = int.from_bytes(one[4:8], "big")
    return COMMANDS.get(command) or COMMANDS.get(command & 0x7FFFFFFF, f"{command:08x}") + "_resp"


def short_message(body):
    """esm_class, data_coding and text of a submit_sm or deliver_sm."""
    at = body.index(b"\0") + 1
    for _ in range(2):
        at = body.index(b"\0", at + 2) + 1
    esm_class, at = body[at], at + 3
    for _ in range(2):
        at = body.index(b"\0", at) + 1
    return esm_class, body[at + 2], body[at + 5:at + 5 + body[at + 4]]


def foreign(program, octets, role):
    """Seeds of what one program said; `role` is what it was: a client or an operator."""
    seen = {}
    for one in pdus(octets):
        command, body = command_name(one), one[16:]
        count = seen[command] = seen.get(command, 0) + 1
        if count > KEPT:
            continue
        name = f"{program}-{command}" + (f"-{count}" if count > 1 else "")
        put("views", name, body)
        if command in ("submit_sm", "deliver_sm", "data_sm"):
            put("submission", name, bytes([{"submit_sm": 0, "data_sm": 0x40, "deliver_sm": 0x80}[command]]) + body)
        if command in ("submit_sm", "deliver_sm"):
            esm_class, data_coding, text = short_message(body)
            put("text", name, bytes([esm_class >> 6 & 1, data_coding, 0]) + text)
            if command == "deliver_sm":
                put("receipt_text", name, bytes([esm_class, data_coding, 0, 0, 0]) + text)
            if esm_class & 0x40:
                put("udh", name, text)
    first = octets[:1200]
    put("frame", program, b"\x20" + first)
    put("wire", program, b"\x00\x00" + first)
    put("session", program, (b"\x01" if role == "client" else b"\x00") + piece(first))


def captured(capture, gateway_port):
    rows = tshark(capture, "-Y", "tcp.flags.syn == 1 and tcp.flags.ack == 0", "-T", "fields", "-e", "tcp.stream", "-e", "tcp.dstport")
    clients = iter(PROGRAMS)
    current, operators = None, 0
    for stream, port in (row.split() for row in rows.splitlines()):
        client, server = directions(capture, stream)
        if not server:
            continue
        if port == gateway_port:
            # Kannel makes several connections and is the last of them.
            current = next(clients, current)
            foreign(current, client, "client")
        elif len(server) > 100:
            operators += 1
            foreign(f"node_smpp-operator-{operators}", server, "operator")


if len(sys.argv) == 3:
    captured(*sys.argv[1:])
elif len(sys.argv) == 1:
    hand_made()
else:
    sys.exit(__doc__)
