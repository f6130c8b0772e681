// Words and numbers as people read them. Pure.
import { t } from '@grafana/i18n';

// What a terminal or a browser would obey instead of showing: control characters, and marks that turn the direction
// of writing or take no room.
const obeyed = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Text from a server, made inert and at most max characters long. */
export function clean(text: string, max = 200): string {
  const cut = text.length > max * 4 ? text.slice(0, max * 4) : text;
  const inert = cut.replace(/[\t\n\r]+/g, ' ').replace(obeyed, '·');
  const letters = [...inert];
  return letters.length > max || cut !== text ? letters.slice(0, max).join('') + '…' : inert;
}

/** Text of several lines, each made inert. */
export const lines = (text: string, max: number) =>
  text
    .slice(0, max)
    .split(/\r?\n/)
    .map((l) => clean(l, max))
    .join('\n') + (text.length > max ? '…' : '');

const units: Array<[number, (n: number) => string]> = [
  [31536000, (n) => t('span.years', '{{n}} y', { n })],
  [86400, (n) => t('span.days', '{{n}} d', { n })],
  [3600, (n) => t('span.hours', '{{n}} h', { n })],
  [60, (n) => t('span.minutes', '{{n}} min', { n })],
  [1, (n) => t('span.seconds', '{{n}} s', { n })],
];

/** 5400 → "1 h 30 min": the two greatest units that are there. */
export function span(seconds: number): string {
  let s = Math.max(0, Math.round(seconds));
  const out: string[] = [];
  for (const [size, name] of units) {
    if (s >= size && out.length < 2) {
      out.push(name(Math.floor(s / size)));
      s %= size;
      if (size === 60 || size === 1) {
        break;
      }
    } else if (out.length) {
      break;
    }
  }
  return out.join(' ') || t('span.seconds', '{{n}} s', { n: 0 });
}

/** A time seen from another, both in ms: "3 min ago", "in 2 h". */
export function relative(at: number, now: number): string {
  const s = Math.round((now - at) / 1000);
  if (Math.abs(s) < 2) {
    return t('time.now', 'just now');
  }
  return s < 0 ? t('time.ahead', 'in {{span}}', { span: span(-s) }) : t('time.ago', '{{span}} ago', { span: span(s) });
}

const stamp = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });

const formats = new Map<string, Intl.DateTimeFormat>();

/** A part of a time, in ms, in the reader's zone or in UTC: dates in the order of the day, the hour to 23. */
export function part(ms: number, options: Intl.DateTimeFormatOptions): string {
  const key = JSON.stringify(options);
  const format = formats.get(key) ?? new Intl.DateTimeFormat('en-GB', { hourCycle: 'h23', ...options });
  formats.set(key, format);
  return format.format(ms).replaceAll(',', '');
}

export const clock = { hour: '2-digit', minute: '2-digit' } as const;
export const date = { day: 'numeric', month: 'short' } as const;
export const weekday = { weekday: 'short', ...date } as const;

/** The whole time in the reader's zone, with the zone. */
export const moment = (iso: string) => stamp.format(new Date(iso));

/** The same, and in UTC. */
export const absolute = (iso: string) => `${moment(iso)} · ${iso}`;

/** 4000787030016 → "4.0 TB"; memory is sold in powers of two: 34359738368 → "32 GiB". */
export function bytes(n: number, binary = false): string {
  const names = binary ? ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] : ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const step = binary ? 1024 : 1000;
  let i = 0;
  let v = n;
  for (; Math.abs(v) >= step && i < names.length - 1; i++) {
    v /= step;
  }
  return `${i === 0 ? v : v.toFixed(Math.abs(v) < 10 ? 1 : 0)} ${names[i]}`;
}

export const number = (n: number) => n.toLocaleString();

/** "1 server", "3 servers": {{n}} in the texts is the number. Other languages have other forms, which the helper knows. */
export const plural = (id: string, n: number, one: string, other: string, values: Record<string, unknown> = {}) => t(id, other, { ...values, count: n, n: number(n), defaultValue_one: one });

export const countServers = (n: number) => plural('count.servers', n, '1 server', '{{n}} servers');

const endings: Array<[string, (v: number) => string]> = [
  ['_bytes', bytes],
  ['_celsius', (v) => `${v} °C`],
  ['_percent', (v) => `${v} %`],
  ['_mbps', (v) => `${number(v)} Mbit/s`],
  ['_mts', (v) => `${number(v)} MT/s`],
  ['_hours', (v) => `${number(v)} h`],
  ['_seconds', span],
];

/** "physical_drive" → "physical drive" */
export const words = (s: string) => clean(s, 80).replaceAll('_', ' ');

/** A field with its unit: temperature_celsius 61 → ["temperature", "61 °C"]. */
export function field(name: string, value: string): [string, string] {
  for (const [ending, show] of endings) {
    if (name.endsWith(ending) && value !== '' && Number.isFinite(Number(value))) {
      return [words(name.slice(0, -ending.length)), show(Number(value))];
    }
  }
  if (value === 'true') {
    return [words(name), t('word.yes', 'yes')];
  }
  return [words(name), value === 'false' ? t('word.no', 'no') : clean(value, 400)];
}

/** Our own words as a sentence: "the ruler …" → "The ruler …." */
export function sentence(text: string): string {
  const s = clean(text, 600).trim();
  return s && s[0].toUpperCase() + s.slice(1) + (/[.!?…]$/.test(s) ? '' : '.');
}

/** For texts with names in them: React escapes what it shows, i18next need not. */
export const plain = { interpolation: { escapeValue: false } };

/** Until when, as people say it: the day only where it is another one. */
export function until(at: string, now: number): string {
  const ms = Date.parse(at);
  return part(ms, weekday) === part(now, weekday) ? part(ms, clock) : `${part(ms, weekday)} ${part(ms, clock)}`;
}
