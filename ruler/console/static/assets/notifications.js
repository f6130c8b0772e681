// The list of notifications.
import { h, data } from './dom.js';
import { badge, empty, pager, plural, serverLink, simulated, tone, when } from './format.js';

export const title = 'Notifications';
export const watched = true; // the stream of events tells of all that is shown
const limit = 50;

export async function load(ctx, get) {
  const { state = 'firing', severity, site, server, search, offset } = ctx.query;
  const list = await get('/notifications', { state: state === 'all' ? '' : state, severity, site, server, search, offset, limit }, ctx.signal);
  return { list };
}

const order = ['critical', 'warning', 'info'];

/** Worst first, then newest first. */
export const worstFirst = (items) => [...items].sort((a, b) => order.indexOf(tone(a.severity)) - order.indexOf(tone(b.severity)) || b.opened_at.localeCompare(a.opened_at));

export function render({ list }, ctx) {
  const q = ctx.query;
  const state = q.state ?? 'firing';
  const tab = (value, text) => h('button', { type: 'button', 'aria-pressed': state === value ? 'true' : 'false', onclick: () => ctx.setQuery({ state: value, offset: '' }) }, text);
  const items = state === 'firing' ? worstFirst(list.items) : list.items;
  return [
    h('div', { class: 'head' }, h('h1', null, title), h('p', { class: 'dim' }, plural(list.total, 'notification'))),
    h('div', { class: 'filters' },
      h('div', { class: 'tabs', role: 'group', 'aria-label': 'State' }, tab('firing', 'Open'), tab('resolved', 'Resolved'), tab('all', 'All')),
      h('label', null, h('span', null, 'Severity'), h('select', { name: 'severity', onchange: (e) => ctx.setQuery({ severity: e.currentTarget.value, offset: '' }) },
        [['', 'any'], ['critical', 'critical'], ['warning', 'warning'], ['info', 'info']].map(([v, t]) => h('option', { value: v, selected: (q.severity ?? '') === v }, t)))),
      (q.server || q.site) && h('a', { href: '#/notifications?state=' + encodeURIComponent(state) }, 'Show those of all servers')),
    items.length ? h('ul', { class: 'list card' }, items.map(item)) : empty(state === 'firing' ? 'Nothing is open.' : 'There are none.', state === 'firing' ? 'It is quiet.' : ''),
    pager(list.total, limit, Number(q.offset ?? 0), (offset) => ctx.setQuery({ offset })),
  ];
}

/** One notification as a line. */
export function item(n) {
  const resolved = n.state === 'resolved';
  return h('li', { 'data-key': n.id }, h('div', { class: 'row' }, badge(resolved ? 'resolved' : n.severity),
    h('div', { class: 'grow' },
      h('div', { class: 'line' }, h('a', { class: 'strong', href: '#/notifications/' + encodeURIComponent(n.id) }, data(n.title, 160)), simulated(n.simulated), n.muted && h('span', { class: 'tag', title: 'nobody is told' }, 'muted'),
        n.work.acked_by && h('span', { class: 'tag', title: 'acknowledged' }, 'seen by ', data(n.work.acked_by, 40)), n.work.assignee && h('span', { class: 'tag', title: 'assigned' }, data(n.work.assignee, 40)),
        n.silenced_until && h('span', { class: 'tag', title: 'nobody is told' }, 'silenced')),
      h('div', { class: 'dim' }, serverLink(n.server_id, n.server), n.site && [' · ', data(n.site, 40)], n.reason && [' · ', data(n.reason, 160)])),
    h('span', { class: 'side dim' }, resolved ? ['resolved ', when(n.resolved_at)] : when(n.opened_at))));
}

