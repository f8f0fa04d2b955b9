// A foreign SMPP client: the npm `smpp` package.
//
//   node client.js HOST PORT SYSTEM_ID PASSWORD [--source S] [--interface-version 0x34] [--timeout SECONDS]
//       binds as transceiver, submits the texts given on stdin as [{"to": MSISDN, "text": ...}] (asking for receipts, GSM-7 or
//       UCS-2 as the library detects, message_payload beyond 254 octets), waits for one final receipt each, unbinds.
//       stdout: {"submitted": [ids], "receipts": [{"id", "stat", "text", "receipted_message_id"}], "mo": [...]}
//   node client.js HOST PORT SYSTEM_ID PASSWORD --transmit ...
//       the same bound as transmitter, which gets no receipts and waits for none.
//   node client.js HOST PORT SYSTEM_ID PASSWORD --receive COUNT [--interface-version 0x34] [--timeout SECONDS]
//       binds as receiver and waits for COUNT deliver_sm of any kind; prints the same with nothing submitted.
//
// Exit code 0 when all came in time, 1 when not, 2 when the bind or a submit was refused.
'use strict';

const fs = require('fs');
const smpp = require('smpp');
const { parseArgs } = require('util');

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    source: { type: 'string', default: '13123' },
    'interface-version': { type: 'string', default: '0x34' },
    transmit: { type: 'boolean', default: false },
    receive: { type: 'string' },
    timeout: { type: 'string', default: '20' },
  },
});
const [host, port, system_id, password] = positionals;
const interface_version = Number(options['interface-version']);
const receiver = options.receive !== undefined;
const texts = receiver ? [] : JSON.parse(fs.readFileSync(0, 'utf8'));
const wanted = receiver ? Number(options.receive) : options.transmit ? 0 : texts.length;
const bind = receiver ? 'bind_receiver' : options.transmit ? 'bind_transmitter' : 'bind_transceiver';
let answered = 0;
const result = { submitted: [], receipts: [], mo: [] };

function finish(code) {
  process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(code));
}

function fail(what, status) {
  result.error = { what, status };
  finish(2);
}

// A short text is GSM-7 bytes in short_message, or UCS-2 when it needs to be; a longer one goes whole in message_payload.
function body(text) {
  const gsm = smpp.encodings.detect(text) === 'ASCII';
  const bytes = smpp.encodings[gsm ? 'ASCII' : 'UCS2'].encode(text);
  const data_coding = gsm ? 0 : 8;
  return bytes.length <= 254 ? { data_coding, short_message: bytes } : { data_coding, message_payload: bytes };
}

const session = smpp.connect({ host, port: Number(port) });
session.on('error', (error) => fail(String(error.message), null));
session.on('close', () => fail('connection closed', null));
session.on('enquire_link', (pdu) => session.send(pdu.response()));
setTimeout(() => finish(1), Number(options.timeout) * 1000);

function done() {
  const came = receiver ? result.receipts.length + result.mo.length : result.receipts.length;
  if (came < wanted || answered < texts.length) return;
  session.removeAllListeners('close');
  session.unbind(() => finish(0));
}

session.on('deliver_sm', (pdu) => {
  session.send(pdu.response());
  const message = pdu.short_message.message;
  const text = Buffer.isBuffer(message) ? message.toString('latin1') : message;
  if ((pdu.esm_class & 0x3c) === 0x04) {
    const field = (name) => (text.match(new RegExp(`${name}:(\\S+)`)) || [])[1];
    const { receipted_message_id } = pdu;
    result.receipts.push({ id: receipted_message_id || field('id'), stat: field('stat'), text, receipted_message_id });
  } else {
    result.mo.push({ source: pdu.source_addr, dest: pdu.destination_addr, text });
  }
  done();
});

function submit({ to, text }, index) {
  const fields = {
    source_addr_ton: /^\d+$/.test(options.source) ? 3 : 5,
    source_addr: options.source,
    dest_addr_ton: 1,
    dest_addr_npi: 1,
    destination_addr: to,
    registered_delivery: 1,
    ...body(text),
  };
  session.submit_sm(fields, (resp) => {
    if (resp.command_status !== 0) return fail('submit_sm', resp.command_status);
    result.submitted[index] = resp.message_id;
    answered++;
    done();
  });
}

session[bind]({ system_id, password, interface_version }, (resp) => {
  if (resp.command_status !== 0) return fail('bind', resp.command_status);
  texts.forEach(submit);
  done();
});
