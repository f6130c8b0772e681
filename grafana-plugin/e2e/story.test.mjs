// A drive fails at night, on the simulated fleet and the whole chain: from the first page to the bay to pull, acknowledged,
// replaced, over. Once at a desk, once on a phone, once with the keyboard alone.
import assert from 'node:assert/strict';
import { before, it } from 'node:test';
import { onStack, until } from './stack.mjs';
import { count, eventually, says, suite } from './world.mjs';

suite('a drive fails at night', (the) => {
  let page;
  let victims; // three servers whose drives are known
  before(async () => {
    const { api } = the.world();
    victims = await until('servers with drives', async () => {
      const list = (await api('/servers?simulated=true&sort=name&limit=3')).items;
      const details = await Promise.all(list.map((s) => api('/servers/' + s.id)));
      return details.length === 3 && details.every((d) => d.devices.some((x) => x.type === 'physical_drive')) && details.map((d) => d.server);
    });
  });

  // Breaks a drive for good; the answer is the bay that failed, once the notification says that it is critical.
  async function fails(server) {
    const { api } = the.world();
    await api('/demo/incident', { kind: 'failure', server_id: server.id });
    const n = await until('the notification of ' + server.name, async () => (await api(`/notifications?state=firing&class=drive&server=${server.id}`)).items.find((x) => x.severity === 'critical'));
    return { id: n.id, title: n.title, place: n.device.split(' ')[1], slot: /s(\d+)$/.exec(n.device)[1] };
  }

  // The drawing shows one bay that is not well, the one that was told of.
  async function showsBay(slot) {
    await page.getByText('Failed', { exact: true }).first().waitFor();
    const bays = page.getByRole('list', { name: 'Drive bays' }).getByRole('listitem');
    await eventually(async () => {
      const bad = (await bays.allInnerTexts()).filter((b) => /critical/.test(b)).map((b) => b.split(/\s+/));
      assert.deepEqual(bad, [[slot, 'Failed', 'critical']], 'which one to pull');
    });
    await eventually(async () => assert.ok((await bays.count()) > 1));
  }

  it('at a desk', async () => {
    const [server] = victims;
    const { api } = the.world();
    page = await the.page({ dark: true });
    await page.view('/');
    await page.panel('The fleet').getByText('servers', { exact: true }).waitFor();
    await count(page.panel('Wrong now').getByRole('link', { name: server.name }), 0);
    const drive = await fails(server);

    // The page that stands open tells of it by itself.
    const row = page.panel('Wrong now').getByRole('listitem').filter({ has: page.getByRole('link', { name: server.name, exact: true }) });
    await row.getByText('critical').waitFor();
    await count(row, 1, 'one problem, one line: the array is a part of it');
    await page.shot('story-1-tonight');
    await row.getByRole('link', { name: drive.title }).click();
    await page.getByRole('heading', { name: drive.title }).waitFor();
    await page.panel('Who was told').getByText('firing critical').waitFor();
    await says(page.panel('What and where'), new RegExp(drive.place));
    await page.shot('story-2-notification');
    await page.panel('What and where').getByRole('link', { name: server.name }).click();
    await page.getByRole('heading', { name: server.name }).waitFor();
    await showsBay(drive.slot);
    await page.shot('story-3-bay-to-pull');

    await page.panel('Open notifications').getByRole('link', { name: drive.title }).click();
    await page.getByRole('button', { name: 'Acknowledge' }).click();
    await page.getByText('Acknowledged by').waitFor();
    await page.getByLabel('Comment').fill('drive taken from the shelf');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.panel('Timeline').getByText('drive taken from the shelf').waitFor();
    await page.shot('story-4-acknowledged');

    const before = (await api('/servers/' + server.id)).devices.find((d) => d.type === 'physical_drive' && d.place === drive.place).serial;
    await api('/demo/incident', { kind: 'replace', server_id: server.id });
    await page.getByRole('button', { name: 'Take back' }).waitFor({ state: 'detached' }); // over: nothing to acknowledge
    await count(page.getByRole('button', { name: 'Acknowledge' }), 0);
    await page.shot('story-5-over');
    await page.panel('What and where').getByRole('link', { name: server.name }).click();
    const changed = page.panel('What changed');
    await changed.getByText(/was replaced/).first().waitFor();
    await says(changed, /state Onln → Failed/);
    await says(changed, new RegExp(`${drive.place} was replaced: serial ${before} left, \\w+ came`));
    await page.getByRole('list', { name: 'Drive bays' }).getByRole('listitem').nth(Number(drive.slot)).getByText('Onln').waitFor();
    await count(page.locator('main').getByText('critical'), 0);
    await page.shot('story-6-history');
    await page.view('/');
    await until('the first page forgets it', async () => (await page.panel('Wrong now').getByRole('link', { name: server.name }).count()) === 0);
    await page.shot('story-7-tonight-again');
  });

  it('on a phone', async () => {
    const server = victims[1];
    const drive = await fails(server);
    page = await the.page({ width: 360, height: 740 });
    await page.view('/');
    await page.panel('Wrong now').getByRole('listitem').filter({ hasText: server.name }).getByRole('link', { name: drive.title }).click();
    await page.getByRole('heading', { name: drive.title }).waitFor();
    await page.getByRole('button', { name: 'Acknowledge' }).click();
    await page.getByText('Acknowledged by').waitFor();
    await page.shot('story-phone-notification');
    await page.panel('What and where').getByRole('link', { name: server.name }).click();
    await page.getByRole('heading', { name: server.name }).waitFor();
    await showsBay(drive.slot);
    await eventually(async () => assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360));
    await page.shot('story-phone-bay');
  });

  it('with the keyboard alone', async () => {
    const server = victims[2];
    const drive = await fails(server);
    page = await the.page();
    const focus = () => page.evaluate(() => {
      const e = document.activeElement;
      return { name: (e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent).trim(), near: e.closest('li')?.innerText ?? '', seen: e.matches(':focus-visible') };
    });
    const tabTo = async (name, near = '') => {
      for (let i = 0; i < 80; i++) {
        await page.keyboard.press('Tab');
        const f = await focus();
        if (f.name === name && f.near.includes(near)) {
          assert.ok(f.seen, `the focus on ${name} is drawn`);
          return;
        }
      }
      assert.fail(`Tab does not come to ${name}`);
    };
    await page.view('/');
    await page.panel('Wrong now').getByRole('link', { name: server.name, exact: true }).waitFor();
    await tabTo(drive.title, server.name);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: drive.title }).waitFor();
    await page.getByRole('button', { name: 'Acknowledge' }).waitFor();
    await tabTo('Acknowledge');
    await page.keyboard.press('Enter');
    await page.getByText('Acknowledged by').waitFor();
    await tabTo('Comment');
    await page.keyboard.type('on my way');
    await page.keyboard.press('Enter');
    await page.panel('Timeline').getByText('on my way').waitFor();
    await tabTo(server.name);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: server.name }).waitFor();
    await showsBay(drive.slot);
  });
}, onStack({ servers: 10 }));
