// Planned work in the console: what runs is told, a plan is made, changed, ended; who was faster is told; a viewer of it all.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { count, eventually, holds, says, suite } from './world.mjs';

suite('planned', (the) => {
  let page;
  const today = new Date().getUTCDay();
  const day = (n) => ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][(today + n) % 7]; // never today: that could run
  it('lists what runs, what comes and what is over', async () => {
    page = await the.page();
    await page.view('/planned');
    await says(page.panel('Running now'), /new boards in rack n03, ticket 4711[\s\S]*ada[\s\S]*until \d\d:\d\d|until \w+/);
    await says(page.locator('main'), /monthly firmware updates\s*rule file[\s\S]*platform team[\s\S]*every Tue, Thu 22:00–02:00, Europe\/Zurich/); // what is weekly may run just now
    await says(page.locator('main'), /64 GB more/);
    await says(page.panel('Over'), /cables[\s\S]*ended by bob[\s\S]*firmware <b>51\.16<\/b>[\s\S]*over/);
    await page.view('/planned/weekly-patching');
    await page.getByText('It stands in a rule file').waitFor();
    await count(page.getByRole('button', { name: 'Change' }), 0);
  });

  it('says tonight that work runs', async () => {
    page = await the.page();
    await page.view('/');
    const line = page.getByRole('group', { name: 'Planned work' });
    await says(line, /Planned work until .*\d\d:\d\d on (one server|\d+ servers)[\s\S]*new boards in rack n03/);
    await line.getByRole('link', { name: /on 3 servers/ }).click();
    await page.panel('The plan').waitFor();
    await says(page.panel('Versions'), /changed by bob[\s\S]*the cabinet has two more[\s\S]*planned by ada/);
  });

  it('plans work on a server from its page, changes and ends it', async () => {
    page = await the.page();
    await page.view('/servers/5e170000000000000000000000000003');
    await page.getByRole('link', { name: 'Plan work on this server' }).click();
    const preview = page.getByRole('status', { name: 'What it would be' });
    await preview.getByText('1 server', { exact: true }).waitFor();
    await says(preview, /sim-north-03/);
    await eventually(async () => assert.equal(await page.getByRole('button', { name: 'Plan it' }).isDisabled(), true, 'it needs a reason'));
    await page.getByLabel('What is done, and why').fill('a new board');
    await page.getByLabel('Every week').click();
    await page.getByLabel(day(3)).check();
    page.expected.push(/400/);
    await page.getByLabel('By the clock of').fill('Nowhere/Town');
    await preview.getByText(/zone "Nowhere\/Town" is not known/i).waitFor();
    await page.getByLabel('By the clock of').fill('Europe/Zurich');
    await preview.getByText(new RegExp(`^${day(3)} \\d+ \\w+ \\d\\d:00`)).waitFor();
    await page.getByLabel('Site', { exact: true }).fill('south,');
    await preview.getByText('No server is like that now.').waitFor();
    await page.getByRole('button', { name: 'Take out south' }).click();
    await preview.getByText('1 server', { exact: true }).waitFor();
    await page.shot('planned-form');
    await page.getByRole('button', { name: 'Plan it' }).click();
    await page.getByRole('heading', { name: 'a new board' }).waitFor();
    await says(page.panel('The plan'), new RegExp(`every ${day(3)} 22:00–02:00, Europe/Zurich`));

    const id = page.url().split('/').at(-1);
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByLabel(day(5)).check();
    const other = await page.request.put(`${the.url()}/api/v1/windows/${id}`, { data: { version: 1, all_servers: true, duration_seconds: 3600, reason: 'everything', comment: 'faster' } });
    assert.equal(other.status(), 200, await other.text());
    page.expected.push(/409/);
    await page.getByRole('button', { name: 'Save the plan' }).click();
    const told = page.getByRole('alert').filter({ hasText: 'Somebody changed it meanwhile' });
    await told.waitFor();
    await says(told, /faster[\s\S]*everything[\s\S]*all servers/);
    await page.shot('planned-conflict');
    await told.getByRole('button', { name: 'Save mine over theirs' }).click();
    await page.getByText(new RegExp(`every (${day(3)}, ${day(5)}|${day(5)}, ${day(3)}) 22:00–02:00, Europe/Zurich`)).waitFor();

    await page.getByRole('button', { name: 'Call it off' }).click();
    await page.getByLabel('Why').fill('board did not come');
    await page.getByRole('button', { name: 'Yes, end it' }).click();
    await page.getByText('It is ended: changes are told again.').waitFor();
    await says(page.panel('Versions'), /ended by[\s\S]*board did not come/);
    await page.getByRole('link', { name: 'Plan the like again' }).click();
    await holds(page.getByLabel('What is done, and why'), 'a new board');
  });

  it('shows which changes were planned, and finds them', async () => {
    page = await the.page();
    await page.view('/changes?planned=yes');
    const rows = page.locator('main').getByRole('listitem');
    await count(rows, 1);
    await says(rows, /DIMM_B1[\s\S]*planned[\s\S]*ada, 64 GB more for the new database/);
    await page.getByLabel('Planned').selectOption('no');
    await page.waitForFunction(() => !document.querySelector('main').innerText.includes('64 GB more'));
    await page.waitForURL(/planned=no/);
    await page.view('/servers/5e170000000000000000000000000005');
    await says(page.panel('What changed'), /planned[\s\S]*ada, 64 GB more/);
    await says(page.getByRole('group', { name: 'Planned work' }), /Planned work begins\s+in 2 d/);
  });

  it('is usable on a phone', async () => {
    page = await the.page({ width: 360, height: 740 });
    for (const path of ['/planned', '/planned?new=1', '/planned/rack-n03']) {
      await page.view(path);
      await eventually(async () => {
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= 360, `${path} is ${wide} wide`);
      });
    }
  });
});
