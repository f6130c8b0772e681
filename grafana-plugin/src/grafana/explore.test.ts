import { locationUtil, type GrafanaConfig } from '@grafana/data';
import { explore } from './explore';

const under = (appSubUrl: string) => locationUtil.initialize({ config: { appSubUrl } as GrafanaConfig, getVariablesUrlParams: () => ({}), getTimeRangeForUrl: () => ({ from: '', to: '' }) });
beforeEach(() => under(''));

const panes = (url: string | null) => JSON.parse(new URL(url ?? '', 'http://g').searchParams.get('panes') ?? '').a;

test('links name the server, whatever its name holds', () => {
  const name = 'db7" or {x}&?';
  const g = explore({ metricsUid: 'vm', logsUid: 'vl' });
  expect(g.dashboard('server', name)).toBe('/d/nocturne-server?var-server=db7%22%20or%20%7Bx%7D%26%3F');
  expect(g.dashboard('pipeline')).toBe('/d/nocturne-pipeline');
  expect(panes(g.events(name))).toMatchObject({ datasource: 'vl', queries: [{ expr: 'category:=eventlog server:="db7\\" or {x}&?"' }] });
});

test('a chart opens with all that it asks, over its time', () => {
  expect(panes(explore({ metricsUid: 'vm' }).metrics(['up{a="b"}', 'down'], 1.5, 2))).toMatchObject({
    datasource: 'vm',
    queries: [
      { refId: 'A', expr: 'up{a="b"}', datasource: { type: 'prometheus', uid: 'vm' } },
      { refId: 'B', expr: 'down' },
    ],
    range: { from: '1', to: '2' },
  });
});

test('without a data source there is no link', () => {
  expect(explore({}).metrics(['up'], 1, 2)).toBeNull();
  expect(explore({}).logs('*', 1, 2)).toBeNull();
  expect(explore({ metricsUid: 'vm' }).events('db7')).toBeNull();
});

test('Grafana under a path of its own is linked to there', () => {
  under('/grafana');
  const g = explore({ metricsUid: 'vm', logsUid: 'vl' });
  for (const url of [g.dashboard('server', 'a'), g.metrics(['up'], 1, 2), g.events('a'), g.logs('*', 1, 2)]) {
    expect(url).toMatch(/^\/grafana\/(d|explore)/);
  }
});
