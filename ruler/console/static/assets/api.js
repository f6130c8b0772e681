// Calls of the API. One place for its errors and for the ruler's clock.

let skew = 0; // the ruler's clock minus ours, in ms

/** The time by the ruler's clock. */
export const now = () => Date.now() + skew;

/** An answer that says no, in words for a person. */
export class Refusal extends Error {
  constructor(status, text, hint) {
    super(text);
    this.status = status;
    this.hint = hint;
  }
}

async function call(path, options) {
  let res;
  try {
    res = await fetch('/api/v1' + path, { cache: 'no-store', redirect: 'error', ...options });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new Refusal(0, 'The ruler does not answer.', 'Is it running? This page asks again by itself.');
  }
  const date = Date.parse(res.headers.get('Date') ?? '');
  if (date && Math.abs(date - Date.now()) > 2000) skew = date - Date.now();
  let body;
  try {
    body = await res.json();
  } catch {
    throw new Refusal(res.status, 'The answer cannot be read.', 'Is something between this page and the ruler?');
  }
  if (!res.ok) throw new Refusal(res.status, body.error ?? 'The ruler refused.', body.hint ?? '');
  return body;
}

/** GET with query parameters; empty ones are left out. */
export function get(path, query = {}, signal) {
  const q = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== '' && v !== undefined && v !== null));
  const s = q.toString();
  return call(path + (s ? '?' + s : ''), { signal });
}

/** POST a JSON body. */
export function post(path, body) {
  return call(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}
