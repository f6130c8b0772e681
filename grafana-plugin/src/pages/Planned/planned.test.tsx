import { act, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import type { Window } from '../../api/schema';
import * as data from '../../test/data';
import { show, stage } from '../../test/host';
import { until } from '../../format';
import { between, draftOf, fresh, lacking, lengthOf, nextLike, passed, requestOf, unready, when } from './planned';

const now = Date.parse('2026-12-01T10:20:00Z');
const window: Window = {
  id: 'bern', source: 'store', state: 'planned', off: '', who: 'ada', reason: 'firmware', servers: { site: ['bern'], simulated: ['true'] }, condition: 'site is bern', starts_at: '2026-12-01T20:00:00Z', ends_at: '2026-12-02T02:00:00Z',
  weekly: { days: [], from: '', to: '', zone: '' }, until: null, next_at: '2026-12-01T20:00:00Z', concerns: 3, version: 2, changed_by: 'ada', changed_at: '2026-11-30T20:00:00Z', comment: '',
};

const editor = { name: 'ada', role: 'editor', via: 'session', version: '1.0.0' };

test('a new plan is four hours from the next full hour, on what the address names', () => {
  const d = fresh({ name: 'db7', site: 'north', new: '1' }, now, 'UTC');
  expect([d.starts, d.ends]).toEqual(['2026-12-01T11:00:00.000Z', '2026-12-01T15:00:00.000Z']);
  expect(requestOf({ ...d, reason: ' boards ' })).toEqual({ servers: { name: ['db7'], site: ['north'] }, starts_at: d.starts, ends_at: d.ends, reason: 'boards', comment: '' });
});

test('a change keeps what the form cannot write', () => {
  expect(requestOf(draftOf(window, now, 'UTC'), 2)).toEqual({ servers: { site: ['bern'], simulated: ['true'] }, starts_at: window.starts_at, ends_at: window.ends_at, reason: 'firmware', comment: '', version: 2 });
  const weekly = { ...window, servers: {}, starts_at: null, ends_at: null, weekly: { days: ['thu', 'tue'], from: '22:00', to: '02:00', zone: '' } };
  expect(requestOf(draftOf(weekly, now, 'Europe/Zurich'))).toEqual({ all_servers: true, weekly: { days: ['tue', 'thu'], from: '22:00', to: '02:00', zone: 'UTC' }, reason: 'firmware', comment: '' });
  expect(when(weekly)).toMatch(/^every Thu, Tue 22:00–02:00, UTC$/);
});

test('the like again has its length, and a time that comes', () => {
  const d = draftOf({ ...window, starts_at: '2026-11-01T20:00:00Z', ends_at: '2026-11-02T02:00:00Z' }, now, 'UTC', true);
  expect([d.starts, d.ends]).toEqual(['2026-12-01T11:00:00.000Z', '2026-12-01T17:00:00.000Z']);
});

test('a time of the day that is not after the other is on the next day', () => {
  expect(lengthOf('22:00', '02:00')).toBe(4 * 3600);
  expect(lengthOf('08:00', '09:30')).toBe(5400);
  expect(lengthOf('00:00', '00:00')).toBe(86400);
  expect(lengthOf('', '02:00')).toBe(0);
});

test('says what is missing', () => {
  const d = { ...fresh({}, now, 'UTC'), reason: 'x' };
  expect(lacking(d, now)).toMatch(/which servers/);
  const all = { ...d, all: true };
  expect(unready(all, now)).toBe('');
  expect(unready({ ...all, reason: ' ' }, now)).toMatch(/why/);
  expect(unready({ ...all, reason: 'ä'.repeat(61) }, now)).toMatch(/fewer words/);
  expect(lacking({ ...all, ends: '' }, now)).toMatch(/when it ends/);
  expect(lacking({ ...all, ends: '2026-12-01T10:00:00Z' }, now)).toMatch(/passed/);
  expect(lacking({ ...all, starts: '2026-12-03T00:00:00Z', ends: '2026-12-02T00:00:00Z' }, now)).toMatch(/before it begins/);
  expect(lacking({ ...all, starts: '', ends: '2027-02-01T00:00:00Z' }, now)).toMatch(/31 days/);
  expect(lacking({ ...all, weekly: true }, now)).toMatch(/days/);
  expect(lacking({ ...all, weekly: true, days: ['mon'], to: '' }, now)).toMatch(/from when/);
});

test('the day is told once, and only where it is another one', () => {
  expect(between('2026-12-01T08:00:00Z', '2026-12-01T10:00:00Z')).toMatch(/^Tue 1 Dec \d\d:00 – \d\d:00 \S+$/);
  expect(between('2026-12-01T12:00:00Z', '2026-12-03T12:00:00Z')).toMatch(/^Tue 1 Dec .* – Thu 3 Dec /);
  expect(until('2026-12-03T12:00:00Z', now)).toMatch(/^Thu 3 Dec /);
});

test('a change says of which plan it was part, and an old one what the ruler said', async () => {
  const muted = 'planned: more (x, y) until 2026-12-01 04:00 UTC: added (serial Z)';
  const planned = { ...data.change, muted, plan_id: 'rack-12', plan_who: 'ada (sr)', plan_why: 'boards' };
  show(stage({ '/changes': { items: [planned, { ...data.change, id: 2, muted }], limit: 100, next_before_id: 0 }, '/me': editor, '/overview': data.overview } as never), '/changes');
  expect(await screen.findByRole('link', { name: 'ada (sr), boards' })).toHaveAttribute('href', '/planned/rack-12');
  expect(screen.getByText(muted)).toBeInTheDocument();
  expect(screen.queryByRole('link', { name: /x, y/ })).toBeNull();
});

const list = { items: [], limit: 0, offset: 0, total: 0 };

test('a viewer sees and cannot plan', async () => {
  const s = stage({ '/overview': data.overview, '/me': { ...editor, role: 'viewer' }, '/windows': { ...list, items: [window], total: 1 } });
  show(s, '/planned?new=1');
  expect(await screen.findByText('Only an editor plans work.')).toBeInTheDocument();
  expect(screen.queryByText('Plan it')).toBeNull();
});

test('who was faster is told, and may be written over', async () => {
  const s = stage({ '/overview': data.overview, '/me': editor, '/windows/bern': { window, versions: [] }, '/server-facets': { facets: [] }, '/servers': { items: [], limit: 20, offset: 0, total: 0 } } as never);
  show(s, '/planned/bern');
  const start = window.version;
  await userEvent.click(await screen.findByRole('button', { name: 'Change' }));
  const end = screen.getByLabelText('To');
  await userEvent.clear(end);
  await userEvent.type(end, '2099-12-02T02:00');
  await userEvent.clear(screen.getByLabelText('From (empty: now)'));
  await userEvent.type(screen.getByLabelText('From (empty: now)'), '2099-12-01T22:00');
  s.answer.set('PUT /windows/bern', { status: 409, json: { error: 'window bern was changed by bob', hint: 'read it again' } });
  s.answer.set('GET /windows/bern', { status: 200, json: { window: { ...window, version: start + 1, changed_by: 'bob', comment: 'earlier' }, versions: [] } });
  await userEvent.click(screen.getByRole('button', { name: 'Save the plan' }));
  expect(await screen.findByText('Somebody changed it meanwhile')).toBeInTheDocument();
  s.answer.set('PUT /windows/bern', { status: 200, json: { window, generation: 3, changes: [] } });
  await userEvent.click(screen.getByRole('button', { name: 'Save mine over theirs' }));
  expect(await screen.findByRole('button', { name: 'Change' })).toBeInTheDocument();
  const puts = s.asked.filter((q) => q.method === 'PUT').map((q) => (q.body as { version: number }).version);
  expect(puts).toEqual([start, start + 1]);
});

test('the next like time is as long, at the same hours, and yet to begin', () => {
  const d = { ...fresh({}, now, 'UTC'), starts: '2026-11-28T20:00:00.000Z', ends: '2026-11-29T02:00:00.000Z' };
  expect(passed(d, now)).toBe(true);
  expect(passed({ ...d, weekly: true }, now)).toBe(false);
  expect(passed(d, Date.parse(d.starts))).toBe(false);
  const local = (iso: string) => new Date(iso).toTimeString().slice(0, 5);
  const next = nextLike(d, now);
  expect(next).toEqual({ starts: '2026-12-01T20:00:00.000Z', ends: '2026-12-02T02:00:00.000Z' });
  expect([local(next.starts), local(next.ends)]).toEqual([local(d.starts), local(d.ends)]);
  expect(nextLike({ ...d, starts: '' }, now)).toEqual({ starts: '', ends: '2026-12-02T02:00:00.000Z' });
  expect(nextLike({ ...d, starts: '2026-12-01T10:20:00.000Z', ends: '2026-12-01T10:20:00.000Z' }, now).starts).toBe('2026-12-02T10:20:00.000Z');
});

test('a form that lies open past its end says so, and offers the next like time', async () => {
  jest.useFakeTimers({ now, advanceTimers: true });
  try {
    const user = userEvent.setup({ advanceTimers: jest.advanceTimersByTime });
    const s = stage({ '/me': editor, '/windows': list, '/server-facets': { facets: [] }, '/servers': { items: [], limit: 20, offset: 0, total: 0 } } as never);
    show(s, '/planned?new=1&site=bern');
    await user.type(await screen.findByLabelText('What is done, and why'), 'boards');
    expect(screen.getByRole('button', { name: 'Plan it' })).toBeEnabled();
    jest.setSystemTime(now + 5 * 3600e3);
    await act(() => jest.advanceTimersByTimeAsync(6000));
    expect(await screen.findByText(/This time is over/)).toBeInTheDocument();
    expect(screen.getByRole('button', { name: 'Plan it' })).toBeDisabled();
    await user.click(screen.getByRole('button', { name: /^Take \w+ \d/ }));
    expect(screen.queryByText(/This time is over/)).toBeNull();
    expect(screen.getByRole('button', { name: 'Plan it' })).toBeEnabled();
  } finally {
    jest.useRealTimers();
  }
});

test('silences are asked for without acknowledgements, and say where they may be cut', async () => {
  const silence = (kind: string, n: number) => ({ by: 'ada', created_at: null, ends_at: null, id: kind + n, kind, lift_reason: '', lifted_at: null, lifted_by: '', matchers: [], notification_id: '', reason: `${kind} ${n}`, starts_at: null, state: 'active', targets: [] });
  let many = 1;
  const s = stage({
    '/overview': data.overview, '/me': editor, '/windows': list,
    '/silences': (q) => {
      const kind = q.query?.get('kind') ?? 'acknowledge';
      return { items: Array.from({ length: kind === 'silence' ? many : 1 }, (_, n) => silence(kind, n)), limit: 200 };
    },
  });
  show(s, '/planned');
  expect(await screen.findByText('maintenance 0')).toBeInTheDocument();
  expect(screen.getByText('silence 0')).toBeInTheDocument();
  expect(screen.queryByText(/acknowledge/)).toBeNull();
  expect(screen.queryByText(/There may be more/)).toBeNull();
  many = 200;
  s.answer.set('DELETE /silences/silence0', { status: 200, json: silence('silence', 0) });
  await userEvent.click(screen.getByRole('button', { name: 'End silence: silence 0' }));
  expect(await screen.findByText('There may be more: the newest 200 of each kind are shown.')).toBeInTheDocument();
});
