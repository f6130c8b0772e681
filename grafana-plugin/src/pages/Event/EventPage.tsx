// One event with all that is kept of it, and ways to what happened around it.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Button, useStyles2 } from '@grafana/ui';
import { useState } from 'react';
import { useParams } from 'react-router-dom';
import { useAnswer } from '../../api/client';
import type { LogEventDetail } from '../../api/schema';
import { copy } from '../../components/copy';
import { Facts } from '../../components/Facts';
import { NotificationItem } from '../../components/items';
import { Line, List } from '../../components/List';
import { Link, LogsLink, ServerLink } from '../../components/Links';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Data, Dim, Simulated, Tag, When } from '../../components/Text';
import { absolute, clean, field, lines, number } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { logsQL } from '../Events/events';
import { NoLog } from '../Events/NoLog';

const around = 10 * 60_000;

export default function EventPage() {
  const { Page } = useHost();
  const { id = '' } = useParams();
  const event = useAnswer('/events/{id}', { id }, { every: 0 });
  const e = event.data?.event;
  return (
    <Page
      title={e ? `${clean(e.provider || e.name, 80)}${e.event_id === null ? '' : ' ' + e.event_id}` : t('event.title', 'Event')}
      subtitle={<Link to={link.events()}>{t('event.all', 'All events')}</Link>}
      actions={
        event.data && (
          <>
            <Simulated yes={event.data.event.simulated} />
            {event.data.event.level && <Status of={clean(event.data.event.level, 16)} />}
            <Copy of={event.data} />
          </>
        )
      }
    >
      {event.error?.code === 'no_logs' ? (
        <NoLog of={event.error} />
      ) : (
        <Loaded of={event}>
          {(d) => (
            <Rows>
              <Detail of={d} />
              <Notifications server={d.event.server_id} />
            </Rows>
          )}
        </Loaded>
      )}
    </Page>
  );
}

function Detail({ of: { event: e, fields } }: { of: LogEventDetail }) {
  const s = useStyles2(styles);
  const at = e.at ? Date.parse(e.at) : NaN;
  const near = Number.isNaN(at) ? undefined : { server: e.server_id, since: new Date(at - around).toISOString(), before: new Date(at + around).toISOString(), category: e.category === 'eventlog' ? undefined : e.category };
  const kind = { provider: e.provider, event_id: e.event_id ?? undefined, name: e.provider ? undefined : e.name, category: e.category === 'eventlog' ? undefined : e.category };
  return (
    <>
      <Panel title={t('event.message', 'Message')} extra={e.truncated && <Tag title={t('event.truncatedText', 'It was too long for the log store, which has a part')}>{t('event.truncated', 'cut')}</Tag>}>
        {e.message ? (
          <pre className={s.text} tabIndex={0} aria-label={t('event.message', 'Message')}>
            {lines(e.message, 65536)}
          </pre>
        ) : (
          <Dim>{t('event.silent', 'It has none.')}</Dim>
        )}
        <Line>
          {e.at && <Link to={link.server(e.server_id, { at: e.at })}>{t('event.serverThen', 'The server at that time')}</Link>}
          {near && <Link to={link.events(near)}>{t('event.around', 'What it wrote 10 minutes before and after')}</Link>}
          <Link to={link.events({ ...kind, server: e.server_id, range: '30d' })}>{t('event.same', 'The same on this server')}</Link>
          <Link to={link.events({ ...kind, by: 'server', range: '30d' })}>{t('event.sameAll', 'The same on the fleet')}</Link>
          {near && <LogsLink query={logsQL(near as Record<string, string>) ?? ''} from={at - around} to={at + around} />}
        </Line>
      </Panel>
      <Panel title={t('event.facts', 'What and where')}>
        <Facts
          of={[
            [t('event.server', 'Server'), <ServerLink key="s" id={e.server_id} name={e.server} />],
            [t('event.site', 'Site'), e.site && <Data key="i" max={60}>{e.site}</Data>],
            [t('event.at', 'When'), e.at && <span key="w"><When at={e.at} /> <Dim>{absolute(e.at)}</Dim></span>],
            [t('event.own', 'By its own clock'), e.event_time && <span key="o">{absolute(e.event_time)} <Dim>{t('event.skewed', "the server's clock was wrong")}</Dim></span>],
            [t('event.provider', 'Provider'), e.provider && <Data key="p" max={120}>{e.provider}</Data>],
            [t('event.id', 'Event id'), e.event_id],
            [t('event.channel', 'Channel'), e.channel && <Data key="c" max={120}>{e.channel}</Data>],
            [t('event.level', 'Level'), e.level && <Data key="l" max={40}>{e.level}</Data>],
            [t('event.severity', 'Severity'), e.severity && e.severity !== e.level && <Data key="v" max={40}>{e.severity}</Data>],
            [t('event.name', 'Kind of record'), <Data key="n" max={80}>{e.name}</Data>],
            [t('event.category', 'Category'), e.category],
            [t('event.record', 'Record'), <Data key="r" max={160}>{e.record_id}</Data>],
          ]}
        />
      </Panel>
      {fields.length > 0 && (
        <Panel title={t('event.fields', 'Other fields')} extra={<Dim>{number(fields.length)}</Dim>}>
          <Facts raw of={fields.map((f, i): [string, React.ReactNode] => [`${field(f.name, f.value)[0]}`, <bdi key={i}>{field(f.name, f.value)[1] || '–'}</bdi>])} />
        </Panel>
      )}
    </>
  );
}

function Notifications({ server }: { server: string }) {
  const list = useAnswer('/notifications', { server, limit: 5 });
  return (
    <Panel title={t('event.notifications', 'Notifications of this server')} extra={<Link to={link.notifications({ server, state: 'all' })}>{t('event.allNotifications', 'All')}</Link>}>
      <Loaded of={list}>
        {(l) =>
          l.items.length ? (
            <List>
              {l.items.map((n) => (
                <NotificationItem key={n.id} of={n} />
              ))}
            </List>
          ) : (
            <Empty title={t('event.noNotifications', 'There were none.')} />
          )
        }
      </Loaded>
    </Panel>
  );
}

/** Puts the whole event into the clipboard, as the API gives it. */
function Copy({ of }: { of: LogEventDetail }) {
  const [said, setSaid] = useState('');
  return (
    <>
      <Button size="sm" variant="secondary" icon="copy" onClick={() => void copy(JSON.stringify(of, null, 2)).then((done) => setSaid(done ? t('add.copied', 'Copied.') : t('event.noCopy', 'The browser does not let us copy.')))}>
        {t('event.copy', 'Copy as JSON')}
      </Button>
      <span role="status">
        <Dim>{said}</Dim>
      </span>
    </>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  text: css({ maxHeight: 480, overflow: 'auto', whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', margin: theme.spacing(0.5, 0, 1), padding: theme.spacing(1.5), color: theme.colors.text.primary, background: theme.colors.background.secondary, border: 0 }),
});
