// Charts of a server and of the pipeline, on made-up metrics.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { count, eventually, holds, says, suite } from './world.mjs';

const server = '5e170000000000000000000000000005';

suite('charts', (the) => {
  let page;
  it('draws what a server measured, with its gap, and tells it by keyboard', async () => {
    page = await the.page();
    await page.view('/servers/' + server);
    const charts = page.panel('Over time');
    await charts.locator('[data-chart]').nth(8).waitFor();
    const cpu = charts.getByRole('figure', { name: 'Processor', exact: true });
    await says(cpu, /busy\s+\d+(\.\d)? %/);
    const drawn = await cpu.locator('path').getAttribute('d');
    assert.equal(drawn.match(/M/g).length, 2, 'a gap makes two lines: ' + drawn);
    const area = cpu.getByRole('slider');
    await area.focus();
    await page.keyboard.press('Home');
    await eventually(async () => assert.match(await area.getAttribute('aria-valuetext'), /busy \d/));
    const first = await area.getAttribute('aria-valuetext');
    await page.keyboard.press('End');
    await eventually(async () => assert.notEqual(await area.getAttribute('aria-valuetext'), first));
    await cpu.getByText('As a table').click();
    await eventually(async () => assert.ok((await cpu.getByRole('row').count()) > 50));
    await says(charts, /C:\s+\d+ %\s*D:\s+\d+ %/);
  });

  it('keeps the time in the address', async () => {
    page = await the.page();
    await page.view(`/servers/${server}?span=7d`);
    const charts = page.panel('Over time');
    await charts.locator('[data-chart]').first().waitFor();
    await holds(charts.getByLabel('Time', { exact: true }), '7d');
    await charts.getByLabel('Time', { exact: true }).selectOption('1h');
    await page.waitForURL(/span=1h/);
    await charts.locator('[data-chart]').first().waitFor();
  });

  it('says how large the stores are and how long the disk lasts', async () => {
    page = await the.page({ width: 360, dark: true });
    await page.view('/pipeline');
    const stores = page.panel('Stores and disks');
    for (const want of [/VictoriaLogs\s+18 GB\s+\+740 MB a day\s+180 days at most 50 GiB/, /ruler's log\s+[\d.]+ MB\s+written anew/, /Full in 4[345] days at the rate of the last days\./]) await says(stores, want);
    await page.panel('Over time').locator('[data-chart]').nth(5).waitFor();
    await eventually(async () => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360));
    await page.shot('pipeline-charts-phone');
  });

  it('has a word and a way to ask again where the metrics store is away', async () => {
    page = await the.page();
    page.expected.push(/503/);
    await page.tell('dark');
    await page.view('/servers/' + server);
    const charts = page.panel('Over time');
    await charts.getByText('The metrics store does not answer.').first().waitFor();
    await page.tell('full');
    await charts.getByRole('button', { name: 'Retry' }).first().click();
    await charts.locator('[data-chart]').first().waitFor();
  });

  it('leads nowhere that the console does not have', async () => {
    page = await the.page();
    await page.view('/pipeline');
    await count(page.getByRole('link', { name: /Explore|Dashboard/ }), 0);
  });
});
