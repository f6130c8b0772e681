// What the address says of events, as questions to the ruler and to the log store. Pure.
import type { Params } from '../../api/client';
import type { EventSeries } from '../../api/schema';
import { oneOf } from '../../components/useFilters';

type Counted = NonNullable<Params<'GET', '/event-counts'>['by']>;

export const groups = ['level', 'provider', 'event_id', 'server', 'site', 'category', 'device_type', 'none'] as const satisfies readonly Counted[];
export type Group = (typeof groups)[number];

export const levels = ['critical', 'error', 'warning', 'info', 'verbose', 'audit_success', 'audit_failure'] as const;
export const categories = ['eventlog', 'raid', 'hardware', 'smart', 'sensors', 'updates', 'software', 'check', 'agent', 'heartbeat'] as const;

export const hour = 3_600_000;
export const day = 24 * hour;

/** The quick ranges, in ms. */
export const ranges = { '24h': day, '3d': 3 * day, '7d': 7 * day, '30d': 30 * day, '90d': 90 * day } as const;
export type Range = keyof typeof ranges;
export const usualRange: Range = '7d';

/** Every filter of events in the address, beside where the list is. */
export const filters = ['range', 'since', 'before', 'server', 'site', 'provider', 'event_id', 'channel', 'level', 'name', 'device_type', 'category', 'search'] as const;

const moment = (text: string | undefined) => (text && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString() : undefined);

/** From when to when: what the address says, or a quick range that ends now. It begins at a whole hour, or day, so that
 *  the first bar is whole and the question stays the same for a while. */
export function spanOf(q: Record<string, string>, now: number): { since: string; before?: string; range?: Range } {
  const since = moment(q.since);
  const before = moment(q.before);
  if (since) {
    return { since, before };
  }
  const range = oneOf(q.range, Object.keys(ranges) as Range[]) ?? usualRange;
  const unit = ranges[range] > 4 * day ? day : hour;
  const end = before ? Date.parse(before) : now;
  return { since: new Date(Math.floor((end - ranges[range]) / unit) * unit).toISOString(), before, range: before ? undefined : range };
}

/** The filters as the API names them; what does not fit is left out. */
export function filterOf(q: Record<string, string>) {
  const list = <T extends string>(value: string | undefined, words: readonly T[]) => {
    const found = (value ?? '').split(',').flatMap((v) => oneOf(v, words) ?? []);
    return found.length ? found : undefined;
  };
  return {
    server: /^[0-9a-f]{32}$/i.test(q.server ?? '') ? q.server : undefined, site: q.site, provider: q.provider, event_id: q.event_id?.replaceAll(' ', ''), channel: q.channel, level: list(q.level, levels), name: q.name, device_type: q.device_type,
    category: list(q.category, categories), search: q.search,
  };
}

/** What a group of counts is called, which filter means it alone, and by what to count then. '' = it has no name. */
export function groupOf(by: Group, s: EventSeries): { id: string; name: string; only: Record<string, string | undefined>; next: Group } {
  switch (by) {
    case 'server':
      return { id: s.server_id, name: s.server || s.server_id, only: { server: s.server_id }, next: 'provider' };
    case 'provider':
      return { id: s.provider, name: s.provider, only: { provider: s.provider }, next: 'event_id' };
    case 'event_id':
      return { id: s.provider + ' ' + s.event_id, name: `${s.provider} ${s.event_id}`.trim(), only: { provider: s.provider, event_id: s.event_id || undefined }, next: 'server' };
    case 'level':
      return { id: s.level, name: s.level.replaceAll('_', ' '), only: { level: s.level }, next: 'provider' };
    case 'category':
      return { id: s.category, name: s.category, only: { category: s.category }, next: 'provider' };
    case 'site':
      return { id: s.site, name: s.site, only: { site: s.site }, next: 'server' };
    case 'device_type':
      return { id: s.device_type, name: s.device_type.replaceAll('_', ' '), only: { device_type: s.device_type }, next: 'server' };
    default:
      return { id: '', name: '', only: {}, next: 'provider' };
  }
}

/** A text as one token of LogsQL: nothing in it is read as part of the query. */
const quote = (s: string) => JSON.stringify(s);

const anyCase = (s: string) => quote(`(?i)^(?:${s.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')})$`);

/** The same events in VictoriaLogs' language, without the time; undefined where only the ruler can tell which they are. */
export function logsQL(q: Record<string, string>): string | undefined {
  const f = filterOf(q);
  if (f.device_type) {
    return undefined;
  }
  const stream = [f.server ? `server_id=${quote(f.server.toLowerCase())}` : 'server_id!=""', `category in (${(f.category ?? ['eventlog']).map(quote).join(',')})`];
  const out = [`{${stream.join(',')}}`];
  if (f.provider) {
    out.push(`provider:~${anyCase(f.provider)}`);
  }
  if (f.channel) {
    out.push(`channel:~${anyCase(f.channel)}`);
  }
  const ids = (f.event_id ?? '').split(',').flatMap((part) => {
    const [, low, high] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    return low === undefined ? [] : [high === undefined ? `event_id:=${quote(low)}` : `event_id:range[${low}, ${high}]`];
  });
  if (ids.length) {
    out.push(`(${ids.join(' or ')})`);
  }
  if (f.level) {
    out.push(`level:in(${f.level.map(quote).join(',')})`);
  }
  if (f.name) {
    out.push(`name:=${quote(f.name)}`);
  }
  if (f.site) {
    out.push(`site:=${quote(f.site)}`);
  }
  for (const word of (f.search ?? '').split(/\s+/).filter(Boolean)) {
    out.push(`_msg:i(${quote(word)}*)`);
  }
  return out.join(' ');
}
