// How well records flow: in = out + dropped + waiting, at every stage.
import { h, data } from './dom.js';
import { badge, bytes, card, empty, number, table, when } from './format.js';

export const title = 'Pipeline';

export async function load(ctx, get) {
  return { p: await get('/pipeline', {}, ctx.signal) };
}

export function render({ p }) {
  const tile = (n, what, bad) => h('div', { class: `tile ${n && bad ? 'critical' : ''}` }, h('span', { class: 'n' }, number(n)), h('span', { class: 'what' }, what));
  return [
    h('div', { class: 'head' }, h('h1', null, title), badge(p.ok ? 'ok' : 'warning')),
    h('p', { class: 'lead' }, data(p.text, 1000)),
    h('div', { class: 'tiles' }, tile(p.ledger.received_records, 'records received'), tile(p.ledger.missing_records, 'missing', true), tile(p.ledger.duplicate_records, 'duplicates, counted once'),
      tile(p.ledger.late_records, 'late'), tile(p.ledger.declared_lost_records, 'declared lost', true), tile(p.ledger.rejected_frames, 'frames rejected', true)),
    p.bridge.configured && card('Stages', null, p.stages.length
      ? table('Stages', ['Stage', 'In', 'Out', 'Dropped', 'Waiting'], p.stages.map((s) => ({ key: s.name, cells: [data(s.name, 60), number(s.in_records), number(s.out_records), [number(s.dropped_records), s.dropped_by_reason.map((r) => h('span', { class: 'dim' }, ' ', data(r.reason, 40), ' ', number(r.records)))], number(s.waiting_records)] })))
      : empty(p.bridge.reachable ? 'The bridge names no stages.' : 'The bridge does not answer.', data(p.bridge.error))),
    p.sinks.length > 0 && card('Sinks', null, table('Sinks', ['Sink', 'State', 'Entries behind', 'Error'], p.sinks.map((s) => ({ key: s.name, cells: [data(s.name, 60), badge(s.ok ? 'ok' : 'warning'), number(s.lag_entries), data(s.error || '–', 300)] })))),
    card('Ruler, per partition', h('span', { class: 'dim' }, `store ${bytes(p.store_bytes)}`), p.partitions.length
      ? table('Partitions', ['Partition', 'Entry', 'Stream time', 'Received', 'Missing', 'Clock'], p.partitions.map((v) => ({ key: String(v.partition), cells: [
        v.partition === 1000 ? 'fleet' : String(v.partition), [number(v.entry), v.head !== null && h('span', { class: 'dim' }, ` of ${number(v.head)}`)], when(v.stream_time), number(v.ledger.received_records), number(v.ledger.missing_records),
        v.frozen ? data(v.frozen, 120) : 'runs',
      ] })))
      : empty('The ruler has read nothing from the stream yet.')),
  ];
}
