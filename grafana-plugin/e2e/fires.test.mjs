// A rule is made on the page, tried on what was, saved; it fires by itself on the whole chain, says why, and ends when it is
// switched off. It watches restarts, which no rule of the program tells of: a problem of its own. (A rule about a part that
// others speak of as well would join their problem: one problem, one message.)
import { before, it } from 'node:test';
import { onStack, until } from './stack.mjs';
import { count, says, suite } from './world.mjs';

suite('a rule is made, tried, saved, and fires', (the) => {
  let then; // restarted before there was the rule
  let now; // restarts when there is
  before(async () => {
    const { api } = the.world();
    [then, now] = await until('servers', async () => {
      const list = (await api('/servers?simulated=true&sort=name&limit=2')).items;
      return list.length === 2 && list;
    });
  });

  it('on the whole chain', async () => {
    const { api } = the.world();
    const restarts = (server) => api('/demo/incident', { kind: 'reboot', server_id: server.id });
    await restarts(then);
    await until('its restart', async () => (await api('/servers/' + then.id)).server.boot_time !== then.boot_time);
    const page = await the.page();

    await page.view('/rules');
    await page.getByRole('link', { name: 'Make a rule' }).click();
    for (const [label, value] of [['Id, for ever', 'own-restart'], ["The alert's name", 'OwnRestart'], ['Problem class', 'own-restart'], ['What people read', '{{ .Server }} is being restarted'], ['What to do: file#section', 'own#restart'], ['provider', 'User32'], ['event id', '1074']]) {
      await page.getByLabel(label, { exact: true }).fill(value);
    }
    await page.panel('What it means').getByText('User32').first().waitFor();

    const tried = page.panel('Try it on the past');
    await tried.getByRole('button', { name: 'Try it' }).click();
    await tried.getByText('Would have fired 1 time on 1 server').waitFor();
    const line = tried.getByRole('figure', { name: 'When it would have fired, by server' });
    await says(line, new RegExp(then.name));
    await count(line.locator('rect'), 1);
    await page.shot('fires-1-tried');
    await page.getByLabel('Comment').fill('who restarts servers at night?');
    await page.getByRole('button', { name: 'Make the rule' }).click();
    await page.getByRole('heading', { name: 'OwnRestart' }).waitFor();
    await page.panel('Versions').getByText('who restarts servers at night?').waitFor();
    await page.panel('What it said').getByText('It has not said anything yet.').waitFor(); // what was is over

    // The page that stands open tells of it by itself.
    await page.view('/');
    await page.panel('The fleet').getByText('servers', { exact: true }).waitFor();
    const title = now.name + ' is being restarted';
    await count(page.getByRole('link', { name: title }), 0);
    await restarts(now);
    const row = page.panel('Wrong now').getByRole('listitem').filter({ has: page.getByRole('link', { name: title }) });
    await row.getByText('warning').waitFor();
    await page.shot('fires-2-tonight');
    await row.getByRole('link', { name: title }).click();
    await page.getByRole('heading', { name: title }).waitFor();
    await says(page.panel('Why'), /OwnRestart[\s\S]*User32 1074[\s\S]*version \w+/);
    await says(page.panel('Evidence'), /has initiated the restart of computer/);
    await page.panel('Who was told').getByText('firing warning').waitFor();
    await page.shot('fires-3-why');

    await page.panel('What and where').getByRole('link', { name: 'own-restart', exact: true }).click();
    await page.getByText('1 problem is open').waitFor();
    await page.getByRole('button', { name: 'Turn off' }).click();
    await page.getByLabel('Why').fill('patchday');
    await page.getByRole('button', { name: 'Turn off' }).click();
    await page.getByText('It is off: what it had open is over.').waitFor();
    await page.getByText('It is not carried out. Switched off by').waitFor();
    await page.panel('0 problems are open').getByText('It holds nothing open.').waitFor();
    await page.shot('fires-4-off');
    await page.goBack();
    await page.getByRole('heading', { name: title }).waitFor();
    await page.panel('Timeline').getByText('resolved', { exact: true }).waitFor();
    await says(page.panel('Timeline'), /opened by rule own-restart[\s\S]*resolved the rule own-restart was switched off by local/);
    await page.panel('Who was told').getByText('resolved').waitFor();
    await page.shot('fires-5-over');
    await page.view('/');
    await page.panel('The fleet').getByText('servers', { exact: true }).waitFor();
    await count(page.getByRole('link', { name: title }), 0);
  });
}, onStack({ servers: 4 }));
