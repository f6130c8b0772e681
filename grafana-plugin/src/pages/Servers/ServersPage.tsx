import { t } from '@grafana/i18n';
import { useAnswer } from '../../api/client';
import type { Server } from '../../api/schema';
import { Filters, Pick, Search } from '../../components/Filters';
import { Line } from '../../components/List';
import { Link, ServerLink } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Pager, Table, type Column } from '../../components/Table';
import { Data, Dim, Simulated, Tag, When } from '../../components/Text';
import { oneOf, useFilters } from '../../components/useFilters';
import { clean, number } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';

const limit = 100;
const statuses = ['critical', 'silent', 'warning', 'info', 'new', 'planned', 'ok', 'decommissioned', 'revoked'] as const;
const states = ['up', 'silent', 'stopped', 'waiting', 'revoked', 'decommissioned'] as const;
const sorts = ['worst', 'name', '-name', 'site', '-site', 'last_seen', '-last_seen', 'os', '-os', 'model', '-model', 'updates', '-updates', 'support_end', '-support_end'] as const;

const columns: Array<Column<Server>> = [
  {
    id: 'name', name: () => t('servers.column.name', 'Server'), sort: 'name',
    cell: (s) => (
      <Line>
        <ServerLink id={s.id} name={s.name} />
        <Simulated yes={s.simulated} />
        {s.clone && <Tag title={t('servers.cloneTitle', 'Two live machines speak under this identity')}>{t('servers.clone', 'identity used twice')}</Tag>}
      </Line>
    ),
  },
  {
    id: 'status', name: () => t('servers.column.status', 'Status'),
    cell: (s) => (
      <Line>
        <Status of={s.status} title={clean(s.status_text)} />
        {s.open_notifications > 0 && <Link to={link.notifications({ server: s.id })}>{t('servers.open', '{{n}} open', { n: s.open_notifications })}</Link>}
      </Line>
    ),
  },
  { id: 'site', name: () => t('servers.column.site', 'Place'), sort: 'site', cell: (s) => (s.site || s.rack ? <Data max={60}>{[s.site, s.rack].filter(Boolean).join(' / ')}</Data> : undefined) },
  { id: 'role', name: () => t('servers.column.role', 'Role'), minor: true, cell: (s) => s.role && <Data max={40}>{s.role}</Data> },
  { id: 'os', name: () => t('servers.column.os', 'System'), sort: 'os', cell: (s) => s.os_name && <Data max={50}>{s.os_name}</Data> },
  { id: 'model', name: () => t('servers.column.model', 'Model'), minor: true, sort: 'model', cell: (s) => s.model && <Data max={40}>{s.model}</Data> },
  {
    id: 'updates', name: () => t('servers.column.updates', 'Updates'), minor: true, sort: 'updates',
    cell: (s) => (s.updates_pending === null ? undefined : s.updates_pending === 0 && !s.reboot_required ? <Dim>{t('servers.current', 'none wait')}</Dim> : `${number(s.updates_pending)}${s.reboot_required ? ' · ' + t('servers.restart', 'restart') : ''}`),
  },
  { id: 'support', name: () => t('servers.column.support', 'Support ends'), minor: true, sort: 'support_end', cell: (s) => s.support_end && <SupportEnd at={s.support_end} /> },
  { id: 'seen', name: () => t('servers.column.seen', 'Last heard'), sort: 'last_seen', cell: (s) => <When at={s.last_seen} /> },
];

function SupportEnd({ at }: { at: string }) {
  const days = (Date.parse(at) - Date.now()) / 86400e3;
  const date = at.slice(0, 10);
  const shown = <time dateTime={date}>{date}</time>;
  return days < 0 ? <Status of="warning" title={date} /> : days < 180 ? <strong>{shown}</strong> : <Dim>{shown}</Dim>;
}

export default function ServersPage() {
  const { Page } = useHost();
  const [q, set] = useFilters();
  const overview = useAnswer('/overview', {});
  const offset = Number(q.offset) || 0;
  const sort = oneOf(q.sort, sorts) ?? 'worst';
  const list = useAnswer('/servers', {
    search: q.search,
    site: q.site,
    rack: q.rack,
    role: q.role,
    owner: q.owner,
    os: q.os,
    model: q.model,
    exporter_version: q.exporter_version,
    status: statuses.filter((s) => q.status?.split(',').includes(s)),
    state: states.filter((s) => q.state?.split(',').includes(s)),
    simulated: q.simulated === 'true' ? true : q.simulated === 'false' ? false : undefined,
    clones: q.clones === 'true' ? true : undefined,
    updates_pending: q.updates === 'true' ? true : undefined,
    sort,
    offset,
    limit,
  });
  const narrowed = Object.keys(q).some((k) => k !== 'sort' && k !== 'offset');
  const add = overview.data?.features.add_server;
  return (
    <Page title={t('servers.title', 'Servers')} actions={add && <Link to={link.add()}>{t('servers.add', 'Add a server')}</Link>}>
      <Filters>
        <Search value={q.search ?? ''} placeholder={t('servers.searchText', 'name, site, role, system, serial …')} onChange={(search) => set({ search })} />
        <Pick name={t('servers.status', 'Status')} value={q.status ?? ''} onChange={(status) => set({ status })} options={[['', t('filters.any', 'any')], ...statuses.map((s): [string, string] => [s, s])]} />
        <Pick
          name={t('servers.site', 'Site')}
          value={q.site ?? ''}
          onChange={(site) => set({ site })}
          options={[['', t('filters.all', 'all')], ...(overview.data?.sites ?? []).filter((s) => s.site).map((s): [string, string] => [s.site, clean(s.site, 40)])]}
        />
        <Pick
          name={t('servers.updates', 'Updates wait')}
          value={q.updates ?? ''}
          onChange={(updates) => set({ updates })}
          options={[
            ['', t('filters.any', 'any')],
            ['true', t('word.yes', 'yes')],
          ]}
        />
        <Pick
          name={t('servers.kind', 'Kind')}
          value={q.simulated ?? ''}
          onChange={(simulated) => set({ simulated })}
          options={[
            ['', t('filters.all', 'all')],
            ['false', t('servers.real', 'real')],
            ['true', t('servers.simulated', 'simulated')],
          ]}
        />
      </Filters>
      <Loaded of={list}>
        {(l) => (
          <Panel title={narrowed ? t('servers.match', '{{n}} match', { n: number(l.total) }) : t('servers.count', '{{n}} servers', { n: number(l.total) })} extra={sort !== 'worst' && <Link to={link.servers({ ...q, sort: undefined, offset: undefined })}>{t('servers.worst', 'Worst first')}</Link>}>
            {l.items.length ? (
              <Table label={t('servers.title', 'Servers')} columns={columns} rows={l.items} id={(s) => s.id} status={(s) => s.status} sort={sort} onSort={(v) => set({ sort: v })} />
            ) : narrowed ? (
              <Empty icon="search" title={t('servers.none', 'No server matches.')}>
                <Link to={link.servers()}>{t('servers.all', 'Show all')}</Link>
              </Empty>
            ) : (
              <Empty icon="rocket" title={t('servers.empty', 'No servers yet.')}>{add && <Link to={link.add()}>{t('servers.add', 'Add a server')}</Link>}</Empty>
            )}
            <Pager total={l.total} limit={limit} offset={offset} go={(o) => set({ offset: o })} />
          </Panel>
        )}
      </Loaded>
    </Page>
  );
}
