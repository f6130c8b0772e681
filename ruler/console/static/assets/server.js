// One server: status, problems, parts with their bays drawn, what it was.
import { h, data, clean } from './dom.js';
import { post } from './api.js';
import { badge, bytes, card, cloned, empty, field, number, plural, sentence, serverLink, simulated, table, tone, when, words } from './format.js';
import { item as notificationItem } from './notifications.js';
import { item as changeItem } from './changes.js';

export const title = 'Server';

export async function load(ctx, get) {
  const path = '/servers/' + encodeURIComponent(ctx.args[0]);
  const [detail, history, ledger] = await Promise.all([get(path, {}, ctx.signal), get(path + '/history', { limit: 30 }, ctx.signal), get(path + '/ledger', {}, ctx.signal)]);
  return { detail, history, ledger };
}

export function render({ detail: d, history, ledger }, ctx) {
  const s = d.server;
  document.title = clean(s.name, 60) + ' · Nocturne';
  return [
    h('p', { class: 'crumbs' }, h('a', { href: '#/servers' }, 'Servers'), s.site && [' / ', h('a', { href: '#/servers?site=' + encodeURIComponent(s.site) }, data(s.site, 60))]),
    h('div', { class: 'head' }, h('h1', null, data(s.name, 120)), badge(s.status, s.status_text), simulated(s.simulated), cloned(s.clone)),
    h('p', { class: 'lead' }, data(s.status_text), s.last_seen ? [' · last heard ', when(s.last_seen)] : null),
    s.clone && twins(d),
    s.simulated && ctx.features.demo && breakIt(s, ctx),
    d.notifications.length > 0 && card('Open notifications', null, h('ul', { class: 'list' }, d.notifications.map(notificationItem))),
    facts(d),
    ...groups(d.devices),
    d.devices.length === 0 && card('Parts', null, empty('No part is known yet.', 'The first snapshots come within a minute of the first heartbeat.')),
    h('div', { class: 'two' },
      card('History of changes', history.next_before_id ? h('span', { class: 'dim' }, 'the newest 30') : null,
        history.changes.length ? h('ul', { class: 'list' }, history.changes.map((c) => changeItem(c, false))) : empty('Nothing has changed since it joined.')),
      card('Configurations it had', null, history.snapshots.length ? h('ul', { class: 'list' }, history.snapshots.map(snapshot)) : empty('No snapshot yet.'))),
    records(ledger),
  ];
}

function twins(d) {
  return h('div', { class: 'banner', role: 'note' }, h('p', null, 'Two live machines speak under this identity: a disk was probably cloned. Each is kept apart; enrol one of them again. The other:'),
    h('ul', null, d.lines.map((l) => h('li', null, serverLink(l.id, l.name), ' ', badge(l.status), ' last heard ', when(l.last_seen)))));
}

const incidents = [['drive', 'Fail a drive', 'predicted, failed, degraded, replaced, rebuilt, optimal'], ['silence', 'Fall silent', 'stops speaking without a goodbye'], ['reboot', 'Reboot', 'says goodbye and comes back'],
  ['rack', 'Lose the rack', 'all servers of its rack fall silent'], ['patchday', 'Patch day', 'updates and reboots']];

function breakIt(s, ctx) {
  const go = (kind) => async (e) => {
    const button = e.currentTarget;
    button.disabled = true;
    try {
      ctx.say((await post('/demo/incident', { kind, server_id: s.id })).text);
    } catch (err) {
      ctx.say(`${sentence(err.message)} ${sentence(err.hint)}`);
    }
    button.disabled = false;
    ctx.refresh();
  };
  return card('Break it', h('span', { class: 'dim' }, 'simulated: nothing real is touched'),
    h('div', { class: 'buttons' }, incidents.map(([kind, text, what]) => h('button', { type: 'button', title: what, onclick: go(kind) }, text))));
}

function facts(d) {
  const s = d.server;
  const named = Object.fromEntries(d.facts.map((f) => [f.name, f.value]));
  const fact = (name, value) => value && h('div', null, h('dt', null, name), h('dd', null, value));
  const text = (v, n = 80) => v && data(v, n);
  return card('Facts', null, h('dl', { class: 'facts' },
    fact('System', s.os_name && [data(s.os_name, 80), ' ', h('span', { class: 'dim' }, data(named.os_build || s.os_version, 60))]),
    fact('Started', s.boot_time && when(s.boot_time)), fact('Site', text(s.site)), fact('Rack', text(s.rack)), fact('Role', text(s.role)), fact('Owner', text(s.owner)),
    fact('Enrolled', s.enrolled_at && when(s.enrolled_at)), fact('Exporter', text(s.exporter_version)), fact('Calls itself', text(named.reported_name)),
    fact('Clock differs by', named.clock_skew_seconds && `${named.clock_skew_seconds} s`), fact('Speaks every', named.heartbeat_interval_seconds && `${named.heartbeat_interval_seconds} s`),
    fact('Machine id', text(named.machine_id)), fact('SMBIOS UUID', text(named.smbios_uuid)), fact('Server id', h('code', null, s.id))));
}

// What the records of a category without controllers are about, in the order of the page.
const subjects = { hardware: 'Machine', raid: 'Software RAID', smart: 'Drives (SMART)', sensors: 'Sensors', check: 'Checks', updates: 'Updates', software: 'Software' };
const long = 20; // rows; a longer list is folded unless something in it is wrong

