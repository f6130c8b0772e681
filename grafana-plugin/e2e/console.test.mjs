// The console on fixed data, as a person sees it. Screenshots of every page are kept in artifacts/.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { it } from 'node:test';
import { count, eventually, focused, holds, says, suite } from './world.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const failed = '5e170000000000000000000000000005';
const real = '5e170000000000000000000000000001';
const cloned = '5e170000000000000000000000000010';
const hostile = '5e170000000000000000000000000028';
const drive = 'a1b2c3d4e5f60718';
const everyPage = [['tonight', '/'], ['servers', '/servers'], ['server', '/servers/' + failed], ['notifications', '/notifications'], ['notification', '/notifications/' + drive], ['register', '/register'], ['silent', '/silent'], ['changes', '/changes'], ['planned', '/planned'], ['planned-new', '/planned?new=1&name=sim-north-05'], ['work', '/planned/rack-n03'],
  ['rules', '/rules'], ['rules-noise', '/rules?tab=noise'], ['rule', '/rules/nic-link-lost'], ['rule-edit', '/rules/nic-link-lost/edit'], ['rule-new', '/rules/new'],
  ['events', '/events'], ['event', '/events/' + failed + '-1z-2-28'], ['events-first', '/events?tab=first'], ['devices', '/devices'], ['serial', '/devices/serial?number=ZA10504K'], ['delivered', '/delivered'], ['pipeline', '/pipeline'], ['add', '/add'], ['settings', '/settings'], ['settings-tokens', '/settings?tab=tokens'],
  ['settings-roles', '/settings?tab=roles'], ['settings-join', '/settings?tab=join'], ['settings-audit', '/settings?tab=audit'], ['account', '/account'], ['login', '/login'], ['welcome', '/welcome#' + 'A'.repeat(43)]];

