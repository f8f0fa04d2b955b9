#!/usr/bin/env python3
"""A foreign SMPP client: Python's smpplib.

    smpplib_client.py HOST PORT SYSTEM_ID PASSWORD [--source S] [--timeout SECONDS]

Binds as transceiver, submits the texts given on stdin as [{"to": MSISDN, "text": ...}] (receipts requested; long ones split by
the library with a UDH), waits for one final receipt per submit_sm, unbinds.

stdout: {"submitted": [ids], "receipts": [{"id", "stat", "text"}], "mo": [...]}
Exit code 0 when all receipts came in time, 1 when not, 2 when the bind or a submit was refused.
"""

import argparse
import json
import re
import select
import sys
import time

import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("system_id")
    parser.add_argument("password")
    parser.add_argument("--source", default="13123")
    parser.add_argument("--timeout", type=float, default=20.0)
    return parser.parse_args()


def on_delivery(result, pdu):
    text = (pdu.short_message or b"").decode("latin-1")
    if pdu.esm_class & 0x3C == 0x04:
        fields = dict(re.findall(r"(\w+):(\S+)", text))
        receipted = pdu.receipted_message_id
        if isinstance(receipted, bytes):
            receipted = receipted.rstrip(b"\0").decode("ascii")
        result["receipts"].append({"id": receipted or fields.get("id"), "stat": fields.get("stat"), "text": text})
    else:
        result["mo"].append(
            {"source": pdu.source_addr.decode(), "dest": pdu.destination_addr.decode(), "text": text}
        )


def submit_all(client, options, texts):
    """Submits everything without waiting, and gives the sequence numbers in order."""
    sequences = []
    for text in texts:
        parts, coding, esm_class = smpplib.gsm.make_parts(text["text"])
        for part in parts:
            sent = client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_NWSPEC
                if options.source.isdigit()
                else smpplib.consts.SMPP_TON_ALNUM,
                source_addr=options.source,
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                destination_addr=text["to"],
                short_message=part,
                data_coding=coding,
                esm_class=esm_class,
                registered_delivery=True,
            )
            sequences.append(sent.sequence)
    return sequences


def run(options, texts, result):
    client = smpplib.client.Client(options.host, options.port, timeout=options.timeout, allow_unknown_opt_params=True)
    ids = {}
    client.set_message_sent_handler(lambda pdu: ids.__setitem__(pdu.sequence, pdu.message_id.decode("ascii")))
    client.set_message_received_handler(lambda pdu: on_delivery(result, pdu))
    client.connect()
    client.bind_transceiver(system_id=options.system_id, password=options.password)
    sequences = submit_all(client, options, texts)

    deadline = time.monotonic() + options.timeout
    while len(ids) < len(sequences) or len(result["receipts"]) < len(sequences):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        if select.select([client._socket], [], [], left)[0]:
            client.read_once(auto_send_enquire_link=False)
    result["submitted"] = [ids.get(sequence) for sequence in sequences]
    complete = len(ids) == len(sequences) and len(result["receipts"]) == len(sequences)
    client.unbind()
    client.disconnect()
    return 0 if complete else 1


def main():
    options = arguments()
    texts = json.load(sys.stdin)
    result = {"submitted": [], "receipts": [], "mo": []}
    try:
        code = run(options, texts, result)
    except (smpplib.exceptions.PDUError, smpplib.exceptions.ConnectionError, OSError) as error:
        result["error"] = repr(error)
        code = 2
    print(json.dumps(result), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
