// How long the pages take: npm run ready [servers …] [--loads N]. For 20, 650 and 10,000 servers, with all their parts in
// a real store: what the API takes for a page's questions (95th percentile), the time from navigation until the page shows
// its answers in a browser that has loaded the console before (median and 95th percentile), and the bundles' sizes.
// Not a test: nothing here fails for being slow. Build first: make plugin.
import { readdirSync, readFileSync, mkdtempSync, rmSync, existsSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { missing, openBrowser, startServer } from './world.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const args = process.argv.slice(2);
const at = args.indexOf('--loads');
const loads = at < 0 ? 12 : Number(args.splice(at, 2)[1]);
const sizes = args.length ? args.map(Number) : [20, 650, 10_000];
if (missing || [loads, ...sizes].some((n) => !Number.isInteger(n) || n < 1)) {
  console.error(missing ?? 'usage: npm run ready -- [servers …] [--loads N]');
  process.exit(2);
}
const pages = [['tonight', '/tonight'], ['notifications', '/notifications'], ['servers', '/servers'], ['server', '/servers/ID'], ['silent', '/silent'], ['changes', '/changes'], ['events', '/events'], ['devices', '/devices'], ['rules', '/rules'], ['pipeline', '/pipeline'], ['register', '/register']];
const load = () => loadavg()[0].toFixed(1);
const at95 = (list) => list.sort((a, b) => a - b)[Math.min(list.length - 1, Math.ceil(list.length * 0.95) - 1)];
const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
const ms = (n) => `${n < 10 ? n.toFixed(1) : Math.round(n)} ms`;

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

async function measure(servers) {
  const dir = mkdtempSync(join(tmpdir(), 'nocturne-ready-'));
  const server = await startServer(dir, ['-servers', String(servers), '-parts', String(servers)]);
  const browser = await openBrowser(dir, server.url);
  try {
    const first = (await (await fetch(`${server.url}/api/v1/servers?sort=name&limit=1`)).json()).items[0].id;
    for (const [name, path] of pages) {
      const page = await browser.page();
      const asked = new Set(); // what the page asks of the API
      page.on('request', (r) => r.url().includes('/api/v1/') && !r.url().endsWith('/stream') && r.method() === 'GET' && asked.add(r.url()));
      const url = server.url + path.replace('ID', first);
      const ready = [];
      for (let i = 0; i <= loads; i++) {
        await page.goto('about:blank').catch(() => undefined);
        const began = performance.now();
        await page.goto(url, { waitUntil: 'commit' });
        await page.waitForFunction(() => document.querySelector('main h1') && !document.querySelector('main').innerText.includes('Loading…') && document.querySelector('main').innerText.length > 60);
        if (i > 0) ready.push(performance.now() - began); // the first one fills the browser's cache
      }
      await page.close();
      let slowest = ['', 0];
      for (const question of asked) {
        if (question.includes('/stream')) continue;
        const took = [];
        for (let i = 0; i < Math.max(loads, 20); i++) {
          const began = performance.now();
          await (await fetch(question)).arrayBuffer();
          took.push(performance.now() - began);
        }
        const p = at95(took);
        if (p > slowest[1]) slowest = [new URL(question).pathname.replace('/api/v1', '').replace(first, 'ID'), p];
      }
      console.log(`| ${servers} | ${name} | ${ms(median(ready))} | ${ms(at95(ready))} | ${ms(slowest[1])} | \`${slowest[0]}\` |`);
    }
  } finally {
    await browser.close();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

for (const [host, dir] of [['console', join(root, 'ruler/console/static/built')], ['Grafana app', join(root, 'grafana-plugin/dist')]]) {
  const { raw, gzip } = bundle(dir);
  console.log(raw ? `${host}: ${(raw / 1e6).toFixed(2)} MB, ${(gzip / 1e6).toFixed(2)} MB with gzip, all pages together` : `${host}: not built (make plugin)`);
}
console.log(`\nload ${load()}, ${loads} loads of each page\n\n| servers | page | ready, median | ready, p95 | slowest question, p95 | which |\n|---|---|---|---|---|---|`);
for (const n of sizes) await measure(n);
console.log(`\nload ${load()} at the end`);
