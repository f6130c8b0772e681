// How often events came, as bars; a bar or an entry of the legend narrows what the page shows.
import { t } from '@grafana/i18n';
import { useMemo } from 'react';
import { useAnswer } from '../../api/client';
import type { EventCounts } from '../../api/schema';
import { Bars, type BarSeries } from '../../components/Bars';
import { Pick } from '../../components/Filters';
import { Line } from '../../components/List';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Dim } from '../../components/Text';
import { oneOf } from '../../components/useFilters';
import { moment, plural } from '../../format';
import { filterOf, groupOf, groups, type Group } from './events';

export const countEvents = (n: number) => plural('events.n', n, '1 event', '{{n}} events');

export const groupNames: Record<Group, () => string> = {
  level: () => t('events.by.level', 'level'),
  provider: () => t('events.by.provider', 'provider'),
  event_id: () => t('events.by.eventId', 'event id'),
  server: () => t('events.by.server', 'server'),
  site: () => t('events.by.site', 'site'),
  category: () => t('events.by.category', 'category'),
  device_type: () => t('events.by.device', 'kind of part'),
  none: () => t('events.by.none', 'nothing'),
};

interface Props {
  q: Record<string, string>;
  span: { since: string; before?: string };
  narrow: (changes: Record<string, string | undefined>) => void;
}

export function Counts({ q, span, narrow }: Props) {
  const by = oneOf(q.by, groups) ?? 'level';
  const step = oneOf(q.step, ['hour', 'day'] as const);
  const counts = useAnswer('/event-counts', { ...filterOf(q), since: span.since, before: span.before, by, step, top: 8 }, { every: span.before ? 0 : 60_000 });
  return (
    <Panel
      title={t('events.counts', 'How often')}
      extra={
        <Line>
          <Pick name={t('events.by', 'Counted by')} value={by} onChange={(v) => narrow({ by: v === 'level' ? undefined : v })} options={groups.map((g): [string, string] => [g, groupNames[g]()])} />
          <Pick name={t('events.step', 'A bar is')} value={step ?? ''} onChange={(v) => narrow({ step: v })} options={[['', t('events.auto', 'as fits')], ['hour', t('events.hour', 'an hour')], ['day', t('events.day', 'a day')]]} />
        </Line>
      }
    >
      <Loaded of={counts}>
        {(c) => (
          <>
            {c.times.length === 0 || c.total.every((n) => n === 0) ? (
              <Empty icon="search" title={t('events.noMatch', 'None in this time.')} />
            ) : (
              <EventBars of={c} by={by} narrow={narrow} />
            )}
            {!c.complete && c.since && (
              <Dim>{t('events.oldest', 'Nothing older is kept: the log store begins at {{at}}.', { at: moment(c.since) })}</Dim>
            )}
            {by === 'device_type' && <Dim>{t('events.severalParts', 'What an event is about is what a rule says; one event can be about several parts.')}</Dim>}
          </>
        )}
      </Loaded>
    </Panel>
  );
}

/** The worst at the bottom, where bars are easiest to compare. */
const worst = ['critical', 'error', 'audit_failure', 'warning', 'info', 'audit_success', 'verbose'];
const place = (level: string) => (worst.indexOf(level) + worst.length + 1) % (worst.length + 1);

/** What is usual is grey, so that the rest is seen. */
const levelTones: Record<string, BarSeries['tone']> = { critical: 'worst', error: 'bad', warning: 'warning', info: 'calm', audit_success: 'good', verbose: 'info' };

/** The bars of an answer. */
export function EventBars({ of: c, by, narrow, height }: { of: EventCounts; by: Group; narrow: (changes: Record<string, string | undefined>) => void; height?: number }) {
  const times = useMemo(() => c.times.map((at) => Date.parse(at)), [c]);
  const series = useMemo(() => {
    const out = c.series.map((s): BarSeries => {
      const g = groupOf(by, s);
      return { id: g.id, name: g.name || t('events.nameless', '(none)'), values: s.counts, tone: by === 'level' ? levelTones[s.level] : undefined };
    });
    if (by === 'level') {
      out.sort((a, b) => place(a.id) - place(b.id));
    }
    if (by === 'none') {
      out.push({ id: '', name: t('events.all', 'all events'), values: c.total, tone: 'info' });
    } else if (c.others.some((n) => n > 0)) {
      out.push({ id: '', name: t('events.others', 'others'), values: c.others, tone: 'rest' });
    }
    return out;
  }, [c, by]);
  const only = (id: string) => {
    const found = c.series.map((s) => groupOf(by, s)).find((g) => g.id === id);
    if (found) {
      narrow({ ...found.only, by: found.next });
    }
  };
  return (
    <Bars
      label={t('events.overTime', 'Events over time')} count={countEvents} times={times} step={c.step_seconds * 1000} series={series} height={height} onSeries={only}
      onPick={(from, to) => narrow({ range: undefined, since: new Date(from).toISOString(), before: new Date(to).toISOString() })}
    />
  );
}
