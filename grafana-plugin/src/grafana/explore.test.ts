import { explore } from './explore';

test('links name the server, whatever its name holds', () => {
  const name = 'db7" or {x}&?';
  const g = explore({ metricsUid: 'vm', logsUid: 'vl' });
  expect(g.dashboard('server', name)).toBe('/d/nocturne-server?var-server=db7%22%20or%20%7Bx%7D%26%3F');
  expect(g.dashboard('pipeline')).toBe('/d/nocturne-pipeline');
  const panes = (url: string | null) => JSON.parse(new URL(url ?? '', 'http://g').searchParams.get('panes') ?? '').a;
  expect(panes(g.metrics(name))).toMatchObject({ datasource: 'vm', queries: [{ expr: '{server="db7\\" or {x}&?"}', datasource: { type: 'prometheus', uid: 'vm' } }] });
  expect(panes(g.events(name))).toMatchObject({ datasource: 'vl', queries: [{ expr: 'category:=eventlog server:="db7\\" or {x}&?"' }] });
});

test('without a data source there is no link', () => {
  expect(explore({}).metrics('db7')).toBeNull();
  expect(explore({ metricsUid: 'vm' }).events('db7')).toBeNull();
});
