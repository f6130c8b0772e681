// The servers: 10,000 rows, facets with counts, labels of many at once, and what is filtered as a file.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Button, useStyles2 } from '@grafana/ui';
import { useState } from 'react';
import { told, useAnswer } from '../../api/client';
import type { Server } from '../../api/schema';
import { csv, download } from '../../components/csv';
import { Filters, MoreFilters, Pick, Search } from '../../components/Filters';
import { Line } from '../../components/List';
import { Link } from '../../components/Links';
import { LongTable } from '../../components/LongTable';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { useFilters } from '../../components/useFilters';
import { clean, countServers, number, plural } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { look } from '../../status';
import { ChooseColumns, useColumns } from './columns';
import { countOf, EditLabels, type Chosen } from './EditLabels';
import { everyServer, question, supports, useServers, type Query } from './useServers';

export default function ServersPage() {
  const { Page } = useHost();
  const s = useStyles2(styles);
  const [q, set] = useFilters();
  const overview = useAnswer('/overview', {});
  const me = useAnswer('/me', {}, { every: 0 });
  const query = question(q);
  const { head, total, row, setRange } = useServers(query);
  const chosen = useChosen(query);
  const shown = useColumns();
  const narrowed = Object.keys(q).some((k) => k !== 'sort');
  const add = overview.data?.features.add_server;
  const may = me.data !== undefined && me.data.role !== 'viewer';
  return (
    <Page
      title={t('servers.title', 'Servers')}
      actions={
        <>
          <Link to={link.register()}>{t('servers.register', 'Expected servers')}</Link>
          {add && <Link to={link.add()}>{t('servers.add', 'Add a server')}</Link>}
        </>
      }
    >
      <Facets q={q} set={set} />
      {may && chosen.count(total) > 0 && <EditLabels of={chosen.chosen} total={total} query={query} keep={chosen.keep} />}
      <Loaded of={head}>
        {(l) => (
          <Panel
            title={narrowed ? plural('servers.match', l.total, '1 matches', '{{n}} match') : countServers(l.total)}
            extra={
              <div className={s.extra}>
                {query.sort !== 'worst' && <Link to={link.servers({ ...q, sort: undefined })}>{t('servers.worst', 'Worst first')}</Link>}
                {narrowed && l.total > 0 && <Link to={link.servers()}>{t('servers.all', 'Show all')}</Link>}
                <AsTable query={query} />
                <ChooseColumns of={shown} />
              </div>
            }
          >
            {l.total ? (
              <LongTable
                label={t('servers.title', 'Servers')} columns={shown.shown} total={total} row={row} id={(v) => v.id} status={(v) => v.status} sort={query.sort} onSort={(v) => set({ sort: v })} onRange={setRange}
                pick={may ? { name: (v) => `${t('servers.pick', 'Select')} ${clean(v.name, 80)}`, is: chosen.is, set: chosen.set, all: chosen.chosen.all && Object.keys(chosen.chosen.but).length === 0, setAll: chosen.setAll } : undefined}
              />
            ) : narrowed ? (
              <Empty icon="search" title={t('servers.none', 'No server matches.')}>
                <Link to={link.servers()}>{t('servers.all', 'Show all')}</Link>
              </Empty>
            ) : (
              <Empty icon="rocket" title={t('servers.empty', 'No servers yet.')}>{add && <Link to={link.add()}>{t('servers.add', 'Add a server')}</Link>}</Empty>
            )}
          </Panel>
        )}
      </Loaded>
    </Page>
  );
}

const none: Chosen = { all: false, some: {}, but: {} };

function put(servers: Record<string, Server>, v: Server, on: boolean): Record<string, Server> {
  const { [v.id]: _, ...others } = servers;
  return on ? { ...others, [v.id]: v } : others;
}

/** Who is selected: some, or all that match but a few. Another question begins anew. */
function useChosen(query: Query) {
  const of = JSON.stringify({ ...query, sort: undefined });
  const [state, setState] = useState<{ of: string; chosen: Chosen }>({ of, chosen: none });
  const chosen: Chosen = state.of === of ? state.chosen : { ...none, some: state.chosen.some };
  const change = (next: Chosen) => setState({ of, chosen: next });
  return {
    chosen,
    count: (total: number) => countOf(chosen, total),
    is: (v: Server) => (chosen.all ? !(v.id in chosen.but) : v.id in chosen.some),
    set: (v: Server, on: boolean) => change(chosen.all ? { ...chosen, but: put(chosen.but, v, !on) } : { ...chosen, some: put(chosen.some, v, on) }),
    setAll: (on: boolean) => change({ ...none, all: on }),
    keep: (servers: Server[]) => change({ ...none, some: Object.fromEntries(servers.map((v) => [v.id, v])) }),
  };
}

