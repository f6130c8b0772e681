// Makes the pictures of the package: npm run screenshots -- http://127.0.0.1:9480, of `make run` while a simulated drive is failed.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missing, openBrowser } from './world.mjs';

const url = process.argv[2]?.replace(/\/$/, '');
if (missing || !url) {
  console.error(missing ?? 'usage: npm run screenshots -- ADDRESS');
  process.exit(2);
}
const folder = join(dirname(fileURLToPath(import.meta.url)), '..', 'src/img/screenshots');
mkdirSync(folder, { recursive: true });
const dir = mkdtempSync(join(tmpdir(), 'nocturne-screenshots-'));
const browser = await openBrowser(dir, url);
const page = await browser.page({ width: 1280, height: 960 });
const shot = (name) => page.screenshot({ path: join(folder, name + '.png') });
await page.view('/rules');
await shot('rules');
await page.view('/notifications?class=drive');
await page.locator('main a[href*="/notifications/"]').first().click();
await page.getByRole('region', { name: 'Timeline' }).waitFor();
await shot('notification');
await page.locator('main a[href*="/servers/"]').first().click();
await page.getByText('Enclosure').first().waitFor();
await page.emulateMedia({ colorScheme: 'dark' });
await shot('server');
await page.view('/');
await shot('tonight');
await browser.close();
rmSync(dir, { recursive: true, force: true });
