// One rule: what it means, what it said, its text and its versions.
import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { Alert, Button, Input, Stack } from '@grafana/ui';
import { useState } from 'react';
import { useNavigate, useParams } from 'react-router-dom';
import { told, useAnswer, useChange } from '../../api/client';
import type { MetricHealth, RuleDetail, VerdictCount } from '../../api/schema';
import { Facts } from '../../components/Facts';
import { NotificationItem } from '../../components/items';
import { List } from '../../components/List';
import { Link } from '../../components/Links';
import { Columns, Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, When } from '../../components/Text';
import { clean, number, plain, plural, sentence, span } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { Code } from '../../components/Code';
import { OnOff, Where } from './RulesPage';
import { Switch, whyOff } from './Switch';
import { Versions } from './Versions';

export default function RulePage() {
  const { Page } = useHost();
  const { id = '' } = useParams();
  const rule = useAnswer('/rules/{id}', { id });
  const me = useAnswer('/me', {}, { every: 0 });
  const admin = me.data?.role === 'admin';
  const gone = rule.error?.status === 404;
  const r = rule.data?.rule;
  return (
    <Page
      title={clean((!gone && r?.name) || id, 80)}
      subtitle={<Link to={link.rules()}>{t('rule.all', 'All rules')}</Link>}
      actions={
        admin && !gone && r && r.kind !== 'metric' && (r.source === 'store' ? <Link to={link.ruleEdit(id)}>{t('rule.edit', 'Edit and try')}</Link> : <Link to={link.ruleNew({ copy: id })}>{t('rule.copy', 'Copy into the store')}</Link>)
      }
    >
      {gone ? <Gone id={id} admin={admin} /> : <Loaded of={rule}>{(d) => <Shown of={d} admin={admin} />}</Loaded>}
    </Page>
  );
}

/** A rule that is not there: never was, or was deleted and can come back. */
function Gone({ id, admin }: { id: string; admin: boolean }) {
  const versions = useAnswer('/rules/{id}/versions', { id });
  if (versions.error?.status === 404) {
    return (
      <Empty icon="search" title={t('rule.unknown', 'No such rule.')}>
        <Link to={link.rules()}>{t('rule.all', 'All rules')}</Link>
      </Empty>
    );
  }
  return (
    <Loaded of={versions}>
      {(v) => (
        <Rows>
          <Alert severity="info" title={t('rule.deleted', 'This rule was deleted.')}>
            {t('rule.deletedHint', 'Its versions are kept. Restore one, and it is carried out again.')}
          </Alert>
          <Versions id={id} of={v.items} admin={admin} />
        </Rows>
      )}
    </Loaded>
  );
}

const effects: Record<string, () => string> = {
  opened: () => t('effect.opened', 'found a new problem'),
  joined: () => t('effect.joined', 'joined one that was open'),
  escalated: () => t('effect.escalated', 'made one worse'),
  repeated: () => t('effect.repeated', 'said again what was known'),
  eased: () => t('effect.eased', 'was over, while others went on'),
  closed: () => t('effect.closed', 'ended one'),
  noted: () => t('effect.noted', 'noted beside one'),
  muted: () => t('effect.muted', 'kept quiet, for a stated reason'),
  ignored: () => t('effect.ignored', 'changed nothing'),
};
const verdicts: Array<Column<VerdictCount>> = [
  { id: 'effect', name: () => t('rule.column.effect', 'What it did'), cell: (v) => effects[v.effect]?.() ?? v.effect },
  { id: 'count', name: () => t('rule.column.count', 'How often'), number: true, cell: (v) => number(v.count) },
  { id: 'last', name: () => t('rule.column.last', 'Last'), cell: (v) => <When at={v.last_at} /> },
];
const health: Array<Column<MetricHealth>> = [
  { id: 'group', name: () => t('rule.column.group', 'Group'), cell: (h) => <Data max={80}>{h.group}</Data> },
  { id: 'state', name: () => t('rules.column.state', 'State'), cell: (h) => (h.error ? <Status of="warning" /> : h.evaluated_at ? <Status of="ok" /> : <Status of="waiting" />) },
  { id: 'at', name: () => t('rule.column.evaluated', 'Evaluated'), cell: (h) => <When at={h.evaluated_at} /> },
  { id: 'took', name: () => t('rule.column.took', 'Took'), number: true, cell: (h) => t('rule.ms', '{{n}} ms', { n: (h.duration_seconds * 1000).toFixed(h.duration_seconds < 0.01 ? 1 : 0) }) },
  { id: 'every', name: () => t('rule.column.every', 'Every'), number: true, cell: (h) => h.interval_seconds > 0 && span(h.interval_seconds) },
  { id: 'alerts', name: () => t('rule.column.alerts', 'Series that answer'), number: true, cell: (h) => number(h.alerts) },
  { id: 'error', name: () => t('rule.column.error', 'Error'), cell: (h) => h.error && <Data max={400}>{h.error}</Data> },
];