/** The filters, with how many servers each would find in the whole fleet. */
function Facets({ q, set }: { q: Record<string, string>; set: (changes: Record<string, string | undefined>) => void }) {
  const s = useStyles2(styles);
  const facets = useAnswer('/server-facets', {});
  const counts = (name: string) => facets.data?.facets.find((f) => f.name === name)?.values ?? [];
  // param is what the address calls it, where that is not the facet's own name
  const pick = (facet: string, name: string, word: (v: string) => string = (v) => clean(v, 40), param = facet, order?: readonly string[]) => {
    const found = counts(facet).filter((v) => v.value !== '' && !v.value.endsWith('…'));
    const sorted = order ? order.flatMap((o) => found.filter((v) => v.value === o)) : found;
    const value = q[param] ?? '';
    const options = sorted.map((v): [string, string] => [v.value, `${word(v.value)} (${number(v.count)})`]);
    if (value !== '' && !sorted.some((v) => v.value === value)) {
      options.push([value, word(value)]);
    }
    return <Pick key={param} name={name} value={value} onChange={(v) => set({ [param]: v })} options={[['', t('filters.any', 'any')], ...options]} />;
  };
  const yesNo = (v: string) => (v === 'true' ? t('word.yes', 'yes') : t('word.no', 'no'));
  const support: Record<string, string> = { ended: t('support.ended', 'ended'), ends_soon: t('support.soon', 'ends in half a year'), active: t('support.active', 'holds'), unknown: t('support.unknown', 'not known') };
  const more = ['rack', 'role', 'owner', 'model', 'exporter_version', 'reboot_required', 'simulated'].some((k) => q[k]);
  return (
    <Filters>
      <Search value={q.search ?? ''} placeholder={t('servers.searchText', 'name, site, rack, role, owner, system …')} onChange={(search) => set({ search })} />
      {pick('status', t('servers.status', 'Status'), (v) => v.split(',').map((w) => look(w).word()).join(', '))}
      {pick('site', t('servers.site', 'Site'))}
      {pick('os', t('servers.os', 'System'))}
      {pick('support', t('servers.support', 'Support'), (v) => v.split(',').map((w) => support[w] ?? w).join(', '), 'support', supports)}
      {pick('updates_pending', t('servers.updates', 'Updates wait'), yesNo, 'updates')}
      <MoreFilters used={more} className={s.more}>
        <div className={s.facets}>
          {pick('rack', t('servers.rack', 'Rack'))}
          {pick('role', t('servers.role', 'Role'))}
          {pick('owner', t('servers.owner', 'Owner'))}
          {pick('model', t('servers.model', 'Model'))}
          {pick('exporter_version', t('servers.exporter', 'Exporter'))}
          {pick('reboot_required', t('servers.needsRestart', 'Restart required'), yesNo, 'restart')}
          {pick('simulated', t('servers.kind', 'Kind'), (v) => (v === 'true' ? t('servers.simulated', 'simulated') : t('servers.real', 'real')))}
        </div>
      </MoreFilters>
    </Filters>
  );
}

/** What is filtered, as a file for a spreadsheet. */
function AsTable({ query }: { query: Query }) {
  const host = useHost();
  const [said, setSaid] = useState('');
  const [busy, setBusy] = useState(false);
  const go = async () => {
    setBusy(true);
    try {
      const servers = await everyServer(host, query, (n) => setSaid(t('servers.csvRead', '{{n}} read …', { n: number(n) })));
      const fields = ['name', 'id', 'status', 'site', 'rack', 'role', 'owner', 'os_name', 'os_version', 'support_end', 'model', 'exporter_version', 'updates_pending', 'reboot_required', 'warranty_until', 'contract', 'last_seen', 'boot_time', 'simulated'] as const;
      download(`nocturne-servers-${new Date().toISOString().slice(0, 10)}.csv`, csv([[...fields], ...servers.map((v) => fields.map((f) => String(v[f] ?? '').replaceAll('\u0000', '')))]));
      setSaid(plural('servers.csvDone', servers.length, '1 server written.', '{{n}} servers written.'));
    } catch (e) {
      setSaid(told(e));
    }
    setBusy(false);
  };
  return (
    <Line>
      <span role="status">{said}</span>
      <Button size="sm" variant="secondary" icon="download-alt" disabled={busy} onClick={() => void go()}>
        {t('servers.csv', 'CSV')}
      </Button>
    </Line>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  extra: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: theme.spacing(1.5), color: theme.colors.text.secondary }),
  more: css({ color: theme.colors.text.secondary, '&[open]': { flexBasis: '100%' }, '& summary': { padding: theme.spacing(0.75, 0) } }),
  facets: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(1.5) }),
});
