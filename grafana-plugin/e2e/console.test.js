// The console on fixed data, as a person sees it. Screenshots of every view
// are kept in artifacts/.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { missing, startWorld } from './world.js';

const failed = '5e170000000000000000000000000005';
const real = '5e170000000000000000000000000001';
const cloned = '5e170000000000000000000000000010';
const hostile = '5e170000000000000000000000000028';
const drive = 'a1b2c3d4e5f60718';

if (missing) console.log('skipped: ' + missing);

describe('console', { skip: missing ?? false }, () => {
  let world, page;

  before(async () => { world = await startWorld(); });
  after(async () => { await world?.stop(); });
  afterEach(async () => {
    const wrong = page?.wrong ?? [];
    const leaked = await page?.evaluate(() => /(^|\s)(false|null|undefined|NaN|\[object)(\s|$)/.exec(document.body.innerText)?.[0] ?? '');
    assert.equal(leaked, '', 'a value of the program stands on the page');
    await page?.tell('full');
    await page?.close();
    page = null;
    assert.deepEqual(wrong, [], 'the browser complained, or asked another host');
  });

  const text = async (selector) => (await page.locator(selector).allInnerTexts()).join('\n');

  it('shows on the overview what is wrong, worst first', async () => {
    page = await world.page();
    await page.view('/');
    await page.getByText('One server is silent').waitFor();
    const list = await text('.card:has(h2:text("Wrong now")) li');
    assert.ok(list.indexOf('Drive failed in slot c0/e252/s4') < list.indexOf('Drive will fail soon'), list);
    assert.match(await text('.hero'), /21\s*servers/);
    assert.match(await text('.card:has(h2:text("Silent servers"))'), /sim-south-12/);
    assert.match(await text('.card:has(h2:text("Changed lately"))'), /c0\/e252\/s7 was replaced: serial ZA10404X left, ZA10507K came/);
    const changes = page.locator('.card:has(h2:text("Changed lately")) li');
    for (const item of await changes.all()) assert.equal(await item.locator('.tag.sim').count(), /sim-/.test(await item.innerText()) ? 1 : 0, 'changes of simulated servers are labelled: ' + await item.innerText());
    assert.equal(await page.locator('.banner').count(), 0);
    assert.match(await text('.pipeline-line'), /0 missing/);
    assert.ok(await page.locator('.tag.sim').count() > 3, 'simulated servers are labelled');
    await page.shot('overview');
  });

  it('is calm with an empty fleet and says what to do', async () => {
    page = await world.page();
    await page.tell('empty');
    await page.view('/');
    await page.getByText('No servers yet', { exact: true }).waitFor();
    assert.match(await text('main'), /Add a server/);
    await page.shot('overview-empty');
    await page.view('/notifications');
    await page.getByText('Nothing is open.').waitFor();
  });

  it('says on the overview that nobody can see the fleet', async () => {
    page = await world.page();
    await page.tell('frozen');
    await page.view('/');
    await page.getByText('The pipeline has problems').waitFor();
    assert.match(await text('.pipeline-banner'), /clock of 16 partitions stands still: the bridge is not heard/);
    assert.match(await text('.card:has(h2:text("Silent servers"))'), /Nobody can be judged now/);
    const top = await page.locator('.pipeline-banner').evaluate((e) => e.getBoundingClientRect().bottom);
    assert.ok(top < 300, `the banner ends at ${top} pixels`);
    assert.deepEqual(await page.evaluate(lowContrast), []);
    await page.shot('overview-frozen');
  });

  it('lists servers, searches and filters in the address', async () => {
    page = await world.page();
    await page.view('/servers');
    await page.getByText('21 servers').waitFor();
    await page.shot('servers');
    await page.getByRole('searchbox').fill('vault');
    await page.getByText('1 match').waitFor();
    assert.equal(await page.locator('tbody tr').count(), 1);
    assert.ok(page.url().includes('search=vault'));
    assert.equal(await page.evaluate(() => document.activeElement.name), 'search', 'polling keeps the focus');
    await page.view('/servers?state=silent');
    await page.getByText('1 match').waitFor();
    assert.match(await text('tbody'), /sim-south-12/);
    await page.getByLabel('Kind').selectOption('false');
    await page.getByText('No server matches.').waitFor();
  });

  it('shows a server with its bays, its history and a drive that failed', async () => {
    page = await world.page();
    await page.view('/servers/' + failed);
    await page.locator('.bay').first().waitFor();
    assert.equal(await page.locator('.bay').count(), 12);
    assert.equal(await text('.bay.critical'), '4\nFailed');
    assert.match(await text('tr.critical'), /c0\/e252\/s4[\s\S]*ZA10504K/);
    assert.match(await text('.card:has(h2:text("History of changes"))'), /state Onln → Failed/);
    assert.match(await text('.head'), /critical[\s\S]*simulated/);
    assert.match(await text('tr.warning'), /virtual drive[\s\S]*c0\/v0[\s\S]*Dgrd/, 'a part of the problem is marked too');
    assert.ok(await page.locator('.card:has(h2:text("History of changes")) .tag.sim').count() > 0, 'changes are labelled');
    assert.match(await text('.card:has(h2:text("Records"))'), /4569 records received, 0 missing/);
    await page.getByText('4 sequences').click();
    assert.match(await text('.card:has(h2:text("Records")) tbody'), /heartbeat[\s\S]*4,000/);
    await page.waitForResponse((r) => r.url().endsWith('/ledger'));
    await page.getByText('4,000').waitFor(); // an open part stays open when the page asks again
    await page.shot('server');
    await page.getByRole('button', { name: 'Fail a drive' }).click();
    await page.getByText('Simulated: begun.').waitFor();
    const asked = await (await page.request.get(world.url + '/test/broken')).json();
    assert.deepEqual(JSON.parse(asked.at(-1)).kind, 'drive');
  });

  it('offers no way to break a real server', async () => {
    page = await world.page();
    await page.view('/servers/' + real);
    await page.getByText('Debian GNU/Linux 12').waitFor();
    assert.equal(await page.getByText('Break it').count(), 0);
    assert.equal(await page.locator('.tag.sim').count(), 0);
    assert.match(await text('.card:has(h2:text-is("Software RAID"))'), /md0[\s\S]*clean/);
    const software = page.locator('.card:has(h2:text-is("Software"))');
    assert.equal(await software.locator('tbody tr').first().isVisible(), false, 'a long list is folded');
    await software.getByText('45 × program').click();
    await software.getByText('package-44').waitFor();
    await page.shot('server-real');
  });

  it('flags an identity that is used twice', async () => {
    page = await world.page();
    await page.view('/servers/' + cloned);
    await page.getByText('Two live machines speak under this identity').waitFor();
    await page.getByRole('link', { name: /line 2/ }).click();
    await page.getByRole('heading', { name: /line 2/ }).waitFor();
  });

  it('shows why a notification fired, by what evidence, and who was told', async () => {
    page = await world.page();
    await page.view('/notifications');
    await page.getByText('4 notifications').waitFor();
    await page.shot('notifications');
    await page.getByRole('link', { name: 'Drive failed in slot c0/e252/s4' }).click();
    await page.getByRole('heading', { name: 'Evidence' }).waitFor();
    assert.match(await text('.beforeafter'), /Onln[\s\S]*Failed/);
    assert.match(await text('.card:has(h2:text("Why"))'), /Drive failed[\s\S]*the cause[\s\S]*Virtual drive degraded/);
    assert.match(await text('.card:has(h2:text("Told"))'), /firing as warning accepted[\s\S]*connection refused[\s\S]*firing as critical accepted/);
    assert.match(await text('.timeline'), /escalated to critical by rule raid-drive-failed[\s\S]*firing as critical handed to/);
    await page.getByText('Labels of the alert').click();
    assert.match(await text('details[open]'), /RaidDrivePredicted[\s\S]*Told again as critical[\s\S]*RaidDriveFailed/);
    await page.getByText('As the tool printed it').click();
    assert.match(await text('.evidence pre'), /252:4/);
    await page.shot('notification');
    await page.view('/notifications?state=resolved');
    await page.getByText('Disk events').waitFor();
  });

  it('lets a person acknowledge and comment, and shows it elsewhere at once', async () => {
    page = await world.page();
    await page.view('/notifications');
    await page.getByText('4 notifications').waitFor();
    const other = page;
    page = await world.page();
    await page.view('/notifications/a1b2c3d4e5f60718');
    await page.getByRole('button', { name: 'Acknowledge' }).click();
    await page.getByText('Acknowledged by').waitFor();
    await page.getByLabel('Comment').fill('the drive is <b>ordered</b>');
    await page.getByRole('button', { name: 'Add' }).click();
    await page.getByText('the drive is <b>ordered</b>').waitFor();
    assert.match(await text('.timeline'), /acknowledge by local\.[\s\S]*comment by local\. the drive is <b>ordered<\/b>/);
    await page.shot('notification-acknowledged');
    await other.getByText('seen by').waitFor({ timeout: 5000 }); // the list asks only every 15 s by itself
    await page.getByRole('button', { name: 'Take back' }).click();
    await page.getByRole('button', { name: 'Acknowledge' }).waitFor();
  });

  it('shows delivered messages and the pipeline', async () => {
    page = await world.page();
    await page.view('/delivered');
    await page.getByText('3 messages').waitFor();
    assert.equal(await page.locator('.message.resolved').count(), 1);
    assert.equal(await page.getByText('Drive failed in slot c0/e252/s4').count(), 1, 'label sets of one notification are one alert');
    assert.ok(await page.getByText('Its evidence.').count() > 0, 'the text of a message is shown');
    await page.shot('delivered');
    await page.view('/pipeline');
    await page.getByRole('heading', { name: 'Stages', exact: true }).waitFor();
    assert.match(await text('.card:has(h2:text("Stages"))'), /ingest\s+149,321\s+149,320\s+1 malformed 1\s+0/);
    await page.shot('pipeline');
  });

  it('makes lines to paste and copies them', async () => {
    page = await world.page();
    await page.view('/add');
    await page.getByLabel('Site').fill('north');
    await page.getByRole('button', { name: 'Make the lines' }).click();
    await page.getByText('exporter enrol').first().waitFor();
    await page.getByRole('button', { name: 'Copy the line for Linux' }).click();
    await page.getByText('Copied.').waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(copied, /^sudo \.\/exporter enrol --server https:\/\/10\.20\.0\.5:9471 --ca-fingerprint [0-9a-f]{64} --token \S+ && sudo \.\/exporter install && sudo \.\/exporter start$/);
    assert.equal(await page.getByLabel('Site').inputValue(), 'north', 'what was typed stays');
    await page.shot('add');
  });

  it('shows hostile text as text', async () => {
    page = await world.page();
    for (const hash of ['/', '/servers', '/servers/' + hostile, '/notifications', '/notifications/f607182930415263', '/delivered', '/servers?search=' + encodeURIComponent('<img src=x onerror=window.pwned=1>')]) {
      await page.view(hash);
      await page.locator('.page').waitFor();
      assert.equal(await page.evaluate(() => window.pwned), undefined, hash);
      assert.equal(await page.locator('main img, main script, main svg, main iframe, main b').count(), 0, 'no element came out of data on ' + hash);
      const shown = await page.locator('main').evaluate((e) => e.textContent);
      assert.doesNotMatch(shown, /[\u0000\u001b\u202a-\u202e\u2066-\u2069]/, 'direction and control marks are shown, not obeyed, on ' + hash);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no long word widens ' + hash);
    }
    await page.view('/servers/' + hostile);
    await page.getByText('<img src=x onerror="window.pwned=1">').first().waitFor();
    await page.shot('hostile');
  });

  it('fits a phone of 360 pixels on every view', async () => {
    page = await world.page({ width: 360, height: 740 });
    for (const [name, hash] of [['overview', '/'], ['servers', '/servers'], ['server', '/servers/' + failed], ['notifications', '/notifications'], ['notification', '/notifications/' + drive],
      ['delivered', '/delivered'], ['pipeline', '/pipeline'], ['add', '/add']]) {
      await page.view(hash);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      await page.shot('phone-' + name);
      assert.ok(width <= 360, `${name} is ${width} pixels wide`);
      const broken = await page.locator('.cardhead h2').evaluateAll((all) => all.filter((e) => e.textContent.length < 25 && e.getBoundingClientRect().height > 1.6 * parseFloat(getComputedStyle(e).fontSize)).map((e) => e.innerText));
      assert.deepEqual(broken, [], 'a short heading stands on one line on ' + name);
    }
  });

  it('is dark where people want it dark, with enough contrast in both', async () => {
    for (const dark of [true, false]) {
      page = await world.page({ dark });
      for (const [name, hash] of [['overview', '/'], ['server', '/servers/' + failed], ['notification', '/notifications/' + drive]]) {
        await page.view(hash);
        if (dark) await page.shot('dark-' + name);
        assert.deepEqual(await page.evaluate(lowContrast), [], `${dark ? 'dark' : 'light'} ${name}`);
      }
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(background, dark ? 'rgb(13, 16, 28)' : 'rgb(243, 244, 249)');
      if (dark) {
        assert.deepEqual(page.wrong, []);
        await page.close();
      }
    }
  });

  it('says what is wrong when the ruler fails, keeps what it had, and comes back', async () => {
    page = await world.page();
    page.expected.push(/500 \(Internal Server Error\)/);
    await page.tell('fail');
    await page.view('/');
    await page.getByText('The ruler could not answer.').waitFor();
    await page.shot('failed');
    await page.tell('full');
    await page.getByRole('button', { name: 'Retry' }).click();
    await page.getByText('One server is silent').waitFor();
    await page.tell('fail');
    await page.getByText('What you see is from before.').waitFor();
    assert.equal(await text('#live'), 'not connected');
    await page.getByText('One server is silent').waitFor();
    await page.tell('full');
    await page.getByText('What you see is from before.').waitFor({ state: 'detached' });
  });

  it('says so when a thing is not there', async () => {
    page = await world.page();
    page.expected.push(/404 \(Not Found\)/, /400 \(Bad Request\)/);
    await page.view('/servers/00000000000000000000000000000000');
    await page.getByText('No such server.').waitFor();
    await page.view('/nowhere');
    await page.getByText('There is no such page').waitFor();
  });

  it('works with the keyboard alone', async () => {
    page = await world.page();
    await page.view('/');
    await page.getByText('One server is silent').waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    await page.getByRole('link', { name: 'Servers', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.locator('main[data-view="/servers"][aria-busy="false"]').waitFor();
    await page.getByText('21 servers').waitFor();
    assert.equal(await page.title(), 'Servers · Nocturne');
    assert.equal(await page.getByRole('link', { name: 'Servers', exact: true }).getAttribute('aria-current'), 'page');
    const unlabelled = await page.evaluate(() => [...document.querySelectorAll('input, select, button, a')].filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())).map((e) => e.outerHTML));
    assert.deepEqual(unlabelled, [], 'everything that can be used has a name');
  });
});

// Runs in the page: texts whose contrast is below WCAG AA (4.5, or 3 for large ones).
function lowContrast() {
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0.9) return c;
    }
    return [255, 255, 255];
  };
  const out = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    const style = getComputedStyle(e);
    if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest('.skip, .hidden-title, .toast, noscript, option, :disabled')) continue;
    const [a, b] = [light(parse(style.color)), light(background(e))].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) out.add(`${ratio.toFixed(2)}: ${e.className || e.tagName} "${walk.currentNode.data.slice(0, 40)}"`);
  }
  return [...out];
}
