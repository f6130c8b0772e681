// What the servers' logs said: how often, drawn over time, and what; and which kinds of events the fleet saw first lately.
import { t } from '@grafana/i18n';
import { RadioButtonGroup } from '@grafana/ui';
import { now, useAnswer } from '../../api/client';
import type { LogEvent } from '../../api/schema';
import { EventItem } from '../../components/items';
import { LogsLink } from '../../components/Links';
import { List } from '../../components/List';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Dim } from '../../components/Text';
import { useFilters } from '../../components/useFilters';
import { moment } from '../../format';
import { useHost } from '../../host';
import { Counts } from './Counts';
import { EventFilters } from './EventFilters';
import { filterOf, filters, logsQL, spanOf } from './events';
import { FirstSeen } from './FirstSeen';
import { NoLog } from './NoLog';
import { Older } from './Older';

const limit = 50;

export default function EventsPage() {
  const { Page } = useHost();
  const [q, set] = useFilters();
  const first = q.tab === 'first';
  return (
    <Page
      title={t('events.title', 'Events')}
      subtitle={t('events.subtitle', 'What the logs of the servers said')}
      actions={
        <RadioButtonGroup
          options={[
            { value: false, label: t('events.history', 'History') },
            { value: true, label: t('events.first', 'First seen') },
          ]}
          value={first}
          onChange={(v) => set({ tab: v ? 'first' : undefined })}
        />
      }
    >
      <EventFilters q={q} set={(changes) => set({ ...changes, older: undefined, older_id: undefined })} timeless={first} />
      {first ? <FirstSeen q={q} set={set} /> : <History q={q} set={set} />}
    </Page>
  );
}

interface Props {
  q: Record<string, string>;
  set: (changes: Record<string, string | undefined>) => void;
}

function History({ q, set }: Props) {
  const span = spanOf(q, now());
  const older = Boolean(q.older);
  const list = useAnswer('/events', { ...filterOf(q), since: span.since, before: q.older ?? span.before, before_id: q.older_id, limit }, { every: older || span.before ? 0 : undefined });
  const logs = logsQL(q);
  if (list.error?.code === 'no_logs') {
    return <NoLog of={list.error} />;
  }
  return (
    <Rows>
      <Counts q={q} span={span} narrow={(changes) => set({ ...changes, older: undefined, older_id: undefined })} />
      <Panel title={older ? t('events.older', 'Older events') : t('events.newest', 'The newest first')} extra={logs && <LogsLink query={logs} from={Date.parse(span.since)} to={span.before ? Date.parse(span.before) : now()} />}>
        <Loaded of={list}>
          {(l) => (
            <>
              {l.items.length ? <Events of={l.items} /> : <Nothing q={q} kept={l.since} />}
              {!l.complete && l.items.length > 0 && l.since && !l.next_before && (
                <p>
                  <Dim>{t('events.oldest', 'Nothing older is kept: the log store begins at {{at}}.', { at: moment(l.since) })}</Dim>
                </p>
              )}
              <Older older={older} next={l.next_before} newest={() => set({ older: undefined, older_id: undefined })} go={() => set({ older: l.next_before ?? undefined, older_id: l.next_before_id })} />
            </>
          )}
        </Loaded>
      </Panel>
    </Rows>
  );
}

function Events({ of }: { of: LogEvent[] }) {
  return (
    <List label={t('events.title', 'Events')}>
      {of.map((e) => (
        <EventItem key={e.record_id} of={e} />
      ))}
    </List>
  );
}

function Nothing({ q, kept }: { q: Record<string, string>; kept: string | null }) {
  if (!kept) {
    return <Empty icon="hourglass" title={t('events.none', 'The log store has no events yet.')}>{t('events.noneText', 'They appear a few seconds after a server has written one that its exporter reads.')}</Empty>;
  }
  const narrowed = filters.some((f) => q[f]);
  return <Empty icon="search" title={t('events.noMatch', 'None in this time.')}>{narrowed ? t('events.noMatchText', 'Take a longer time, or fewer filters.') : t('events.quiet', 'Take a longer time.')}</Empty>;
}
