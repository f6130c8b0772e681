import type { LiveEvent } from '../host';
import { followStream } from './stream';

// A browser's EventSource whose server the test plays.
class Source extends EventTarget {
  static readonly CLOSED = 2;
  static all: Source[] = [];
  readyState = 0;
  onopen?: () => void;
  onerror?: () => void;
  constructor(readonly url: string) {
    super();
    Source.all.push(this);
  }
  close() {
    this.readyState = Source.CLOSED;
  }
  answers() {
    this.readyState = 1;
    this.onopen?.();
  }
  refuses() {
    this.readyState = Source.CLOSED;
    this.onerror?.();
  }
}

test('a stream that was refused is opened anew, after waits that grow, and everything is asked for', () => {
  jest.useFakeTimers();
  Source.all = [];
  Object.assign(globalThis, { EventSource: Source });
  const told: LiveEvent[] = [];
  const open: boolean[] = [];
  const stop = followStream('/stream', (e) => told.push(e), (yes) => open.push(yes));
  const last = () => Source.all.at(-1) as Source;
  last().answers();
  last().dispatchEvent(new MessageEvent('server', { data: '{}' }));
  expect(told).toEqual([{ kind: 'server', data: '{}' }]);

  // Broken: the browser comes back by itself.
  last().readyState = 0;
  last().onerror?.();
  jest.advanceTimersByTime(600_000);
  expect(Source.all.length).toBe(1);
  last().answers();
  expect(told.length).toBe(1);

  // Refused: nobody but us comes back.
  for (const wait of [1, 2, 4, 8, 16, 32, 60, 60]) {
    const n = Source.all.length;
    last().refuses();
    jest.advanceTimersByTime(wait * 1000 - 1);
    expect(Source.all.length).toBe(n);
    jest.advanceTimersByTime(1);
    expect(Source.all.length).toBe(n + 1);
  }
  expect(open.at(-1)).toBe(false);
  last().answers();
  expect(open.at(-1)).toBe(true);
  expect(told.slice(1)).toEqual([{ kind: 'reset', data: null }]);

  // Who no longer listens is not called, nor the server asked.
  last().refuses();
  stop();
  const n = Source.all.length;
  jest.advanceTimersByTime(600_000);
  expect(Source.all.length).toBe(n);
  jest.useRealTimers();
});