// The parts: each controller with what hangs on it, the machine's own, then what else is known of it.
function groups(devices) {
  const out = new Map();
  for (const d of devices.filter((v) => !v.removed_at)) {
    const key = d.group ? 'controller ' + d.group : d.category;
    out.set(key, [...(out.get(key) ?? []), d]);
  }
  // What is broken first, then the controllers, then the rest.
  const place = Object.keys(subjects);
  const order = ([key, list]) => (list.some((d) => d.status !== 'ok') ? 0 : list[0].group ? 1 : 2 + place.indexOf(key));
  const cards = [...out].sort((a, b) => order(a) - order(b)).map(([key, list]) => {
    const { group } = list[0];
    const controller = list.find((d) => d.type === 'controller');
    const drives = list.filter((d) => d.type === 'physical_drive');
    return card(group ? ['Controller ', data(group, 40), controller?.model && [' · ', data(controller.model, 60)]] : subjects[key] ?? words(key),
      h('span', { class: 'dim' }, group || key === 'hardware' ? plural(list.length, 'part') : plural(list.length, 'entry', 'entries')), drives.length > 0 && bays(drives), folded(list));
  });
  const gone = devices.filter((d) => d.removed_at);
  if (gone.length) cards.push(card('Parts that are gone', h('span', { class: 'dim' }, number(gone.length)), folded(gone)));
  return cards;
}

// A long list by type, each folded away where nothing in it is wrong.
function folded(list) {
  if (list.length <= long) return deviceTable(list);
  const types = new Map();
  for (const d of list) types.set(d.type, [...(types.get(d.type) ?? []), d]);
  return [...types].map(([type, part]) => part.length <= long && part.some((d) => d.status !== 'ok') || part.length <= 4 ? deviceTable(part)
    : h('details', { class: 'space', 'data-key': type, open: part.some((d) => d.status !== 'ok') }, h('summary', null, `${number(part.length)} × ${clean(part[0].type_text, 60)}`), deviceTable(part)));
}

// The drive bays as one sees them: which one to pull.
function bays(drives) {
  const slot = (d) => /(?:^|\/)s(\d{1,4})$/.exec(d.place)?.[1];
  const list = drives.filter((d) => slot(d) !== undefined);
  if (!list.length) return null;
  return h('ol', { class: 'bays', 'aria-label': 'Drive bays' }, list.map((d) => h('li', { class: `bay ${tone(d.status)}`, 'data-key': d.place, title: clean(`${d.place} · ${d.state} · ${d.model} · ${d.serial}`) },
    h('span', { class: 'slot' }, slot(d)), h('span', { class: 'state' }, data(d.state || '?', 8)))));
}

function deviceTable(list) {
  return table('Parts', ['Part', 'Place', 'State', 'Serial', 'Model', 'More'], list.map((d) => ({
    key: d.type + d.place, class: tone(d.status),
    cells: [
      data(d.type_text, 60), d.place ? h('span', { class: 'mono' }, data(d.place, 80)) : null,
      d.removed_at ? h('span', { class: 'dim' }, 'gone ', when(d.removed_at)) : d.status !== 'ok' ? [badge(d.status, d.status_text), ' ', data(d.state, 40)] : d.state ? data(d.state, 40) : null,
      d.serial ? h('span', { class: 'mono' }, data(d.serial, 60)) : null,
      d.model || d.firmware ? [d.model && data(d.model, 80), d.firmware && h('span', { class: 'dim' }, ' firmware ', data(d.firmware, 40))] : null,
      more(d),
    ],
  })), 'parts compact');
}

// The ledger: what of its records arrived.
function records(l) {
  return card('Records', null, h('p', null, data(l.text)), l.sequences.length > 0 && h('details', { class: 'space' }, h('summary', null, plural(l.sequences.length, 'sequence')),
    table('Sequences', ['Category', 'Producer', 'Received', 'Missing', 'Twice', 'Late', 'Declared lost', 'Run since'], l.sequences.map((q) => ({ key: q.producer + q.category, class: q.missing_records ? 'critical' : '', cells: [
      words(q.category), [data(q.producer.split('/')[0], 40), q.unassured && h('span', { class: 'dim', title: 'The source numbers nothing: holes cannot be seen' }, ' unassured')],
      number(q.received_records), q.unassured ? h('span', { class: 'dim' }, 'cannot tell') : number(q.missing_records), number(q.duplicate_records), number(q.late_records), number(q.declared_lost_records), when(q.epoch_start),
    ] })))));
}

// Size and the other fields, six at most: all of them are in the API.
function more(d) {
  const list = d.fields.slice(0, 6).map(field);
  if (d.size_bytes !== null) list.unshift(bytes(d.size_bytes, d.type === 'memory'));
  return list.length ? h('span', { class: 'dim' }, list.map((v, i) => (i ? [' · ', v] : v))) : null;
}

function snapshot(s) {
  return h('li', { 'data-key': s.hash + s.at }, h('div', { class: 'row' }, h('span', { class: 'tag' }, words(s.category)),
    h('div', { class: 'grow' }, s.changes ? plural(s.changes, 'change') : 'first seen', ' ', h('span', { class: 'dim' }, when(s.at))), h('code', { class: 'dim', title: 'hash of its content' }, s.hash.slice(0, 8))));
}
