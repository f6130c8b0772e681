import { fireEvent, screen, waitFor } from '@testing-library/react';
import * as data from '../../test/data';
import { show, stage } from '../../test/host';

// The page's code is translated when it is first asked for: that may take long.
const patient = { timeout: 60_000 };

jest.setTimeout(120_000);

const at = new Date(Date.now() - 3_600_000).toISOString();
const event = {
  at, category: 'eventlog', channel: 'System', event_id: 7, event_time: null, level: 'error', message: 'bad block', name: 'windows.event', provider: 'disk', record_id: data.server.id + '-1z-2-9', server: 'db7', server_id: data.server.id, severity: 'error',
  simulated: false, site: 'north', truncated: false,
};
const series = { category: '', counts: [2, 1], device_type: '', event_id: '', level: '', provider: 'disk', server: '', server_id: '', site: '', sum: 3 };
const lists = () => ({
  '/overview': data.overview,
  '/events': { complete: true, items: [event], limit: 50, next_before: at, next_before_id: 'x-9', since: at },
  '/event-counts': { before: at, complete: false, others: [0, 4], series: [series], since: at, step_seconds: 86400, times: [new Date(0).toISOString(), new Date(86_400_000).toISOString()], total: [2, 5] },
});

test('filters stand in the address, go to the list and to the counts, and the next page goes on where this ended', async () => {
  const s = stage(lists());
  const { where } = show(s, '/events?provider=disk&event_id=7-9&level=error&by=provider&since=2026-11-01T00:00:00Z&before=2026-11-08T00:00:00Z');
  await screen.findByText('bad block', undefined, patient);
  const asked = (path: string) => s.asked.filter((q) => q.path === path).at(-1)?.query?.toString();
  expect(asked('/events')).toBe('provider=disk&event_id=7-9&level=error&since=2026-11-01T00%3A00%3A00.000Z&before=2026-11-08T00%3A00%3A00.000Z&limit=50');
  expect(asked('/event-counts')).toBe('provider=disk&event_id=7-9&level=error&since=2026-11-01T00%3A00%3A00.000Z&before=2026-11-08T00%3A00%3A00.000Z&by=provider&top=8');
  expect(await screen.findByText(/Nothing older is kept/)).toBeInTheDocument();
  fireEvent.click(screen.getByText('Older'));
  await waitFor(() => expect(asked('/events')).toContain(`before=${encodeURIComponent(at)}&before_id=x-9`));
  fireEvent.click(document.querySelectorAll('[data-bar]')[0]);
  expect(where()).toContain('since=1970-01-01T00%3A00%3A00.000Z&before=1970-01-02T00%3A00%3A00.000Z');
  expect(where()).not.toContain('older');
});

test('the table stays open while filters change, and shows the new numbers', async () => {
  const s = stage({ ...lists(), '/event-counts': (q: { query?: URLSearchParams }) => ({ ...lists()['/event-counts'], total: q.query?.get('level') ? [2, 77] : [2, 5] }) } as never);
  show(s, '/events?by=none');
  fireEvent.click(await screen.findByText('As a table', undefined, patient));
  const table = await screen.findByRole('table');
  fireEvent.change(screen.getByLabelText('Level'), { target: { value: 'error' } });
  await waitFor(() => expect(table).toHaveTextContent('77'));
  expect(table).toBeVisible();
});

test('no log store is said once, as a choice', async () => {
  const s = stage({ '/overview': data.overview });
  for (const path of ['/events', '/event-counts', '/event-kinds']) {
    s.answer.set('GET ' + path, { status: 404, json: { error: 'this ruler knows no log store', hint: 'say where one is', code: 'no_logs' } });
  }
  show(s, '/events');
  expect(await screen.findByText('This ruler knows no log store. Say where one is.', undefined, patient)).toBeInTheDocument();
  expect(screen.queryByRole('alert')).toBeNull();
});

test('Explore is offered where there is one', async () => {
  const s = stage(lists());
  s.host.explore = { dashboard: () => '', metrics: () => null, events: () => null, logs: (query) => '/explore?' + encodeURIComponent(query) };
  show(s, '/events?provider=disk');
  expect((await screen.findByText('Open in Explore', undefined, patient)).getAttribute('href')).toContain(encodeURIComponent('provider:~"(?i)^(?:disk)$"'));
});
