// The shell: which view, how often it asks, what it shows while it waits or
// when the answer does not come. A view is {title, load(ctx), render(state, ctx)}.
import { h, patch, clean } from './dom.js';
import { get } from './api.js';
import { sentence } from './format.js';
import * as overview from './overview.js';
import * as servers from './servers.js';
import * as server from './server.js';
import * as notifications from './notifications.js';
import * as notification from './notification.js';
import * as delivered from './delivered.js';
import * as pipeline from './pipeline.js';
import * as add from './add.js';

const every = 2000; // ms between questions while nothing tells us of changes
const seldom = 15000; // and while the stream of events does: relative times and the pipeline go on
const main = document.getElementById('main');
const live = document.getElementById('live');
const toast = document.getElementById('toast');

const routes = [
  [/^\/$/, overview], [/^\/servers$/, servers], [/^\/servers\/([^/]+)$/, server], [/^\/notifications$/, notifications],
  [/^\/notifications\/([^/]+)$/, notification], [/^\/delivered$/, delivered], [/^\/pipeline$/, pipeline], [/^\/add$/, add],
];
const pages = [['/', 'Overview'], ['/servers', 'Servers'], ['/notifications', 'Notifications'], ['/delivered', 'Delivered', 'delivered'], ['/pipeline', 'Pipeline'], ['/add', 'Add a server', 'add_server']];

let features = null; // what this installation can do; null until known
let current = null; // the view that is shown
let timer = 0;
let told = false; // the stream of events is open
let soon = 0; // a refresh that an event has asked for

/** Says something in passing. */
export function say(text) {
  toast.textContent = clean(text);
  toast.classList.add('shown');
  clearTimeout(say.timer);
  say.timer = setTimeout(() => toast.classList.remove('shown'), 6000);
}

function parseHash() {
  const raw = location.hash.startsWith('#/') ? location.hash.slice(1) : '/';
  const [path, query = ''] = raw.split('?');
  return { path, query: Object.fromEntries(new URLSearchParams(query)) };
}

/** Changes the query of this view's address, and asks again. */
function setQuery(changes) {
  const { path, query } = parseHash();
  const next = { ...query, ...changes };
  const q = new URLSearchParams(Object.entries(next).filter(([, v]) => v !== '' && v !== undefined && v !== 0));
  const s = q.toString();
  history.replaceState(null, '', '#' + path + (s ? '?' + s : ''));
  current.ctx.query = parseHash().query;
  refresh();
}

function open() {
  current?.abort.abort();
  const { path, query } = parseHash();
  let view = null, args = [];
  for (const [pattern, v] of routes) {
    const m = pattern.exec(path);
    if (m) [view, args] = [v, m.slice(1).map(safeDecode)];
  }
  const abort = new AbortController();
  const ctx = { path, query, args, setQuery, refresh, say, signal: abort.signal, local: {}, get features() { return features ?? {}; } };
  current = { view, ctx, abort, hash: location.hash.slice(1), state: null, error: null };
  document.title = (view ? view.title : 'Not found') + ' · Nocturne';
  drawNav(path);
  main.replaceChildren();
  window.scrollTo(0, 0);
  draw();
  if (open.done) main.focus({ preventScroll: true }); // not on the first load
  open.done = true;
  refresh();
}

function safeDecode(s) {
  try {
    return decodeURIComponent(s);
  } catch {
    return s;
  }
}

function drawNav(path) {
  const nav = document.getElementById('nav');
  const fresh = h('nav', null, pages.filter(([, , need]) => !need || !features || features[need]).map(([p, name]) =>
    h('a', { href: '#' + p, 'aria-current': p === path || p !== '/' && path.startsWith(p + '/') ? 'page' : null }, name)));
  patch(nav, fresh);
}

async function refresh() {
  clearTimeout(timer);
  const mine = current;
  if (!mine.view) return;
  mine.run = (mine.run ?? 0) + 1;
  const run = mine.run;
  try {
    features ??= (await get('/overview', {}, mine.ctx.signal)).features;
    const state = await mine.view.load(mine.ctx, get);
    if (mine !== current || run !== mine.run) return; // an older answer
    mine.state = state;
    mine.error = null;
    if (state.overview) features = state.overview.features;
  } catch (e) {
    if (e.name === 'AbortError' || mine !== current || run !== mine.run) return;
    if (!('hint' in e)) console.error(e);
    mine.error = e;
  }
  draw();
  drawNav(mine.ctx.path);
  if (!mine.view.still || mine.error) timer = setTimeout(tick, told && mine.view.watched ? seldom : every);
}

/** Listens to the ruler's events: what they tell is asked for at once. The
 * browser comes back by itself, and says what it heard last. */
function listen() {
  const source = new EventSource('/api/v1/stream');
  const ask = () => {
    clearTimeout(soon);
    soon = setTimeout(() => { if (!document.hidden) refresh(); }, 150);
  };
  source.onopen = () => { told = true; };
  source.onerror = () => { told = false; };
  for (const kind of ['notification', 'server', 'reset']) source.addEventListener(kind, ask);
}

/** Asks again, but not while nobody looks. */
function tick() {
  if (document.hidden) timer = setTimeout(tick, every);
  else refresh();
}

function draw() {
  const { view, ctx, state, error } = current;
  const page = h('div', null);
  if (!view) page.append(h('div', { class: 'page' }, h('h1', null, 'There is no such page'), h('p', null, h('a', { href: '#/' }, 'Back to the overview'))));
  else if (error && (!state || error.status === 404)) page.append(failed(view, error));
  else if (!state) page.append(h('h1', null, view.title), h('div', { class: 'loading', role: 'status' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), 'Loading…'));
  else {
    if (error) page.append(h('div', { class: 'banner stale', role: 'alert' }, h('span', null, `${sentence(error.message)} What you see is from before. `), retry()));
    page.append(h('div', { class: 'page' }, view.render(state, ctx)));
  }
  patch(main, page);
  main.setAttribute('aria-busy', view && !state && !error ? 'true' : 'false');
  main.dataset.view = current.hash;
  live.className = 'live ' + (error ? 'off' : 'on');
  const text = error ? 'not connected' : 'live';
  if (live.textContent !== text) live.textContent = text;
}

const retry = () => h('button', { type: 'button', onclick: refresh }, 'Retry');

function failed(view, error) {
  return h('div', { class: 'failed', role: 'alert' }, h('h1', null, view.title), h('p', { class: 'strong' }, sentence(error.message)), h('p', null, sentence(error.hint)), retry());
}

document.getElementById('skip').onclick = (e) => {
  e.preventDefault();
  main.focus();
};
addEventListener('hashchange', open);
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
open();
listen();
