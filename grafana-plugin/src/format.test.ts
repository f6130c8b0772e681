import { address } from './api/client';
import { bytes, clean, field, relative, sentence, span } from './format';
import pluginJson from './plugin.json';
import { paths, withQuery } from './routes';
import { grouped } from './pages/Server/Devices';
import { enclosureOf, slotOf } from './pages/Server/Bays';
import { device } from './test/data';
import { worse } from './status';

test('hostile text is made inert', () => {
  expect(clean('a\u0000b\u001b[31m\u202egpj.exe')).toBe('a·b·[31m·gpj.exe');
  expect(clean('line\r\nline\tx')).toBe('line line x');
  expect(clean('x'.repeat(100_000), 10)).toBe('x'.repeat(10) + '…');
  expect(clean('😀'.repeat(5), 5)).toBe('😀'.repeat(5));
});

test('numbers and times have units', () => {
  expect([0, 59, 60, 3600, 5400, 90000, 86400 * 400].map(span)).toEqual(['0 s', '59 s', '1 min', '1 h', '1 h 30 min', '1 d 1 h', '1 y 35 d']);
  expect(relative(1000, 1500)).toBe('just now');
  expect(relative(0, 420e3)).toBe('7 min ago');
  expect(relative(420e3, 0)).toBe('in 7 min');
  expect([bytes(512), bytes(4000787030016), bytes(34359738368, true)]).toEqual(['512 B', '4.0 TB', '32 GiB']);
  expect(field('temperature_celsius', '61')).toEqual(['temperature', '61 °C']);
  expect(field('boot_drive', 'true')).toEqual(['boot drive', 'yes']);
  expect(field('note_bytes', 'many')).toEqual(['note bytes', 'many']);
  expect(sentence('the ruler is busy')).toBe('The ruler is busy.');
});

test('parameters go into the path or the query', () => {
  const a = address('/servers/{id}/diff', { id: 'a/b', from: '2026-01-01T00:00:00Z', to: undefined, status: ['ok', 'silent'] });
  expect(a.path).toBe('/servers/a%2Fb/diff');
  expect(a.query.toString()).toBe('from=2026-01-01T00%3A00%3A00Z&status=ok%2Csilent');
  expect(withQuery('/servers', { site: 'a&b', x: undefined })).toBe('/servers?site=a%26b');
});

test("Grafana's navigation leads to pages that there are", () => {
  for (const i of pluginJson.includes.filter((i) => i.path.startsWith('/a/'))) {
    expect(Object.values(paths)).toContain(i.path.replace('/a/%PLUGIN_ID%', ''));
  }
});

test('parts are grouped by controller, the machine last, what is gone apart', () => {
  const { groups, gone } = grouped([device('DIMM_A1', { group: '', type: 'memory' }), device('c10/e1/s1', { group: 'c10' }), device('c2/e1/s1', { group: 'c2' }), device('c2/e1/s2', { group: 'c2', removed_at: '2026-01-01T00:00:00Z' })]);
  expect(groups.map(([g, l]) => [g, l.length])).toEqual([['c2', 1], ['c10', 1], ['', 1]]);
  expect(gone).toHaveLength(1);
  expect([slotOf('c0/e252/s4'), slotOf('c0/v0'), enclosureOf('c0/e252/s4'), enclosureOf('c0/s4')]).toEqual(['4', undefined, 'e252', '']);
});

test('the worst first', () => {
  expect(['info', 'odd', 'warning', 'critical', 'silent'].sort(worse)).toEqual(['critical', 'silent', 'warning', 'info', 'odd']);
});
