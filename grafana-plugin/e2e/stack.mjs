// Starts the whole of Nocturne with a simulated fleet, as `nocturne demo` does, on free ports and in a folder of its own.
// Nothing fails there by itself: a spec says what breaks, and when it is mended. Everything ends and goes with stop().
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missing, openBrowser } from './world.mjs';

const bin = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin');
const lacks = ['nocturne', 'ruler', 'eventbridge', 'exporter', 'victoria-metrics', 'victoria-logs'].filter((p) => !existsSync(join(bin, p)));

/** Why the stack cannot run here; null = it can. */
const stackMissing = missing ?? (lacks.length ? `bin/ lacks ${lacks.join(', ')}: make build` : null);

/** What suite needs to run on the stack. Fields of real devices are true and false. */
export const onStack = (options) => ({ start: () => startStack(options), lacking: stackMissing, leak: /(^|\s)(null|undefined|NaN|\[object)(\s|$)/ });

/** Starts stack and browser. `pace` shortens what the simulator plays: 0.05 turns its 2 minutes into 6 seconds. */
async function startStack({ servers = 10, pace = 0.05 } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'nocturne-story-'));
  const child = spawn(join(bin, 'nocturne'), ['demo', '--data', join(dir, 'data'), '--ports', 'free', '--servers', String(servers), `--simulate=--every=0 --first=0 --pace=${pace}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  const kill = () => child.kill('SIGKILL'); // its parts end with it
  process.once('exit', kill);
  const gone = once(child, 'exit');
  const end = async () => {
    child.kill('SIGINT');
    await gone;
    process.removeListener('exit', kill);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const url = await said(child, gone);
    const browser = await openBrowser(dir, url);
    return {
      ...browser,
      /** Asks the API. */
      api: async (path, body) => {
        const res = await fetch(`${url}/api/v1${path}`, body === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
        const answer = await res.json();
        if (!res.ok) throw new Error(`${path}: ${res.status} ${answer.error} (${answer.hint})`);
        return answer;
      },
      async stop() {
        await browser.close();
        await end();
      },
    };
  } catch (e) {
    await end();
    throw e;
  }
}

// The page's address, once everything is ready.
async function said(child, gone) {
  let all = '';
  const ready = new Promise((resolve) => {
    const hear = (chunk) => {
      all += chunk;
      const url = /Ready after[^]*?(http:\/\/\S+)/.exec(all)?.[1];
      if (url) resolve(url);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
  });
  const url = await Promise.race([ready, gone.then(() => null)]);
  if (!url) throw new Error('nocturne demo ended: ' + all);
  return url;
}

/** Asks until the answer is a good one, for at most two minutes. */
export async function until(what, ask) {
  const deadline = Date.now() + 120_000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error('waited in vain: ' + what);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}
