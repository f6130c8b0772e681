import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Checkbox, RadioButtonGroup, useStyles2 } from '@grafana/ui';
import { useState } from 'react';
import { useAnswer } from '../../api/client';
import type { Notification } from '../../api/schema';
import { Filters, Pick, Search } from '../../components/Filters';
import { NotificationItem } from '../../components/items';
import { List } from '../../components/List';
import { Link } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Pager } from '../../components/Table';
import { oneOf, useFilters } from '../../components/useFilters';
import { plural } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { worse } from '../../status';
import { BulkDeeds } from './BulkDeeds';

const limit = 50;
const states = ['firing', 'resolved', 'all'] as const;
const severities = ['critical', 'warning', 'info'] as const;

export default function NotificationsPage() {
  const { Page } = useHost();
  const [q, set] = useFilters();
  const [picked, setPicked] = useState<Record<string, Notification>>({});
  const state = oneOf(q.state, states) ?? 'firing';
  const offset = Number(q.offset) || 0;
  const list = useAnswer('/notifications', {
    state: state === 'all' ? undefined : state,
    severity: oneOf(q.severity, severities),
    site: q.site,
    server: q.server,
    search: q.search,
    acked: q.acked === 'true' ? true : q.acked === 'false' ? false : undefined,
    muted: q.muted === 'true' ? undefined : false,
    assignee: q.assignee,
    rule: q.rule,
    offset,
    limit,
  });
  const narrowed = ['severity', 'site', 'server', 'search', 'acked', 'assignee', 'rule'].some((k) => q[k]);
  return (
    <Page
      title={t('notifications.title', 'Notifications')}
      actions={
        <RadioButtonGroup
          options={[
            { value: 'firing' as const, label: t('notifications.firing', 'Open') },
            { value: 'resolved' as const, label: t('notifications.resolved', 'Resolved') },
            { value: 'all' as const, label: t('notifications.all', 'All') },
          ]}
          value={state}
          onChange={(v) => set({ state: v === 'firing' ? undefined : v })}
        />
      }
    >
      <Filters>
        <Search value={q.search ?? ''} placeholder={t('notifications.searchText', 'title, server, device …')} onChange={(search) => set({ search })} />
        <Pick name={t('notifications.severity', 'Severity')} value={q.severity ?? ''} onChange={(severity) => set({ severity })} options={[['', t('filters.any', 'any')], ...severities.map((s): [string, string] => [s, s])]} />
        <Pick
          name={t('notifications.acked', 'Acknowledged')}
          value={q.acked ?? ''}
          onChange={(acked) => set({ acked })}
          options={[
            ['', t('filters.any', 'any')],
            ['false', t('word.no', 'no')],
            ['true', t('word.yes', 'yes')],
          ]}
        />
        <Pick
          name={t('notifications.muted', 'Nobody is told')}
          value={q.muted ?? ''}
          onChange={(muted) => set({ muted })}
          options={[
            ['', t('notifications.hide', 'hide them')],
            ['true', t('notifications.show', 'show them too')],
          ]}
        />
        {(q.server || q.site || q.rule || q.assignee) && <Link to={link.notifications({ state: q.state })}>{t('notifications.everything', 'Show those of all servers')}</Link>}
      </Filters>
      <Loaded of={list}>
        {(l) => {
          const items = state === 'firing' ? [...l.items].sort((a, b) => worse(a.severity, b.severity)) : l.items;
          const chosen = Object.values(picked).filter((n) => items.some((i) => i.id === n.id));
          return (
            <Panel
              title={plural('notifications.count', l.total, '1 notification', '{{n}} notifications')}
              extra={<BulkDeeds of={items.filter((i) => chosen.some((c) => c.id === i.id))} done={() => setPicked({})} />}
            >
              {items.length ? (
                <List label={t('notifications.title', 'Notifications')}>
                  {items.map((n) => (
                    <NotificationItem
                      key={n.id}
                      of={n}
                      before={
                        <Picker
                          name={n.title}
                          on={Boolean(picked[n.id])}
                          set={(on) => setPicked((p) => (on ? { ...p, [n.id]: n } : Object.fromEntries(Object.entries(p).filter(([id]) => id !== n.id))))}
                        />
                      }
                    />
                  ))}
                </List>
              ) : narrowed ? (
                <Empty icon="search" title={t('notifications.noMatch', 'None matches.')}>
                  <Link to={link.notifications()}>{t('notifications.showOpen', 'Show all that is open')}</Link>
                </Empty>
              ) : (
                <Empty title={state === 'firing' ? t('notifications.calm', 'Nothing is open.') : t('notifications.none', 'There are none.')}>{state === 'firing' && t('notifications.quiet', 'It is quiet.')}</Empty>
              )}
              <Pager total={l.total} limit={limit} offset={offset} go={(o) => set({ offset: o })} />
            </Panel>
          );
        }}
      </Loaded>
    </Page>
  );
}

function Picker({ name, on, set }: { name: string; on: boolean; set: (on: boolean) => void }) {
  const s = useStyles2((_: GrafanaTheme2) => css({ '& input': { margin: 0 } }));
  return (
    <span className={s}>
      <Checkbox value={on} aria-label={`${t('notifications.pick', 'Select')} ${name.slice(0, 80)}`} onChange={(e) => set(e.currentTarget.checked)} />
    </span>
  );
}
