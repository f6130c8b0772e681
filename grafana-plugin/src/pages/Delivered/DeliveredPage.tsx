// What the demo receiver got: the messages that a person would have got.
import { t } from '@grafana/i18n';
import { useAnswer } from '../../api/client';
import type { Message } from '../../api/schema';
import { Item, Line, List } from '../../components/List';
import { Link, ServerLink } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Data, Dim, Simulated, When } from '../../components/Text';
import { plural } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';

export default function DeliveredPage() {
  const { Page } = useHost();
  const list = useAnswer('/delivered', { limit: 100 }, { every: 3000 });
  return (
    <Page title={t('delivered.title', 'Delivered messages')} subtitle={t('delivered.subtitle', 'What Alertmanager sent to the receiver on this machine: the messages that a person would get. Nobody else is told of simulated servers.')}>
      <Loaded of={list}>
        {(l) => (
          <Panel title={plural('delivered.count', l.total, '1 message', '{{n}} messages')}>
            {l.items.length ? (
              <List>
                {l.items.map((m) => (
                  <MessageItem key={String(m.at) + m.title} of={m} />
                ))}
              </List>
            ) : (
              <Empty icon="hourglass" title={t('delivered.none', 'No message yet.')}>{t('delivered.noneText', 'Break something on a simulated server: a message comes within seconds, and another when it is well again.')}</Empty>
            )}
          </Panel>
        )}
      </Loaded>
    </Page>
  );
}

function MessageItem({ of: m }: { of: Message }) {
  return (
    <Item before={<Dim><When at={m.at} /></Dim>} after={<Status of={m.status === 'resolved' ? 'resolved' : (m.alerts[0]?.severity ?? 'firing')} />}>
      {m.alerts.map((a, i) => {
        const said = a.annotations.find((f) => f.name === 'description')?.value;
        return (
          <div key={i}>
            <Line>
              {a.notification_id ? (
                <Link to={link.notification(a.notification_id)}>
                  <Data max={200}>{a.summary}</Data>
                </Link>
              ) : (
                <Data max={200}>{a.summary}</Data>
              )}
              <Simulated yes={a.simulated} />
            </Line>
            <Line>
              {a.server_id ? <ServerLink id={a.server_id} name={a.server} /> : <Data max={80}>{a.server}</Data>}
              <Dim>
                <Data max={80}>{a.device}</Data>
              </Dim>
            </Line>
            {said && <Data max={300}>{said}</Data>}
          </div>
        );
      })}
    </Item>
  );
}