suite('console', (the) => {
  let page;
  it('shows tonight what is wrong, worst first', async () => {
    page = await the.page();
    await page.view('/');
    await page.getByText('One server is silent').waitFor();
    await says(page.panel('Wrong now'), /Drive failed in slot c0\/e252\/s4[\s\S]*Drive will fail soon/);
    await says(page.panel('The fleet'), /21\s*servers/);
    await says(page.panel('Silent servers'), /sim-south-12/);
    const changed = page.panel('Changed lately');
    await says(changed, /c0\/e252\/s7 was replaced: serial ZA10404X left, ZA10507K came/);
    for (const item of await changed.getByRole('listitem').all()) {
      const said = await item.innerText();
      assert.equal(/simulated/.test(said), /sim-/.test(said), 'changes of simulated servers are labelled: ' + said);
    }
    await count(page.getByRole('alert'), 0);
    await says(page.locator('main'), /0 missing/);
    await page.shot('tonight');
  });

  it('has every icon, where people like movement', async () => {
    page = await the.page();
    await page.emulateMedia({ reducedMotion: 'no-preference' }); // then what waits turns
    for (const [, path] of everyPage) await page.view(path);
  });

  it('is calm with an empty fleet and says what to do', async () => {
    page = await the.page();
    await page.tell('empty');
    await page.view('/');
    await page.getByText('No servers yet', { exact: true }).waitFor();
    await count(page.locator('main').getByRole('link', { name: 'Add a server' }), 1);
    await page.shot('tonight-empty');
    await page.view('/notifications');
    await page.getByText('Nothing is open.').waitFor();
  });

  it('says tonight that nobody can see the fleet', async () => {
    page = await the.page();
    await page.tell('frozen');
    await page.view('/');
    const alert = page.getByRole('alert').filter({ hasText: 'The pipeline has problems' });
    await alert.waitFor();
    await says(alert, /clock of 16 partitions stands still: the bridge is not heard/i);
    await says(page.panel('Silent servers'), /Nobody can be judged now/);
    await eventually(async () => {
      const top = await alert.evaluate((e) => e.getBoundingClientRect().bottom);
      assert.ok(top < 300, `the alert ends at ${top} pixels`);
    });
    await eventually(async () => assert.deepEqual(await page.evaluate(lowContrast), []));
    await page.shot('tonight-frozen');
  });

  it('lists servers, searches, sorts and filters in the address', async () => {
    page = await the.page();
    await page.view('/servers');
    await page.getByText('21 servers').waitFor();
    await page.shot('servers');
    await page.getByRole('searchbox').fill('vault');
    await page.getByText('1 matches', { exact: true }).waitFor();
    await count(page.locator('tbody tr'), 1);
    await page.waitForURL(/search=vault/);
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.type), 'search', 'the focus stays'));
    await page.view('/servers?status=silent');
    await page.getByText('1 matches', { exact: true }).waitFor();
    await says(page.locator('tbody'), /sim-south-12/);
    await page.getByText('More filters').click();
    await page.getByLabel('Kind').selectOption('false');
    await page.getByText('No server matches.').waitFor();
    await page.view('/servers');
    await page.getByRole('button', { name: 'Server', exact: true }).click();
    await page.locator('th[aria-sort="ascending"]').waitFor();
    await page.waitForURL(/sort=name/);
  });

  it('shows a server with its bays, its history and a drive that failed', async () => {
    page = await the.page();
    await page.view('/servers/' + failed);
    const bays = page.getByRole('list', { name: 'Drive bays' }).getByRole('listitem');
    await count(bays, 12);
    await eventually(async () => assert.deepEqual((await bays.allInnerTexts()).filter((b) => /critical/.test(b)).map((b) => b.split(/\s+/)), [['4', 'Failed', 'critical']]));
    await says(page.locator('tr').filter({ hasText: 'ZA10504K' }), /c0\/e252\/s4[\s\S]*critical[\s\S]*Failed/);
    await says(page.locator('tr').filter({ hasText: 'c0/v0' }), /virtual drive[\s\S]*warning[\s\S]*Dgrd/, 'a part of the problem is marked too');
    await says(page.panel('What changed'), /state Onln → Failed/);
    const records = page.panel('Records');
    await records.getByText('4569 records received, 0 missing').waitFor();
    await records.getByText('4 sequences').click();
    await records.getByText('4,000').waitFor();
    await page.shot('server');
    await page.getByRole('button', { name: 'Fail a drive', exact: true }).click();
    await page.getByText('Simulated: begun.').waitFor();
    const asked = await (await page.request.get(the.url() + '/test/broken')).json();
    assert.deepEqual(JSON.parse(asked.at(-1)).kind, 'drive');
  });

  it('shows a server as it was, and what differs between two times', async () => {
    page = await the.page();
    await page.view('/servers/' + failed);
    const configurations = page.panel('Configurations it had');
    await configurations.getByRole('button', { name: 'As it was' }).nth(1).click();
    await page.getByRole('button', { name: 'Show it as it is' }).click();
    await page.getByRole('button', { name: 'Show it as it is' }).waitFor({ state: 'detached' });
    await page.waitForURL((u) => !u.search.includes('at='));
    await configurations.getByRole('button', { name: 'Compare' }).nth(1).click();
    await configurations.getByRole('button', { name: 'Compare' }).nth(0).click();
    const differs = page.getByRole('region', { name: /What differs/ });
    await differs.getByText(/Onln → Failed|Nothing differs/).waitFor();
    await page.shot('server-diff');
  });

  it('offers no way to break a real server', async () => {
    page = await the.page();
    await page.view('/servers/' + real);
    await page.getByText('Debian GNU/Linux 12').first().waitFor();
    await count(page.getByText('Break it'), 0);
    await count(page.getByText('simulated', { exact: true }), 0);
    await page.getByText('md0').first().waitFor();
    await eventually(async () => assert.equal(await page.getByText('package-44').isVisible(), false, 'a long list is folded'));
    await page.getByText('45 × program').click();
    await page.getByText('package-44').waitFor();
    await page.shot('server-real');
  });

  it('flags an identity that is used twice', async () => {
    page = await the.page();
    await page.view('/servers/' + cloned);
    await page.getByText('Two live machines speak under this identity').waitFor();
    await page.getByRole('link', { name: /line 2/ }).click();
    await page.getByRole('heading', { name: /line 2/ }).waitFor();
  });

  it('shows why a notification fired, by what evidence, and who was told', async () => {
    page = await the.page();
    await page.view('/notifications');
    await page.getByText('4 notifications').waitFor();
    await page.shot('notifications');
    await page.getByRole('link', { name: 'Drive failed in slot c0/e252/s4' }).click();
    const evidence = page.panel('Evidence');
    await evidence.waitFor();
    await says(page.panel('What and where'), /before\s+Onln[\s\S]*after\s+Failed/);
    await says(page.panel('Why'), /Drive failed[\s\S]*the cause[\s\S]*Virtual drive degraded/);
    await says(page.panel('Who was told'), /firing warning accepted[\s\S]*connection refused[\s\S]*firing critical accepted/);
    await says(page.panel('Timeline'), /escalated to critical by rule raid-drive-failed[\s\S]*firing as critical handed to/);
    await page.getByText('Labels of the alert').click();
    await says(page.locator('details[open]'), /RaidDrivePredicted[\s\S]*Told again as critical[\s\S]*RaidDriveFailed/);
    await page.getByText('As the tool printed it').click();
    await says(evidence.locator('pre'), /252:4/);
    await page.shot('notification');
    await page.view('/notifications?state=resolved');
    await page.getByText('Disk events').waitFor();
  });

  it('lets a person acknowledge and comment, and shows it elsewhere at once', async () => {
    const other = await the.page();
    await other.addInitScript(() => { window.setInterval = () => 0; }); // it asks no more by itself: what comes is told
    await other.view('/notifications');
    await other.getByText('4 notifications').waitFor();
    page = await the.page();
    await page.view('/notifications/' + drive);
    await says(page.panel('What to do'), /Compare the serial in the notification with the label: pull the drive that failed/);
    await page.getByRole('button', { name: 'Acknowledge' }).click();
    await page.getByText('Acknowledged by').waitFor();
    await page.getByLabel('Comment').fill('the drive is <b>ordered</b>');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText('the drive is <b>ordered</b>').first().waitFor();
    await says(page.panel('Timeline'), /acknowledge by local\.[\s\S]*comment by local\. the drive is <b>ordered<\/b>/);
    await page.shot('notification-acknowledged');
    await other.getByText('acknowledged by').waitFor();
    await other.close();
    await page.getByRole('button', { name: 'Take back' }).click();
    await page.getByRole('button', { name: 'Acknowledge' }).waitFor();
  });

  it('silences with a reason, asks before an unsent comment is lost, and lists what is silenced', async () => {
    page = await the.page();
    await page.view('/notifications/' + drive);
    await page.getByLabel('Comment').fill('half of it');
    page.expected.push(/not saved/);
    await Promise.all([page.waitForEvent('dialog'), page.getByRole('link', { name: 'Servers', exact: true }).click()]);
    await holds(page.getByLabel('Comment'), 'half of it');
    await page.getByLabel('Comment').fill('');
    await page.getByLabel('Why it is silenced').fill('the drive is ordered');
    await page.shot('notification-silence');
    await page.getByRole('button', { name: 'Silence', exact: true }).click();
    await page.getByText('the drive is ordered (local)').first().waitFor();
    await page.getByRole('link', { name: 'Planned work' }).click(); // nothing is asked
    const silenced = page.getByRole('list', { name: 'Silenced' });
    await silenced.getByText('the drive is ordered').waitFor();
    await says(silenced, /the drive is ordered[\s\S]*local · ends in/);
    await page.shot('planned-silenced');
    await silenced.getByRole('button', { name: 'End silence: the drive is ordered' }).click();
    await page.getByText('people are told again').waitFor();
    await page.getByRole('link', { name: 'Notifications', exact: false }).first().click();
    await page.getByLabel('Select Drive will fail soon').check({ force: true });
    await page.getByRole('button', { name: 'Silence for 8 hours' }).click();
    await focused(page.getByLabel('Why it is silenced'));
    await page.keyboard.type('tomorrow');
    await page.keyboard.press('Enter');
    await page.getByText('1 done.').waitFor();
    await page.getByText('silenced', { exact: true }).waitFor();
    await page.getByRole('link', { name: 'Drive will fail soon' }).click();
    await page.panel('What to do').getByRole('button', { name: 'Drive failed' }).first().click();
    await page.panel('What to do').getByText('Compare the serial in the notification').waitFor();
    await page.shot('notification-runbook');
  });

  it('does a deed with many notifications at once', async () => {
    page = await the.page();
    await page.view('/notifications');
    await page.getByLabel('Select Drive will fail soon').check({ force: true });
    await page.getByText('1 selected').waitFor();
    await page.getByRole('button', { name: 'I take it' }).click();
    await page.getByText('1 done.').waitFor();
    await page.getByText('taken by').waitFor();
    await page.shot('notifications-bulk');
  });

  it('shows delivered messages and the pipeline', async () => {
    page = await the.page();
    await page.view('/delivered');
    await page.getByText('3 messages').waitFor();
    await count(page.locator('main li').filter({ hasText: 'resolved' }), 1);
    await count(page.getByText('Drive failed in slot c0/e252/s4'), 1, 'label sets of one notification are one alert');
    await eventually(async () => assert.ok(await page.getByText('Its evidence.').count() > 0, 'the text of a message is shown'));
    await page.shot('delivered');
    await page.view('/pipeline');
    await page.getByRole('heading', { name: 'Stages', exact: true }).waitFor();
    await says(page.panel('Stages'), /ingest\s+149,321\s+149,320\s+1\s+malformed 1\s+0/);
    await page.shot('pipeline');
  });

  it('lists silent servers and changes of the fleet', async () => {
    page = await the.page();
    await page.view('/silent');
    await says(page.locator('tbody'), /sim-south-12[\s\S]*silent/);
    await page.shot('silent');
    await page.view('/changes');
    await page.getByLabel('Kind').selectOption('replaced');
    await page.getByText('was replaced').first().waitFor();
    await page.waitForFunction(() => !/appeared|is gone/.test(document.querySelector('main').innerText));
    await page.waitForURL(/kind=replaced/);
    await page.shot('changes');
  });

  it('makes lines to paste and copies them', async () => {
    page = await the.page();
    await page.view('/add');
    await page.getByLabel('Site').fill('north');
    await page.getByRole('button', { name: 'Make the lines' }).click();
    await page.getByText('exporter enrol').first().waitFor();
    const copied = async (name, line) => {
      await page.getByRole('button', { name: 'Copy the line for ' + name }).click();
      await page.getByText('Copied.').waitFor();
      await eventually(async () => assert.match(await page.evaluate(() => navigator.clipboard.readText()), line));
    };
    await copied('Windows: MSI', /^msiexec \/i \(Get-Item \.\\nocturne-exporter-\*-x64\.msi\) \/qn SERVER=https:\/\/10\.20\.0\.5:9471 CAFINGERPRINT=[0-9a-f]{64} TOKEN=\S+$/);
    await copied('Linux: exporter', /^sudo \.\/exporter enrol --server https:\/\/10\.20\.0\.5:9471 --ca-fingerprint [0-9a-f]{64} --token \S+ && sudo \.\/exporter install && sudo \.\/exporter start$/);
    await holds(page.getByLabel('Site'), 'north', 'what was typed stays');
    await page.shot('add');
  });

  it('shows hostile text as text', async () => {
    page = await the.page();
    for (const path of ['/', '/servers', '/servers/' + hostile, '/notifications', '/notifications/f607182930415263', '/delivered', '/changes', '/servers?search=' + encodeURIComponent('<img src=x onerror=window.pwned=1>')]) {
      await page.view(path);
      assert.equal(await page.evaluate(() => window.pwned), undefined, path);
      await count(page.locator('main img, main script, main svg:not([data-chart]), main iframe, main b'), 0, 'no element came out of data on ' + path);
      const shown = await page.locator('main').evaluate((e) => e.textContent);
      assert.doesNotMatch(shown, /[\u0000\u001b\u202a-\u202e\u2066-\u2069]/, 'direction and control marks are shown, not obeyed, on ' + path);
      await eventually(async () => assert.deepEqual(await page.evaluate(tooWide), [], 'no long word widens ' + path));
    }
    await page.view('/servers/' + hostile);
    await page.getByText('<img src=x onerror="window.pwned=1">').first().waitFor();
    await page.shot('hostile');
  });

  it('fits a phone of 360 pixels on every page', async () => {
    page = await the.page({ width: 360, height: 740 });
    for (const [name, path] of everyPage) {
      await page.view(path);
      await page.shot('phone-' + name);
      await eventually(async () => {
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= 360, `${name} is ${width} pixels wide`);
      });
    }
    await page.view('/pipeline');
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.getByRole('link', { name: 'Tonight' }).click();
    await page.getByText('One server is silent').waitFor();
    await eventually(async () => assert.equal(await page.getByRole('navigation').getByRole('link', { name: 'Pipeline' }).isVisible(), false, 'the menu closes'));
  });

  it('is dark where people want it dark, with enough contrast and nothing that axe minds', async () => {
    for (const dark of [true, false]) {
      page = await the.page({ dark });
      for (const [name, path] of everyPage) {
        await page.view(path);
        if (dark) await page.shot('dark-' + name);
        await eventually(async () => assert.deepEqual(await page.evaluate(lowContrast), [], `${dark ? 'dark' : 'light'} ${name}`));
        await eventually(async () => assert.deepEqual(await disliked(page), [], `${dark ? 'dark' : 'light'} ${name}`));
      }
      assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), dark ? 'rgb(17, 18, 23)' : 'rgb(251, 251, 251)');
      if (dark) {
        assert.deepEqual(page.wrong, []);
        await page.close();
      }
    }
  });

  it('keeps the theme that was chosen', async () => {
    page = await the.page();
    await page.view('/');
    await page.getByRole('radio', { name: 'Dark theme' }).check({ force: true });
    await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
    await page.view('/servers');
    await eventually(async () => assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark'));
    await page.getByRole('radio', { name: 'Theme of the system' }).check({ force: true });
    await page.waitForFunction(() => document.documentElement.dataset.theme === 'light');
  });

  it('says what is wrong when the ruler fails, keeps what it had, and comes back', async () => {
    page = await the.page();
    page.expected.push(/500 \(Internal Server Error\)/);
    await page.tell('fail');
    await page.view('/');
    await page.getByText('The ruler could not answer.').first().waitFor();
    await page.shot('failed');
    await page.tell('full');
    await page.getByRole('button', { name: 'Retry' }).first().click();
    await page.getByText('One server is silent').waitFor();
    await page.tell('fail');
    await page.getByText('What you see is from before.').first().waitFor();
    await page.getByText('One server is silent').waitFor();
    await page.tell('full');
    await page.getByText('What you see is from before.').first().waitFor({ state: 'detached' });
  });

  it('says so when a thing is not there', async () => {
    page = await the.page();
    page.expected.push(/404 \(Not Found\)/, /400 \(Bad Request\)/);
    await page.view('/servers/00000000000000000000000000000000');
    await page.getByText('No such server.').waitFor();
    await page.view('/');
    await page.evaluate(() => history.pushState(null, '', '/nowhere'));
    await page.evaluate(() => dispatchEvent(new PopStateEvent('popstate')));
    await page.getByText('There is no such page').waitFor();
    assert.equal((await page.request.get(the.url() + '/nowhere')).status(), 404);
  });

  it('works with the keyboard alone', async () => {
    page = await the.page();
    await page.view('/');
    await page.getByText('One server is silent').waitFor();
    await page.keyboard.press('Tab');
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content'));
    await page.keyboard.press('Enter');
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.id), 'main'));
    await page.getByRole('link', { name: 'Servers', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('21 servers').waitFor();
    await eventually(async () => assert.equal(await page.title(), 'Servers · Nocturne'));
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.id), 'main', 'the new page has the focus'));
    await eventually(async () => assert.equal(await page.getByRole('link', { name: 'Servers', exact: true }).getAttribute('aria-current'), 'page'));
    const unlabelled = await page.evaluate(() => [...document.querySelectorAll('input, select, button, a')].filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())).map((e) => e.outerHTML));
    assert.deepEqual(unlabelled, [], 'everything that can be used has a name');
  });
});

// Runs in the page: what reaches over its right edge, unless something around it scrolls.
function tooWide() {
  const scrolls = (e) => e && (getComputedStyle(e).overflowX !== 'visible' || scrolls(e.parentElement));
  return document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth && !scrolls(e.parentElement)).map((e) => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`).slice(0, 5);
}

// What axe finds that is moderate or worse. Its contrast check is ours, below. The debugger's own evaluation is not bound
// by the page's policy, which lets no text become code.
async function disliked(page) {
  const debug = await page.context().newCDPSession(page);
  await debug.send('Runtime.evaluate', { expression: axe });
  await debug.detach();
  return page.evaluate(async () => {
    const found = await window.axe.run(document, { resultTypes: ['violations'], rules: { 'color-contrast': { enabled: false } } });
    return found.violations.filter((v) => ['moderate', 'serious', 'critical'].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`);
  });
}

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
    if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest('noscript, option, :disabled')) continue;
    const [a, b] = [light(parse(style.color)), light(background(e))].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) out.add(`${ratio.toFixed(2)}: ${e.className || e.tagName} "${walk.currentNode.data.slice(0, 40)}"`);
  }
  return [...out];
}
