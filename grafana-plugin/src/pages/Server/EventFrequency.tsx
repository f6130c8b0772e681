// How often a server's logs said something, by the day.
import { t } from '@grafana/i18n';
import { useState } from 'react';
import { useNavigate } from 'react-router-dom';
import { now, useAnswer } from '../../api/client';
import { Pick } from '../../components/Filters';
import { Link } from '../../components/Links';
import { Line } from '../../components/List';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { useHost } from '../../host';
import { link } from '../../routes';
import { EventBars } from '../Events/Counts';
import { day } from '../Events/events';

const days = 30;

/** Of the days before a time, or before now. Where nobody keeps events there is nothing to show. */
export function EventFrequency({ server, at }: { server: string; at?: string }) {
  const { base } = useHost();
  const go = useNavigate();
  const [by, setBy] = useState<'level' | 'provider'>('level');
  const end = at ? Date.parse(at) : now();
  const since = new Date(Math.floor(end / day) * day - (days - 1) * day).toISOString();
  const counts = useAnswer('/event-counts', { server, since, before: at, by, step: 'day', top: 8 }, { every: at ? 0 : 300_000 });
  if (counts.error?.code === 'no_logs') {
    return null;
  }
  const all = at ? { server, since, before: at } : { server, range: '30d' };
  return (
    <Panel
      title={t('server.events', 'Events of the last 30 days')}
      extra={
        <Line>
          <Pick name={t('events.by', 'Counted by')} value={by} onChange={(v) => setBy(v === 'provider' ? v : 'level')} options={[['level', t('events.by.level', 'level')], ['provider', t('events.by.provider', 'provider')]]} />
          <Link to={link.events(all)}>{t('server.allEvents', 'All of them')}</Link>
        </Line>
      }
    >
      <Loaded of={counts}>
        {(c) =>
          c.total.some((n) => n > 0) ? (
            <EventBars of={c} by={by} height={110} narrow={(only) => go(base + link.events({ ...all, ...only }))} />
          ) : (
            <Empty title={t('server.noEvents', 'Its logs said nothing.')}>{t('server.noEventsText', 'Which logs are read is in the configuration of its exporter.')}</Empty>
          )
        }
      </Loaded>
    </Panel>
  );
}
