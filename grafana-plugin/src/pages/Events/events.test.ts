import type { EventSeries } from '../../api/schema';
import { explore } from '../../grafana/explore';
import { day, filterOf, groupOf, hour, logsQL, spanOf } from './events';

const now = Date.UTC(2026, 10, 28, 17, 45, 12);

test('a quick range begins at a whole hour or day, so that the question stays the same for a while', () => {
  expect(spanOf({ range: '24h' }, now)).toEqual({ since: '2026-11-27T17:00:00.000Z', before: undefined, range: '24h' });
  expect(spanOf({}, now)).toEqual({ since: '2026-11-21T00:00:00.000Z', before: undefined, range: '7d' });
  expect(spanOf({ range: 'forever', since: 'yesterday' }, now).range).toBe('7d');
  expect(spanOf({ range: '30d' }, now)).toEqual(spanOf({ range: '30d' }, now + 4 * hour));
});

test('fixed times win over a quick range, and one end is enough', () => {
  expect(spanOf({ since: '2026-11-01T00:00:00Z', range: '24h' }, now)).toEqual({ since: '2026-11-01T00:00:00.000Z', before: undefined });
  expect(spanOf({ before: '2026-11-10T00:00:00Z' }, now)).toEqual({ since: '2026-11-03T00:00:00.000Z', before: '2026-11-10T00:00:00.000Z', range: undefined });
  expect(Date.parse(spanOf({}, now).since)).toBeGreaterThan(now - 8 * day);
});

test('only what fits goes to the ruler', () => {
  expect(filterOf({ server: 'db7', level: 'error,loud,critical', category: 'nonsense', event_id: '7, 11 ,150-157' })).toMatchObject({ server: undefined, level: ['error', 'critical'], category: undefined, event_id: '7,11,150-157' });
});

test('no text of a filter becomes a part of the query', () => {
  expect(logsQL({})).toBe('{server_id!="",category in ("eventlog")}');
  expect(logsQL({ server: '5e170000000000000000000000000005', provider: 'Disk (C:)"} or *', event_id: '7,150-157,x', level: 'error,critical', channel: 'System', search: 'bad  "block', site: 'a"b', name: 'windows.event', category: 'eventlog,raid' })).toBe(
    '{server_id="5e170000000000000000000000000005",category in ("eventlog","raid")} provider:~"(?i)^(?:Disk \\\\(C:\\\\)\\"\\\\} or \\\\*)$" channel:~"(?i)^(?:System)$" (event_id:="7" or event_id:range[150, 157]) level:in("error","critical") name:="windows.event" site:="a\\"b" _msg:i("bad"*) _msg:i("\\"block"*)'
  );
  expect(logsQL({ device_type: 'disk' })).toBeUndefined(); // what that means is in the rules
});

test('a group narrows to itself alone', () => {
  const s: EventSeries = { server_id: 'id', server: '', provider: 'disk', event_id: '7', level: 'error', category: 'eventlog', site: 'north', device_type: 'disk', sum: 1, counts: [1] };
  expect(groupOf('event_id', s)).toEqual({ id: 'disk 7', name: 'disk 7', only: { provider: 'disk', event_id: '7' }, next: 'server' });
  expect(groupOf('server', s)).toMatchObject({ name: 'id', only: { server: 'id' } });
});

test('the link to Explore has data source, query and time', () => {
  const link = new URL('http://g' + explore({ logsUid: 'v"l' }).logs('x "y" & z', 1.5, 2));
  expect(link.pathname).toBe('/explore');
  expect(JSON.parse(link.searchParams.get('panes') ?? '')).toEqual({ a: { datasource: 'v"l', queries: [{ refId: 'A', datasource: { type: 'victoriametrics-logs-datasource', uid: 'v"l' }, expr: 'x "y" & z', queryType: 'instant' }], range: { from: '1', to: '2' } } });
});
