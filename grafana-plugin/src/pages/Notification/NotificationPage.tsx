// One notification: what, why, since when, by which records, who was told, and what people did.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, useStyles2 } from '@grafana/ui';
import { useParams } from 'react-router-dom';
import { useAnswer } from '../../api/client';
import type { Delivery, Fact, NotificationDetail, Part } from '../../api/schema';
import { Facts } from '../../components/Facts';
import { NotificationItem } from '../../components/items';
import { Item, Line, List } from '../../components/List';
import { Link, ServerLink } from '../../components/Links';
import { Columns, Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Data, Dim, Simulated, Tag, When } from '../../components/Text';
import { clean, plural, words } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { Book } from './Book';
import { Deeds } from './Deeds';
import { Evidences } from './Evidences';

export default function NotificationPage() {
  const { Page } = useHost();
  const { id = '' } = useParams();
  const detail = useAnswer('/notifications/{id}', { id });
  const n = detail.data?.notification;
  return (
    <Page
      title={n ? clean(n.title, 160) : t('notification.title', 'Notification')}
      subtitle={<Link to={link.notifications()}>{t('notification.back', 'All notifications')}</Link>}
      actions={
        n && (
          <>
            <Simulated yes={n.simulated} />
            <Status of={n.state === 'resolved' ? 'resolved' : n.severity} />
          </>
        )
      }
    >
      <Loaded of={detail}>{(d) => <Detail key={d.notification.id} of={d} />}</Loaded>
    </Page>
  );
}