function Shown({ of: d, admin }: { of: RuleDetail; admin: boolean }) {
  const r = d.rule;
  return (
    <Rows>
      {!r.enabled && <Alert severity="warning" title={t('rule.notCarried', 'It is not carried out. {{why}}', { why: whyOff(r), ...plain })} />}
      {r.warnings.map((w) => (
        <Alert key={w} severity="warning" title={sentence(w)} />
      ))}
      <Columns wide={420}>
        <Panel title={t('rule.means', 'What it does')} extra={<OnOff of={r} />}>
          <Explained text={d.explain} />
          <Facts
            of={[
              [t('rule.id', 'Id'), <Data key="i" max={80}>{r.id}</Data>],
              [t('rules.column.kind', 'Kind'), r.kind],
              [t('rule.class', 'Problem class'), r.class && <Data max={80}>{r.class}</Data>],
              [t('rules.column.severity', 'Severity'), r.severity && <Status of={r.severity} />],
              [t('rules.column.where', 'Where it stands'), <Where key="w" of={r} />],
              [t('rule.since', 'As it is since'), d.since_generation > 0 && t('rule.generation', 'generation {{n}}', { n: number(d.since_generation) })],
              [t('rule.author', 'Changed by'), r.author && <><Data max={80}>{r.author}</Data> <When at={r.changed_at} /></>],
            ]}
          />
          <div className={css({ marginTop: 16 })}>
            <Switch of={r} />
          </div>
        </Panel>
        <Panel title={t('rule.said', 'What it said')}>
          {d.verdicts.length ? <Table label={t('rule.said', 'What it said')} columns={verdicts} rows={d.verdicts} id={(v) => v.effect} /> : <Empty icon="hourglass" title={t('rule.silent', 'It has not said anything yet.')} />}
          {d.failures.map((f) => (
            <Alert key={f.reason} severity="warning" title={plural('rule.failures', f.records, 'Its conditions could not judge 1 record since the ruler started', 'Its conditions could not judge {{n}} records since the ruler started')}>
              <p>
                <Data max={600}>{f.reason}</Data>
              </p>
              <Dim>
                {t('rule.failedLast', 'the last one')} <When at={f.at} />, {t('evidence.record', 'record')} <Data max={160}>{f.record_id}</Data>
              </Dim>
            </Alert>
          ))}
        </Panel>
      </Columns>
      {d.metric.length > 0 && (
        <Panel title={t('rule.health', 'How its queries do')}>
          <Table label={t('rule.health', 'How its queries do')} columns={health} rows={d.metric} id={(h) => `${h.group} ${h.evaluated_at} ${h.error}`} status={(h) => (h.error ? 'warning' : undefined)} />
        </Panel>
      )}
      <Open id={r.id} n={d.open_notifications} />
      <Text of={d} admin={admin} />
      {r.source === 'store' && <VersionsOf id={r.id} admin={admin} />}
      {r.source === 'store' && admin && <Delete of={d} />}
    </Rows>
  );
}

