import { t } from '@grafana/i18n';
import { Fragment, useState } from 'react';
import { useAnswer } from '../../api/client';
import type { Rule } from '../../api/schema';
import { Filters, Pick, Search } from '../../components/Filters';
import { Line } from '../../components/List';
import { Link } from '../../components/Links';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Dot, Status } from '../../components/Status';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, Tag, When } from '../../components/Text';
import { oneOf, useFilters } from '../../components/useFilters';
import { clean, number, plural } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { NoisePanel } from './Noise';
import { canSwitch, SwitchButton, whyOff, Why } from './Switch';
import { Tabs } from '../../components/Tabs';

const kinds = ['match', 'state', 'change', 'count', 'flap', 'sequence', 'absent', 'clone', 'risk', 'metric'] as const;
const severities = ['critical', 'warning', 'info'] as const;
const sources = ['file', 'store'] as const;
const sorts = ['name', 'kind', 'severity', 'where', 'fired', 'muted', 'failed', 'last'] as const;
type Sort = (typeof sorts)[number];
const most = 1000;

const by: Record<Sort, (r: Rule) => string | number> = {
  name: (r) => (r.name || r.id).toLowerCase(),
  kind: (r) => r.kind,
  severity: (r) => (severities as readonly string[]).indexOf(r.severity),
  where: (r) => `${r.source} ${r.file} ${String(r.line).padStart(6, '0')}`,
  fired: (r) => r.fired_30d,
  muted: (r) => r.muted_30d,
  failed: (r) => r.failed,
  last: (r) => r.last_fired_at ?? '',
};

/** In the order that the address says: "-fired" is the most first. */
export function sorted(rules: Rule[], order: string): Rule[] {
  const down = order.startsWith('-');
  const key = by[oneOf(order.replace(/^-/, ''), sorts) ?? 'name'];
  const compare = (a: Rule, b: Rule) => {
    const [x, y] = [key(a), key(b)];
    return (x < y ? -1 : x > y ? 1 : a.id < b.id ? -1 : 1) * (x !== y && down ? -1 : 1);
  };
  return [...rules].sort(compare);
}

/** Where a rule stands, in words. */
export function Where({ of: r }: { of: Rule }) {
  return r.source === 'store' ? (
    <>
      {t('rules.store', 'made here')}
      {r.version > 0 && <Dim> · {t('rules.version', 'version {{n}}', { n: r.version })}</Dim>}
    </>
  ) : (
    <bdi>{clean(`${r.file}:${r.line}`, 160).split('/').map((part, i) => <Fragment key={i}>{i > 0 && <>/<wbr /></>}{part}</Fragment>)}</bdi>
  );
}

/** Whether a rule is carried out, and why not. */
export function OnOff({ of: r }: { of: Rule }) {
  return (
    <Line>
      {r.enabled ? <Status of="on" /> : <Status of="off" title={whyOff(r)} />}
      {r.overrides && <Tag title={t('rules.overridesTitle', "The ruler's configuration changes it (rules.overrides)")}>{t('rules.overrides', 'overridden')}</Tag>}
      {r.warnings.length > 0 && <Tag title={r.warnings.map((w) => clean(w)).join(' · ')}>{t('rules.incomplete', 'names rules that are off')}</Tag>}
    </Line>
  );
}

const columns: Array<Column<Rule>> = [
  {
    id: 'name', name: () => t('rules.column.name', 'Rule'), sort: 'name', width: 220,
    cell: (r) => (
      <div>
        <Link to={link.rule(r.id)}>
          <Data max={80}>{r.name || r.id}</Data>
        </Link>
        <div>
          <Dim>
            <Data max={80}>{r.id}</Data>
          </Dim>
        </div>
      </div>
    ),
  },
  { id: 'kind', name: () => t('rules.column.kind', 'Kind'), sort: 'kind', cell: (r) => r.kind },
  { id: 'severity', name: () => t('rules.column.severity', 'Severity'), sort: 'severity', cell: (r) => r.severity && <Status of={r.severity} /> },
  { id: 'where', name: () => t('rules.column.where', 'Where it stands'), sort: 'where', minor: true, cell: (r) => <Where of={r} /> },
  { id: 'state', name: () => t('rules.column.state', 'State'), cell: (r) => (r.deleted ? whyOff(r) : <OnOff of={r} />) },
  { id: 'fired', name: () => t('rules.column.fired', 'Fired, 30 d'), sort: 'fired', number: true, cell: (r) => number(r.fired_30d) },
  { id: 'muted', name: () => t('rules.column.muted', 'Muted, 30 d'), sort: 'muted', number: true, minor: true, cell: (r) => number(r.muted_30d) },
  {
    id: 'failed', name: () => t('rules.column.failed', 'Not judged'), sort: 'failed', number: true, minor: true,
    cell: (r) => (r.failed > 0 ? <span title={clean(r.last_error, 600)}><Dot of="warning" /> {number(r.failed)}</span> : number(0)),
  },
  { id: 'last', name: () => t('rules.column.last', 'Fired last'), sort: 'last', cell: (r) => <When at={r.last_fired_at} /> },
];

