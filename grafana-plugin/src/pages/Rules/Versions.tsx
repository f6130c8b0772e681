// Who changed a rule of the store, when and why; what differs between two versions; and the way back.
import { t } from '@grafana/i18n';
import { Button, Stack } from '@grafana/ui';
import { useState } from 'react';
import { told, useAnswer, useChange } from '../../api/client';
import type { RuleVersion } from '../../api/schema';
import { Pick } from '../../components/Filters';
import { List } from '../../components/List';
import { Panel } from '../../components/Panel';
import { Loaded } from '../../components/States';
import { VersionItem } from '../../components/VersionItem';
import { Diff } from '../../components/Code';

const deeds: Record<string, () => string> = {
  create: () => t('versions.create', 'made'),
  update: () => t('versions.update', 'changed'),
  enable: () => t('versions.enable', 'turned on'),
  disable: () => t('versions.disable', 'turned off'),
  delete: () => t('versions.delete', 'deleted'),
  restore: () => t('versions.restore', 'restored'),
};

export function Versions({ id, of: list, admin }: { id: string; of: RuleVersion[]; admin: boolean }) {
  const newest = list[0]?.version ?? 0;
  const [picked, setPicked] = useState<{ from?: number; to?: number }>({});
  const { from = Math.max(1, newest - 1), to = newest } = picked;
  const [said, setSaid] = useState('');
  const restore = useChange('POST', '/rules/{id}/restore');
  const back = async (v: number) => {
    try {
      await restore.mutateAsync({ params: { id }, body: { restore: v, version: newest } });
      setPicked({}); // what it changed
      setSaid(t('versions.restored', 'Version {{v}} is back, as version {{n}}.', { v, n: newest + 1 }));
    } catch (e) {
      setSaid(told(e));
    }
  };
  const options = list.map((v): [string, string] => [String(v.version), String(v.version)]);
  return (
    <Panel title={t('versions.title', 'Versions')}>
      <List label={t('versions.title', 'Versions')}>
        {list.map((v) => (
          <VersionItem
            key={v.version}
            of={v}
            deed={deeds[v.action]?.() ?? v.action}
            newest={v.version === newest}
            after={
              admin && v.version !== newest && v.action !== 'delete' ? (
                <Button size="sm" variant="secondary" icon="history" disabled={restore.isPending} aria-label={t('versions.restoreN', 'Restore version {{n}}', { n: v.version })} onClick={() => void back(v.version)}>
                  {t('versions.back', 'Restore')}
                </Button>
              ) : undefined
            }
          />
        ))}
      </List>
      <p role="status">{said}</p>
      {list.length > 1 && (
        <>
          <Stack wrap="wrap" gap={1}>
            <Pick name={t('versions.from', 'From version')} value={String(from)} onChange={(v) => setPicked({ ...picked, from: Number(v) })} options={options} />
            <Pick name={t('versions.to', 'to version')} value={String(to)} onChange={(v) => setPicked({ ...picked, to: Number(v) })} options={options} />
          </Stack>
          <Between id={id} from={from} to={to} />
        </>
      )}
    </Panel>
  );
}

function Between({ id, from, to }: { id: string; from: number; to: number }) {
  const diff = useAnswer('/rules/{id}/diff', { id, from, to }, { every: 0 });
  return <Loaded of={diff}>{(d) => (d.text ? <Diff label={t('versions.diff', 'What differs')} text={d.text} /> : <p>{t('versions.same', 'The text is the same.')}</p>)}</Loaded>;
}
