// One notification: what, why, since when, by which records, and who was told.
import { h, data, clean } from './dom.js';
import { badge, card, clock, empty, serverLink, simulated, table, when, words } from './format.js';
import { item } from './notifications.js';
import { post } from './api.js';

export const title = 'Notification';
export const watched = true; // the stream of events tells of all that is shown

export async function load(ctx, get) {
  ctx.local.me ??= await get('/me', {}, ctx.signal);
  return { detail: await get('/notifications/' + encodeURIComponent(ctx.args[0]), {}, ctx.signal), me: ctx.local.me };
}

export function render({ detail: d, me }, ctx) {
  const n = d.notification;
  const resolved = n.state === 'resolved';
  return [
    h('p', { class: 'crumbs' }, h('a', { href: '#/notifications' }, 'Notifications')),
    h('div', { class: 'head' }, h('h1', null, data(n.title, 200)), badge(resolved ? 'resolved' : n.severity), simulated(n.simulated)),
    h('p', { class: 'lead' }, data(n.reason, 1000)),
    n.muted && h('p', { class: 'banner' }, 'Muted, nobody is told: ', data(n.muted)),
    n.folded_into && h('p', { class: 'banner' }, 'Another notification speaks for it: ', h('a', { href: '#/notifications/' + encodeURIComponent(n.folded_into) }, 'look there')),
    h('dl', { class: 'facts' },
      fact('Server', serverLink(n.server_id, n.server)), fact('Device', n.device ? data(n.device, 120) : 'the server itself'), fact('Site', n.site && data(n.site, 80)),
      fact('Severity', data(n.severity, 30)), fact('Opened', when(n.opened_at)), fact('Resolved', resolved && when(n.resolved_at)), fact('Class', data(words(n.class))), fact('Rule', data(n.rule_id, 80))),
    n.silenced_until && h('p', { class: 'banner' }, 'Silenced until ', clock(n.silenced_until), ': ', data(n.silence_reason, 300)),
    work(n, me, ctx),
    (d.before || d.after) && h('div', { class: 'beforeafter' }, h('div', null, h('span', { class: 'dim' }, 'before'), h('div', null, data(d.before || 'nothing', 500))), h('span', { class: 'arrow', 'aria-hidden': 'true' }, '→'),
      h('div', null, h('span', { class: 'dim' }, 'after'), h('div', null, data(d.after || 'nothing', 500)))),
    h('div', { class: 'two' },
      card('Timeline', null, h('ol', { class: 'timeline' }, d.timeline.map((e) => h('li', { class: words(e.kind) }, clock(e.at), ' ', h('span', { class: 'strong' }, words(e.kind)), ' ', data(e.text, 400))))),
      h('div', null, card('Why', null, why(d.why)), card('Told', null, told(d.deliveries)))),
    d.members.length > 0 && card('It speaks for', null, h('ul', { class: 'list' }, d.members.map(item))),
    d.earlier.length > 0 && card('It was there before', null, h('ul', { class: 'list' }, d.earlier.map(item))),
    card('Evidence', null, d.evidence.length ? byRecord(d.evidence).map(evidence) : empty('No record: a silence leaves none.')),
    h('details', null, h('summary', null, 'Labels of the alert'), d.escalated_labels.length > 0 && h('h3', null, 'As it opened'), pairs(d.labels),
      d.escalated_labels.map((s) => [h('h3', null, 'Told again as ', data(s.severity, 30), ' ', when(s.at)), pairs(s.labels)]), d.escalated_labels.length > 0 && h('h3', null, 'Annotations of all'), pairs(d.annotations)),
  ];
}

