// What people did with it, and what this one may do.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Button, Input, Stack, useStyles2 } from '@grafana/ui';
import { useState } from 'react';
import { told, useAnswer, useChange } from '../../api/client';
import type { Deed, DeedRequest, NotificationDetail } from '../../api/schema';
import { Pick } from '../../components/Filters';
import { Item, List } from '../../components/List';
import { Panel } from '../../components/Panel';
import { Data, Dim, When } from '../../components/Text';
import { useUnsaved } from '../../components/useUnsaved';

const spans: Array<[string, () => string]> = [
  ['3600', () => t('silence.hour', 'an hour')],
  ['28800', () => t('silence.eight', '8 hours')],
  ['86400', () => t('silence.day', 'a day')],
  ['604800', () => t('silence.week', 'a week')],
];

export function Deeds({ of: d }: { of: NotificationDetail }) {
  const s = useStyles2(styles);
  const n = d.notification;
  const w = n.work;
  const me = useAnswer('/me', {}, { every: 0 });
  const [said, setSaid] = useState('');
  const [text, setText] = useState('');
  const [why, setWhy] = useState('');
  const [seconds, setSeconds] = useState('28800');
  useUnsaved(() => text.trim() !== '' || why.trim() !== '');
  const may = me.data !== undefined && me.data.role !== 'viewer';
  const deeds = {
    acknowledge: useChange('POST', '/notifications/{id}/acknowledge'),
    unacknowledge: useChange('POST', '/notifications/{id}/unacknowledge'),
    comment: useChange('POST', '/notifications/{id}/comment'),
    assign: useChange('POST', '/notifications/{id}/assign'),
    silence: useChange('POST', '/notifications/{id}/silence'),
    unsilence: useChange('POST', '/notifications/{id}/unsilence'),
  };
  const busy = Object.values(deeds).some((x) => x.isPending);
  const act = async (deed: keyof typeof deeds, body: DeedRequest, done: string) => {
    try {
      await deeds[deed].mutateAsync({ params: { id: n.id }, body: { revision: w.revision, ...body } });
      if (deed === 'silence') {
        setWhy('');
      } else if (deed === 'comment') {
        setText('');
      }
      setSaid(done);
    } catch (e) {
      setSaid(told(e));
    }
  };
  return (
    <Panel title={t('deeds.title', 'What people do with it')}>
      <p className={s.line}>
        {w.acked_by ? (
          <>
            {t('deeds.acked', 'Acknowledged by')} <Data max={80}>{w.acked_by}</Data> <When at={w.acked_at} />
          </>
        ) : (
          t('deeds.unacked', 'Not acknowledged')
        )}
        {w.assignee && (
          <>
            , {t('deeds.assigned', 'assigned to')} <Data max={80}>{w.assignee}</Data>
          </>
        )}
        .
      </p>
      {may && (
        <Stack wrap="wrap" alignItems="flex-end" gap={1}>
          {n.state === 'firing' &&
            (w.acked_by ? (
              <Button variant="secondary" disabled={busy} onClick={() => void act('unacknowledge', {}, t('deeds.taken', 'Taken back.'))}>
                {t('deed.unacknowledge', 'Take back')}
              </Button>
            ) : (
              <Button disabled={busy} icon="check" onClick={() => void act('acknowledge', {}, t('deeds.ackDone', 'Acknowledged: nobody is told again until it is over or gets worse.'))}>
                {t('deed.acknowledge', 'Acknowledge')}
              </Button>
            ))}
          {w.assignee !== me.data?.name && (
            <Button variant="secondary" disabled={busy} icon="user" onClick={() => void act('assign', { assignee: me.data?.name }, t('deeds.assignDone', 'Assigned to you.'))}>
              {t('deed.take', 'I take it')}
            </Button>
          )}
          {n.state === 'firing' && n.silenced_until && (
            <Button variant="secondary" disabled={busy} onClick={() => void act('unsilence', {}, t('deeds.unsilenced', 'No longer silenced.'))}>
              {t('deed.unsilence', 'End silence')}
            </Button>
          )}
        </Stack>
      )}
      {may && n.state === 'firing' && !n.silenced_until && (
        <form
          className={s.silence}
          onSubmit={(e) => {
            e.preventDefault();
            void act('silence', { duration_seconds: Number(seconds), text: why.trim() }, t('deeds.silenceDone', 'Silenced.'));
          }}
        >
          <Pick name={t('deed.silenceFor', 'Silence for')} value={seconds} onChange={setSeconds} options={spans.map(([v, name]) => [v, name()])} />
          <Input value={why} aria-label={t('deed.why', 'Why it is silenced')} placeholder={t('deed.whyText', 'Why? People read it while it is quiet')} maxLength={500} onChange={(e) => setWhy(e.currentTarget.value)} />
          <Button type="submit" variant="secondary" disabled={busy} icon="bell-slash">
            {t('deed.silence', 'Silence')}
          </Button>
        </form>
      )}
      {may && (
        <form
          className={s.comment}
          onSubmit={(e) => {
            e.preventDefault();
            if (text.trim()) {
              void act('comment', { text: text.trim() }, t('deeds.noted', 'Noted.'));
            }
          }}
        >
          <Input value={text} aria-label={t('deed.comment', 'Comment')} placeholder={t('deed.commentText', 'Comment: what you found, what you did')} maxLength={1000} onChange={(e) => setText(e.currentTarget.value)} />
          <Button type="submit" variant="secondary" disabled={busy || !text.trim()}>
            {t('deed.add', 'Add')}
          </Button>
        </form>
      )}
      <p role="status" className={s.said}>
        {said}
      </p>
      {d.deeds.length > 0 && (
        <List label={t('deeds.title', 'What people do with it')}>
          {d.deeds.map((x, i) => (
            <Done key={i} of={x} />
          ))}
        </List>
      )}
    </Panel>
  );
}

const verbs: Record<string, () => string> = {
  acknowledge: () => t('did.acknowledge', 'acknowledged it'),
  unacknowledge: () => t('did.unacknowledge', 'took the acknowledgement back'),
  comment: () => t('did.comment', 'wrote'),
  assign: () => t('did.assign', 'assigned it'),
  silence: () => t('did.silence', 'silenced it'),
  unsilence: () => t('did.unsilence', 'ended the silence'),
};

function Done({ of: x }: { of: Deed }) {
  return (
    <Item before={<Dim><When at={x.at} /></Dim>}>
      <strong>
        <Data max={80}>{x.by}</Data>
      </strong>{' '}
      {verbs[x.kind]?.() ?? x.kind} <Data max={1000}>{x.text}</Data>
    </Item>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  line: css({ margin: theme.spacing(0, 0, 1) }),
  comment: css({ display: 'flex', gap: theme.spacing(1), marginTop: theme.spacing(1.5), maxWidth: 640 }),
  silence: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-end', gap: theme.spacing(1), marginTop: theme.spacing(1.5), maxWidth: 640, '& > div': { flex: '1 1 200px', width: 'auto' } }),
  said: css({ margin: theme.spacing(0.5, 0), minHeight: '1.2em', color: theme.colors.text.secondary }),
});
