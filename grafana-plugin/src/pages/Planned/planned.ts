// What a form of planned work holds, and how it becomes what the API takes. Pure.
import { t } from '@grafana/i18n';
import type { Window, WindowRequest } from '../../api/schema';
import { clock, part, plain, span, weekday } from '../../format';

export const labels = ['name', 'site', 'rack', 'role', 'owner', 'os'] as const;
export type Label = (typeof labels)[number];

export const labelName: Record<Label, () => string> = {
  name: () => t('planned.names', 'Servers by name'),
  site: () => t('servers.site', 'Site'),
  rack: () => t('servers.rack', 'Rack'),
  role: () => t('servers.role', 'Role'),
  owner: () => t('servers.owner', 'Owner'),
  os: () => t('planned.os', 'Windows or Linux'),
};

export const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

/** mon → Mon, in the reader's language. 2024 began on a Monday. */
export const dayName = (day: string) => part(Date.UTC(2024, 0, 1 + Math.max(0, (days as readonly string[]).indexOf(day))), { weekday: 'short', timeZone: 'UTC' });

export interface Draft {
  reason: string;
  comment: string;
  /** all servers, whatever stands in servers */
  all: boolean;
  servers: Record<Label, string[]>;
  /** labels that only a file or the API can write; they stay */
  more: Record<string, string[]>;
  weekly: boolean;
  /** RFC 3339; '' = now */
  starts: string;
  ends: string;
  days: string[];
  from: string;
  to: string;
  zone: string;
}

const hour = 3600e3;
const iso = (ms: number) => new Date(ms).toISOString();

/** A new plan: four hours from the next full hour, or as the address says (name, site …). */
export function fresh(query: Record<string, string>, now: number, zone: string): Draft {
  const starts = Math.ceil(now / hour) * hour;
  const servers = Object.fromEntries(labels.map((l) => [l, query[l] ? [query[l]] : []])) as unknown as Record<Label, string[]>;
  return { reason: '', comment: '', all: false, servers, more: {}, weekly: false, starts: iso(starts), ends: iso(starts + 4 * hour), days: [], from: '22:00', to: '02:00', zone };
}

/** What a window says now; one that begins anew gets times that are still to come. */
export function draftOf(w: Window, now: number, zone: string, anew = false): Draft {
  const begin = fresh({}, now, zone);
  const weekly = w.weekly.days.length > 0;
  const known = (l: string): l is Label => (labels as readonly string[]).includes(l);
  const out: Draft = {
    ...begin, reason: w.reason, weekly, all: Object.keys(w.servers).length === 0,
    servers: Object.fromEntries(labels.map((l) => [l, w.servers[l] ?? []])) as unknown as Record<Label, string[]>,
    more: Object.fromEntries(Object.entries(w.servers).filter(([l]) => !known(l))),
  };
  if (weekly) {
    return { ...out, days: w.weekly.days, from: w.weekly.from, to: w.weekly.to, zone: w.weekly.zone || 'UTC' };
  }
  const long = w.starts_at && w.ends_at ? Date.parse(w.ends_at) - Date.parse(w.starts_at) : 4 * hour;
  return anew ? { ...out, ends: iso(Date.parse(begin.starts) + long) } : { ...out, starts: w.starts_at ?? '', ends: w.ends_at ?? begin.ends };
}

/** How long from one time of the day to another is, in seconds: not after it = on the next day. */
export function lengthOf(from: string, to: string): number {
  const at = (s: string) => {
    const [h, m] = s.split(':').map(Number);
    return h * 3600 + m * 60;
  };
  const long = at(to) - at(from);
  return Number.isNaN(long) ? 0 : long > 0 ? long : long + 86400;
}

/** Whether a plan for one time lies behind, so that nothing can be planned for it any more. */
export const passed = (d: Draft, now: number) => !d.weekly && Date.parse(d.ends) <= now;

