// Getting in, and who may: the login, one-time links, the account and the settings.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { count, eventually, holds, says, suite } from './world.mjs';

const password = 'correct horse battery';

suite('login', (the) => {
  let page;
  /** Logs in as a person does. */
  const logIn = async (name, secret = password) => {
    await page.getByLabel('Name', { exact: true }).fill(name);
    await page.getByLabel('Password', { exact: true }).fill(secret);
    await page.keyboard.press('Enter');
  };
  /** A page of a ruler that asks for a login. */
  const closed = async (mode = 'login', look = {}) => {
    page = await the.page(look);
    page.expected.push(/401|404|EventSource/);
    await page.tell(mode);
  };

  it('asks for a login, says what is wrong, and comes back to where one was', async () => {
    await closed();
    await page.goto(the.url() + '/servers?site=north');
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.id), 'username'));
    await eventually(async () => assert.equal(await page.getByLabel('Password', { exact: true }).getAttribute('autocomplete'), 'current-password'));
    await logIn('ada', 'wrong password');
    await page.getByText('Name or password is wrong.').waitFor();
    await page.getByRole('button', { name: 'Show the password' }).click();
    await eventually(async () => assert.equal(await page.getByLabel('Password', { exact: true }).getAttribute('type'), 'text'));
    await page.shot('login');
    await logIn('ada');
    await page.getByRole('heading', { name: 'Servers' }).waitFor();
    await page.waitForURL(the.url() + '/servers?site=north');
    const cookies = await page.context().cookies();
    assert.deepEqual(cookies.map((c) => [c.name, c.httpOnly, c.sameSite]).sort(), [['nocturne_device', true, 'Strict'], ['nocturne_session', true, 'Strict']]);
    await page.getByRole('link', { name: /ada/ }).click();
    await page.getByRole('heading', { name: 'Your account' }).waitFor();
    await page.shot('account');
    await page.getByLabel('Current password').fill(password);
    await page.getByLabel('New password').fill('another long one');
    await page.getByLabel('The same again').fill('another long ons');
    await page.getByRole('button', { name: 'Change it' }).click();
    await page.getByText('The two passwords differ.').waitFor();
    await page.getByLabel('The same again').fill('another long one');
    await page.getByRole('button', { name: 'Change it' }).click();
    await page.getByText('The password is changed.').waitFor();
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('button', { name: 'Log out' }).click();
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    await logIn('ada', 'another long one');
    await page.getByRole('heading', { name: 'Tonight' }).waitFor();
  });

  it('leads nobody elsewhere after the login', async () => {
    await closed();
    for (const evil of ['//evil.example', 'https://evil.example/', '/\\evil.example', '/.//evil.example', '/login?back=/login']) {
      await page.goto('about:blank'); // a page that stands open would ask, hear 401 and lead elsewhere
      await page.context().clearCookies();
      await page.goto(the.url() + '/login?back=' + encodeURIComponent(evil));
      await logIn('bob');
      await page.getByRole('heading', { name: 'Tonight' }).waitFor();
    }
  });

  it('makes the first admin by a link, once', async () => {
    await closed('first', { width: 360, height: 740, dark: true });
    await page.goto('about:blank'); // a page that stands open would ask, hear 401 and lead elsewhere
    await page.context().clearCookies();
    await page.goto(the.url() + '/login');
    await page.getByText('Nobody can log in yet').waitFor();
    const path = await (await page.request.get(the.url() + '/test/link')).json();
    await page.goto(the.url() + path);
    await page.getByText('You are the first').waitFor();
    await page.shot('welcome-phone-dark');
    await eventually(async () => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'nothing is cut off'));
    await page.locator('#username').fill('root');
    await page.locator('#password').fill('short');
    await page.getByLabel('The same again').fill('short');
    await page.getByRole('button', { name: 'Choose it and log in' }).click();
    await page.getByText('At least 12 characters').waitFor();
    await page.locator('#password').fill(password);
    await page.getByLabel('The same again').fill(password);
    await page.getByRole('button', { name: 'Choose it and log in' }).click();
    await page.getByRole('heading', { name: 'Tonight' }).waitFor();
    await page.goto('about:blank'); // a page that stands open would ask, hear 401 and lead elsewhere
    await page.context().clearCookies();
    await page.goto(the.url() + path);
    await page.getByText('This link leads nowhere').waitFor();
  });

  it('invites a user, who gets in by the link', async () => {
    page = await the.page();
    await page.goto('about:blank'); // a page that stands open would ask, hear 401 and lead elsewhere
    await page.context().clearCookies();
    await page.view('/settings');
    await page.getByLabel('Name', { exact: true }).fill('eve');
    await page.getByLabel('Role', { exact: true }).selectOption('editor');
    await page.getByRole('button', { name: 'Make the link' }).click();
    await page.getByText('A link for eve').first().waitFor();
    await page.shot('settings-invited');
    const link = await page.locator('pre').innerText();
    assert.ok(link.startsWith(the.url() + '/welcome#'), link);
    await page.getByRole('button', { name: 'I have it' }).click();
    await says(page.locator('tr').filter({ hasText: 'eve' }), /invited/);
    const changed = page.waitForResponse((r) => r.request().method() === 'PUT');
    await page.getByLabel('Role of eve').selectOption('viewer');
    await changed;
    await page.goto(link);
    await page.getByText('You are invited as viewer').waitFor();
    await eventually(async () => assert.equal(await page.locator('#password').getAttribute('autocomplete'), 'new-password'));
    await page.locator('#password').fill(password);
    await page.getByLabel('The same again').fill(password);
    await page.getByRole('button', { name: 'Choose it and log in' }).click();
    await page.getByRole('heading', { name: 'Tonight' }).waitFor();
    await page.view('/settings?tab=audit');
    await page.getByText('This page is for admins').waitFor();
    await page.shot('settings-viewer');
  });

  it('makes and revokes tokens, and asks once more before', async () => {
    page = await the.page();
    await page.goto('about:blank'); // a page that stands open would ask, hear 401 and lead elsewhere
    await page.context().clearCookies();
    await page.view('/settings?tab=tokens');
    await page.getByLabel('Whose it is').fill('backup-script');
    await page.getByRole('button', { name: 'Make it' }).click();
    await page.locator('pre').filter({ hasText: /^nocturne_/ }).waitFor();
    await holds(page.getByLabel('Whose it is'), '');
    await page.getByLabel('Whose it is').fill('the-next');
    await page.getByRole('button', { name: 'I have it' }).click();
    await holds(page.getByLabel('Whose it is'), 'the-next');
    await count(page.locator('pre'), 0);
    await count(page.locator('tr').filter({ hasText: 'old-script' }), 0, 'ended ones are hidden');
    const row = page.locator('tr').filter({ hasText: 'backup-script' });
    await row.getByRole('button', { name: 'Revoke: backup-script' }).click();
    await row.getByRole('button', { name: 'Revoke backup-script' }).click();
    await row.waitFor({ state: 'detached' });
    await page.getByLabel('Show').selectOption('all');
    await page.locator('tr').filter({ hasText: 'old-script' }).waitFor();
    await page.waitForURL(/show=all/);
    page.expected.push(/not saved/); // the name of the next one
    page.yes = true;
    await Promise.all([page.waitForEvent('dialog'), page.getByRole('tab', { name: 'Join tokens' }).click()]);
    const join = page.locator('tr').filter({ hasText: '5f2c91aa07' });
    await join.getByRole('button', { name: 'Revoke: 5f2c91aa07' }).click();
    await join.getByRole('button', { name: 'Revoke 5f2c91aa07' }).click();
    await join.getByText('revoked').waitFor();
  });

  it('shows in the audit log who did what, before and after, and filters in the address', async () => {
    page = await the.page();
    await page.goto('about:blank'); // a page that stands open would ask, hear 401 and lead elsewhere
    await page.context().clearCookies();
    await page.view('/settings?tab=audit&search=last+time');
    const log = page.getByRole('list', { name: 'Audit log' });
    await log.getByText('disk-bad-block').waitFor();
    await says(log, /ada[\s\S]*rule update[\s\S]*severity\s*warning → critical[\s\S]*comment/);
    await count(log.getByRole('listitem'), 1);
    await page.view('/settings?tab=audit&action=user&since=day');
    await log.getByText('viewer').first().waitFor();
    await page.getByLabel('Who', { exact: true }).fill('nobody');
    await page.getByText('None matches.').waitFor();
    await page.waitForURL(/actor=nobody/);
  });
});
