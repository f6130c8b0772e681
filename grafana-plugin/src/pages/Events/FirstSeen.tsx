// Kinds of events that the fleet saw for the first time.
import { t } from '@grafana/i18n';
import { now, useAnswer } from '../../api/client';
import type { EventKind } from '../../api/schema';
import { Pick } from '../../components/Filters';
import { Link } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, When } from '../../components/Text';
import { moment, number, plural } from '../../format';
import { link } from '../../routes';
import { day, filterOf } from './events';
import { NoLog } from './NoLog';

const choices = ['1', '3', '7', '30', '90'];
const limit = 200;

const columns: Array<Column<EventKind>> = [
  {
    id: 'kind', name: () => t('first.kind', 'Event'),
    cell: (k) => (
      <Link to={link.events({ provider: k.provider, event_id: k.event_id, name: k.provider ? undefined : k.name, range: '90d' })}>
        <Data max={100}>{`${k.provider || k.name} ${k.event_id}`.trim()}</Data>
      </Link>
    ),
  },
  { id: 'record', name: () => t('first.record', 'Record'), minor: true, cell: (k) => <Dim><Data max={60}>{k.name}</Data></Dim> },
  { id: 'first', name: () => t('first.first', 'First seen'), cell: (k) => <When at={k.first_seen} /> },
  { id: 'last', name: () => t('first.last', 'Last seen'), cell: (k) => <When at={k.last_seen} /> },
  { id: 'servers', name: () => t('first.servers', 'Servers'), number: true, cell: (k) => number(k.servers) },
  { id: 'count', name: () => t('first.count', 'Times'), number: true, cell: (k) => number(k.count) },
];

export function FirstSeen({ q, set }: { q: Record<string, string>; set: (changes: Record<string, string | undefined>) => void }) {
  const days = choices.includes(q.days) ? q.days : '7';
  const since = new Date(Math.floor((now() - Number(days) * day) / day) * day).toISOString();
  const kinds = useAnswer('/event-kinds', { ...filterOf(q), since, limit }, { every: 300_000 });
  if (kinds.error?.code === 'no_logs') {
    return <NoLog of={kinds.error} />;
  }
  return (
    <Panel
      title={t('first.title', 'Seen for the first time')}
      extra={<Pick name={t('first.days', 'In the last')} value={days} onChange={(v) => set({ days: v === '7' ? undefined : v })} options={choices.map((d): [string, string] => [d, plural('first.nDays', Number(d), 'day', '{{n}} days')])} />}
    >
      <Loaded of={kinds}>
        {(l) => (
          <>
            {!l.complete && l.since && (
              <p>
                <Dim>{t('first.incomplete', 'The log store begins at {{at}}, which is later than that: what is listed may have been there before.', { at: moment(l.since) })}</Dim>
              </p>
            )}
            {l.items.length ? (
              <Table label={t('first.title', 'Seen for the first time')} columns={columns} rows={l.items} id={(k) => JSON.stringify([k.name, k.provider, k.event_id])} />
            ) : (
              <Empty title={t('first.none', 'No new kind of event.')}>{t('first.noneText', 'Everything that was written in this time had been seen before.')}</Empty>
            )}
            {l.total > l.items.length && <Dim>{t('first.more', 'The newest {{n}} of {{total}}. Filters leave fewer.', { n: number(l.items.length), total: number(l.total) })}</Dim>}
          </>
        )}
      </Loaded>
    </Panel>
  );
}
