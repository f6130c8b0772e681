// The list of servers: search, filters in the address, pages of fifty.
import { h, data } from './dom.js';
import { badge, cloned, empty, number, pager, plural, serverLink, simulated, table, when } from './format.js';

export const title = 'Servers';
const limit = 50;

export async function load(ctx, get) {
  const { search, site, rack, role, owner, state, severity, simulated: sim, clones, sort, offset } = ctx.query;
  const [list, overview] = await Promise.all([
    get('/servers', { search, site, rack, role, owner, state, severity, simulated: sim, clones, sort, offset, limit }, ctx.signal), get('/overview', {}, ctx.signal),
  ]);
  return { list, overview };
}

export function render({ list, overview }, ctx) {
  const q = ctx.query;
  const filtered = Object.keys(q).some((k) => k !== 'sort' && k !== 'offset');
  return [
    h('div', { class: 'head' }, h('h1', null, title), h('p', { class: 'dim' }, filtered ? `${number(list.total)} match` : plural(list.total, 'server')),
      ctx.features.add_server && h('a', { href: '#/add', class: 'button' }, 'Add a server')),
    filters(q, overview, ctx),
    list.items.length ? table('Servers', ['Server', 'Status', 'Place', 'Role', 'System', 'Last heard'], list.items.map(row), 'compact')
      : filtered ? empty('No server matches.', h('a', { href: '#/servers' }, 'Show all'))
        : empty('No servers yet.', ctx.features.add_server ? h('a', { href: '#/add', class: 'button' }, 'Add a server') : 'Join one with nocturne token create.'),
    pager(list.total, limit, Number(q.offset ?? 0), (offset) => ctx.setQuery({ offset })),
  ];
}

function filters(q, overview, ctx) {
  const set = (name) => (e) => ctx.setQuery({ [name]: e.currentTarget.value, offset: '' });
  const pick = (name, label, options) => h('label', null, h('span', null, label), h('select', { name, onchange: set(name) },
    options.map(([value, text]) => h('option', { value, selected: (q[name] ?? '') === value }, text))));
  return h('form', { class: 'filters', role: 'search', onsubmit: (e) => e.preventDefault() },
    h('label', { class: 'wide' }, h('span', null, 'Search'), h('input', {
      type: 'search', name: 'search', value: q.search ?? '', placeholder: 'name, site, role, system …', maxlength: '200', autocomplete: 'off', spellcheck: 'false',
      oninput: (e) => {
        const value = e.currentTarget.value;
        clearTimeout(ctx.local.typing);
        ctx.local.typing = setTimeout(() => ctx.setQuery({ search: value, offset: '' }), 250);
      },
    })),
    pick('state', 'State', [['', 'all'], ['up', 'up'], ['silent', 'silent'], ['stopped', 'stopped'], ['waiting', 'not heard yet'], ['revoked', 'revoked'], ['decommissioned', 'decommissioned']]),
    pick('severity', 'Problems', [['', 'any'], ['critical', 'critical'], ['warning', 'warning'], ['info', 'info']]),
    pick('site', 'Site', [['', 'all'], ...overview.sites.filter((s) => s.site).map((s) => [s.site, s.site.length > 30 ? s.site.slice(0, 30) + '…' : s.site])]),
    pick('simulated', 'Kind', [['', 'all'], ['false', 'real'], ['true', 'simulated']]),
    pick('sort', 'Order', [['', 'worst first'], ['name', 'name'], ['site', 'site'], ['os', 'system'], ['last_seen', 'last heard']]));
}

function row(s) {
  return { key: s.id, cells: [
    h('div', { class: 'line' }, serverLink(s.id, s.name), simulated(s.simulated), cloned(s.clone)),
    [badge(s.status, s.status_text), s.open_notifications > 0 && h('span', { class: 'dim' }, ` ${number(s.open_notifications)} open`)],
    s.site || s.rack ? [data(s.site, 40), s.rack && [' / ', data(s.rack, 40)]] : null,
    s.role ? data(s.role, 40) : null,
    s.os_name ? data(s.os_name, 50) : h('span', { class: 'dim' }, 'not known'),
    when(s.last_seen),
  ] };
}