function Detail({ of: d }: { of: NotificationDetail }) {
  const s = useStyles2(styles);
  const n = d.notification;
  const annotation = (name: string) => d.annotations.find((a) => a.name === name)?.value ?? '';
  const runbook = annotation('runbook_url') || annotation('runbook');
  return (
    <Rows>
      <p className={s.lead}>
        <Data max={1000}>{n.reason}</Data>
      </p>
      {n.muted && (
        <Alert severity="info" title={t('notification.mutedTitle', 'Nobody is told')}>
          <Data max={400}>{n.muted}</Data>
        </Alert>
      )}
      {n.folded_into && (
        <Alert severity="info" title={t('notification.folded', 'Another notification speaks for it')}>
          <Link to={link.notification(n.folded_into)}>{t('notification.lookThere', 'Look there')}</Link>
        </Alert>
      )}
      {n.silenced_until && (
        <Alert severity="info" title={t('notification.silencedTitle', 'Silenced')}>
          <Data max={300}>{n.silence_reason}</Data> · {t('silences.ends', 'ends')} <When at={n.silenced_until} />
        </Alert>
      )}
      <Panel title={t('notification.what', 'What and where')}>
        <Facts
          of={[
            [t('fact.server', 'Server'), <ServerLink key="s" id={n.server_id} name={n.server} />],
            [t('fact.device', 'Device'), n.device ? <Data key="d">{n.device}</Data> : t('fact.itself', 'the server itself')],
            [t('fact.site', 'Site'), n.site && <Data key="i">{n.site}</Data>],
            [t('fact.opened', 'Opened'), <When key="o" at={n.opened_at} />],
            [t('fact.resolved', 'Resolved'), n.resolved_at && <When key="r" at={n.resolved_at} />],
            [t('fact.problem', 'Problem'), words(n.class)],
            [t('fact.rule', 'Rule'), n.rule_id && <RuleFact key="u" id={n.rule_id} />],
            [t('fact.probe', 'Asked itself'), n.probe && <Data key="p">{n.probe}</Data>],
            [t('fact.runbook', 'Runbook'), runbook && !d.runbook.name && (/^https?:\/\//.test(runbook) ? <a key="b" className={s.link} href={runbook} rel="noreferrer">{clean(runbook, 120)}</a> : <Data key="b">{runbook}</Data>)],
          ]}
        />
        {(d.before || d.after) && (
          <div className={s.beforeAfter}>
            <div>
              <Dim>{t('notification.before', 'before')}</Dim>
              <div>
                <Data max={500}>{d.before || t('notification.nothing', 'nothing')}</Data>
              </div>
            </div>
            <span aria-hidden>→</span>
            <div>
              <Dim>{t('notification.after', 'after')}</Dim>
              <div>
                <Data max={500}>{d.after || t('notification.nothing', 'nothing')}</Data>
              </div>
            </div>
          </div>
        )}
      </Panel>
      <Deeds of={d} />
      {d.runbook.name && <Book of={d.runbook} />}
      <Columns>
        <Panel title={t('notification.timeline', 'Timeline')}>
          <List>
            {d.timeline.map((e, i) => (
              <Item key={i} before={<Dim><When at={e.at} /></Dim>}>
                <strong>{words(e.kind)}</strong> <Data max={400}>{e.text}</Data>
              </Item>
            ))}
          </List>
        </Panel>
        <Rows>
          <Panel title={t('notification.why', 'Why')}>
            {d.why.length ? <List>{d.why.map((p) => <Why key={p.rule_id + p.device} of={p} />)}</List> : <Empty title={t('notification.noWhy', 'The rule that opened it says no more.')} />}
          </Panel>
          <Panel title={t('notification.told', 'Who was told')}>
            {d.deliveries.length ? (
              <List>{d.deliveries.map((v) => <Told key={v.target + v.state + v.escalation} of={v} />)}</List>
            ) : (
              <Empty icon="hourglass" title={t('notification.nobody', 'Nobody yet.')}>{t('notification.nobodyText', 'Changes are handed to Alertmanager at once.')}</Empty>
            )}
          </Panel>
        </Rows>
      </Columns>
      {d.members.length > 0 && (
        <Panel title={t('notification.members', 'It speaks for')}>
          <List>{d.members.map((m) => <NotificationItem key={m.id} of={m} />)}</List>
        </Panel>
      )}
      {d.earlier.length > 0 && (
        <Panel title={t('notification.earlier', 'It was there before')}>
          <List>{d.earlier.map((m) => <NotificationItem key={m.id} of={m} />)}</List>
        </Panel>
      )}
      <Evidences of={d.evidence} />
      <details>
        <summary>{t('notification.labels', 'Labels of the alert')}</summary>
        <Pairs of={d.labels} />
        {d.escalated_labels.map((e, i) => (
          <div key={i}>
            <Dim>
              {t('notification.again', 'Told again as')} <Data max={30}>{e.severity}</Data> <When at={e.at} />
            </Dim>
            <Pairs of={e.labels} />
          </div>
        ))}
        <Dim>{t('notification.annotations', 'Annotations')}</Dim>
        <Pairs of={d.annotations} />
      </details>
    </Rows>
  );
}

/** The rule, and what else it told of. */
function RuleFact({ id }: { id: string }) {
  return (
    <>
      <Link to={link.rule(id)}>{clean(id, 80)}</Link> · <Link to={link.notifications({ rule: id, state: 'all' })}>{t('notification.ofRule', 'all it told of')}</Link>
    </>
  );
}

function Pairs({ of }: { of: Fact[] }) {
  return <Facts raw of={of.map((f): [string, React.ReactNode] => [clean(f.name, 80), <Data key={f.name} max={2000}>{f.value || '–'}</Data>])} />;
}

function Why({ of: p }: { of: Part }) {
  return (
    <Item after={<Status of={p.state === 'resolved' ? 'resolved' : p.severity} />}>
      <Line>
        <strong>
          <Link to={link.rule(p.rule_id)}>{clean(p.rule || p.rule_id, 120)}</Link>
        </strong>
        {p.cause && <Tag>{t('why.cause', 'the cause')}</Tag>}
      </Line>
      <Dim>
        <Data max={120}>{p.device}</Data> <Data max={300}>{p.reason}</Data> · <When at={p.since} />
        {p.rule_version && ` · ${t('why.version', 'version')} ${clean(p.rule_version, 16)}`}
      </Dim>
    </Item>
  );
}

function Told({ of: v }: { of: Delivery }) {
  return (
    <Item before={<Status of={v.ok ? 'ok' : 'critical'} />}>
      <div>
        <Data max={120}>{v.target}</Data>
      </div>
      <Dim>
        {v.ok ? (
          <>
            <Data max={20}>{v.state}</Data> {v.severity && <Data max={30}>{v.severity}</Data>} {t('told.accepted', 'accepted')} <When at={v.first_at} />
          </>
        ) : (
          <>
            <Data max={300}>{v.error}</Data> · {plural('told.attempts', v.attempts, '1 attempt,', '{{n}} attempts, the last')} <When at={v.at} />
          </>
        )}
      </Dim>
    </Item>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  lead: css({ margin: 0, fontSize: theme.typography.h5.fontSize, color: theme.colors.text.secondary }),
  link: css({ color: theme.colors.text.link }),
  beforeAfter: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: theme.spacing(2), marginTop: theme.spacing(1.5), padding: theme.spacing(1, 1.5), background: theme.colors.background.secondary, borderRadius: theme.shape.radius.default }),
});
