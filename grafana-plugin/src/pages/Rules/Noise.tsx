// Which rules make people hear the most, and what to do about each.
import { t } from '@grafana/i18n';
import { useAnswer } from '../../api/client';
import type { RuleNoise } from '../../api/schema';
import { Filters, Pick } from '../../components/Filters';
import { Link } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, When } from '../../components/Text';
import { oneOf } from '../../components/useFilters';
import { countServers, number, plural } from '../../format';
import { link } from '../../routes';

const sinces = ['1d', '7d', '30d', '90d'] as const;
const rate = (n: number) => (n > 0 && n < 0.01 ? '< 0.01' : n.toFixed(2));

/** What would make a rule quieter; by what is seen of it. */
export function advice(n: RuleNoise): string {
  if (n.messages === 0) {
    return t('noise.quiet', 'Nobody was told: leave it.');
  }
  if (n.notifications > 0 && n.over_within_5_minutes * 2 >= n.notifications) {
    return t('noise.brief', 'Most are over within 5 minutes: give it "for" (state) or "expires", or count them.');
  }
  if (n.servers > 0 && n.notifications >= 5 * n.servers) {
    return t('noise.few', 'Few servers, again and again: mend those, or use "flap" or "count".');
  }
  if (n.notifications >= 5 && n.acknowledged === 0) {
    return t('noise.ignored', 'Nobody ever acknowledged one: is it worth a message? Lower its severity or turn it off.');
  }
  return t('noise.fine', 'People act on it: leave it.');
}

const columns: Array<Column<RuleNoise>> = [
  { id: 'rule', name: () => t('rules.column.name', 'Rule'), cell: (n) => <Link to={link.rule(n.rule_id)}><Data max={80}>{n.rule_id}</Data></Link> },
  { id: 'rate', name: () => t('noise.rate', 'Per server and week'), number: true, cell: (n) => rate(n.messages_per_server_and_week) },
  { id: 'messages', name: () => t('noise.messages', 'Messages'), number: true, cell: (n) => number(n.messages) },
  { id: 'problems', name: () => t('noise.problems', 'Problems'), number: true, cell: (n) => number(n.notifications) },
  { id: 'servers', name: () => t('noise.servers', 'Servers'), number: true, cell: (n) => number(n.servers) },
  { id: 'brief', name: () => t('noise.over', 'Over within 5 min'), number: true, cell: (n) => number(n.over_within_5_minutes) },
  { id: 'acked', name: () => t('noise.acked', 'Acknowledged'), number: true, minor: true, cell: (n) => number(n.acknowledged) },
  { id: 'todo', name: () => t('noise.todo', 'What to do'), cell: (n) => advice(n) },
];

export function NoisePanel({ since, onSince }: { since?: string; onSince: (since: string | undefined) => void }) {
  const asked = oneOf(since, sinces) ?? '7d';
  const noise = useAnswer('/rules/noise', { since: asked });
  return (
    <div>
      <Filters>
        <Pick
          name={t('noise.since', 'In the last')}
          value={asked}
          onChange={(v) => onSince(v === '7d' ? undefined : v)}
          options={[['1d', t('noise.day', 'day')], ['7d', t('noise.week', 'week')], ['30d', t('noise.month', '30 days')], ['90d', t('noise.quarter', '90 days')]]}
        />
      </Filters>
      <Loaded of={noise}>
        {(n) => (
          <Panel
            title={t('noise.title', '{{rate}} messages per server and week', { rate: rate(n.messages_per_server_and_week) })}
            extra={<Dim>{plural('noise.messages', n.messages, '1 message', '{{n}} messages')}, {countServers(n.servers)}, {t('noise.since', 'counted since')} <When at={n.from} /></Dim>}
          >
            {n.items.length ? <Table label={t('noise.label', 'Rules by messages')} columns={columns} rows={n.items} id={(v) => v.rule_id} /> : <Empty title={t('noise.none', 'No rule made anybody hear anything.')} />}
          </Panel>
        )}
      </Loaded>
    </div>
  );
}
