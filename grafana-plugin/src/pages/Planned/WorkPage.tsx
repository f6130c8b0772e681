// One planned work: what, when, where, who; change it, end it, plan it again; its versions.
import { t } from '@grafana/i18n';
import { Alert, Button, Input, Stack } from '@grafana/ui';
import { useState } from 'react';
import { useParams } from 'react-router-dom';
import { now, told, useAnswer, useChange } from '../../api/client';
import type { RuleVersion, Window, WindowDetail } from '../../api/schema';
import { Facts } from '../../components/Facts';
import { List } from '../../components/List';
import { Link } from '../../components/Links';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Data, Dim, When } from '../../components/Text';
import { VersionItem } from '../../components/VersionItem';
import { clean, number, plain, sentence, until } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { draftOf, when } from './planned';
import { PlanForm } from './PlanForm';
import { State, Where, zone } from './PlannedPage';

export default function WorkPage() {
  const { Page } = useHost();
  const { id = '' } = useParams();
  const window = useAnswer('/windows/{id}', { id });
  const w = window.data?.window;
  return (
    <Page title={clean(w?.reason || id, 120)} subtitle={<Link to={link.planned()}>{t('work.all', 'All planned work')}</Link>} actions={w && <><Where of={w} /><State of={w} /></>}>
      {window.error?.status === 404 ? (
        <Empty icon="search" title={t('work.unknown', 'No such planned work.')}><Link to={link.planned()}>{t('work.all', 'All planned work')}</Link></Empty>
      ) : (
        <Loaded of={window}>{(d) => <Shown of={d} />}</Loaded>
      )}
    </Page>
  );
}

function Shown({ of: d }: { of: WindowDetail }) {
  const w = d.window;
  const me = useAnswer('/me', {}, { every: 0 });
  const may = me.data !== undefined && me.data.role !== 'viewer';
  const [changing, setChanging] = useState<Window>();
  return (
    <Rows>
      {w.off && w.state === 'broken' && <Alert severity="warning" title={t('work.off', 'It does not count: {{why}}', { why: clean(w.off, 400), ...plain })} />}
      <Panel title={t('work.what', 'The plan')}>
        <Facts
          of={[
            [t('planned.column.when', 'When'), when(w)],
            [t('work.until', 'Runs until'), w.until && <><span>{until(w.until, now())}</span> <Dim>(<When at={w.until} />)</Dim></>],
            [t('work.next', 'Begins next'), w.next_at && <When at={w.next_at} />],
            [t('planned.column.where', 'On'), <Data key="c" max={400}>{w.condition}</Data>],
            [t('planned.column.servers', 'Servers'), number(w.concerns)],
            [t('work.who', 'Planned by'), <Data key="w" max={120}>{w.who}</Data>],
            [t('work.changed', 'Last changed'), w.changed_at && <><Data max={80}>{w.changed_by}</Data> <When at={w.changed_at} /></>],
            [t('work.comment', 'Comment'), w.comment && <Data key="m" max={500}>{w.comment}</Data>],
            [t('rule.id', 'Id'), <code key="i"><Data max={90}>{w.id}</Data></code>],
          ]}
        />
        {w.source === 'file' && <Dim>{t('work.inFile', 'It stands in a rule file: change it there and reload the ruler.')}</Dim>}
        {may && !changing && <Deeds of={w} change={() => setChanging(w)} />}
      </Panel>
      {changing && <PlanForm begin={draftOf(changing, now(), zone())} of={changing} close={() => setChanging(undefined)} />}
      <Dim>
        <Link to={link.changes({ planned: 'yes' })}>{t('work.changes', 'Changes of which nobody was told because they were planned')}</Link>
      </Dim>
      {d.versions.length > 0 && <Versions of={d.versions} />}
    </Rows>
  );
}

function Deeds({ of: w, change }: { of: Window; change: () => void }) {
  const end = useChange('DELETE', '/windows/{id}');
  const [sure, setSure] = useState(false);
  const [comment, setComment] = useState('');
  const [said, setSaid] = useState('');
  const mine = w.source === 'store';
  const stands = mine && (w.state === 'active' || w.state === 'planned');
  const verb = w.state === 'active' ? t('work.endNow', 'End it now') : t('work.callOff', 'Call it off');
  const go = async () => {
    try {
      await end.mutateAsync({ params: { id: w.id, version: w.version, comment: comment.trim() } });
      setSure(false);
      setSaid(t('work.ended', 'It is ended: changes are told again.'));
    } catch (e) {
      setSaid(told(e));
    }
  };
  return (
    <>
      <Stack wrap="wrap" alignItems="center" gap={1}>
        {stands && sure ? (
          <>
            <Input width={32} value={comment} aria-label={t('rule.why', 'Why')} placeholder={t('work.whyText', 'Why? It stands beside the version.')} maxLength={500} onChange={(e) => setComment(e.currentTarget.value)} />
            <Button variant="destructive" disabled={end.isPending} onClick={() => void go()}>{t('work.sure', 'Yes, end it')}</Button>
            <Button variant="secondary" onClick={() => setSure(false)}>{t('rule.cancel', 'Cancel')}</Button>
          </>
        ) : (
          <>
            {mine && w.state !== 'ended' && w.state !== 'broken' && <Button variant="secondary" icon="pen" onClick={change}>{t('work.change', 'Change')}</Button>}
            {stands && <Button variant="secondary" icon="times" onClick={() => setSure(true)}>{verb}</Button>}
            <Link to={link.planned({ copy: w.id })}>{t('work.again', 'Plan the like again')}</Link>
          </>
        )}
      </Stack>
      <p role="status">{sentence(said)}</p>
    </>
  );
}

const deeds: Record<string, () => string> = {
  plan: () => t('work.did.plan', 'planned'),
  replan: () => t('work.did.change', 'changed'),
  end: () => t('work.did.end', 'ended'),
};

function Versions({ of: list }: { of: RuleVersion[] }) {
  return (
    <Panel title={t('versions.title', 'Versions')}>
      <List label={t('versions.title', 'Versions')}>
        {list.map((v) => (
          <VersionItem key={v.version} of={v} deed={deeds[v.action]?.() ?? v.action} />
        ))}
      </List>
    </Panel>
  );
}
