// Starts what the specs need: the page over fixed data, and a browser that
// keeps to itself. Both end with the test.
import assert from 'node:assert/strict';
import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, describe } from 'node:test';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
export const artifacts = join(here, 'artifacts');
const browserPath = process.env.NOCTURNE_CHROMIUM ?? '/usr/bin/chromium';

const patience = 60_000; // ms to wait for what must come: a machine may be busy

// NOCTURNE_E2E_SLOW=6 plays a machine that is six times slower, with answers of the API that come late and in another order:
// to find what hangs on speed. 6:SEED holds them back as the run did that printed it.
const [slow, seed = Math.floor(Math.random() * 1e6)] = (process.env.NOCTURNE_E2E_SLOW ?? '1').split(':').map(Number);

/** Why the specs cannot run here; null = they can. */
export const missing = !existsSync(join(root, 'ruler/console/static/built/index.html')) ? 'the page is not built: make build' : existsSync(browserPath) ? null : `no browser at ${browserPath}: install chromium, or say where in NOCTURNE_CHROMIUM`;

/** Builds and starts the test server; returns its address and how to stop it. */
export async function startServer(dir, args) {
  const binary = join(dir, 'consoletest');
  execFileSync('go', ['build', '-o', binary, './ruler/console/consoletest'], { cwd: root, stdio: 'inherit' });
  const child = spawn(binary, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const [url] = await once(lines, 'line');
  return {
    url,
    async stop() {
      const gone = once(child, 'exit');
      child.stdin.end();
      await gone;
    },
  };
}

/** Starts the fixed world and a browser; args are those of consoletest. */
export async function startWorld(...args) {
  const dir = mkdtempSync(join(tmpdir(), 'nocturne-e2e-'));
  const server = await startServer(dir, args);
  const browser = await openBrowser(dir, server.url);
  return {
    ...browser,
    reset: (page) => page?.tell('full'),
    async stop() {
      await browser.close();
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A browser with its profile in dir, for the console at url. */
export async function openBrowser(dir, url) {
  mkdirSync(artifacts, { recursive: true });
  const context = await chromium.launchPersistentContext(join(dir, 'profile'), {
    executablePath: browserPath, headless: true, viewport: { width: 1280, height: 900 }, permissions: ['clipboard-read', 'clipboard-write'], locale: 'en-GB', timezoneId: 'UTC',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  context.setDefaultTimeout(patience);
  if (slow > 1) await delayAnswers(context);
  return {
    url,
    close: () => context.close(),
    /** A page that writes down what must not happen. */
    async page({ width = 1280, height = 900, dark = false } = {}) {
      const page = await context.newPage();
      if (slow > 1) await (await context.newCDPSession(page)).send('Emulation.setCPUThrottlingRate', { rate: slow });
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce' });
      const wrong = [];
      const expected = []; // patterns of complaints that a test provokes
      page.on('console', (m) => {
        if (['error', 'warning'].includes(m.type()) && !expected.some((e) => e.test(m.text()))) wrong.push(`${m.type()}: ${m.text()}`);
      });
      page.on('pageerror', (e) => wrong.push('exception: ' + e.message));
      page.on('dialog', (d) => {
        if (!expected.some((e) => e.test(d.message()))) wrong.push('dialog: ' + d.message());
        void (page.yes ? d.accept() : d.dismiss());
      });
      page.on('request', (r) => {
        if (!r.url().startsWith(url + '/')) wrong.push('request elsewhere: ' + r.url());
      });
      return Object.assign(page, {
        wrong, expected,
        /** what a question of the browser is answered with */
        yes: false,
        /** Opens a page and waits until it shows its answers, or why there are none. */
        view: async (path) => {
          await page.goto(url + path);
          await page.locator('main h1').waitFor({ state: 'attached' });
          await page.waitForFunction(() => !document.querySelector('main')?.innerText.includes('Loading…'));
        },
        /** A titled block. */
        panel: (name) => page.getByRole('region', { name, exact: true }).first(),
        shot: (name, { fullPage = true } = {}) => page.screenshot({ path: join(artifacts, name + '.png'), fullPage }),
        tell: (what) => page.request.post(`${url}/test/${what}`),
      });
    },
  };
}

/** Holds back what the API answers, each answer for another time, so that they come in another order. */
async function delayAnswers(context) {
  console.log(`slow by ${slow}: NOCTURNE_E2E_SLOW=${slow}:${seed}`);
  let state = seed;
  const random = () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
  await context.route(/\/api\/v1\/(?!stream)/, async (route) => {
    await new Promise((resolve) => setTimeout(resolve, random() * 400));
    await route.continue().catch(() => undefined); // whoever asked may have left
  });
}

/** Asserts until it holds, for a minute: for what may come later than the deed before it. */
export async function eventually(check) {
  for (const deadline = Date.now() + patience; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    try {
      return await check();
    } catch (e) {
      if (Date.now() > deadline) throw e;
    }
  }
}

/** Waits until what is shown matches. */
export const says = (locator, pattern, why) => eventually(async () => assert.match(await text(locator), pattern, why));

/** Waits until there are so many. */
export const count = (locator, n, why) => eventually(async () => assert.equal(await locator.count(), n, why));

/** Waits until a field has this value. */
export const holds = (field, value) => eventually(async () => assert.equal(await field.inputValue(), value));

/** Waits until the keyboard writes there. */
export const focused = (locator) => eventually(async () => assert.ok(await locator.evaluate((e) => e === e.getRootNode().activeElement), 'it has the focus'));

export const text = async (locator) => (await locator.allInnerTexts()).join('\n');

/**
 * Specs over one world: the fixed one, or what start begins. Each opens its page by the.page(); after each it is checked
 * that the browser had nothing to say, and that nothing on the page looks like a value of the program (leak).
 */
export function suite(name, specs, { start = startWorld, lacking = missing, leak = /(^|\s)(false|null|undefined|NaN|\[object)(\s|$)/ } = {}) {
  if (lacking) console.log('skipped: ' + lacking);
  describe(name, { skip: lacking ?? false }, () => {
    let world, page;
    before(async () => { world = await start(); });
    after(async () => { await world?.stop(); });
    afterEach(async () => {
      const wrong = page?.wrong ?? [];
      const shown = await page?.evaluate(() => document.body.innerText);
      assert.equal(leak.exec(shown ?? '')?.[0] ?? '', '', 'a value of the program stands on the page');
      await world.reset?.(page);
      await page?.close();
      page = null;
      assert.deepEqual(wrong, [], 'the browser complained, or asked another host');
    });
    specs({
      /** The address of the console. */
      url: () => world.url,
      world: () => world,
      page: async (look) => (page = await world.page(look)),
    });
  });
}
