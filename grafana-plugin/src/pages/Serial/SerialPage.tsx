// The life of a part by its serial number, wherever it was; without a number, a search for one.
import { t } from '@grafana/i18n';
import { Alert } from '@grafana/ui';
import { useAnswer } from '../../api/client';
import type { Serial, Stay } from '../../api/schema';
import { Facts } from '../../components/Facts';
import { Filters, Search } from '../../components/Filters';
import { ChangeItem, NotificationItem } from '../../components/items';
import { Link, SerialLink, ServerLink } from '../../components/Links';
import { List } from '../../components/List';
import { Columns, Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Pager, Table, type Column } from '../../components/Table';
import { Data, Dim, Simulated, Tag, When } from '../../components/Text';
import { useFilters } from '../../components/useFilters';
import { clean, number, plural, span } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';

const limit = 50;

export default function SerialPage() {
  const { Page } = useHost();
  const [q, set] = useFilters();
  return (
    <Page
      title={q.number ? `${t('serial.title', 'Serial')} ${clean(q.number, 80)}` : t('serial.find', 'Serial numbers')}
      subtitle={
        <>
          <Link to={link.devices()}>{t('serial.devices', 'All devices')}</Link>
          {q.number && (
            <>
              {' / '}
              <Link to={link.serial('')}>{t('serial.find', 'Serial numbers')}</Link>
            </>
          )}
        </>
      }
    >
      {q.number ? <One number={q.number} type={q.type} /> : <Find q={q} set={set} />}
    </Page>
  );
}

const where: Array<Column<Stay>> = [
  { id: 'server', name: () => t('serial.server', 'Server'), cell: (s) => <><ServerLink id={s.server_id} name={s.server} /> <Simulated yes={s.simulated} /></> },
  { id: 'place', name: () => t('serial.place', 'Place'), cell: (s) => s.place && <code><Data max={80}>{s.place}</Data></code> },
  { id: 'since', name: () => t('serial.since', 'Since'), cell: (s) => <When at={s.since} /> },
  { id: 'until', name: () => t('serial.until', 'Until'), cell: (s) => (s.until ? <When at={s.until} /> : <><Tag>{t('serial.there', 'there')}</Tag> <Dim>{t('serial.heard', 'seen')} <When at={s.last_seen} /></Dim></>) },
  { id: 'long', name: () => t('serial.long', 'How long'), minor: true, cell: (s) => s.since && s.last_seen && span((Date.parse(s.last_seen) - Date.parse(s.since)) / 1000) },
];

const found: Array<Column<Stay>> = [
  { id: 'serial', name: () => t('serial.title', 'Serial'), cell: (s) => <SerialLink number={s.serial} type={s.device_type} /> },
  { id: 'type', name: () => t('serial.part', 'Part'), cell: (s) => <Data max={60}>{s.type_text}</Data> },
  { id: 'model', name: () => t('serial.model', 'Model'), cell: (s) => s.model && <Data max={80}>{s.model}</Data> },
  ...where.slice(0, 4),
];

function Find({ q, set }: { q: Record<string, string>; set: (changes: Record<string, string | number | undefined>) => void }) {
  const offset = Math.max(0, Number(q.offset) || 0);
  const list = useAnswer('/serials', { search: q.search, device_type: q.type, server: /^[0-9a-f]{32}$/i.test(q.server ?? '') ? q.server : undefined, limit, offset });
  return (
    <>
      <Filters>
        <Search value={q.search ?? ''} placeholder={t('serial.searchText', 'part of a serial number or model')} onChange={(search) => set({ search })} />
      </Filters>
      <Loaded of={list}>
        {(l) => (
          <Panel title={plural('serial.n', l.total, '1 place', '{{n}} places')} extra={<Dim>{t('serial.order', 'the latest arrival first')}</Dim>}>
            {l.items.length ? (
              <Table label={t('serial.find', 'Serial numbers')} columns={found} rows={l.items} id={(s) => [s.serial, s.device_type, s.server_id, s.place, s.since].join(' ')} />
            ) : (
              <Empty icon="search" title={q.search ? t('serial.noMatch', 'No serial number matches.') : t('serial.none', 'No serial number is known yet.')} />
            )}
            <Pager total={l.total} limit={limit} offset={offset} go={(o) => set({ offset: o })} />
          </Panel>
        )}
      </Loaded>
    </>
  );
}

function One({ number: serial, type }: { number: string; type?: string }) {
  const life = useAnswer('/serials/{serial}', { serial, device_type: type });
  return <Loaded of={life}>{(l) => <Life of={l} />}</Loaded>;
}

function Life({ of: l }: { of: Serial }) {
  return (
    <Rows>
      {l.at_several_places && (
        <Alert severity="warning" title={t('serial.several', 'It sits at several places at once')}>
          {t('serial.severalText', 'Two parts share this number, or a server that is silent still counts it.')}
        </Alert>
      )}
      <Panel title={t('serial.life', 'Its life')}>
        <p>
          <Data max={400}>{l.text}</Data>
        </p>
        <Facts
          of={[
            [t('serial.first', 'First seen'), <When key="f" at={l.first_seen} />],
            [t('serial.last', 'Last seen'), <When key="l" at={l.last_seen} />],
            [t('serial.model', 'Model'), l.stays[0]?.model && <Data key="m" max={80}>{l.stays[0].model}</Data>],
            [t('serial.servers', 'Servers'), number(new Set(l.stays.map((s) => s.server_id)).size)],
            [t('serial.problems', 'Problems'), number(l.notifications.length)],
          ]}
        />
        <Table label={t('serial.places', 'Where it was')} columns={where} rows={l.stays} id={(s) => [s.server_id, s.place, s.since].join(' ')} />
      </Panel>
      <Columns>
        <Panel title={t('serial.notifications', 'Problems of its place while it was there')}>
          {l.notifications.length ? (
            <List>
              {l.notifications.map((n) => (
                <NotificationItem key={n.id} of={n} />
              ))}
            </List>
          ) : (
            <Empty title={t('serial.noProblem', 'It never had one.')} />
          )}
        </Panel>
        <Panel title={t('serial.changes', 'What changed')}>
          {l.changes.length ? (
            <List>
              {l.changes.map((c) => (
                <ChangeItem key={c.id} of={c} server />
              ))}
            </List>
          ) : (
            <Empty title={t('serial.noChange', 'Nothing has changed since it was first seen.')} />
          )}
        </Panel>
      </Columns>
    </Rows>
  );
}
