// Events and devices on fixed data: 40 days of events that never happened, a drive that was in three servers.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { count, eventually, holds, says, suite } from './world.mjs';

const failed = '5e170000000000000000000000000005';
const hostile = '5e170000000000000000000000000028';

suite('events and devices', (the) => {
  let page;

  it('draws how often events came, and narrows by the legend and by a bar', async () => {
    page = await the.page();
    await page.view('/events');
    const counts = page.panel('How often');
    await says(counts, /[\d,]+ events, by the day \(UTC\)[\s\S]*critical[\s\S]*error[\s\S]*info/);
    await page.shot('events');
    await counts.getByLabel('Counted by').selectOption('provider');
    await counts.getByRole('button', { name: /^disk/ }).click();
    await page.waitForURL(/provider=disk/);
    await counts.getByRole('button', { name: /^disk 153/ }).waitFor();
    await holds(page.getByLabel('Provider'), 'disk');
    const list = page.panel('The newest first');
    await list.getByText('has a bad block').first().waitFor();
    await page.waitForFunction(() => !document.querySelector('main').innerText.includes('Service Control Manager'));
    const bars = counts.locator('[data-bar]');
    await bars.last().focus();
    await says(counts.locator('figcaption'), /20\d\d: [\d,]+ events?$/);
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Enter');
    await page.waitForURL(/since=.*before=/);
    await count(bars, 24); // hours of that day
    await holds(page.getByLabel('Time', { exact: true }), 'fixed');
    await page.getByRole('button', { name: 'Clear all filters' }).click();
    await page.waitForURL((u) => !u.search.includes('provider'));
    await count(bars, 8);
    await counts.getByText('As a table').click();
    await count(counts.locator('tbody tr'), 8);
  });

  it('filters by id ranges, level and words, pages back, and says when nothing is there', async () => {
    page = await the.page();
    await page.view('/events?range=30d');
    const list = page.getByRole('list', { name: 'Events' });
    await list.waitFor();
    const first = (await list.getByRole('listitem').allInnerTexts())[0];
    await page.getByRole('button', { name: 'Older' }).click();
    await page.getByRole('heading', { name: 'Older events' }).waitFor();
    await page.waitForFunction((f) => !document.querySelector('main').innerText.includes(f), first.split('\n')[2]);
    await page.getByRole('button', { name: 'The newest' }).click();
    await page.getByLabel('Event id').fill('41-60');
    await page.getByText('A corruption was discovered').waitFor();
    await page.getByLabel('Level').selectOption('critical');
    await page.getByRole('searchbox', { name: 'Search' }).fill('reboot');
    await page.getByText('rebooted without cleanly').waitFor();
    await page.getByText('A corruption was discovered').waitFor({ state: 'detached' });
    await page.getByRole('searchbox', { name: 'Search' }).fill('nothing says this');
    await page.getByText('Take a longer time, or fewer filters.').waitFor();
  });

  it('finds the events of a server by its name', async () => {
    page = await the.page();
    await page.view('/events');
    const pick = page.getByLabel('Server', { exact: true });
    await pick.fill('no-such-server');
    await page.getByText('none is called so').waitFor();
    await page.shot('events-server');
    await pick.fill('north-05');
    await page.waitForFunction(() => document.querySelectorAll('datalist option').length === 1);
    await pick.press('Enter');
    await page.waitForURL(new RegExp('server=' + failed));
    await holds(pick, '');
    await page.getByRole('button', { name: 'sim-north-05' }).click(); // those of all servers
    await page.waitForURL((u) => !u.search.includes('server'));
  });

  it('opens an event, copies it, and leads to what was around it', async () => {
    page = await the.page();
    await page.view('/events?provider=disk&event_id=7');
    await page.getByRole('link', { name: 'disk 7' }).first().click();
    await page.getByRole('heading', { name: 'disk 7', level: 1 }).waitFor();
    await says(page.panel('Message'), /Harddisk1\\DR1, has a bad block/);
    await says(page.panel('What and where'), /sim-north-05[\s\S]*System[\s\S]*windows\.event/);
    await says(page.panel('Other fields'), /event\.data\.param1[\s\S]*Harddisk1/);
    await page.panel('Notifications of this server').getByText('Drive failed in slot c0/e252/s4').waitFor();
    await page.shot('event');
    await page.getByRole('button', { name: 'Copy as JSON' }).click();
    await page.getByText('Copied.').waitFor();
    await eventually(async () => assert.equal(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())).event.provider, 'disk'));
    await page.getByRole('link', { name: 'What it wrote 10 minutes before and after' }).click();
    await page.getByRole('list', { name: 'Events' }).getByText('sim-north-05').first().waitFor();
    await page.goBack();
    await page.getByRole('link', { name: 'The server at that time' }).click();
    await page.getByText('As it was', { exact: true }).first().waitFor();
    await page.waitForURL(new RegExp(`/servers/${failed}\\?at=`));
  });

  it('lists what the fleet saw first', async () => {
    page = await the.page();
    await page.view('/events');
    await page.getByRole('radio', { name: 'First seen' }).click({ force: true });
    const first = page.panel('Seen for the first time');
    await first.getByRole('link', { name: 'Ntfs 55' }).waitFor();
    await count(first.getByRole('link', { name: 'Service Control Manager 7036' }), 0);
    await page.shot('events-first');
    await first.getByLabel('In the last').selectOption('90');
    await first.getByText('what is listed may have been there before').waitFor();
    await first.getByRole('link', { name: 'Service Control Manager 7036' }).waitFor();
  });

  it('says when the log store is away, or slow, and comes back', async () => {
    page = await the.page();
    page.expected.push(/503 \(Service Unavailable\)/, /504 \(Gateway Timeout\)/);
    await page.tell('logs-slow');
    await page.view('/events');
    await page.getByText('The log store took too long.').first().waitFor();
    await page.getByText('Ask for a shorter time, or for one server or provider.').first().waitFor();
    await page.tell('logs-away');
    await page.view('/events');
    await page.getByText('The log store does not answer.').first().waitFor();
    await page.shot('events-away');
    await page.tell('full');
    await page.getByRole('button', { name: 'Retry' }).first().click();
    await page.getByRole('list', { name: 'Events' }).or(page.panel('How often').locator('figure')).first().waitFor();
  });

  it('draws on a server how often it wrote, and leads to the events', async () => {
    page = await the.page();
    await page.view('/servers/' + failed);
    const panel = page.panel('Events of the last 30 days');
    await panel.locator('figure').waitFor();
    await panel.getByLabel('Counted by').selectOption('provider');
    await panel.getByRole('button', { name: /^disk/ }).click();
    await page.waitForURL(new RegExp(`/events\\?.*server=${failed}`));
    await page.waitForURL(/provider=disk/);
    await page.getByRole('button', { name: 'sim-north-05' }).waitFor();
  });

  it('shows the parts of the fleet, those with a problem first, and counts them', async () => {
    page = await the.page();
    await page.view('/devices');
    const rows = page.locator('tbody tr');
    await says(rows.first(), /c0\/e252\/s4[\s\S]*sim-north-05[\s\S]*critical[\s\S]*Failed/);
    await page.shot('devices');
    const counts = page.getByRole('region', { name: 'How many', exact: true });
    await counts.getByRole('button', { name: /^ST4000NM0035-1V4107/ }).click();
    await page.waitForURL(/model=ST4000NM0035/);
    await page.getByRole('heading', { name: '228 devices' }).waitFor();
    await counts.getByRole('button', { name: /^Failed/ }).click();
    await page.getByRole('heading', { name: '1 device', exact: true }).waitFor();
    await page.getByRole('link', { name: 'ZA10504K' }).click();
    await page.getByRole('heading', { name: 'Serial ZA10504K', level: 1 }).waitFor();
  });

  it('tells the life of a part across servers', async () => {
    page = await the.page();
    await page.view('/servers/' + failed);
    await page.getByRole('link', { name: 'ZA10504K' }).first().click();
    await page.getByText('seen at 3 places on 3 servers').waitFor();
    const rows = page.panel('Its life').locator('tbody tr');
    await eventually(async () => assert.deepEqual((await rows.allInnerTexts()).map((r) => /sim-\S+/.exec(r)[0]), ['sim-north-05', 'sim-north-07', 'sim-north-03']));
    await page.panel('Problems of its place while it was there').getByText('Drive failed in slot c0/e252/s4').waitFor();
    await says(page.panel('What changed'), /state Onln → Failed/);
    await page.shot('serial');
    await page.getByRole('link', { name: 'Serial numbers' }).click();
    await page.getByRole('searchbox').fill('ZA104');
    await page.getByText('ZA10404X').first().waitFor();
  });

  it('shows hostile events and parts as text', async () => {
    page = await the.page();
    for (const path of ['/events?server=' + hostile, '/events?by=provider', '/events/' + hostile + '-1z-2-9', '/events?tab=first', '/devices?server=' + hostile, '/devices/serial?number=' + encodeURIComponent('<img src=x onerror=window.pwned=1>')]) {
      page.expected.push(/404 \(Not Found\)/);
      await page.view(path);
      assert.equal(await page.evaluate(() => window.pwned), undefined, path);
      await count(page.locator('main img, main script, main svg:not([data-chart]), main iframe, main b'), 0, path);
      await eventually(async () => assert.doesNotMatch(await page.locator('main').evaluate((e) => e.textContent), /[\u0000\u001b\u202a-\u202e\u2066-\u2069]/, path));
      await eventually(async () => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no long word widens ' + path));
    }
  });

  it('keeps its bars on a phone', async () => {
    page = await the.page({ width: 360, height: 740, dark: true });
    for (const [name, path] of [['events', '/events?by=provider&range=30d'], ['devices', '/devices'], ['serial', '/devices/serial?number=ZA10504K']]) {
      await page.view(path);
      await eventually(async () => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360), name));
      await page.shot('phone-dark-' + name);
    }
  });
});
