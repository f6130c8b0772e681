// What the demo receiver got: the messages a person would have got.
import { h, data } from './dom.js';
import { badge, clock, empty, plural, serverLink, simulated, tone } from './format.js';

export const title = 'Delivered messages';

export async function load(ctx, get) {
  return { list: await get('/delivered', { limit: 100 }, ctx.signal) };
}

export function render({ list }) {
  return [
    h('div', { class: 'head' }, h('h1', null, title), h('p', { class: 'dim' }, plural(list.total, 'message'))),
    h('p', { class: 'lead' }, 'What Alertmanager sent to the receiver on this machine: the messages that a person would get. Nobody else is told of simulated servers.'),
    list.items.length ? h('ol', { class: 'messages' }, list.items.map(message)) : empty('No message yet.', 'Break something on a simulated server: a message comes within seconds, and another when it is well again.'),
  ];
}

function message(m) {
  return h('li', { class: `message ${m.status === 'resolved' ? 'resolved' : tone(m.alerts[0]?.severity)}`, 'data-key': String(m.at) + m.title },
    h('div', { class: 'line' }, clock(m.at), badge(m.status === 'resolved' ? 'resolved' : m.alerts[0]?.severity || 'firing'), m.alerts.length > 1 && h('span', { class: 'dim' }, plural(m.alerts.length, 'alert'))),
    m.alerts.map((a) => h('div', { class: 'alert' },
      h('div', { class: 'line' }, a.notification_id ? h('a', { class: 'strong', href: '#/notifications/' + encodeURIComponent(a.notification_id) }, data(a.summary, 200)) : h('span', { class: 'strong' }, data(a.summary, 200)), simulated(a.simulated)),
      h('div', { class: 'dim' }, a.server_id ? serverLink(a.server_id, a.server) : data(a.server, 80), a.device && [' · ', data(a.device, 80)]),
      said(a) && h('div', null, data(said(a), 300)))));
}

// What the message says beside its title.
function said(a) {
  return a.annotations.find((f) => f.name === 'description')?.value;
}
