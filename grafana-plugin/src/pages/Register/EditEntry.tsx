import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Button, Field, Input, useStyles2 } from '@grafana/ui';
import { useEffect, useId, useRef, useState } from 'react';
import { told, useChange } from '../../api/client';
import type { RegisterEntry, RegisterRequest } from '../../api/schema';
import { Panel } from '../../components/Panel';
import { useUnsaved } from '../../components/useUnsaved';
import { clean } from '../../format';

type Name = Exclude<keyof RegisterRequest, 'version'>;
const fields: Array<[Name, () => string, string]> = [
  ['serial', () => t('register.serial', 'Serial'), ''],
  ['site', () => t('servers.site', 'Site'), ''],
  ['rack', () => t('servers.rack', 'Rack'), ''],
  ['role', () => t('servers.role', 'Role'), ''],
  ['owner', () => t('servers.owner', 'Owner'), ''],
  ['warranty_until', () => t('servers.column.warranty', 'Warranty until'), 'date'],
  ['contract', () => t('servers.column.contract', 'Contract'), ''],
  ['note', () => t('register.note', 'Note'), ''],
];

/** One entry: a new one, or what it says now. Somebody else's change meanwhile is not written over. */
export function EditEntry({ of, close }: { of?: RegisterEntry; close: () => void }) {
  const s = useStyles2(styles);
  const id = useId();
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector('input')?.focus(), []); // it opens above a long table: focus brings it into sight
  const [name, setName] = useState(of?.name ?? '');
  const [values, setValues] = useState<Record<Name, string>>(() => Object.fromEntries(fields.map(([f]) => [f, of?.[f] ?? ''])) as Record<Name, string>);
  const [begun] = useState(values);
  const [sure, setSure] = useState(false);
  useUnsaved(() => name !== (of?.name ?? '') || fields.some(([f]) => values[f] !== begun[f]));
  const [said, setSaid] = useState('');
  const put = useChange('PUT', '/register/entries/{name}');
  const remove = useChange('DELETE', '/register/entries/{name}');
  const act = async (deed: () => Promise<unknown>) => {
    try {
      await deed();
      close();
    } catch (e) {
      setSaid(told(e));
    }
  };
  const busy = put.isPending || remove.isPending;
  return (
    <Panel title={of ? clean(of.name, 100) : t('register.addTitle', 'A server that is expected')} extra={<Button size="sm" variant="secondary" icon="times" onClick={close}>{t('diff.close', 'Close')}</Button>}>
      <form
        ref={form}
        onSubmit={(e) => {
          e.preventDefault();
          void act(() => put.mutateAsync({ params: { name: name.trim() }, body: { ...values, version: of?.version ?? 0 } }));
        }}
      >
        <div className={s.fields}>
          {!of && (
            <Field noMargin label={t('register.name', 'Name')} htmlFor={id + 'name'}>
              <Input id={id + 'name'} value={name} required maxLength={200} autoComplete="off" onChange={(e) => setName(e.currentTarget.value)} />
            </Field>
          )}
          {fields.map(([f, label, type]) => (
            <Field noMargin key={f} label={label()} htmlFor={id + f}>
              <Input id={id + f} type={type || undefined} value={values[f]} maxLength={500} autoComplete="off" onChange={(e) => setValues({ ...values, [f]: e.currentTarget.value })} />
            </Field>
          ))}
        </div>
        <div className={s.buttons}>
          <Button type="submit" disabled={busy || !name.trim()}>{of ? t('register.save', 'Save') : t('register.addIt', 'Add')}</Button>
          {of && !sure && <Button type="button" variant="secondary" icon="trash-alt" disabled={busy} onClick={() => setSure(true)}>{t('register.remove', 'Take it out')}</Button>}
          {of && sure && (
            <>
              <Button type="button" variant="destructive" disabled={busy} onClick={() => void act(() => remove.mutateAsync({ params: { name: of.name } }))}>
                {t('register.removeSure', 'Yes, take it out')}
              </Button>
              <Button type="button" variant="secondary" onClick={() => setSure(false)}>{t('register.keep', 'Keep it')}</Button>
            </>
          )}
        </div>
        <p role="status" className={s.said}>{said}</p>
      </form>
    </Panel>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  fields: css({ display: 'grid', gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 200px), 1fr))', gap: theme.spacing(1.5) }),
  buttons: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(1), marginTop: theme.spacing(2) }),
  said: css({ margin: theme.spacing(1, 0, 0), color: theme.colors.text.secondary }),
});
