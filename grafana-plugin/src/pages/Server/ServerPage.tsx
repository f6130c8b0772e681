// One server: status, problems, parts with their bays drawn, what it was and what changed.
import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { Alert, Button } from '@grafana/ui';
import { useParams } from 'react-router-dom';
import { useAnswer } from '../../api/client';
import type { ServerDetail } from '../../api/schema';
import { Charts, SpanPick } from '../../components/Charts';
import { Facts } from '../../components/Facts';
import { GrafanaLinks } from '../../components/GrafanaLinks';
import { NotificationItem } from '../../components/items';
import { List } from '../../components/List';
import { Link, ServerLink } from '../../components/Links';
import { PlannedNow } from '../../components/PlannedNow';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Data, Dim, Simulated, Tag, When } from '../../components/Text';
import { useFilters } from '../../components/useFilters';
import { absolute, bytes, clean, field, number } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { BreakIt } from './BreakIt';
import { Devices } from './Devices';
import { EventFrequency } from './EventFrequency';
import { HistoryPanel } from './HistoryPanel';
import { Records } from './Records';

export default function ServerPage() {
  const { Page } = useHost();
  const { id = '' } = useParams();
  const [q, set] = useFilters();
  const at = q.at && !Number.isNaN(Date.parse(q.at)) ? q.at : undefined;
  const detail = useAnswer('/servers/{id}', { id, at }, { every: at ? 0 : undefined });
  const s = detail.data?.server;
  const me = useAnswer('/me', {}, { every: 0 });
  const may = me.data !== undefined && me.data.role !== 'viewer';
  return (
    <Page
      title={s ? clean(s.name, 100) : t('server.title', 'Server')}
      subtitle={
        <>
          <Link to={link.servers()}>{t('server.all', 'All servers')}</Link>
          {s?.site && (
            <>
              {' / '}
              <Link to={link.servers({ site: s.site })}>
                <Data max={60}>{s.site}</Data>
              </Link>
            </>
          )}
        </>
      }
      actions={
        s && (
          <>
            <Simulated yes={s.simulated} />
            {s.clone && <Tag>{t('servers.clone', 'identity used twice')}</Tag>}
            <Status of={s.status} title={clean(s.status_text)} />
            {may && <Link to={link.planned({ new: 1, name: s.name })}>{t('server.plan', 'Plan work on this server')}</Link>}
            <GrafanaLinks to="server" server={s.name} />
          </>
        )
      }
    >
      <Loaded of={detail}>
        {(d) => (
          <Rows>
            {at && (
              <Alert severity="info" title={t('server.asOf', 'As it was')}>
                {absolute(at)}{' '}
                <Button size="sm" variant="secondary" onClick={() => set({ at: undefined })}>
                  {t('server.now', 'Show it as it is')}
                </Button>
              </Alert>
            )}
            <Detail of={d} then={at} />
          </Rows>
        )}
      </Loaded>
    </Page>
  );
}

function Detail({ of: d, then }: { of: ServerDetail; then?: string }) {
  const s = d.server;
  const overview = useAnswer('/overview', {});
  return (
    <>
      <p className={css({ margin: 0 })}>
        <Data max={400}>{s.status_text}</Data>{' '}
        {s.last_seen && !then && (
          <Dim>
            {t('server.heard', 'last heard')} <When at={s.last_seen} />
          </Dim>
        )}
      </p>
      {s.clone && (
        <Alert severity="warning" title={t('server.twins', 'Two live machines speak under this identity')}>
          {t('server.twinsText', 'A disk was probably cloned. Each is kept apart; enrol one of them again. The other:')}{' '}
          {d.lines.map((l) => (
            <span key={l.id}>
              <ServerLink id={l.id} name={l.name} /> <Status of={l.status} />{' '}
            </span>
          ))}
        </Alert>
      )}
      {!then && <PlannedNow server={s.id} />}
      {s.simulated && !then && overview.data?.features.demo && <BreakIt server={s.id} />}
      {d.notifications.length > 0 && (
        <Panel title={t('server.open', 'Open notifications')} extra={<Link to={link.notifications({ server: s.id, state: 'all' })}>{t('server.openAll', 'All of this server')}</Link>}>
          <List>
            {d.notifications.map((n) => (
              <NotificationItem key={n.id} of={n} />
            ))}
          </List>
        </Panel>
      )}
      <Panel title={t('server.facts', 'Facts')}>
        <ServerFacts of={d} />
      </Panel>
      {d.devices.length ? (
        <Devices of={d.devices} />
      ) : (
        <Panel title={t('server.parts', 'Parts')}>
          <Empty icon="hourglass" title={t('server.noParts', 'No part is known yet.')}>{t('server.noPartsText', 'The first snapshots come within a minute of the first heartbeat.')}</Empty>
        </Panel>
      )}
      {!then && overview.data?.features.charts && (
        <Panel title={t('server.charts', 'Over time')} extra={<SpanPick />}>
          <Charts server={s.id} />
        </Panel>
      )}
      <EventFrequency server={s.id} at={then} />
      <HistoryPanel server={s.id} />
      {!then && <Records server={s.id} />}
    </>
  );
}

function ServerFacts({ of: d }: { of: ServerDetail }) {
  const s = d.server;
  const label = (name: string) => d.labels.find((l) => l.name === name);
  const labelled = (name: string): React.ReactNode => {
    const l = label(name);
    return l?.value ? (
      <span title={l.from ? `${t('fact.from', 'from')} ${l.from}` : undefined}>
        <Data max={80}>{l.value}</Data>
      </span>
    ) : undefined;
  };
  const own = d.facts
    .filter((f) => f.value !== '' && !['os_name', 'os_version', 'model'].includes(f.name))
    .map((f): [string, React.ReactNode] => {
      const [name, value] = f.name.endsWith('memory_bytes') ? [field(f.name, f.value)[0], bytes(Number(f.value), true)] : field(f.name, f.value);
      return [name, <bdi key={f.name}>{value}</bdi>];
    });
  const entry = d.register[0];
  return (
    <Facts
      of={[
        [t('fact.system', 'System'), s.os_name && <Data key="o" max={100}>{`${s.os_name} ${s.os_version}`}</Data>],
        [t('fact.supportEnd', 'Support ends'), s.support_end?.slice(0, 10)],
        [t('fact.model', 'Model'), s.model && <Data key="m">{s.model}</Data>],
        [t('fact.site', 'Site'), labelled('site')],
        [t('fact.rack', 'Rack'), labelled('rack')],
        [t('fact.role', 'Role'), labelled('role')],
        [t('fact.owner', 'Owner'), labelled('owner')],
        [t('fact.boot', 'Booted'), s.boot_time && <When key="b" at={s.boot_time} />],
        [t('fact.updates', 'Updates wait'), s.updates_pending === null ? undefined : `${number(s.updates_pending)}${s.updates_security ? ` (${t('fact.security', '{{n}} for security', { n: s.updates_security })})` : ''}${s.reboot_required ? ' · ' + t('servers.restart', 'restart') : ''}`],
        [t('fact.exporter', 'Exporter'), s.exporter_version && <Data key="x" max={60}>{s.exporter_version}</Data>],
        [t('fact.enrolled', 'Enrolled'), s.enrolled_at && <When key="e" at={s.enrolled_at} />],
        [t('fact.warranty', 'Warranty until'), entry?.warranty_until],
        [t('fact.contract', 'Contract'), entry?.contract && <Data key="c">{entry.contract}</Data>],
        ...own,
        [t('fact.id', 'Id'), <code key="i">{s.id}</code>],
      ]}
    />
  );
}