/** What people made of it, and what this one may do with it. */
function work(n, me, ctx) {
  const w = n.work;
  const may = me.role !== 'viewer';
  const act = (deed, body, done) => async (e) => {
    e.preventDefault();
    const form = e.currentTarget;
    try {
      await post('/notifications/' + encodeURIComponent(n.id) + '/' + deed, { revision: w.revision, ...(typeof body === 'function' ? body(form) : body) });
      if (form.reset) form.reset();
      ctx.say(done);
    } catch (err) {
      ctx.say(err.message + (err.hint ? ' ' + err.hint : ''));
    }
    ctx.refresh();
  };
  const button = (text, deed, body, done) => h('button', { type: 'button', onclick: act(deed, body, done) }, text);
  const who = [w.acked_by ? ['Acknowledged by ', data(w.acked_by, 80), ' ', when(w.acked_at)] : 'Not acknowledged', w.assignee && [', assigned to ', data(w.assignee, 80)], '.'];
  if (!may) return h('p', { class: 'dim' }, who);
  return h('div', { class: 'filters', 'data-key': 'work' }, h('span', null, who),
    n.state === 'firing' && (w.acked_by ? button('Take back', 'unacknowledge', {}, 'Taken back.') : button('Acknowledge', 'acknowledge', {}, 'Acknowledged: nobody is told again until it is over or gets worse.')),
    n.state === 'firing' && (n.silenced_until ? button('End silence', 'unsilence', {}, 'No longer silenced.') : button('Silence for 8 hours', 'silence', { duration_seconds: 28800 }, 'Silenced for 8 hours.')),
    w.assignee !== me.name && button('I take it', 'assign', { assignee: me.name }, 'Assigned to you.'),
    h('form', { onsubmit: act('comment', (form) => ({ text: new FormData(form).get('text') }), 'Noted.') },
      h('label', null, h('span', null, 'Comment'), h('input', { name: 'text', type: 'text', maxlength: '1000', autocomplete: 'off' })), ' ', h('button', { type: 'submit' }, 'Add')));
}

const fact = (name, value) => value && h('div', null, h('dt', null, name), h('dd', null, value));

const pairs = (list) => h('dl', { class: 'facts small' }, list.map((f) => fact(data(f.name, 80), h('span', null, data(f.value || '–', 2000)))));

function why(parts) {
  if (!parts.length) return empty('The rule that opened it says no more.');
  return h('ul', { class: 'list' }, parts.map((p) => h('li', { 'data-key': p.rule_id + p.device }, h('div', { class: 'row' }, badge(p.state === 'resolved' ? 'resolved' : p.severity), h('div', { class: 'grow' },
    h('div', { class: 'line' }, h('span', { class: 'strong' }, data(p.rule || p.rule_id, 120)), p.cause && h('span', { class: 'tag' }, 'the cause')),
    h('div', { class: 'dim' }, data(p.device, 120), ' ', data(p.reason, 300), ' · ', when(p.since)))))));
}

function told(list) {
  if (!list.length) return empty('Nobody yet.', 'Changes are handed to Alertmanager at once.');
  return h('ul', { class: 'list' }, list.map((v) => h('li', { 'data-key': v.target + v.state + v.escalation }, h('div', { class: 'row' }, badge(v.ok ? 'ok' : 'critical'), h('div', { class: 'grow' }, h('div', null, data(v.target, 120)),
    h('div', { class: 'dim' }, v.ok ? [data(v.state, 20), v.severity && [' as ', data(v.severity, 30)], ' accepted ', when(v.first_at)] : [data(v.error, 300), ` · ${v.attempts} attempts, the last `, when(v.at)]))))));
}

// One record can say several things: it is shown once, with all of them.
function byRecord(list) {
  const out = new Map();
  for (const e of list) out.set(e.record_id || out.size, [...(out.get(e.record_id) ?? []), e]);
  return [...out.values()];
}

function evidence(group) {
  const e = group[0];
  return h('div', { class: 'evidence', 'data-key': e.record_id },
    h('p', null, h('span', { class: 'tag' }, clean(e.category)), ' ', h('span', { class: 'strong' }, data(e.name, 120)), ' ', clock(e.at ?? e.received_at)),
    h('ul', { class: 'effects' }, group.map((g) => h('li', null, h('span', { class: 'dim' }, words(g.effect)), ' ', data(g.reason, 1000)))),
    e.body && h('pre', { tabindex: '0', 'aria-label': 'Text of the record' }, clean(e.body, 4096)),
    e.fields.length > 0 && h('details', null, h('summary', null, `${e.fields.length} fields`), table('Fields', ['Field', 'Value'], e.fields.map((f) => ({ key: f.name, cells: [data(f.name, 120), data(f.value || '–', 2000)] })))),
    e.raw && h('details', null, h('summary', null, 'As the tool printed it'), h('pre', { tabindex: '0' }, clean(e.raw, 32768))),
    h('p', { class: 'dim small' }, 'record ', data(e.record_id, 160), e.cut && ' · something was too long and was cut'));
}
