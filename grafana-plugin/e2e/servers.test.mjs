// The servers page with 10,000 rows in a real store, labels of many at once, and the register of who is expected.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { count, eventually, says, startWorld, suite } from './world.mjs';

suite('ten thousand servers', (the) => {
  let page;
  const rows = () => page.locator('tbody tr[data-row]');

  it('draws the rows in sight, says how many there are, and follows the scroll bar', async () => {
    page = await the.page();
    await page.view('/servers?sort=name');
    await page.getByText('10,000 servers').waitFor();
    const table = page.getByRole('table', { name: 'Servers' });
    await eventually(async () => assert.equal(await table.getAttribute('aria-rowcount'), '10001'));
    await eventually(async () => assert.ok((await rows().count()) < 80, 'most rows are not in the document'));
    await page.getByRole('link', { name: 'srv-00000' }).waitFor();
    await page.shot('servers-10000', { fullPage: false });
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight / 2));
    await page.getByRole('link', { name: 'srv-05000' }).waitFor();
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    const last = rows().filter({ hasText: 'srv-09999' });
    await last.waitFor();
    await eventually(async () => assert.equal(await last.getAttribute('aria-rowindex'), '10001'));
    await eventually(async () => {
      const [height, want] = await page.evaluate(() => [document.querySelector('tbody').getBoundingClientRect().height, 10_000 * document.querySelector('tr[data-row]').getBoundingClientRect().height]);
      assert.ok(Math.abs(height - want) < 100, `the scroll bar is true: ${height} of ${want}`);
    });
    await eventually(async () => assert.ok((await page.evaluate(() => document.querySelector('thead').getBoundingClientRect().top)) < 5, 'the headings stay in sight'));
  });

  it('is walked through with the keyboard, beyond what is drawn', async () => {
    page = await the.page();
    await page.view('/servers?sort=name');
    await page.getByRole('link', { name: 'srv-00020' }).focus();
    for (let i = 0; i < 50; i++) await page.keyboard.press('Tab'); // a link and a box in each row
    const at = await page.evaluate(() => document.activeElement.closest('tr')?.dataset.row);
    assert.ok(Number(at) >= 40, `the focus is in row ${at}`);
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight / 2));
    await page.getByRole('link', { name: 'srv-05000' }).waitFor();
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.closest('tr')?.dataset.row), at, 'the focus stays while one scrolls'));
  });

  it('counts facets, filters by them and sorts', async () => {
    page = await the.page();
    await page.view('/servers');
    await page.getByLabel('Site').selectOption({ label: 'site-07 (500)' });
    await page.getByText('500 match').waitFor();
    await page.getByText('More filters').click();
    await page.view('/servers?support=ended');
    await page.getByLabel('Support').locator('option:checked').filter({ hasText: /ended \(\d/ }).waitFor({ state: 'attached' }); // the count comes with the facets
    await page.getByRole('button', { name: 'Support ends' }).click();
    await page.locator('th[aria-sort="ascending"]').waitFor();
    await page.locator('tbody').getByText('Windows Server 2012 R2 Standard').first().waitFor();
    await says(page.locator('h2'), /\d,\d{3} match/);
  });

  it('keeps the columns that were chosen', async () => {
    page = await the.page();
    await page.view('/servers?sort=name');
    await page.getByText('Columns').click();
    await page.getByLabel('Warranty until').check();
    await page.getByLabel('Last heard').uncheck();
    await page.getByRole('columnheader', { name: 'Warranty until' }).waitFor();
    await page.view('/servers?sort=name');
    await page.getByRole('columnheader', { name: 'Warranty until' }).waitFor();
    await count(page.getByRole('columnheader', { name: 'Last heard' }), 0);
    await page.shot('servers-columns', { fullPage: false });
    await page.evaluate(() => localStorage.removeItem('nocturne.servers.columns'));
  });

  it('writes what is filtered as a table', async () => {
    page = await the.page();
    await page.view('/servers?site=site-03');
    await page.getByText('500 match').waitFor();
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
    assert.match(file.suggestedFilename(), /^nocturne-servers-\d{4}-\d\d-\d\d\.csv$/);
    const lines = readFileSync(await file.path(), 'utf8').trim().split('\r\n');
    assert.equal(lines.length, 501);
    assert.match(lines[0], /^name,id,status,site/);
    assert.ok(lines.slice(1).every((l) => l.includes(',site-03,')));
  });

  it('fits a phone', async () => {
    page = await the.page({ width: 360, height: 740 });
    await page.view('/servers?sort=name');
    await page.getByRole('link', { name: 'srv-00000' }).waitFor();
    await eventually(async () => assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360));
    await page.shot('phone-servers-10000', { fullPage: false });
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await page.getByRole('link', { name: 'srv-09999' }).waitFor();
  });
}, { start: () => startWorld('-servers', '10000') });

