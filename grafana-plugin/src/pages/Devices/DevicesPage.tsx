// The parts of all servers: how many of each kind, and each of them, those with a problem first.
import { t } from '@grafana/i18n';
import { useAnswer } from '../../api/client';
import type { FleetDevice } from '../../api/schema';
import { Filters, Pick, Search } from '../../components/Filters';
import { Link, SerialLink, ServerLink } from '../../components/Links';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Pager, Table, type Column } from '../../components/Table';
import { Data, Dim, Simulated } from '../../components/Text';
import { oneOf, useFilters } from '../../components/useFilters';
import { clean, field, plural, words } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { Facets } from './Facets';

const limit = 50;
const statuses = ['critical', 'warning', 'info', 'ok'] as const;
const categories = ['raid', 'hardware', 'smart', 'sensors', 'updates', 'software'] as const;
const filters = ['search', 'category', 'device_type', 'model', 'firmware', 'state', 'status', 'site', 'server'] as const;

export default function DevicesPage() {
  const { Page } = useHost();
  const [q, set] = useFilters();
  const overview = useAnswer('/overview', {});
  const status = (q.status ?? '').split(',').flatMap((s) => oneOf(s, statuses) ?? []);
  const filter = {
    search: q.search, category: oneOf(q.category, categories), device_type: q.device_type, model: q.model, firmware: q.firmware, state: q.state, status: status.length ? status : undefined, site: q.site,
    server: /^[0-9a-f]{32}$/i.test(q.server ?? '') ? q.server : undefined,
  };
  const offset = Math.max(0, Number(q.offset) || 0);
  const list = useAnswer('/devices', { ...filter, limit, offset });
  const facets = useAnswer('/device-facets', filter, { every: 60_000 });
  const any: [string, string] = ['', t('filters.any', 'any')];
  const sites = (overview.data?.sites ?? []).map((s) => s.site).filter(Boolean);
  const narrowed = filters.some((f) => q[f]);
  return (
    <Page title={t('fleet.title', 'Devices')} subtitle={t('fleet.subtitle', 'The parts of all servers')} actions={<Link to={link.serial('')}>{t('fleet.serials', 'Find a serial number')}</Link>}>
      <Filters>
        <Search value={q.search ?? ''} placeholder={t('fleet.searchText', 'serial, place, model, server')} onChange={(search) => set({ search })} />
        <Pick name={t('fleet.status', 'Status')} value={q.status ?? ''} onChange={(v) => set({ status: v })} options={[any, ['critical,warning,info', t('fleet.problem', 'any problem')], ...statuses.map((s): [string, string] => [s, s])]} />
        <Pick name={t('fleet.site', 'Site')} value={q.site ?? ''} onChange={(site) => set({ site })} options={[any, ...[...new Set([...sites, ...(q.site ? [q.site] : [])])].map((v): [string, string] => [v, clean(v, 60)])]} />
        <Pick
          name={t('fleet.category', 'Category')} value={q.category ?? ''} onChange={(category) => set({ category })}
          options={[['', t('fleet.allHardware', 'all hardware')], ...categories.map((c): [string, string] => [c, c])]}
        />
        {narrowed && <Link to={link.devices()}>{t('events.clear', 'Clear all filters')}</Link>}
      </Filters>
      <Rows>
        <Panel title={t('fleet.counts', 'How many')}>
          <Loaded of={facets}>{(f) => <Facets of={f.facets} chosen={q} set={set} />}</Loaded>
        </Panel>
        <Loaded of={list}>
          {(l) => (
            <Panel title={plural('fleet.n', l.total, '1 device', '{{n}} devices')} extra={<Dim>{t('fleet.order', 'those with a problem first')}</Dim>}>
              {l.items.length ? (
                <Table label={t('fleet.title', 'Devices')} columns={columns} rows={l.items} id={(d) => [d.server_id, d.device.category, d.device.type, d.device.place].join(' ')} status={(d) => d.device.status} />
              ) : narrowed ? (
                <Empty icon="search" title={t('fleet.noMatch', 'No device matches.')}>
                  <Link to={link.devices()}>{t('fleet.all', 'Show all')}</Link>
                </Empty>
              ) : (
                <Empty icon="hourglass" title={t('fleet.none', 'No part is known yet.')}>{t('server.noPartsText', 'The first snapshots come within a minute of the first heartbeat.')}</Empty>
              )}
              <Pager total={l.total} limit={limit} offset={offset} go={(o) => set({ offset: o })} />
            </Panel>
          )}
        </Loaded>
      </Rows>
    </Page>
  );
}

const columns: Array<Column<FleetDevice>> = [
  {
    id: 'part', name: () => t('fleet.column.part', 'Part'),
    cell: ({ device: d }) => (
      <>
        <Data max={60}>{d.type_text}</Data>
        {d.place && (
          <>
            {' '}
            <code>
              <Data max={80}>{d.place}</Data>
            </code>
          </>
        )}
      </>
    ),
  },
  {
    id: 'server', name: () => t('fleet.column.server', 'Server'), width: 230,
    cell: (d) => (
      <>
        <ServerLink id={d.server_id} name={d.server} />
        {d.site && (
          <>
            {' '}
            <Dim>
              <Data max={40}>{d.site}</Data>
            </Dim>
          </>
        )}{' '}
        <Simulated yes={d.simulated} />
      </>
    ),
  },
  {
    id: 'state', name: () => t('fleet.column.state', 'State'),
    cell: ({ device: d }) =>
      (d.status !== 'ok' || d.state) && (
        <>
          {d.status !== 'ok' && <Status of={d.status} title={clean(d.status_text)} />} <Data max={40}>{d.state}</Data>
        </>
      ),
  },
  { id: 'model', name: () => t('fleet.column.model', 'Model'), cell: ({ device: d }) => d.model && <Data max={80}>{d.model}</Data> },
  { id: 'firmware', name: () => t('fleet.column.firmware', 'Firmware'), cell: ({ device: d }) => d.firmware && <Data max={40}>{d.firmware}</Data> },
  { id: 'serial', name: () => t('fleet.column.serial', 'Serial'), cell: ({ device: d }) => d.serial && <SerialLink number={d.serial} type={d.type} /> },
  {
    id: 'errors', name: () => t('fleet.column.errors', 'Errors'),
    cell: (d) => d.errors.length > 0 && <span title={t('fleet.errorsAt', 'as they were when the device last changed')}>{d.errors.slice(0, 4).map((e) => `${words(field(e.name, e.value)[0])} ${clean(e.value, 20)}`).join(', ')}</span>,
  },
];
