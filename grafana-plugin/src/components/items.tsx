// Rows that more than one page shows.
import { t } from '@grafana/i18n';
import type { Change, LogEvent, Notification, SilentServer } from '../api/schema';
import { clean, plural } from '../format';
import { link } from '../routes';
import { Item, Line } from './List';
import { Link, ServerLink } from './Links';
import { Dot, Status } from './Status';
import { Data, Dim, Simulated, Tag, When } from './Text';

/** A notification in two lines: what, then where, since when and who takes care. */
export function NotificationItem({ of: n, before }: { of: Notification; before?: React.ReactNode }) {
  const over = n.state === 'resolved';
  return (
    <Item before={before} after={<Status of={over ? 'resolved' : n.severity} />}>
      <Line>
        <Link to={link.notification(n.id)}>
          <Data max={160}>{n.title}</Data>
        </Link>
      </Line>
      <Line>
        <ServerLink id={n.server_id} name={n.server} />
        {n.site && (
          <Dim>
            <Data max={40}>{n.site}</Data>
          </Dim>
        )}
        <Simulated yes={n.simulated} />
        <Dim>
          {over ? t('notification.ended', 'ended') : t('notification.began', 'began')} <When at={over ? n.resolved_at : n.opened_at} />
        </Dim>
        {n.work.acked_by && (
          <Tag>
            {t('notification.acked', 'acknowledged by')} <Data max={40}>{n.work.acked_by}</Data>
          </Tag>
        )}
        {n.work.assignee && (
          <Tag>
            {t('notification.assigned', 'taken by')} <Data max={40}>{n.work.assignee}</Data>
          </Tag>
        )}
        {n.silenced_until && <Tag title={n.silence_reason}>{t('notification.silenced', 'silenced')}</Tag>}
        {n.muted && <Tag title={n.muted}>{t('notification.muted', 'nobody is told')}</Tag>}
        {n.work.comments > 0 && <Dim>{plural('notification.comments', n.work.comments, '1 comment', '{{n}} comments')}</Dim>}
      </Line>
    </Item>
  );
}

/** A change in a sentence, with whose it is unless that is known. */
export function ChangeItem({ of: c, server }: { of: Change; server?: boolean }) {
  return (
    <Item>
      <div>
        <Data max={300}>{c.text}</Data>
      </div>
      <Line>
        {server && <ServerLink id={c.server_id} name={c.server} />}
        {server && <Simulated yes={c.simulated} />}
        <Dim>
          <When at={c.at} />
        </Dim>
        {c.muted && <Planned of={c} />}
      </Line>
    </Item>
  );
}

/** A change of which nobody was told, for it was planned: by whom and why; of old ones only the ruler's sentence is kept. */
function Planned({ of: { plan_id: plan, plan_who: who, plan_why: why, muted } }: { of: Change }) {
  return (
    <>
      <Tag title={clean(muted, 400)}>{t('change.planned', 'planned')}</Tag>
      <Dim>{plan ? <Link quiet to={link.work(plan)}><Data max={120}>{[who, why].filter(Boolean).join(', ')}</Data></Link> : <Data max={160}>{muted}</Data>}</Dim>
    </>
  );
}

/** An event: how bad, from whom, what it says; server: false where it is known whose it is. */
export function EventItem({ of: e, server = true }: { of: LogEvent; server?: boolean }) {
  return (
    <Item after={e.level && <Status of={clean(e.level, 16)} />}>
      <Line>
        <Link to={link.event(e.record_id)}>
          <Data max={80}>{`${e.provider || e.name} ${e.event_id ?? ''}`.trim()}</Data>
        </Link>
        {e.truncated && <Tag title={t('event.truncatedText', 'It was too long for the log store, which has a part')}>{t('event.truncated', 'cut')}</Tag>}
      </Line>
      <div>
        <Data max={240}>{e.message}</Data>
      </div>
      <Line>
        {server && <ServerLink id={e.server_id} name={e.server} />}
        {server && <Simulated yes={e.simulated} />}
        {e.channel && (
          <Dim>
            <Data max={40}>{e.channel}</Data>
          </Dim>
        )}
        <Dim>
          <When at={e.at} />
        </Dim>
      </Line>
    </Item>
  );
}

export function SilentItem({ of: s }: { of: SilentServer }) {
  return (
    <Item
      before={<Dot of={s.planned ? 'planned' : 'silent'} />}
      after={s.notification_id && <Link to={link.notification(s.notification_id)}>{t('silent.why', 'why')}</Link>}
    >
      <Line>
        <ServerLink id={s.server.id} name={s.server.name} />
        <Simulated yes={s.server.simulated} />
      </Line>
      <Line>
        <Dim>
          {s.planned ? t('silent.planned', 'said goodbye') : t('silent.heard', 'last heard')} <When at={s.planned ? s.since : s.server.last_seen} />
        </Dim>
        {s.server.site && (
          <Dim>
            <Data max={40}>{s.server.rack ? `${s.server.site} / ${s.server.rack}` : s.server.site}</Data>
          </Dim>
        )}
      </Line>
    </Item>
  );
}