/** The API's words, without the first line, which the page says better. */
function Explained({ text }: { text: string }) {
  const said = text.split('\n');
  return (
    <>
      {(said.length > 1 ? said.slice(1) : said).filter(Boolean).map((l) => (
        <p key={l}>{clean(l, 2000)}</p>
      ))}
    </>
  );
}

function Open({ id, n }: { id: string; n: number }) {
  const list = useAnswer('/notifications', { rule: id, state: 'firing', limit: 10 });
  return (
    <Panel title={plural('rule.open', n, '1 problem is open', '{{n}} problems are open')} extra={n > 10 && <Link to={link.notifications({ rule: id })}>{t('rule.openAll', 'All of them')}</Link>}>
      <Loaded of={list}>
        {(l) =>
          l.items.length ? (
            <List>
              {l.items.map((x) => (
                <NotificationItem key={x.id} of={x} />
              ))}
            </List>
          ) : (
            <Empty title={t('rule.noneOpen', 'It holds nothing open.')} />
          )
        }
      </Loaded>
    </Panel>
  );
}

function Text({ of: d, admin }: { of: RuleDetail; admin: boolean }) {
  const r = d.rule;
  const file = r.source === 'file';
  return (
    <Panel title={t('rule.text', 'Its text')} extra={file && <Dim>{t('rule.readOnly', 'read-only here')}</Dim>}>
      <Code label={t('rule.text', 'Its text')}>{d.yaml}</Code>
      {file && (
        <details>
          <summary>{t('rule.howToChange', 'How to change it')}</summary>
          <p>
            {t('rule.inFile', 'It stands in')} <code><Data max={300}>{`${r.file}:${r.line}`}</Data></code>. {t('rule.reload', 'Change it there and reload the ruler. One of the program itself is changed by an override in the ruler’s configuration:')}
          </p>
          <Code label={t('rule.override', 'An override')}>{`rules:\n  overrides:\n    ${r.id}: {severity: ${r.severity === 'warning' ? 'info' : 'warning'}}     # or {enabled: false}\n`}</Code>
          {r.kind !== 'metric' && admin && (
            <p>
              {t('rule.orCopy', 'Or copy it into the store under another id, change it here, and turn this one off:')} <Link to={link.ruleNew({ copy: r.id })}>{t('rule.copy', 'Copy into the store')}</Link>
            </p>
          )}
        </details>
      )}
    </Panel>
  );
}

function VersionsOf({ id, admin }: { id: string; admin: boolean }) {
  const versions = useAnswer('/rules/{id}/versions', { id });
  return <Loaded of={versions}>{(v) => <Versions id={id} of={v.items} admin={admin} />}</Loaded>;
}

function Delete({ of: d }: { of: RuleDetail }) {
  const remove = useChange('DELETE', '/rules/{id}');
  const navigate = useNavigate();
  const { base } = useHost();
  const [sure, setSure] = useState(false);
  const [comment, setComment] = useState('');
  const [said, setSaid] = useState('');
  const go = async () => {
    try {
      await remove.mutateAsync({ params: { id: d.rule.id, version: d.rule.version, comment: comment.trim() } });
      navigate(base + link.rules({ state: 'deleted' }));
    } catch (e) {
      setSaid(told(e));
    }
  };
  return (
    <Stack wrap="wrap" alignItems="center" gap={1}>
      {sure ? (
        <>
          <Input width={32} value={comment} aria-label={t('rule.why', 'Why')} placeholder={t('rule.whyText', 'Why? It stands in the audit log.')} maxLength={500} onChange={(e) => setComment(e.currentTarget.value)} />
          <Button variant="destructive" icon="trash-alt" disabled={remove.isPending} onClick={() => void go()}>
            {t('rule.reallyDelete', 'Delete it; what it has open is over')}
          </Button>
          <Button variant="secondary" onClick={() => setSure(false)}>
            {t('rule.cancel', 'Cancel')}
          </Button>
        </>
      ) : (
        <Button variant="secondary" icon="trash-alt" onClick={() => setSure(true)}>
          {t('rule.delete', 'Delete')}
        </Button>
      )}
      <span role="status">{said}</span>
    </Stack>
  );
}
