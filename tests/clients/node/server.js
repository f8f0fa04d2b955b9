// A foreign SMPP server, acting as an operator's SMSC: the npm `smpp` package.
//
//   node server.js PORT [--id dec|hex] [--receipt-id same|dec|hex] [--receipt-after MS] [--state DELIVRD] [--status N]
//
// PORT 0 takes a free one. Any system_id and password may bind. Every submit_sm is answered with status N (default 0) and a
// counted id, written as --id says; when it asks for a receipt, a deliver_sm follows after MS milliseconds (default 50), its
// id written as --receipt-id says, on any session that can receive.
//
// stdout: one JSON object per line: listening, bound, submit_sm (as received, bytes in hex), deliver_sm_resp, unbound, closed.
// stdin:  {"mo": {"source": "358401234567", "destination": "13123", "text": "hello"}} sends a deliver_sm, "udh": hex
//         with a user data header. The end of stdin stops the server.
'use strict';

const smpp = require('smpp');
const readline = require('readline');
const { parseArgs } = require('util');

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    id: { type: 'string', default: 'dec' },
    'receipt-id': { type: 'string', default: 'same' },
    'receipt-after': { type: 'string', default: '50' },
    state: { type: 'string', default: 'DELIVRD' },
    status: { type: 'string', default: '0' },
  },
});

// What came is to be shown as it came: no decoding of text and times.
for (const name of ['short_message', 'schedule_delivery_time', 'validity_period']) {
  delete smpp.commands.submit_sm.params[name].filter;
}
delete smpp.tlvs.message_payload.filter;

const STATES = { ENROUTE: 1, DELIVRD: 2, EXPIRED: 3, DELETED: 4, UNDELIV: 5, ACCEPTD: 6, UNKNOWN: 7, REJECTD: 8 };
const receivers = [];
let lastId = 0x7a000000;

function log(event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
}

function written(id, form) {
  return form === 'hex' ? id.toString(16).toUpperCase() : id.toString(10);
}

function plain(value) {
  return Buffer.isBuffer(value) ? value.toString('hex') : value;
}

function describe(pdu) {
  const tlvs = {};
  for (const key of Object.keys(pdu)) {
    if (key in smpp.tlvs || /^\d+$/.test(key)) tlvs[key] = plain(pdu[key]);
  }
  return {
    sequence: pdu.sequence_number,
    service_type: pdu.service_type,
    source: pdu.source_addr,
    source_ton: pdu.source_addr_ton,
    source_npi: pdu.source_addr_npi,
    dest: pdu.destination_addr,
    dest_ton: pdu.dest_addr_ton,
    dest_npi: pdu.dest_addr_npi,
    esm_class: pdu.esm_class,
    protocol_id: pdu.protocol_id,
    priority: pdu.priority_flag,
    validity_period: pdu.validity_period,
    registered_delivery: pdu.registered_delivery,
    data_coding: pdu.data_coding,
    short_message: plain(pdu.short_message),
    tlvs,
  };
}

function deliver(fields, about) {
  const session = receivers[0];
  if (!session) {
    log('no_receiver', about);
    return;
  }
  session.deliver_sm(fields, (resp) => log('deliver_sm_resp', { ...about, status: resp.command_status }));
}

function date(at) {
  return at.toISOString().replace(/[-T:]/g, '').slice(2, 12);
}

function receipt(submit, id) {
  const written_id = written(id, options['receipt-id'] === 'same' ? options.id : options['receipt-id']);
  const now = date(new Date());
  const delivered = options.state === 'DELIVRD';
  const text =
    `id:${written_id} sub:001 dlvrd:${delivered ? '001' : '000'} submit date:${now} done date:${now} ` +
    `stat:${options.state} err:${delivered ? '000' : '001'} text:`;
  deliver(
    {
      source_addr_ton: submit.dest_addr_ton,
      source_addr_npi: submit.dest_addr_npi,
      source_addr: submit.destination_addr,
      dest_addr_ton: submit.source_addr_ton,
      dest_addr_npi: submit.source_addr_npi,
      destination_addr: submit.source_addr,
      esm_class: 0x04,
      short_message: Buffer.from(text, 'latin1'),
      receipted_message_id: written_id,
      message_state: STATES[options.state] || STATES.UNKNOWN,
    },
    { receipt: written_id },
  );
}

function submitted(session, pdu) {
  const status = Number(options.status);
  const id = ++lastId;
  log('submit_sm', { ...describe(pdu), id: status ? null : written(id, options.id), status });
  session.send(pdu.response(status ? { command_status: status } : { message_id: written(id, options.id) }));
  const delivered = options.state === 'DELIVRD';
  const wanted = [false, true, !delivered, delivered][pdu.registered_delivery & 3];
  if (!status && wanted) setTimeout(receipt, Number(options['receipt-after']), pdu, id);
}

function forget(session) {
  const at = receivers.indexOf(session);
  if (at >= 0) receivers.splice(at, 1);
}

// The library by itself marks GSM 7-bit text as data_coding 1 (ASCII), which is wrong beyond the letters they share.
function content({ text, udh }) {
  const gsm = smpp.encodings.detect(text) === 'ASCII';
  const header = Buffer.from(udh || '', 'hex');
  return {
    esm_class: udh ? 0x40 : 0,
    data_coding: gsm ? 0 : 8,
    short_message: Buffer.concat([header, smpp.encodings[gsm ? 'ASCII' : 'UCS2'].encode(text)]),
  };
}

const server = smpp.createServer({}, (session) => {
  for (const bind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(bind, (pdu) => {
      session.send(pdu.response({ system_id: 'node-smsc' }));
      if (bind !== 'bind_transmitter') receivers.push(session);
      log('bound', { bind, system_id: pdu.system_id, interface_version: pdu.interface_version });
    });
  }
  session.on('submit_sm', (pdu) => submitted(session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    forget(session);
    log('unbound', {});
    session.send(pdu.response(), () => session.close());
  });
  session.on('close', () => {
    forget(session);
    log('closed', {});
  });
  session.on('error', (error) => log('error', { message: String(error.message) }));
});

server.listen(Number(positionals[0] || 2775), '127.0.0.1', () => log('listening', { port: server.address().port }));

readline
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { mo } = JSON.parse(line);
    deliver(
      {
        source_addr_ton: 1,
        source_addr_npi: 1,
        source_addr: mo.source,
        dest_addr_ton: 0,
        dest_addr_npi: 1,
        destination_addr: mo.destination,
        ...content(mo),
      },
      { mo: mo.destination },
    );
  })
  .on('close', () => process.exit(0));
