// The host "console": the ruler itself, on the same origin.
import type { Host, LiveEvent } from '../host';
import { ConsolePage } from './Shell';

const kinds: Array<LiveEvent['kind']> = ['notification', 'server', 'reset'];

export const consoleHost: Host = {
  base: '',

  async ask({ method, path, query, body, signal }) {
    const search = query?.toString();
    const res = await fetch('/api/v1' + path + (search ? '?' + search : ''), {
      method,
      signal,
      cache: 'no-store',
      redirect: 'error',
      headers: body === undefined ? undefined : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    let json: unknown;
    try {
      json = await res.json();
    } catch (e) {
      if (signal?.aborted) {
        throw e;
      }
    }
    return { status: res.status, json, date: Date.parse(res.headers.get('Date') ?? '') };
  },

  // The browser comes back by itself, and says what it heard last.
  follow(listen, open) {
    const source = new EventSource('/api/v1/stream');
    source.onopen = () => open(true);
    source.onerror = () => open(false);
    for (const kind of kinds) {
      source.addEventListener(kind, (e) => listen({ kind, data: (e as MessageEvent).data }));
    }
    return () => source.close();
  },

  Page: ConsolePage,
};
