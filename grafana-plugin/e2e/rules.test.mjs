// Rules in the console: the list, noise, one rule with its versions, the editor with its mistakes, the form, a conflict.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { count, eventually, focused, holds, says, suite } from './world.mjs';

suite('rules', (the) => {
  let page;
  const editor = () => page.getByRole('textbox', { name: 'YAML of the rule' });
  const type = async (yaml) => {
    await page.evaluate((t) => navigator.clipboard.writeText(t), yaml);
    await editor().click();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.press('ControlOrMeta+v');
    await eventually(async () => assert.equal(await written(), yaml));
  };
  const written = () => editor().evaluate((e) => [...e.querySelectorAll('.cm-line')].map((l) => l.textContent).join('\n'));

  it('lists rules, filters and sorts them in the address', async () => {
    page = await the.page();
    await page.view('/rules');
    await page.getByText('4 rules').waitFor();
    const rows = page.locator('tbody tr');
    await says(rows.filter({ hasText: 'disk-bad-block' }), /match[\s\S]*warning[\s\S]*alerts\/records\/demo\.yml:2[\s\S]*on[\s\S]*4/);
    await says(rows.filter({ hasText: 'nic-link-lost' }), /made here · version 2/);
    await says(rows.filter({ hasText: 'metric-volume-nearly-full' }), /metric/);
    await page.shot('rules');
    await page.getByLabel('Kind').selectOption('absent');
    await page.getByText('1 rule', { exact: true }).waitFor();
    await page.waitForURL(/kind=absent/);
    await page.view('/rules?sort=-severity');
    await page.locator('th[aria-sort="descending"]').waitFor();
    await says(rows.first(), /info/);
    await page.view('/rules?state=deleted');
    await page.getByRole('link', { name: 'nic-old' }).waitFor();
    await page.view('/rules?search=nothing-like-it');
    await page.getByText('No rule matches.').waitFor();
  });

  it('ranks rules by their noise', async () => {
    page = await the.page();
    await page.view('/rules');
    await page.getByLabel('Noise').click();
    await page.getByText('messages per server and week').first().waitFor();
    await page.waitForURL(/tab=noise/);
    await page.shot('rules-noise');
  });

  it('shows a rule of a file, what it cannot judge, and how to change it', async () => {
    page = await the.page();
    await page.view('/rules/disk-bad-block');
    await says(page.panel('What it does'), /Fires on an event from provider disk with id 7/);
    await page.getByText('Its conditions could not judge 4 records').waitFor();
    await page.getByText('How to change it').click();
    await says(page.panel('Its text'), /read-only here[\s\S]*alerts\/records\/demo\.yml:2[\s\S]*overrides:[\s\S]*disk-bad-block: \{severity: info\}/);
    await page.shot('rule-file');
    await page.view('/rules/metric-volume-nearly-full');
    await says(page.panel('How its queries do'), /disk[\s\S]*OK[\s\S]*3\.0 ms[\s\S]*1 min/);
  });

  it('shows versions, what differs, and brings one back', async () => {
    page = await the.page();
    await page.view('/rules/nic-link-lost');
    const versions = page.panel('Versions');
    await versions.getByText('-severity: warning').waitFor();
    await says(versions, /changed by bob[\s\S]*<b>they<\/b> come back[\s\S]*made by ada/);
    await page.shot('rule-store');
    await versions.getByRole('button', { name: 'Restore version 1' }).click();
    await page.getByRole('button', { name: 'Restore version 2' }).waitFor();
    await versions.getByText('Version 1 is back, as version 3.').waitFor();
    await versions.getByText('+severity: warning').waitFor();
    page.expected.push(/404/);
    await page.view('/rules/nic-old');
    await page.getByText('This rule was deleted.').waitFor();
  });

  it('turns a rule off and on, with why', async () => {
    page = await the.page();
    await page.view('/rules/disk-bad-block');
    await page.getByRole('button', { name: 'Turn off' }).click();
    await page.getByLabel('Why').fill('too loud');
    await page.getByRole('button', { name: 'Turn off' }).click();
    await page.getByText('It is off').waitFor();
    await page.getByText('It is not carried out. Switched off by').waitFor();
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByLabel('Why').waitFor();
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByText('It is on.').waitFor();
  });

  it('turns rules off and on from the list, metric rules too, unless somebody did meanwhile', async () => {
    page = await the.page();
    await page.view('/rules');
    const row = (id) => page.locator('tbody tr').filter({ hasText: id });
    await row('metric-volume-nearly-full').getByRole('button', { name: 'Turn off' }).click();
    await focused(page.getByRole('form', { name: /^Turn off/ }).getByRole('textbox'));
    await page.keyboard.type('the disks are ordered');
    await page.shot('rules-switch');
    await page.keyboard.press('Enter');
    await page.getByText('VolumeNearlyFull: It is off').waitFor();
    await row('metric-volume-nearly-full').getByText('off', { exact: true }).waitFor();
    await eventually(async () => assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), /^Turn on VolumeNearlyFull/));
    await page.view('/rules?state=off');
    await page.getByText('1 rule', { exact: true }).waitFor();
    await page.view('/rules/metric-volume-nearly-full');
    await page.getByText('It is not carried out. Switched off by').waitFor();
    await page.view('/rules');
    await row('metric-volume-nearly-full').getByRole('button', { name: 'Turn on' }).click();
    const other = await page.request.put(`${the.url()}/api/v1/rules/metric-volume-nearly-full/enabled`, { data: { enabled: true, version: 1, comment: 'I was faster' } });
    assert.equal(other.status(), 200);
    page.expected.push(/409/);
    await page.getByRole('form', { name: /^Turn on/ }).getByRole('button', { name: 'Turn on' }).click();
    await page.getByText(/was switched on by .* since you read it/).waitFor();
    await row('metric-volume-nearly-full').getByRole('button', { name: 'Turn off' }).waitFor();
  });

  it('says where a mistake is while one writes, and leads there', async () => {
    page = await the.page();
    await page.view('/rules/nic-link-lost/edit');
    await page.getByText('Nothing changes.').waitFor();
    await type('id: nic-link-lost\nname: NicLinkLost\nclass: link\nseverity: grave\nsummary: "x"\nrunbook: a#b\nexpires: 1h\nmatch: {povider: disk}\n');
    await page.getByRole('button', { name: 'line 4, 11' }).waitFor();
    await says(page.getByRole('list', { name: 'Mistakes' }), /grave[\s\S]*line 8, 9[\s\S]*povider/);
    await count(page.locator('.cm-lint-marker-error'), 2);
    await eventually(async () => assert.equal(await page.getByRole('button', { name: 'Try it' }).isDisabled(), true));
    await eventually(async () => assert.equal(await editor().getAttribute('aria-invalid'), 'true'));
    await page.shot('rule-edit-mistakes');
    await page.getByRole('button', { name: /Save as version/ }).click();
    await page.getByText('It is not saved').waitFor();
    await focused(editor());
    await page.keyboard.type('very-');
    await eventually(async () => assert.match(await written(), /severity: very-grave/));
    await page.getByRole('button', { name: 'line 8, 9' }).click();
    await focused(editor());
    await page.keyboard.type('pr');
    await eventually(async () => assert.match(await written(), /\{prpovider/));
    await eventually(async () => assert.ok(await page.locator('.cm-line span').first().evaluate((e) => getComputedStyle(e).color !== getComputedStyle(e.closest('.cm-content')).color), 'keys have a colour'));
  });

  it('marks the field of the form that is wrong, and leads to the first one who saves', async () => {
    page = await the.page();
    await page.view('/rules/new');
    await page.getByRole('button', { name: 'state', exact: true }).click();
    await page.getByLabel('Device', { exact: true }).fill('virtual drive');
    await page.getByLabel('Id, for ever').fill('Own State');
    await page.getByLabel('or bad values').fill('Failed');
    await page.getByText('state says 2 of ok, bad, above, below: say exactly one').first().waitFor();
    const wrong = (name) => page.locator('input[aria-invalid="true"]').and(page.getByLabel(name, { exact: true }));
    await wrong('Device').waitFor();
    await says(page.locator('#' + (await wrong('Device').getAttribute('aria-describedby')).replaceAll(':', '\\:')), /virtual drive.*a device type/);
    await page.shot('rule-form-wrong');
    await page.getByRole('button', { name: 'Make the rule' }).click();
    await page.getByText('It is not saved').waitFor();
    await focused(wrong('Id, for ever'));
    await page.getByRole('list', { name: 'Mistakes' }).getByRole('button', { name: 'Device' }).click();
    await focused(wrong('Device'));
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('virtual_drive');
    await page.getByLabel('or bad values').fill('');
    await page.getByLabel('Id, for ever').fill('own-state');
    await page.waitForFunction(() => !document.querySelector('[aria-invalid]'));
  });

  it('asks before what was written is lost', async () => {
    page = await the.page();
    await page.view('/rules/nic-link-lost');
    await page.getByRole('link', { name: 'Edit and try' }).click();
    await page.getByText('Nothing changes.').waitFor();
    await type('id: nic-link-lost\n# half of it');
    page.expected.push(/not saved/);
    const asked = (deed) => Promise.all([page.waitForEvent('dialog'), deed()]);
    await asked(() => page.getByRole('link', { name: 'Tonight' }).click());
    assert.ok(page.url().endsWith('/edit'));
    await eventually(async () => assert.match(await written(), /half of it/));
    const back = () => page.evaluate(() => history.back());
    for (let i = 0; i < 2; i++) {
      await asked(back);
      await page.waitForTimeout(200); // whoever would leave has left by then
      assert.ok(page.url().endsWith('/edit'));
      await eventually(async () => assert.match(await written(), /half of it/));
    }
    page.yes = true;
    await asked(back);
    await page.getByRole('link', { name: 'Edit and try' }).click(); // the rule's page again, one step back
    await page.getByText('Nothing changes.').waitFor();
    await type('id: nic-link-lost\n# half of it');
    await asked(() => page.getByRole('link', { name: 'Tonight' }).click());
    await page.panel('The fleet').waitFor();
    await back(); // the editor as it was saved, and only once
    await page.getByText('Nothing changes.').waitFor();
    await back();
    await page.getByRole('link', { name: 'Edit and try' }).waitFor();
    await page.view('/tonight');
    await page.getByRole('link', { name: 'Rules' }).click(); // nothing is asked where nothing was written
    await page.getByText('4 rules').waitFor();
  });

  it('completes keys', async () => {
    page = await the.page();
    await page.view('/rules/nic-link-lost/edit');
    await type('id: a\nmatch:\n  ');
    await page.keyboard.type('prov');
    await page.getByRole('option', { name: /provider/ }).first().click(); // Enter is not taken in the moment in which the list appears
    await eventually(async () => assert.match(await written(), /\n {2}provider: /));
  });

  it('keeps form and YAML in step, with comments', async () => {
    page = await the.page();
    await page.view('/rules/new');
    await page.getByLabel('Id, for ever').fill('disk-own');
    await page.getByLabel('Event id', { exact: false }).first().fill('7, 11');
    await page.getByLabel('YAML').click();
    await eventually(async () => assert.match(await written(), /^id: disk-own\n[\s\S]*event_id: \[7, 11\]/));
    await type((await written()).replace('match:', 'match: # why\n  attrs: {a: "1"}').replace('severity: warning', 'severity: critical'));
    await page.getByLabel('Form').click();
    await holds(page.getByLabel('Severity'), 'critical');
    await page.getByText('Only in the YAML, and left as it is: match.attrs').waitFor();
    await page.shot('rule-form');
    await page.getByLabel('YAML').click();
    await type('id: x\nname: X\nclone: {quiet: 15m}\n');
    await page.getByLabel('Form').click();
    await page.getByText('this is a rule of kind clone').waitFor();
  });

  it('tries a text on the past, makes the rule, and tells who was faster', async () => {
    page = await the.page();
    await page.view('/rules/new');
    await page.getByLabel('Id, for ever').fill('disk-own');
    await page.getByLabel('Problem class').fill('disk-own');
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByText('Would have fired 0 times on 0 servers').waitFor();
    await page.shot('rule-tried');
    await page.getByLabel('Comment').fill('first');
    await page.getByRole('button', { name: 'Make the rule' }).click();
    await page.getByRole('heading', { name: 'OwnEvent' }).waitFor();
    await page.view('/rules/disk-own/edit');
    await page.getByText('Nothing changes.').waitFor();
    const mine = (await written()).replace('warning', 'info');
    const other = await page.request.put(the.url() + '/api/v1/rules/disk-own', { data: { version: 1, yaml: mine.replace('severity: info', 'severity: critical'), comment: 'faster' } });
    assert.equal(other.status(), 200, await other.text());
    await type(mine);
    page.expected.push(/409/);
    await page.getByRole('button', { name: 'Save as version 2' }).click();
    const conflict = page.panel('Somebody changed it meanwhile');
    await conflict.getByText('+severity: critical').waitFor();
    await page.shot('rule-conflict');
    await conflict.getByRole('button', { name: 'Save mine over theirs' }).click();
    await page.getByRole('heading', { name: 'OwnEvent' }).waitFor();
    await page.panel('Versions').getByText('-severity: critical').waitFor();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    page.expected.push(/404/); // what is shown of it is asked for once more
    await page.getByRole('button', { name: /Delete it/ }).click();
    await page.getByRole('link', { name: 'disk-own' }).waitFor();
  });
});
