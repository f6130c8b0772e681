// The host "console": the ruler itself, on the same origin.
import { lineReader } from '../api/lines';
import type { Answer, Host, Question } from '../host';
import { toLogin } from './Door';
import { ConsolePage } from './Shell';
import { followStream } from './stream';

/** Asks; whoever is not logged in is led to the login. */
async function send({ method, path, query, body, signal }: Question): Promise<Response> {
  const search = query?.toString();
  const res = await fetch('/api/v1' + path + (search ? '?' + search : ''), {
    method,
    signal,
    cache: 'no-store',
    redirect: 'error',
    headers: body === undefined ? undefined : { 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (res.status === 401 && !path.startsWith('/login')) {
    toLogin();
    return new Promise(() => undefined); // the page goes
  }
  return res;
}

async function whole(res: Response, signal?: AbortSignal): Promise<Answer> {
  let json: unknown;
  try {
    json = await res.json();
  } catch (e) {
    if (signal?.aborted) {
      throw e;
    }
  }
  return { status: res.status, json, date: Date.parse(res.headers.get('Date') ?? '') };
}

export const consoleHost: Host = {
  base: '',
  logsIn: true,

  async ask(q) {
    return whole(await send(q), q.signal);
  },

  async lines(q, tell) {
    const res = await send(q);
    if (!res.body || !res.headers.get('Content-Type')?.includes('ndjson')) {
      return whole(res, q.signal);
    }
    const read = lineReader(tell);
    const reader = res.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        break;
      }
      read(value);
    }
    return { status: res.status, json: undefined, date: Date.parse(res.headers.get('Date') ?? '') };
  },

  follow: (listen, open) => followStream('/api/v1/stream', listen, open),

  Page: ConsolePage,
};