suite('labels and the register', (the) => {
  let page;

  it('changes labels of those selected, and names who was not changed', async () => {
    page = await the.page();
    await page.view('/servers?search=sim-north&sort=name');
    await page.getByLabel('Select sim-north-06').check();
    await page.getByLabel('Select sim-north-07').check();
    const panel = page.getByRole('region', { name: 'Labels of 2 servers' });
    await eventually(async () => assert.ok(await panel.getByRole('button', { name: 'Change labels' }).isDisabled(), 'nothing to do yet'));
    await panel.getByLabel('Owner').selectOption('set');
    await panel.getByLabel('New Owner').fill('storage');
    await panel.getByRole('button', { name: 'Change labels' }).click();
    await panel.getByText('1 not changed:').waitFor();
    const failed = panel.getByRole('list', { name: 'Not changed' });
    await says(failed, /sim-north-07[\s\S]*somebody was faster/);
    await page.shot('servers-labels');
    await panel.getByRole('button', { name: 'Read these again and select them' }).click();
    await page.getByRole('region', { name: 'Labels of one server' }).waitFor();
    await page.getByRole('button', { name: 'Select none' }).click();
    await page.getByLabel('Select all that match').check();
    await page.getByRole('region', { name: /^Labels of all \d+ that match$/ }).waitFor();
    const all = Number((await page.getByRole('region', { name: /^Labels of all/ }).getByRole('heading').innerText()).replace(/\D/g, ''));
    const first = page.locator('tbody tr').first().getByRole('checkbox');
    await first.uncheck();
    const but = page.getByRole('region', { name: new RegExp(`^Labels of ${all - 1} servers$`) });
    await but.waitFor();
    await eventually(async () => assert.equal(await page.locator('tbody tr').nth(1).getByRole('checkbox').isChecked(), true));
    await first.check();
    await page.getByRole('region', { name: /^Labels of all \d+ that match$/ }).waitFor();
  });

  it('adds, changes and removes an expected server', async () => {
    page = await the.page();
    await page.view('/register');
    await page.getByRole('button', { name: 'Add an entry' }).click();
    await page.getByLabel('Name').fill('srv-new-1');
    await page.getByLabel('Owner').fill('databases');
    await page.getByLabel('Warranty until').fill('2020-03-31');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    const row = page.locator('tbody tr').filter({ hasText: 'srv-new-1' });
    await row.getByText('2020-03-31').waitFor();
    await page.getByRole('combobox', { name: 'Warranty' }).selectOption('0');
    await page.getByText('1 matches').waitFor();
    await page.shot('register-over');
    await page.getByRole('button', { name: 'Edit srv-new-1' }).click();
    await page.getByLabel('Contract').fill('C-77');
    await page.getByRole('button', { name: 'Save' }).click();
    await row.getByText('C-77').waitFor();
    await page.getByRole('button', { name: 'Edit srv-new-1' }).click();
    await page.getByRole('button', { name: 'Take it out' }).click();
    await page.getByRole('button', { name: 'Yes, take it out' }).click();
    await page.getByText('No entry matches.').waitFor();
  });

  it('imports a table only after it was shown what that does', async () => {
    page = await the.page();
    await page.view('/register');
    await page.getByRole('button', { name: 'Import a table' }).click();
    const panel = page.getByRole('region', { name: 'Import a table' });
    const table = panel.getByLabel('or its text');
    await table.fill('name,warranty_until\nsrv-a,2027-01-01\nsrv-b,soon\n');
    await panel.getByRole('button', { name: 'Show what it would do' }).click();
    await panel.getByText('Nothing is imported while lines are wrong').waitFor();
    await says(panel.getByRole('group', { name: 'Mistakes' }), /3[\s\S]*warranty_until/);
    await count(panel.getByRole('button', { name: /^Import/ }), 0);
    await page.shot('register-mistakes');
    await table.fill('name,owner\nsrv-a,databases\nsim-north-05,storage\n');
    await panel.getByRole('button', { name: 'Show what it would do' }).click();
    await panel.getByText('New: 1, changed: 1').waitFor();
    await says(panel.getByRole('group', { name: 'Changes' }), /2[\s\S]*srv-a[\s\S]*new[\s\S]*3[\s\S]*sim-north-05[\s\S]*demo → storage/);
    await page.shot('register-import');
    await panel.getByRole('button', { name: 'Import: 1 new, 1 changed' }).click();
    await panel.getByText('Added: 1, changed: 1').waitFor();
    await page.locator('tbody tr').filter({ hasText: 'srv-a' }).first().waitFor();
  });
});
