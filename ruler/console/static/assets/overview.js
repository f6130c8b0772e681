// The first page: calm when all is well, and else what is wrong, worst first.
import { h } from './dom.js';
import { badge, card, dot, empty, number, plural, serverLink, simulated, when } from './format.js';
import { item as notificationItem, worstFirst } from './notifications.js';
import { item as changeItem } from './changes.js';
import { data } from './dom.js';

export const title = 'Overview';

export async function load(ctx, get) {
  const firing = { state: 'firing', muted: 'false', limit: 8 };
  const [overview, critical, open, silent, changes, pipeline] = await Promise.all([
    get('/overview', {}, ctx.signal), get('/notifications', { ...firing, severity: 'critical' }, ctx.signal), get('/notifications', firing, ctx.signal), get('/silent', { limit: 8 }, ctx.signal),
    get('/changes', { limit: 8 }, ctx.signal), get('/pipeline', {}, ctx.signal),
  ]);
  // The worst are shown even where many lesser ones are newer.
  const shown = new Map([...critical.items, ...open.items].map((n) => [n.id, n]));
  return { overview, wrong: worstFirst([...shown.values()]).slice(0, 8), total: open.total, critical: critical.total, silent, changes, pipeline };
}

function headline(o) {
  const c = o.servers;
  switch (o.status) {
    case 'silent': return c.silent === 1 ? 'One server is silent' : `${number(c.silent)} servers are silent`;
    case 'critical': return c.critical === 1 ? 'Something is broken on one server' : `Something is broken on ${number(c.critical)} servers`;
    case 'warning': return o.pipeline_ok || c.warning ? 'Something wants a look' : 'What you see may be old';
    case 'new': return 'No servers yet';
    default: return 'All is well';
  }
}

export function render({ overview: o, wrong, total, critical, silent, changes, pipeline }, ctx) {
  return [
    h('h1', { class: 'hidden-title' }, title),
    !o.pipeline_ok && h('div', { class: 'banner pipeline-banner', role: 'alert' }, h('a', { href: '#/pipeline' }, 'The pipeline has problems'), ': ', data(o.pipeline_text, 400)),
    h('section', { class: `hero ${o.status}` },
      h('div', { class: 'herotext' }, h('p', { class: 'herohead' }, headline(o)), h('p', null, o.text)),
      tiles(o.servers, critical, total - critical)),
    o.servers.total === 0 && ctx.features.add_server && empty('There is nothing to watch yet.', h('a', { href: '#/add', class: 'button' }, 'Add a server')),
    o.servers.total > 0 && o.servers.total <= 2 && ctx.features.add_server && h('p', { class: 'hint' }, 'One line makes another server join. ', h('a', { href: '#/add' }, 'Add a server')),
    card('Wrong now', total > 0 && h('a', { href: '#/notifications?state=firing' }, `All ${number(total)}`),
      wrong.length ? h('ul', { class: 'list' }, wrong.map(notificationItem))
        : empty('Nothing is open.', 'When a part fails, changes or falls silent, it stands here within seconds.')),
    h('div', { class: 'two' },
      card('Changed lately', null, changes.items.length ? h('ul', { class: 'list' }, changes.items.map((c) => changeItem(c, true))) : empty('No part of any server has changed.', 'A replaced drive, new firmware, more memory: it all shows up here.')),
      h('div', null,
        card('Silent servers', silent.total > silent.items.length && h('a', { href: '#/servers?state=silent' }, `All ${number(silent.total)}`),
          !o.silence_judged && h('p', { class: 'banner' }, 'Nobody can be judged now: the clocks stand still, and a server that stops speaking is not noticed.'),
          silent.items.length ? h('ul', { class: 'list' }, silent.items.map(silentItem)) : o.silence_judged && empty('Everybody speaks.', 'Servers that were shut down on purpose do not count.')),
        card('Sites', null, sites(o.sites)))),
    h('p', { class: 'pipeline-line' }, dot(pipeline.ok ? 'ok' : 'warning'), h('a', { href: '#/pipeline' }, 'Pipeline'), ' ', data(pipeline.text)),
  ];
}

function tiles(c, critical, others) {
  const tile = (n, text, href, status) => h('a', { class: `tile ${n && status ? status : ''}`, href }, h('span', { class: 'n' }, number(n)), h('span', { class: 'what' }, text));
  return h('div', { class: 'tiles' },
    tile(c.total, c.total === 1 ? 'server' : 'servers', '#/servers'),
    tile(c.silent, 'silent', '#/servers?state=silent', 'silent'),
    tile(critical, 'critical open', '#/notifications?state=firing&severity=critical', 'critical'),
    tile(others, 'other open', '#/notifications?state=firing', 'warning'),
    c.clones > 0 && tile(c.clones, 'identities used twice', '#/servers?clones=true', 'warning'),
    c.new > 0 && tile(c.new, 'not heard yet', '#/servers?state=waiting', 'info'),
    c.simulated > 0 && tile(c.simulated, 'simulated', '#/servers?simulated=true'));
}

function silentItem(s) {
  return h('li', { 'data-key': s.server.id }, h('div', { class: 'row' }, dot('silent'), h('div', { class: 'grow' },
    h('div', { class: 'line' }, serverLink(s.server.id, s.server.name), simulated(s.server.simulated)),
    h('div', { class: 'dim' }, 'last heard ', when(s.server.last_seen), s.server.site && [' · ', data(s.server.site, 40)], s.server.rack && [' / ', data(s.server.rack, 40)])),
  s.notification_id && h('a', { class: 'more', href: '#/notifications/' + encodeURIComponent(s.notification_id) }, 'why')));
}

function sites(list) {
  if (!list.length) return empty('No sites yet.');
  return h('ul', { class: 'list sites' }, list.map((s) => h('li', { 'data-key': s.site }, h('a', { class: 'row', href: s.site ? '#/servers?site=' + encodeURIComponent(s.site) : '#/servers' },
    h('span', { class: 'grow' }, s.site ? data(s.site, 60) : h('span', { class: 'dim' }, 'no site')),
    s.silent > 0 && badge('silent'), s.with_open_notifications > 0 && h('span', { class: 'tag warn' }, `${number(s.with_open_notifications)} with problems`),
    h('span', { class: 'dim' }, plural(s.servers, 'server'))))));
}
