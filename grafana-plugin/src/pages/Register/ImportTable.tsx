// A table for the register: first what it would do, line by line; nothing is written before that was seen.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, Button, TextArea, useStyles2 } from '@grafana/ui';
import { useId, useState } from 'react';
import { told, useChange } from '../../api/client';
import type { ImportAnswer, ImportChange, ImportProblem } from '../../api/schema';
import { Panel } from '../../components/Panel';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, Tag } from '../../components/Text';
import { useUnsaved } from '../../components/useUnsaved';
import { number, sentence, words } from '../../format';

const maxBytes = 4 << 20;
const example = 'name,site,owner,warranty_until\nsrv-db-07,berlin,databases,2028-03-31';

const mistakes: Array<Column<ImportProblem>> = [
  { id: 'line', name: () => t('import.line', 'Line'), cell: (p) => (p.line ? number(p.line) : t('import.whole', 'whole table')) },
  { id: 'column', name: () => t('import.column', 'Column'), cell: (p) => p.column && <Data max={40}>{p.column}</Data> },
  { id: 'error', name: () => t('import.error', 'What is wrong'), cell: (p) => <Data max={300}>{sentence(p.error)}</Data> },
  { id: 'hint', name: () => t('import.hint', 'What to do'), cell: (p) => p.hint && <Data max={300}>{sentence(p.hint)}</Data> },
];

const changes: Array<Column<ImportChange>> = [
  { id: 'line', name: () => t('import.line', 'Line'), cell: (c) => number(c.line) },
  { id: 'name', name: () => t('register.name', 'Name'), cell: (c) => <Data max={80}>{c.name}</Data> },
  { id: 'what', name: () => t('import.what', 'What'), cell: (c) => <Tag>{c.new ? t('import.new', 'new') : t('import.changed', 'changed')}</Tag> },
  {
    id: 'fields', name: () => t('import.fields', 'Fields'),
    cell: (c) => (
      <>
        {c.fields.filter((f) => f.name !== 'name').map((f) => (
          <div key={f.name}>
            <Dim>{words(f.name)}:</Dim> {f.before && <><Data max={80}>{f.before}</Data> → </>}
            {f.after ? <Data max={80}>{f.after}</Data> : <Dim>{t('import.nothing', 'nothing')}</Dim>}
          </div>
        ))}
      </>
    ),
  },
];

/** What it did, or would do. */
function outcome(a: ImportAnswer): string {
  const n = { added: number(a.added), changed: number(a.changed), same: number(a.unchanged) };
  return a.dry_run
    ? t('import.would', 'New: {{added}}, changed: {{changed}}, as it is already: {{same}}.', n)
    : t('import.did', 'Added: {{added}}, changed: {{changed}}, as it was already: {{same}}. Labels of servers follow within a minute.', n);
}

export function ImportTable({ close }: { close: () => void }) {
  const s = useStyles2(styles);
  const id = useId();
  const [csv, setCsv] = useState('');
  const [answer, setAnswer] = useState<ImportAnswer>();
  const [said, setSaid] = useState('');
  useUnsaved(() => csv.trim() !== '' && (answer === undefined || answer.dry_run));
  const change = useChange('POST', '/register/import');
  const send = async (dry: boolean) => {
    setSaid('');
    try {
      setAnswer(await change.mutateAsync({ params: {}, body: { csv, dry_run: dry } }));
    } catch (e) {
      setAnswer(undefined);
      setSaid(told(e));
    }
  };
  const text = (v: string) => {
    setCsv(v);
    setAnswer(undefined);
    setSaid('');
  };
  const file = async (f?: File) => {
    if (f && f.size > maxBytes) {
      setSaid(t('import.large', 'A table has at most 4 MiB; divide it.'));
    } else if (f) {
      text(await f.text());
    }
  };
  const does = answer ? answer.added + answer.changed : 0;
  return (
    <Panel title={t('register.import', 'Import a table')} extra={<Button size="sm" variant="secondary" icon="times" onClick={close}>{t('diff.close', 'Close')}</Button>}>
      <p className={s.about}>{t('import.about', 'CSV with a line of headings: name, and any of serial, site, rack, role, owner, warranty_until (2028-03-31), contract, note. Columns that are not in it stay as they are; nobody is taken out.')}</p>
      <label htmlFor={id + 'file'} className={s.label}>{t('import.file', 'A file')}</label>
      <input id={id + 'file'} type="file" accept=".csv,.txt,text/csv" className={s.file} onChange={(e) => void file(e.currentTarget.files?.[0])} />
      <label htmlFor={id + 'text'} className={s.label}>{t('import.text', 'or its text')}</label>
      <TextArea id={id + 'text'} rows={6} value={csv} spellCheck={false} placeholder={example} onChange={(e) => text(e.currentTarget.value)} />
      <div className={s.buttons}>
        <Button variant={answer && does > 0 ? 'secondary' : 'primary'} disabled={!csv.trim() || change.isPending} onClick={() => void send(true)}>{t('import.try', 'Show what it would do')}</Button>
        {answer?.dry_run && answer.problems.length === 0 && does > 0 && (
          <Button icon="check" disabled={change.isPending} onClick={() => void send(false)}>{t('import.apply', 'Import: {{added}} new, {{changed}} changed', { added: number(answer.added), changed: number(answer.changed) })}</Button>
        )}
      </div>
      <p role="status" className={s.about}>
        {said || (answer && !answer.problems.length && outcome(answer))}
      </p>
      {answer && answer.problems.length > 0 && (
        <>
          <Alert severity="error" title={t('import.refused', 'Nothing is imported while lines are wrong')} />
          <Table label={t('import.problems', 'Mistakes')} columns={mistakes} rows={answer.problems} id={(p) => `${p.line} ${p.column} ${p.error}`} />
        </>
      )}
      {answer && answer.changes.length > 0 && (
        <>
          <Table label={t('import.changes', 'Changes')} columns={changes} rows={answer.changes} id={(c) => c.name} />
          {does > answer.changes.length && <Dim>{t('labels.andMore', 'and {{n}} more', { n: number(does - answer.changes.length) })}</Dim>}
        </>
      )}
    </Panel>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  about: css({ margin: theme.spacing(0, 0, 1), color: theme.colors.text.secondary }),
  label: css({ display: 'block', margin: theme.spacing(1, 0, 0.25), color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
  file: css({ '&&': { display: 'block', maxWidth: '100%', position: 'static', opacity: 1, height: 'auto', color: theme.colors.text.primary } }),
  buttons: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(1), margin: theme.spacing(1.5, 0, 1) }),
});
