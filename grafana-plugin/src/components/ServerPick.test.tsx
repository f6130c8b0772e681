import { screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import type { Question } from '../host';
import * as data from '../test/data';
import { show, stage } from '../test/host';
import { choices } from './ServerPick';

const other = { ...data.server, id: '11112222333344445555666677778888', name: 'web1' };
const events = { items: [], limit: 50, complete: true, since: null, next_before: null, next_before_id: '' };
const counts = { before: null, complete: true, others: [], series: [], since: null, step_seconds: 3600, times: [], total: [] };

const lists = () => ({
  '/overview': data.overview,
  '/events': events,
  '/event-counts': counts,
  '/servers': (q: { query?: URLSearchParams }) => {
    const items = [data.server, other].filter((s) => s.name.includes(q.query?.get('search') ?? ''));
    return { items, limit: 20, offset: 0, total: items.length };
  },
});

test('two of one name can be told apart', () => {
  expect([...choices([data.server, other, { ...other, id: 'ffff0000333344445555666677778888' }]).keys()]).toEqual(['db7', 'web1 (11112222)', 'web1 (ffff0000)']);
});

test('events of a server are found by a part of its name', async () => {
  const s = stage(lists() as never);
  const { where } = show(s, '/events?level=error');
  const pick = await screen.findByLabelText('Server');
  await userEvent.type(pick, 'we');
  await waitFor(() => expect(s.asked.some((q) => q.path === '/servers' && q.query?.get('search') === 'we')).toBe(true));
  await userEvent.type(pick, '{Enter}');
  await waitFor(() => expect(where()).toBe('/events?level=error&server=' + other.id));
  expect(s.asked.some((q) => q.path === '/events' && q.query?.get('server') === other.id)).toBe(true);
});

test.each([['we', 'web1'], ['web', 'web']])('who enters %s before the ruler has answered gets %s when it has', async (typed, name) => {
  const web = { ...other, id: '21112222333344445555666677778888', name: 'web' };
  const items = name === 'web' ? [web, other] : [other];
  const s = stage({ ...lists(), '/servers': (q: Question) => ({ items: q.query?.get('search') ? items : [], limit: 20, offset: 0, total: items.length }) } as never);
  const { ask } = s.host;
  let answer = () => undefined as void;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  s.host.ask = async (q) => {
    if (q.query?.get('search')) {
      await answered;
    }
    return ask(q);
  };
  const { where } = show(s, '/events');
  const pick = await screen.findByLabelText('Server');
  await userEvent.type(pick, typed + '{Enter}');
  expect(where()).toBe('/events');
  answer();
  await waitFor(() => expect(where()).toBe('/events?server=' + items[0].id));
  expect(pick).toHaveValue('');
});

test('who names nobody is told so, and two are not guessed between', async () => {
  const { where } = show(stage(lists() as never), '/events');
  const pick = await screen.findByLabelText('Server');
  await userEvent.type(pick, 'nobody');
  expect(await screen.findByText('none is called so')).toBeInTheDocument();
  await userEvent.clear(pick);
  await userEvent.type(pick, '{Enter}');
  expect(where()).toBe('/events');
});