export default function RulesPage() {
  const { Page } = useHost();
  const [q, set] = useFilters();
  const me = useAnswer('/me', {}, { every: 0 });
  const noise = q.tab === 'noise';
  return (
    <Page
      title={t('rules.title', 'Rules')}
      subtitle={t('rules.subtitle', 'Which records, changes and silences matter, and how much')}
      actions={me.data?.role === 'admin' && <Link to={link.ruleNew()}>{t('rules.new', 'Make a rule')}</Link>}
    >
      <Rows>
        <Tabs
          label={t('rules.views', 'Views')}
          value={noise ? 'noise' : 'list'}
          onChange={(v) => set({ tab: v === 'noise' ? 'noise' : undefined })}
          of={[
            ['list', t('rules.tab.list', 'All rules')],
            ['noise', t('rules.tab.noise', 'Noise')],
          ]}
        />
        {noise ? <NoisePanel since={q.since} onSince={(since) => set({ since })} /> : <ListOfRules q={q} set={set} />}
      </Rows>
    </Page>
  );
}

/** The same with a button beside the state. */
const switching = (ask: (r: Rule, button: HTMLElement) => void): Array<Column<Rule>> =>
  columns.map((c) => (c.id !== 'state' ? c : { ...c, cell: (r) => (canSwitch(r) ? <Line><OnOff of={r} /><SwitchButton of={r} onClick={(button) => ask(r, button)} /></Line> : c.cell(r)) }));

function ListOfRules({ q, set }: { q: Record<string, string>; set: (changes: Record<string, string | undefined>) => void }) {
  const me = useAnswer('/me', {}, { every: 0 });
  const [asked, setAsked] = useState<{ rule: Rule; button: HTMLElement }>();
  const [said, setSaid] = useState('');
  const close = (rule: Rule, text: string) => {
    setAsked(undefined);
    setSaid(text && `${clean(rule.name || rule.id, 80)}: ${text}`);
    asked?.button.focus();
  };
  const enabled = q.state === 'on' ? true : q.state === 'off' ? false : undefined;
  const deleted = q.state === 'deleted' ? true : undefined;
  const list = useAnswer('/rules', { search: q.search, kind: oneOf(q.kind, kinds), severity: oneOf(q.severity, severities), source: oneOf(q.source, sources), enabled, deleted, limit: most });
  const sort = sorts.some((s) => s === q.sort?.replace(/^-/, '')) ? q.sort : 'name';
  const narrowed = Boolean(q.search || q.kind || q.severity || q.source || q.state);
  const any: [string, string] = ['', t('filters.any', 'any')];
  const same = (words: readonly string[]) => [any, ...words.map((w): [string, string] => [w, w])];
  return (
    <div>
      <Filters>
        <Search value={q.search ?? ''} placeholder={t('rules.searchText', 'id, name, class or file')} onChange={(search) => set({ search })} />
        <Pick name={t('rules.column.kind', 'Kind')} value={q.kind ?? ''} onChange={(kind) => set({ kind })} options={same(kinds)} />
        <Pick name={t('rules.column.severity', 'Severity')} value={q.severity ?? ''} onChange={(severity) => set({ severity })} options={same(severities)} />
        <Pick
          name={t('rules.source', 'From')}
          value={q.source ?? ''}
          onChange={(source) => set({ source })}
          options={[any, ['file', t('rules.source.file', 'files')], ['store', t('rules.source.store', 'made here')]]}
        />
        <Pick
          name={t('rules.column.state', 'State')}
          value={q.state ?? ''}
          onChange={(state) => set({ state })}
          options={[any, ['on', t('status.on', 'on')], ['off', t('status.off', 'off')], ['deleted', t('rules.deleted', 'deleted')]]}
        />
      </Filters>
      <Loaded of={list}>
        {(l) => (
          <Panel
            title={plural('rules.count', l.total, '1 rule', '{{n}} rules')}
            extra={<Dim>{t('rules.generation', 'generation {{n}}, {{active}} carried out', { n: number(l.generation), active: number(l.active) })}</Dim>}
          >
            {asked && <Why key={asked.rule.id} of={asked.rule} heading close={(text) => close(asked.rule, text)} />}
            <div role="status">{said}</div>
            {l.items.length ? (
              <Table label={t('rules.title', 'Rules')} columns={me.data?.role === 'admin' ? switching((rule, button) => setAsked({ rule, button })) : columns} rows={sorted(l.items, sort)} id={(r) => r.id} status={(r) => (r.failed > 0 || r.warnings.length > 0 ? 'warning' : undefined)} sort={sort} onSort={(v) => set({ sort: v })} />
            ) : (
              <Empty icon={narrowed ? 'search' : 'rocket'} title={narrowed ? t('rules.none', 'No rule matches.') : t('rules.empty', 'There are no rules: nothing is noticed.')}>
                {narrowed ? <Link to={link.rules()}>{t('rules.all', 'Show all')}</Link> : t('rules.emptyHint', "Write rules.builtin: true into the ruler's configuration, or make one here.")}
              </Empty>
            )}
            {l.total > l.items.length && <p>{t('rules.more', 'The first {{n}} are shown; narrow the list to see the others.', { n: number(l.items.length) })}</p>}
          </Panel>
        )}
      </Loaded>
    </div>
  );
}
