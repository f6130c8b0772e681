// Words and small pieces that more than one view shows.
import { h, data, clean } from './dom.js';
import { now } from './api.js';

const units = [['year', 31536000], ['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];

/** 90 → "1 minute" */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  for (const [name, n] of units) {
    if (s >= n) {
      const k = Math.floor(s / n);
      return `${k} ${name}${k === 1 ? '' : 's'}`;
    }
  }
  return '0 seconds';
}

/** A time as an element: relative in text, absolute with its zone on hover. */
export function when(iso, none = 'never') {
  if (!iso) return h('span', { class: 'dim' }, none);
  const t = new Date(iso);
  const s = (now() - t) / 1000;
  const text = s < -2 ? 'in ' + span(-s) : s < 2 ? 'just now' : span(s) + ' ago';
  return h('time', { datetime: iso, title: t.toLocaleString(undefined, { dateStyle: 'full', timeStyle: 'long' }) + ' · ' + iso }, text);
}

/** The clock's time of day, or date and time where it is older than a day. */
export function clock(iso) {
  if (!iso) return h('span', { class: 'dim' }, '–');
  const t = new Date(iso);
  const old = now() - t > 20 * 3600e3;
  const time = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
  return h('time', { datetime: iso, title: iso }, t.toLocaleString(undefined, old ? { month: 'short', day: 'numeric', ...time } : time));
}

/** 4000787030016 → "4.0 TB"; memory is sold in powers of two: 34359738368 → "32 GiB" */
export function bytes(n, binary = false) {
  if (n === null || n === undefined) return '';
  const names = binary ? ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] : ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const step = binary ? 1024 : 1000;
  let i = 0;
  while (n >= step && i < names.length - 1) {
    n /= step;
    i++;
  }
  return `${i === 0 ? n : n.toFixed(n < 10 ? 1 : 0)} ${names[i]}`;
}

const endings = [[/_bytes$/, (v) => bytes(v)], [/_celsius$/, (v) => v + ' °C'], [/_percent$/, (v) => v + ' %'], [/_mbps$/, (v) => number(v) + ' Mbit/s'], [/_mts$/, (v) => number(v) + ' MT/s'], [/_hours$/, (v) => plural(v, 'hour')], [/_seconds$/, (v) => span(Number(v))]];

/** A field with its unit: temperature_celsius 61 → "temperature 61 °C". */
export function field(f) {
  for (const [ending, show] of endings) {
    if (ending.test(f.name) && f.value !== '' && Number.isFinite(Number(f.value))) return [words(f.name.replace(ending, '')), ' ', show(Number(f.value))];
  }
  const said = { true: 'yes', false: 'no' }[f.value] ?? f.value;
  return [words(f.name), ' ', data(said, 40)];
}

export const number = (n) => Number(n).toLocaleString();
export const plural = (n, one, many = one + 's') => `${number(n)} ${n === 1 ? one : many}`;

/** "physical_drive" → "physical drive" */
export const words = (s) => clean(s, 80).replaceAll('_', ' ');

const names = { ok: 'OK', new: 'new', planned: 'stopped', info: 'info', warning: 'warning', critical: 'critical', silent: 'silent', decommissioned: 'decommissioned', revoked: 'revoked', resolved: 'resolved', firing: 'firing' };
const signs = { ok: '✓', new: '○', planned: '◼', info: 'i', warning: '!', critical: '✕', silent: '…', decommissioned: '–', revoked: '–', resolved: '✓', firing: '!' };

/** The class for a status or severity; unknown ones look like info. */
export const tone = (s) => (names[s] ? s : s === 'error' || s === 'fatal' ? 'critical' : 'info');

/** Our own words as a sentence: "the ruler …" → "The ruler …." */
export function sentence(text) {
  const s = clean(text ?? '', 600).trim();
  if (!s) return '';
  return s[0].toUpperCase() + s.slice(1) + (/[.!?…]$/.test(s) ? '' : '.');
}

/** A status as sign, word and colour. */
export function badge(status, title) {
  const t = tone(status);
  return h('span', { class: `badge ${t}`, title: title ? clean(title) : null }, h('span', { class: 'sign', 'aria-hidden': 'true' }, signs[t]), names[status] ?? clean(status, 20));
}

export const dot = (status) => h('span', { class: `dot ${tone(status)}`, 'aria-hidden': 'true' });

export const simulated = (yes) => yes && h('span', { class: 'tag sim', title: 'This server does not exist: the simulator plays it' }, 'simulated');

export const cloned = (yes) => yes && h('span', { class: 'tag clone', title: 'Two live machines speak under this identity' }, 'identity used twice');

export function serverLink(id, name) {
  return h('a', { href: '#/servers/' + encodeURIComponent(id), class: 'name' }, data(name || id, 80));
}

/** A titled block. */
export function card(title, extra, ...body) {
  return h('section', { class: 'card' }, h('div', { class: 'cardhead' }, h('h2', null, title), extra), ...body);
}

/** What a list shows where it has nothing. */
export const empty = (title, text) => h('div', { class: 'empty' }, h('p', { class: 'strong' }, title), text && h('p', null, text));

/** A table that turns into cards on a narrow screen; cells are [label, content, class]. */
export function table(label, columns, rows, kind = '') {
  return h('div', { class: 'tablewrap ' + kind }, h('table', { 'aria-label': label },
    h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col' }, c)))),
    h('tbody', null, rows.map((r) => h('tr', { 'data-key': r.key, class: r.class }, r.cells.map((c, i) => h('td', { 'data-label': columns[i], class: c === null ? 'none' : null }, h('div', { class: 'cell' }, c ?? h('span', { class: 'dim' }, '–')))))))));
}

/** "12 servers · page 1 of 3" with links. */
export function pager(total, limit, offset, go) {
  if (total <= limit) return null;
  const page = Math.floor(offset / limit) + 1, pages = Math.ceil(total / limit);
  return h('div', { class: 'pager' },
    h('button', { type: 'button', disabled: page <= 1, onclick: () => go(offset - limit) }, '← Before'),
    h('span', null, `Page ${page} of ${pages}`),
    h('button', { type: 'button', disabled: page >= pages, onclick: () => go(offset + limit) }, 'Next →'));
}
