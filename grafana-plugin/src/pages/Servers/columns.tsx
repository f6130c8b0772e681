// The columns of the servers page, and which of them a person chose.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2 } from '@grafana/ui';
import { useState } from 'react';
import { now } from '../../api/client';
import type { Server } from '../../api/schema';
import { Line } from '../../components/List';
import { Link, ServerLink } from '../../components/Links';
import { Dot, Status } from '../../components/Status';
import type { Column } from '../../components/Table';
import { Data, Dim, Simulated, Tag, When } from '../../components/Text';
import { clean, number } from '../../format';
import { link } from '../../routes';

export const columns: Array<Column<Server>> = [
  {
    id: 'name', name: () => t('servers.column.name', 'Server'), sort: 'name', width: '20%',
    cell: (s) => (
      <Line>
        <ServerLink id={s.id} name={s.name} />
        <Simulated yes={s.simulated} />
        {s.clone && <Tag title={t('servers.cloneTitle', 'Two live machines speak under this identity')}>{t('servers.clone', 'identity used twice')}</Tag>}
      </Line>
    ),
  },
  {
    id: 'status', name: () => t('servers.column.status', 'Status'), width: 155,
    cell: (s) => (
      <Line>
        <Status of={s.status} title={clean(s.status_text)} />
        {s.open_notifications > 0 && <Link to={link.notifications({ server: s.id })}>{t('servers.open', '{{n}} open', { n: s.open_notifications })}</Link>}
      </Line>
    ),
  },
  { id: 'site', name: () => t('servers.column.site', 'Place'), sort: 'site', width: '12%', cell: (s) => (s.site || s.rack ? <Data max={60}>{[s.site, s.rack].filter(Boolean).join(' / ')}</Data> : undefined) },
  { id: 'role', name: () => t('servers.column.role', 'Role'), minor: true, cell: (s) => s.role && <Data max={40}>{s.role}</Data> },
  { id: 'owner', name: () => t('servers.column.owner', 'Owner'), minor: true, sort: 'owner', cell: (s) => s.owner && <Data max={40}>{s.owner}</Data> },
  { id: 'os', name: () => t('servers.column.os', 'System'), sort: 'os', cell: (s) => s.os_name && <span title={clean(s.os_name)}><Data max={50}>{s.os_name.replace(/^Microsoft (Windows (?=Server))?/, '')}</Data></span> },
  { id: 'model', name: () => t('servers.column.model', 'Model'), minor: true, sort: 'model', cell: (s) => s.model && <Data max={40}>{s.model}</Data> },
  {
    id: 'updates', name: () => t('servers.column.updates', 'Updates'), minor: true, sort: 'updates', width: 95,
    cell: (s) => (s.updates_pending === null ? undefined : s.updates_pending === 0 && !s.reboot_required ? <Dim>{t('servers.current', 'none wait')}</Dim> : `${number(s.updates_pending)}${s.reboot_required ? ' · ' + t('servers.restart', 'restart') : ''}`),
  },
  { id: 'support', name: () => t('servers.column.support', 'Support ends'), minor: true, sort: 'support_end', width: 115, cell: (s) => s.support_end && <Until at={s.support_end} over={t('servers.supportOver', 'no security updates any more')} /> },
  { id: 'warranty', name: () => t('servers.column.warranty', 'Warranty until'), minor: true, width: 125, cell: (s) => s.warranty_until && <Until at={s.warranty_until} over={t('servers.warrantyOver', 'the warranty is over')} title={clean(s.contract)} /> },
  { id: 'contract', name: () => t('servers.column.contract', 'Contract'), minor: true, cell: (s) => s.contract && <Data max={40}>{s.contract}</Data> },
  { id: 'exporter', name: () => t('servers.column.exporter', 'Exporter'), minor: true, sort: 'exporter_version', width: 100, cell: (s) => s.exporter_version && <Data max={30}>{s.exporter_version}</Data> },
  { id: 'boot', name: () => t('servers.column.boot', 'Booted'), minor: true, sort: 'boot_time', width: 110, cell: (s) => s.boot_time && <When at={s.boot_time} /> },
  { id: 'seen', name: () => t('servers.column.seen', 'Last heard'), sort: 'last_seen', width: 105, cell: (s) => <When at={s.last_seen} /> },
];

/** A last day: it stands out half a year before, and says so when it is over. */
function Until({ at, over, title }: { at: string; over: string; title?: string }) {
  const day = at.slice(0, 10);
  const days = (Date.parse(day) + 86400e3 - now()) / 86400e3;
  const shown = (
    <time dateTime={day} title={[days < 0 && over, title].filter(Boolean).join(' · ') || undefined}>
      {day}
    </time>
  );
  return days < 0 ? <Line><Dot of="warning" /> {shown}</Line> : days < 180 ? <strong>{shown}</strong> : <Dim>{shown}</Dim>;
}

const key = 'nocturne.servers.columns';
const usual = ['name', 'status', 'site', 'os', 'updates', 'support', 'seen'];

function kept(): string[] {
  const known = (localStorage.getItem(key) ?? '').split(',').filter((id) => columns.some((c) => c.id === id));
  return known.length ? known : usual;
}

/** The columns that are shown, kept in this browser. */
export function useColumns() {
  const [ids, setIds] = useState(kept);
  const set = (id: string, on: boolean) => {
    const next = columns.map((c) => c.id).filter((c) => (c === id ? on : ids.includes(c)));
    localStorage.setItem(key, next.join(','));
    setIds(next);
  };
  return { shown: columns.filter((c) => c.id === 'name' || ids.includes(c.id)), has: (id: string) => ids.includes(id), set };
}

export function ChooseColumns({ of }: { of: ReturnType<typeof useColumns> }) {
  const s = useStyles2(styles);
  return (
    <details className={s.box}>
      <summary>{t('servers.columns', 'Columns')}</summary>
      <fieldset className={s.list} aria-label={t('servers.columns', 'Columns')}>
        {columns.slice(1).map((c) => (
          <label key={c.id} className={s.one}>
            <input type="checkbox" checked={of.has(c.id)} onChange={(e) => of.set(c.id, e.currentTarget.checked)} /> {c.name()}
          </label>
        ))}
      </fieldset>
    </details>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  box: css({ position: 'relative', color: theme.colors.text.secondary, '@media (max-width: 719px)': { display: 'none' } }),
  list: css({ position: 'absolute', right: 0, zIndex: 3, width: 190, margin: 0, padding: theme.spacing(1), background: theme.colors.background.elevated ?? theme.colors.background.primary, border: `1px solid ${theme.colors.border.medium}`, borderRadius: theme.shape.radius.default, boxShadow: theme.shadows.z3 }),
  one: css({ display: 'flex', gap: theme.spacing(1), alignItems: 'center', margin: 0, padding: theme.spacing(0.5), color: theme.colors.text.primary, fontWeight: theme.typography.fontWeightRegular, '& input': { margin: 0 } }),
});
