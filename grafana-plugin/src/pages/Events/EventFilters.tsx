import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Button, useStyles2 } from '@grafana/ui';
import { useAnswer } from '../../api/client';
import { Filters, Moment, MoreFilters, Pick, Search } from '../../components/Filters';
import { ServerPick } from '../../components/ServerPick';
import { Data } from '../../components/Text';
import { words } from '../../format';
import { categories, filters, levels, ranges, usualRange } from './events';

interface Props {
  q: Record<string, string>;
  set: (changes: Record<string, string | undefined>) => void;
  /** where the time is not for the filters to say */
  timeless?: boolean;
}

const rangeNames: Record<keyof typeof ranges, () => string> = {
  '24h': () => t('events.range.day', '24 hours'),
  '3d': () => t('events.range.days3', '3 days'),
  '7d': () => t('events.range.week', '7 days'),
  '30d': () => t('events.range.month', '30 days'),
  '90d': () => t('events.range.quarter', '90 days'),
};

export function EventFilters({ q, set, timeless }: Props) {
  const s = useStyles2(styles);
  const overview = useAnswer('/overview', {});
  const any: [string, string] = ['', t('filters.any', 'any')];
  const fixed = Boolean(q.since || q.before);
  const sites = (overview.data?.sites ?? []).map((v) => v.site).filter(Boolean);
  const more = ['event_id', 'channel', 'name', 'device_type', 'category', 'site'].some((f) => q[f]);
  const text = (name: string, f: string, placeholder: string) => <Search name={name} value={q[f] ?? ''} placeholder={placeholder} onChange={(v) => set({ [f]: v })} narrow />;
  return (
    <div>
      <Filters>
        <Search value={q.search ?? ''} placeholder={t('events.searchText', 'words of the message')} onChange={(search) => set({ search })} />
        {!timeless && (
          <Pick
            name={t('events.time', 'Time')}
            value={fixed ? 'fixed' : (q.range ?? usualRange)}
            onChange={(v) => set(v === 'fixed' ? { since: new Date(Date.now() - ranges[usualRange]).toISOString() } : { range: v === usualRange ? undefined : v, since: undefined, before: undefined })}
            options={[...(Object.keys(ranges) as Array<keyof typeof ranges>).map((r): [string, string] => [r, rangeNames[r]()]), ['fixed', t('events.range.fixed', 'from … until …')]]}
          />
        )}
        {!timeless && fixed && (
          <>
            <Moment name={t('events.from', 'From')} value={q.since ?? ''} onChange={(since) => set({ since })} />
            <Moment name={t('events.until', 'Until')} value={q.before ?? ''} onChange={(before) => set({ before })} />
          </>
        )}
        <Pick
          name={t('events.level', 'Level')}
          value={q.level ?? ''}
          onChange={(level) => set({ level })}
          options={[any, ['critical,error', t('events.errors', 'error or worse')], ['critical,error,warning', t('events.warnings', 'warning or worse')], ...levels.map((l): [string, string] => [l, words(l)])]}
        />
        <ServerPick name={t('events.server', 'Server')} onPick={(server) => set({ server })} />
        {text(t('events.provider', 'Provider'), 'provider', 'disk')}
        {text(t('events.eventId', 'Event id'), 'event_id', '7,11,150-157')}
      </Filters>
      <MoreFilters used={more} className={s.more}>
        <Filters>
          {text(t('events.channel', 'Channel'), 'channel', 'System')}
          <Pick name={t('events.site', 'Site')} value={q.site ?? ''} onChange={(site) => set({ site })} options={[any, ...[...new Set([...sites, ...(q.site ? [q.site] : [])])].map((v): [string, string] => [v, words(v)])]} />
          {text(t('events.part', 'About a part'), 'device_type', 'disk')}
          <Pick name={t('events.category', 'Category')} value={q.category ?? ''} onChange={(category) => set({ category })} options={[['', t('events.logs', 'event logs')], ...categories.slice(1).map((c): [string, string] => [c, c])]} />
          {text(t('events.record', 'Kind of record'), 'name', 'windows.event')}
        </Filters>
      </MoreFilters>
      <div className={s.chips}>
        {q.server && <ServerChip id={q.server} remove={() => set({ server: undefined })} />}
        {filters.some((f) => q[f] && f !== 'range') && (
          <Button size="sm" fill="text" variant="secondary" icon="times" onClick={() => set(Object.fromEntries(filters.map((f) => [f, undefined])))}>
            {t('events.clear', 'Clear all filters')}
          </Button>
        )}
      </div>
    </div>
  );
}

function ServerChip({ id, remove }: { id: string; remove: () => void }) {
  const server = useAnswer('/servers/{id}', { id }, { every: 0 });
  return (
    <Button size="sm" variant="secondary" icon="times" tooltip={t('events.allServers', 'Those of all servers')} onClick={remove}>
      <Data max={60}>{server.data?.server.name ?? id}</Data>
    </Button>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  more: css({ marginBottom: theme.spacing(1.5), '& summary': { color: theme.colors.text.secondary, marginBottom: theme.spacing(1) } }),
  chips: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(1), marginBottom: theme.spacing(1.5), '&:empty': { display: 'none' } }),
});