/** The next like time of one that has passed: as long, at the same hours of the reader's clock, some days later. */
export function nextLike(d: Draft, now: number): Pick<Draft, 'starts' | 'ends'> {
  const first = d.starts || d.ends;
  const later = (at: string, days: number) => {
    const day = new Date(at);
    day.setDate(day.getDate() + days); // not every day has 24 hours
    return day.toISOString();
  };
  let days = Math.max(1, Math.floor((now - Date.parse(first)) / (24 * hour)));
  while (Date.parse(later(first, days)) <= now) {
    days++;
  }
  return { starts: d.starts && later(d.starts, days), ends: later(d.ends, days) };
}

/** How many bytes of a reason the ruler keeps. */
export const mostReason = 120;
const size = (text: string) => new TextEncoder().encode(text).length;

/** What is missing before the ruler can be asked; '' = nothing. */
export function lacking(d: Draft, now: number): string {
  if (!d.all && labels.every((l) => !d.servers[l].length) && !Object.keys(d.more).length) {
    return t('planned.lacksServers', 'Say on which servers.');
  }
  if (d.weekly) {
    return !d.days.length ? t('planned.lacksDays', 'Say on which days.') : !d.from || !d.to ? t('planned.lacksTime', 'Say from when to when.') : '';
  }
  const ends = Date.parse(d.ends);
  if (Number.isNaN(ends)) {
    return t('planned.lacksEnd', 'Say when it ends.');
  }
  if (ends <= now) {
    return t('planned.past', 'That end has passed.');
  }
  const starts = d.starts ? Date.parse(d.starts) : now;
  return ends <= starts ? t('planned.backwards', 'It ends before it begins.') : ends - starts > 31 * 24 * hour ? t('planned.long', 'It is longer than 31 days: nobody would be told for so long.') : '';
}

/** What is missing before it can be planned. */
export function unready(d: Draft, now: number): string {
  return lacking(d, now) || (!d.reason.trim() ? t('planned.lacksReason', 'Say why: whoever looks at night reads it.') : size(d.reason.trim()) > mostReason ? t('planned.longReason', 'Say why in fewer words.') : '');
}

/** What the API takes. */
export function requestOf(d: Draft, version?: number): WindowRequest {
  const servers = Object.fromEntries(Object.entries({ ...d.more, ...d.servers }).filter(([, v]) => v.length));
  const time: WindowRequest = d.weekly ? { weekly: { days: days.filter((x) => d.days.includes(x)), from: d.from, to: d.to, zone: d.zone } } : { ...(d.starts && { starts_at: d.starts }), ends_at: d.ends };
  return { ...(d.all ? { all_servers: true } : { servers }), ...time, reason: d.reason.trim(), comment: d.comment.trim(), ...(version !== undefined && { version }) };
}

/** "Tue 1 Dec 22:00 – Wed 2 Dec 02:00 CET", in the reader's zone; the day is told once where there is one. */
export function between(from: string | null, to: string | null): string {
  const one = (at: string | null, day = true, zone = false) => (at ? (day ? `${part(Date.parse(at), weekday)} ` : '') + part(Date.parse(at), zone ? { ...clock, timeZoneName: 'short' } : clock) : '…');
  const same = from && to && part(Date.parse(from), weekday) === part(Date.parse(to), weekday);
  return `${one(from)} – ${one(to, !same, true)}`;
}

/** When a window holds: once, or every week by the clock of its own zone. */
export function when(w: Window): string {
  if (!w.weekly.days.length) {
    return between(w.starts_at, w.ends_at);
  }
  return t('planned.weeklyText', 'every {{days}} {{from}}–{{to}}, {{zone}}', { days: w.weekly.days.map(dayName).join(', '), from: w.weekly.from, to: w.weekly.to, zone: w.weekly.zone || 'UTC', ...plain });
}

/** "4 h", of a weekly time. */
export const longText = (d: Draft) => span(lengthOf(d.from, d.to));
