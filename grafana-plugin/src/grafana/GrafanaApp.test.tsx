import { getBackendSrv } from '@grafana/runtime';
import { Observable, Subject } from 'rxjs';
import { eventsOf, host } from './GrafanaApp';

jest.mock('@grafana/runtime', () => ({ ...jest.requireActual('@grafana/runtime'), getBackendSrv: jest.fn() }));

interface Piece {
  status: number;
  headers: Headers;
  data?: Uint8Array;
}

/** What Grafana does with a question in pieces: the answer ends for whoever unsubscribes, whatever abortSignal says. */
function pieces(headers: Record<string, string>) {
  const answer = new Subject<Piece>();
  let hungUp = false;
  (getBackendSrv as jest.Mock).mockReturnValue({
    chunked: () =>
      new Observable<Piece>((o) => {
        const s = answer.subscribe(o);
        return () => {
          hungUp = true;
          s.unsubscribe();
        };
      }),
  });
  const get = { get: (name: string) => headers[name] ?? null } as Headers;
  return { say: (text?: string, status = 200) => answer.next({ status, headers: get, data: text === undefined ? undefined : new TextEncoder().encode(text) }), answer, hungUp: () => hungUp };
}

const question = { method: 'POST', path: '/rules/backtest' } as const;
const lines = { 'Content-Type': 'application/x-ndjson' };

test('lines are told as they come', async () => {
  const p = pieces(lines);
  const told: unknown[] = [];
  const done = host.lines(question, (l) => told.push(l));
  p.say('{"a":1}\n{"b"');
  expect(told).toEqual([{ a: 1 }]);
  p.say(':2}\n');
  p.answer.complete();
  expect((await done).status).toBe(200);
  expect(told).toEqual([{ a: 1 }, { b: 2 }]);
});

test('to abort hangs up, before the first line and after', async () => {
  for (const said of [[], ['{"a":1}\n']]) {
    const p = pieces(lines);
    const end = new AbortController();
    const told: unknown[] = [];
    const done = host.lines({ ...question, signal: end.signal }, (l) => told.push(l));
    said.forEach((l) => p.say(l));
    expect(p.hungUp()).toBe(false);
    end.abort();
    await expect(done).rejects.toBe(end.signal.reason);
    expect(p.hungUp()).toBe(true);
    p.say('{"late":1}\n');
    expect(told).toHaveLength(said.length);
  }
});

test('what is aborted already is not asked for', async () => {
  const p = pieces(lines);
  await expect(host.lines({ ...question, signal: AbortSignal.abort() }, () => undefined)).rejects.toBeDefined();
  expect(p.answer.observed).toBe(false);
});

test('a refusal in pieces is read whole', async () => {
  const p = pieces({ 'Content-Type': 'application/json' });
  const done = host.lines(question, () => undefined);
  p.say('{"error":"no", "hi', 400);
  p.say('nt":"yes"}', 400);
  p.answer.complete();
  expect(await done).toMatchObject({ status: 400, json: { error: 'no', hint: 'yes' } });
});

test('events of a frame', () => {
  expect(eventsOf({ data: { values: [[1, 2], ['server', 'hello']] } })).toEqual(['server', 'hello']);
  expect(eventsOf({})).toEqual([]);
});
