// How long the pages take: npm run ready [-- servers …] [--loads N] [--minutes N]. For 20, 650 and 10,000 servers, with all
// their parts in a real store: the time from navigation until a page shows its answers, in a browser that has loaded the
// console before, what the API takes for the page's slowest question, and the bundles' sizes, as tables for docs/api.md.
// Each size gets its share of the minutes (7): on a busy machine pages are loaded less often than asked for (10 times), and
// the table says how often. Not a test: nothing here fails for being slow. Build first: make plugin.
import { readdirSync, readFileSync, mkdtempSync, rmSync, existsSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { missing, openBrowser, startServer } from './world.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const args = process.argv.slice(2);
const option = (name, usual) => {
  const at = args.indexOf(name);
  return at < 0 ? usual : Number(args.splice(at, 2)[1]);
};
const loads = option('--loads', 10);
const minutes = option('--minutes', 7);
const sizes = args.length ? args.map(Number) : [20, 650, 10_000];
if (missing || [loads, minutes, ...sizes].some((n) => !Number.isInteger(n) || n < 1)) {
  console.error(missing ?? 'usage: npm run ready -- [servers …] [--loads N] [--minutes N]');
  process.exit(2);
}
// {name} is filled from the first row of the list of that name.
const pages = [
  ['Tonight', '/tonight'], ['Notifications', '/notifications'], ['one notification', '/notifications/{notifications}'], ['Servers', '/servers'], ['one server', '/servers/{servers}'],
  ['Expected servers', '/register'], ['Silent servers', '/silent'], ['Changes', '/changes'], ['Planned work', '/planned'], ['Events', '/events'], ['Devices', '/devices'],
  ['a serial number', '/devices/serial?number={serials}'], ['Rules', '/rules'], ['one rule', '/rules/{rules}'], ['Delivered', '/delivered'], ['Pipeline', '/pipeline'], ['Settings', '/settings'],
];
const lists = {
  notifications: ['/notifications?limit=1', (r) => r.id],
  servers: ['/servers?sort=name&limit=1', (r) => r.id],
  serials: ['/devices?limit=20', (r) => r.device.serial],
  rules: ['/rules', (r) => r.id],
};
const load = () => loadavg()[0].toFixed(1);
const sorted = (list) => [...list].sort((a, b) => a - b);
const at95 = (list) => sorted(list)[Math.ceil(list.length * 0.95) - 1];
const median = (list) => sorted(list)[Math.floor(list.length / 2)];
const seconds = (n) => (n / 1000).toFixed(2);
const ms = (n) => (n < 10 ? n.toFixed(1) : String(Math.round(n)));
const row = (...cells) => `| ${cells.join(' | ')} |`;

// The bytes of a folder's files that a browser loads, as they are and as sent.
function bundle(dir) {
  const sum = { raw: 0, gzip: 0 };
  for (const f of existsSync(dir) ? readdirSync(dir, { recursive: true }) : []) {
    if (/\.(js|css|html)$/.test(f)) {
      const b = readFileSync(join(dir, f));
      sum.raw += b.length;
      sum.gzip += gzipSync(b, { level: 9 }).length;
    }
  }
  return sum;
}

const settled = () => {
  const main = document.querySelector('main');
  return main?.querySelector('h1') && main.innerText.length > 60 && !/Loading…|Lädt/.test(main.innerText);
};

/** One page: how often it was loaded, how long it took, and its slowest question to the API. */
async function look(browser, url, until) {
  const page = await browser.page();
  const asked = new Set();
  page.on('request', (r) => r.url().includes('/api/v1/') && !r.url().includes('/stream') && r.method() === 'GET' && asked.add(r.url()));
  const ready = [];
  for (let i = 0; i <= loads && (ready.length === 0 || performance.now() < until); i++) {
    await page.goto('about:blank');
    const began = performance.now();
    await page.goto(url, { waitUntil: 'commit' });
    await page.waitForFunction(settled);
    if (i > 0) ready.push(performance.now() - began); // the first one fills the browser's cache
  }
  await page.close();
  let slowest = ['', 0];
  for (const question of asked) {
    const took = [];
    for (let i = 0; i < 20; i++) {
      const began = performance.now();
      await (await fetch(question)).arrayBuffer();
      took.push(performance.now() - began);
    }
    const p = at95(took);
    if (p > slowest[1]) slowest = [new URL(question).pathname.replace('/api/v1', '').replace(/\/[0-9a-f]{16,}/, '/ID'), p];
  }
  return { ready, slowest };
}

async function measure(servers, until) {
  const dir = mkdtempSync(join(tmpdir(), 'nocturne-ready-'));
  const server = await startServer(dir, ['-servers', String(servers), '-parts', String(servers)]);
  const browser = await openBrowser(dir, server.url);
  const out = {};
  try {
    const firsts = {};
    for (const [name, [path, of]] of Object.entries(lists)) {
      const answer = await (await fetch(server.url + '/api/v1' + path)).json();
      firsts[name] = answer.items?.map(of).find(Boolean);
    }
    for (const [i, [name, path]] of pages.entries()) {
      const needs = /\{(\w+)\}/.exec(path)?.[1];
      if (needs && !firsts[needs]) continue; // this fleet has none
      const share = (until - performance.now()) / (pages.length - i);
      out[name] = await look(browser, server.url + path.replace(/\{\w+\}/, encodeURIComponent(firsts[needs])), performance.now() + share * 0.8);
    }
  } finally {
    await browser.close();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return out;
}

const began = performance.now();
const before = load();
const found = [];
for (const [i, n] of sizes.entries()) {
  const share = (began + minutes * 60_000 - performance.now()) / (sizes.length - i);
  found.push(await measure(n, performance.now() + share));
  console.error(`${n} servers: ${Math.round((performance.now() - began) / 1000)} s, load ${load()}`);
}
const all = found.flatMap((f) => Object.values(f).map((p) => p.ready.length));
console.log(`Load ${before} before, ${load()} after; ${Math.min(...all)} to ${Math.max(...all)} loads of each page, 20 of each question.\n`);
console.log(row('bundle', 'MB', 'with gzip'));
console.log(row('---', '---', '---'));
for (const [host, dir] of [['console', join(root, 'ruler/console/static/built')], ['Grafana app', join(root, 'grafana-plugin/dist')]]) {
  const { raw, gzip } = bundle(dir);
  console.log(raw ? row(host, (raw / 1e6).toFixed(2), (gzip / 1e6).toFixed(2)) : row(host, 'not built (make plugin)', ''));
}
const heads = sizes.map((n) => n.toLocaleString('en'));
console.log('\n' + row('page', ...heads.map((n) => `ready with ${n} servers, s (p50 / p95)`), `slowest question, ms (p95 with ${heads.join(' / ')})`, 'which, with the most'));
console.log(row(...Array(sizes.length + 3).fill('---')));
for (const [name] of pages) {
  const of = found.map((f) => f[name]);
  const cells = of.map((p) => (p ? `${seconds(median(p.ready))} / ${seconds(at95(p.ready))}` : '–'));
  console.log(row(name, ...cells, of.map((p) => (p ? ms(p.slowest[1]) : '–')).join(' / '), `\`${of.at(-1)?.slowest[0] ?? '–'}\``));
}
