import { at, flow, put, readRule, scalar, words } from './yaml';

const rule = `# about disks
id: disk-bad-block # for ever
summary: "{{ .Server }}: bad \\"block\\""
match:
  provider: [disk, storahci]
  event_id: 7
  clear: {provider: disk, event_id: 9}
expires: 24h
`;

test('reads mappings, lists and texts', () => {
  const r = readRule(rule)!;
  expect(r.pairs.map((p) => p.key)).toEqual(['id', 'summary', 'match', 'expires']);
  expect(words(at(r, ['match', 'provider']))).toEqual(['disk', 'storahci']);
  expect(words(at(r, ['match', 'event_id']))).toEqual(['7']);
  expect(words(at(r, ['match', 'clear', 'event_id']))).toEqual(['9']);
  expect(words(at(r, ['summary']))).toEqual(['{{ .Server }}: bad "block"']);
  expect(words(at(r, ['match', 'channel']))).toEqual([]);
  expect(words(at(r, ['match', 'clear']))).toBeUndefined();
});

test('what is no single mapping is not read', () => {
  for (const text of ['', 'a', '- a', 'id: [', 'a: 1\n---\nb: 2\n', 'a: {b: }}']) {
    expect(readRule(text)).toBeUndefined();
  }
});

test('changes one value and leaves the rest', () => {
  expect(put(rule, ['match', 'event_id'], '[7, 11]')).toBe(rule.replace('event_id: 7', 'event_id: [7, 11]'));
  expect(put(rule, ['match', 'clear', 'event_id'], undefined)).toBe(rule.replace(', event_id: 9', ''));
  expect(put(rule, ['match', 'clear', 'provider'], undefined)).toBe(rule.replace('provider: disk, ', ''));
  expect(put(rule, ['match', 'clear', 'channel'], 'System')).toBe(rule.replace('event_id: 9}', 'event_id: 9, channel: System}'));
  expect(put(rule, ['match', 'level'], 'error')).toBe(rule.replace('event_id: 9}\n', 'event_id: 9}\n  level: error\n'));
  expect(put(rule, ['expires'], undefined)).toBe(rule.replace('expires: 24h\n', ''));
  expect(put(rule, ['match', 'event_id'], undefined)).toBe(rule.replace('  event_id: 7\n', ''));
  expect(put(rule, ['servers', 'site'], 'bern')).toBe(rule + 'servers: {site: bern}\n');
  expect(put('id: a', ['name'], 'B')).toBe('id: a\nname: B\n');
  expect(readRule(put(rule, ['match', 'device', 'type'], 'disk'))).toBeDefined();
});

test('quotes where it must', () => {
  expect(['disk', 'a b', 'true', '7', 'a: b', '{{ .X }}', '', 'x # y', '-a', 'Onln'].map((s) => scalar(s))).toEqual(['disk', 'a b', '"true"', '"7"', '"a: b"', '"{{ .X }}"', '""', '"x # y"', '"-a"', 'Onln']);
  expect(flow(['7', '11'], true)).toBe('[7, 11]');
  expect(flow(['7000-7034'], true)).toBe('7000-7034');
});
