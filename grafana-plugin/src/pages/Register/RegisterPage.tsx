// Servers that are expected, with what only people know of them: owner, warranty, contract. Edited one by one, or as a table.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Button, useStyles2 } from '@grafana/ui';
import { useState } from 'react';
import { call, now, told, useAnswer } from '../../api/client';
import type { RegisterEntry } from '../../api/schema';
import { download } from '../../components/csv';
import { Filters, Pick, Search } from '../../components/Filters';
import { Line } from '../../components/List';
import { Link, ServerLink } from '../../components/Links';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Pager, Table, type Column } from '../../components/Table';
import { Data, Dim, When } from '../../components/Text';
import { useFilters } from '../../components/useFilters';
import { mayLose } from '../../components/useUnsaved';
import { clean, plural } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { EditEntry } from './EditEntry';
import { ImportTable } from './ImportTable';

const limit = 100;
const day = 86400e3;

export default function RegisterPage() {
  const { Page } = useHost();
  const s = useStyles2(styles);
  const [q, set] = useFilters();
  const [open, setOpen] = useState<RegisterEntry | 'new' | 'import'>();
  const idOf = (v: typeof open) => (typeof v === 'object' ? 'of ' + v.name : v);
  /** Opens another form, in the place of one that may hold text. */
  const show = (next: typeof open) => {
    if (idOf(open) === idOf(next) || mayLose()) {
      setOpen(next);
    }
  };
  const me = useAnswer('/me', {}, { every: 0 });
  const may = me.data !== undefined && me.data.role !== 'viewer';
  const offset = Number(q.offset) || 0;
  const days = ['0', '90', '365'].includes(q.warranty ?? '') ? Number(q.warranty) : undefined;
  const list = useAnswer('/register', {
    search: q.search,
    missing: q.missing === 'true' ? true : q.missing === 'false' ? false : undefined,
    // of the day: a question that changes with every second is never answered from what is known
    warranty_ends_before: days === undefined ? undefined : new Date(Math.floor(now() / day) * day + days * day).toISOString(),
    offset,
    limit,
  });
  const columns: Array<Column<RegisterEntry>> = [
    { id: 'name', name: () => t('register.name', 'Name'), cell: (e) => <Data max={80}>{e.name}</Data> },
    {
      id: 'server', name: () => t('register.server', 'Means'),
      cell: (e) =>
        e.server_id ? (
          <Line>
            <ServerLink id={e.server_id} name={e.server} />
            {e.missing ? <Status of="new" title={t('register.neverHeard', 'enrolled, never heard')} /> : <Dim><When at={e.last_seen} /></Dim>}
          </Line>
        ) : (
          <Status of="new" title={t('register.missingTitle', 'expected, but no such server has enrolled')} />
        ),
    },
    { id: 'place', name: () => t('servers.column.site', 'Place'), cell: (e) => (e.site || e.rack) && <Data max={60}>{[e.site, e.rack].filter(Boolean).join(' / ')}</Data> },
    { id: 'role', name: () => t('servers.column.role', 'Role'), minor: true, cell: (e) => e.role && <Data max={40}>{e.role}</Data> },
    { id: 'owner', name: () => t('servers.column.owner', 'Owner'), cell: (e) => e.owner && <Data max={40}>{e.owner}</Data> },
    { id: 'warranty', name: () => t('servers.column.warranty', 'Warranty until'), cell: (e) => e.warranty_until && <Warranty until={e.warranty_until} /> },
    { id: 'contract', name: () => t('servers.column.contract', 'Contract'), minor: true, cell: (e) => e.contract && <Data max={40}>{e.contract}</Data> },
    { id: 'serial', name: () => t('register.serial', 'Serial'), minor: true, cell: (e) => e.serial && <code><Data max={40}>{e.serial}</Data></code> },
    { id: 'note', name: () => t('register.note', 'Note'), minor: true, cell: (e) => e.note && <Data max={60}>{e.note}</Data> },
    {
      id: 'edit', name: () => t('register.do', 'Change'),
      cell: (e) =>
        may && (
          <Button size="sm" fill="text" variant="secondary" icon="pen" aria-label={`${t('register.edit', 'Edit')} ${clean(e.name, 80)}`} onClick={() => show(e)}>
            {t('register.edit', 'Edit')}
          </Button>
        ),
    },
  ];
  const narrowed = Boolean(q.search || q.missing || days !== undefined);
  return (
    <Page title={t('register.title', 'Expected servers')} subtitle={t('register.about', 'What only people know: who owns a server, until when its warranty lasts. Who is expected and not heard for a day is told of.')} actions={<Link to={link.servers()}>{t('server.all', 'All servers')}</Link>}>
      <Filters>
        <Search value={q.search ?? ''} placeholder={t('register.searchText', 'name, serial, site, owner, contract, note')} onChange={(search) => set({ search })} />
        <Pick name={t('register.missing', 'Never heard')} value={q.missing ?? ''} onChange={(missing) => set({ missing })} options={[['', t('filters.any', 'any')], ['true', t('word.yes', 'yes')], ['false', t('word.no', 'no')]]} />
        <Pick
          name={t('register.warranty', 'Warranty')}
          value={q.warranty ?? ''}
          onChange={(warranty) => set({ warranty })}
          options={[['', t('filters.any', 'any')], ['0', t('register.over', 'over')], ['90', t('register.in90', 'ends within 90 days')], ['365', t('register.in365', 'ends within a year')]]}
        />
      </Filters>
      <Rows>
        {may && open === 'import' && <ImportTable close={() => setOpen(undefined)} />}
        {may && open && open !== 'import' && <EditEntry key={open === 'new' ? '' : open.name} of={open === 'new' ? undefined : open} close={() => setOpen(undefined)} />}
        <Loaded of={list}>
          {(l) => (
            <Panel
              title={narrowed ? plural('servers.match', l.total, '1 matches', '{{n}} match') : plural('register.count', l.total, '1 entry', '{{n}} entries')}
              extra={
                <div className={s.extra}>
                  {may && (
                    <>
                      <Button size="sm" icon="plus" onClick={() => show('new')}>{t('register.add', 'Add an entry')}</Button>
                      <Button size="sm" variant="secondary" icon="upload" onClick={() => show('import')}>{t('register.import', 'Import a table')}</Button>
                    </>
                  )}
                  <Export />
                </div>
              }
            >
              {l.items.length ? (
                <Table label={t('register.title', 'Expected servers')} columns={columns} rows={l.items} id={(e) => e.name} status={(e) => (e.missing ? 'warning' : undefined)} />
              ) : narrowed ? (
                <Empty icon="search" title={t('register.none', 'No entry matches.')}>
                  <Link to={link.register()}>{t('servers.all', 'Show all')}</Link>
                </Empty>
              ) : (
                <Empty icon="rocket" title={t('register.empty', 'Nobody is expected yet.')}>{t('register.emptyText', 'Add the servers that must be there, or import the table that you keep.')}</Empty>
              )}
              <Pager total={l.total} limit={limit} offset={offset} go={(o) => set({ offset: o })} />
            </Panel>
          )}
        </Loaded>
      </Rows>
    </Page>
  );
}

function Warranty({ until }: { until: string }) {
  const left = (Date.parse(until) + day - now()) / day;
  return left < 0 ? (
    <Line>
      <Status of="warning" title={t('servers.warrantyOver', 'the warranty is over')} /> <time dateTime={until}>{until}</time>
    </Line>
  ) : (
    <time dateTime={until}>{until}</time>
  );
}

function Export() {
  const host = useHost();
  const [said, setSaid] = useState('');
  const go = async () => {
    try {
      const table = await call(host, 'GET', '/register/export', {});
      download(table.name, table.csv);
      setSaid(plural('register.exported', table.lines, '1 entry written.', '{{n}} entries written.'));
    } catch (e) {
      setSaid(told(e));
    }
  };
  return (
    <>
      <Button size="sm" variant="secondary" icon="download-alt" onClick={() => void go()}>
        {t('servers.csv', 'CSV')}
      </Button>
      <span role="status">{said}</span>
    </>
  );
}

const styles = (theme: GrafanaTheme2) => ({ extra: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: theme.spacing(1), color: theme.colors.text.secondary }) });
