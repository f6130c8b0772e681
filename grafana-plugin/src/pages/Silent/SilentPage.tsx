import { t } from '@grafana/i18n';
import { RadioButtonGroup } from '@grafana/ui';
import { useAnswer } from '../../api/client';
import type { SilentServer } from '../../api/schema';
import { Line } from '../../components/List';
import { Link, ServerLink } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Pager, Table, type Column } from '../../components/Table';
import { Data, Dim, Simulated, When } from '../../components/Text';
import { useFilters } from '../../components/useFilters';
import { countServers } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';

const limit = 100;

const columns: Array<Column<SilentServer>> = [
  { id: 'name', name: () => t('silent.column.server', 'Server'), cell: (s) => <Line><ServerLink id={s.server.id} name={s.server.name} /><Simulated yes={s.server.simulated} /></Line> },
  { id: 'since', name: () => t('silent.column.since', 'Since'), cell: (s) => <When at={s.since} /> },
  { id: 'why', name: () => t('silent.column.kind', 'Kind'), cell: (s) => <Status of={s.planned ? 'planned' : 'silent'} /> },
  { id: 'heard', name: () => t('silent.column.heard', 'Last heard'), cell: (s) => <When at={s.server.last_seen} /> },
  { id: 'place', name: () => t('silent.column.place', 'Place'), cell: (s) => (s.server.site || s.server.rack) && <Data max={60}>{[s.server.site, s.server.rack].filter(Boolean).join(' / ')}</Data> },
  { id: 'words', name: () => t('silent.column.words', 'What is known'), cell: (s) => <Dim><Data max={200}>{s.server.status_text}</Data></Dim> },
  {
    id: 'told', name: () => t('silent.column.told', 'Told as'),
    cell: (s) => s.folded_into ? <Link to={link.notification(s.folded_into)}>{t('silent.common', 'a common cause')}</Link> : s.notification_id && <Link to={link.notification(s.notification_id)}>{t('silent.own', 'its own')}</Link>,
  },
];

export default function SilentPage() {
  const { Page } = useHost();
  const [q, set] = useFilters();
  const offset = Number(q.offset) || 0;
  const planned = q.planned === 'true';
  const list = useAnswer('/silent', { planned: planned || undefined, limit, offset });
  return (
    <Page
      title={t('silent.title', 'Silent servers')}
      actions={
        <RadioButtonGroup
          options={[
            { value: '', label: t('silent.unplanned', 'Unplanned') },
            { value: 'true', label: t('silent.plannedToo', 'Planned too') },
          ]}
          value={planned ? 'true' : ''}
          onChange={(v) => set({ planned: v })}
        />
      }
    >
      <Loaded of={list}>
        {(l) => (
          <Panel title={countServers(l.total)}>
            {l.items.length ? <Table label={t('silent.title', 'Silent servers')} columns={columns} rows={l.items} id={(s) => s.server.id} /> : <Empty title={t('tonight.everybody', 'Everybody speaks.')}>{t('tonight.everybodyText', 'Servers that were shut down on purpose do not count.')}</Empty>}
            <Pager total={l.total} limit={limit} offset={offset} go={(o) => set({ offset: o })} />
          </Panel>
        )}
      </Loaded>
    </Page>
  );
}
