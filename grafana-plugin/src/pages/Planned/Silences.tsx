// What is silenced now, or will be: nobody is told of it, whatever becomes of it. Acknowledgements stand with their notifications.
import { t } from '@grafana/i18n';
import { Button } from '@grafana/ui';
import { useState } from 'react';
import { told, useAnswer, useChange } from '../../api/client';
import type { Silence } from '../../api/schema';
import { Item, Line, List } from '../../components/List';
import { Link } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Loaded } from '../../components/States';
import { Data, Dim, Tag, When } from '../../components/Text';
import { clean } from '../../format';
import { link } from '../../routes';

const most = 200; // of each kind

export function Silences({ may }: { may: boolean }) {
  const silences = useAnswer('/silences', { kind: 'silence', limit: most });
  const work = useAnswer('/silences', { kind: 'maintenance', limit: most });
  const [said, setSaid] = useState('');
  return (
    <Loaded of={silences}>
      {(a) => (
        <Loaded of={work}>
          {(b) => {
            const items = [...a.items, ...b.items].sort((x, y) => (y.created_at ?? '').localeCompare(x.created_at ?? ''));
            return (
              (items.length > 0 || said !== '') && (
                <Panel title={t('silences.title', 'Silenced')} extra={<Dim>{t('silences.text', 'nobody is told of it, not even of a failing drive')}</Dim>}>
                  <List label={t('silences.title', 'Silenced')}>
                    {items.map((v) => (
                      <One key={v.id} of={v} may={may} say={setSaid} />
                    ))}
                  </List>
                  {Math.max(a.items.length, b.items.length) >= most && <Dim>{t('silences.cut', 'There may be more: the newest {{n}} of each kind are shown.', { n: most })}</Dim>}
                  <div role="status">{said}</div>
                </Panel>
              )
            );
          }}
        </Loaded>
      )}
    </Loaded>
  );
}

function One({ of: v, may, say }: { of: Silence; may: boolean; say: (said: string) => void }) {
  const lift = useChange('DELETE', '/silences/{id}');
  const end = () =>
    lift.mutateAsync({ params: { id: v.id } }).then(
      () => say(t('silences.ended', 'It is ended: people are told again.')),
      (e: unknown) => say(told(e))
    );
  const wrong = v.targets.find((target) => !target.ok);
  return (
    <Item
      after={
        may && (
          <Button size="sm" variant="secondary" disabled={lift.isPending} aria-label={`${t('deed.unsilence', 'End silence')}: ${clean(v.reason, 80)}`} onClick={() => void end()}>
            {t('deed.unsilence', 'End silence')}
          </Button>
        )
      }
    >
      <Line>
        <Data max={300}>{v.reason}</Data>
        {v.state === 'pending' && <Tag>{t('silences.pending', 'begins later')}</Tag>}
        {wrong && <Tag title={clean(wrong.error, 300)}>{t('silences.wrong', 'not yet at every Alertmanager')}</Tag>}
      </Line>
      <Line>
        <Dim>
          <Data max={80}>{v.by}</Data> · {v.state === 'pending' ? <>{t('silences.begins', 'begins')} <When at={v.starts_at} /> · </> : null}
          {t('silences.ends', 'ends')} <When at={v.ends_at} />
        </Dim>
        {v.notification_id ? <Link to={link.notification(v.notification_id)}>{t('silences.of', 'the notification')}</Link> : <Dim><Data max={300}>{v.matchers.map((m) => `${m.name} ${m.op} ${m.value}`).join(', ')}</Data></Dim>}
      </Line>
    </Item>
  );
}
