// Pieces of more than one tab.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, Button, useStyles2 } from '@grafana/ui';
import { useState, type FormEvent, type ReactNode } from 'react';
import { Refusal } from '../../api/client';
import { copy } from '../../components/copy';
import { useUnsaved } from '../../components/useUnsaved';
import { sentence } from '../../format';

/** Something secret that is told once. */
export function Secret({ title, value, children, done }: { title: string; value: string; children: ReactNode; done: () => void }) {
  const s = useStyles2(styles);
  const [said, setSaid] = useState('');
  const [copied, setCopied] = useState(false);
  useUnsaved(() => !copied, t('unsaved.secret', 'It is shown this once, and you have not copied it. Leave the page without it?'));
  const take = async () => {
    const done = await copy(value);
    setCopied(done);
    setSaid(done ? t('add.copied', 'Copied.') : t('add.copyYourself', 'The browser does not let us copy: select it and copy it yourself.'));
  };
  return (
    <Alert severity="success" title={title}>
      <p>{children}</p>
      <pre className={s.secret} tabIndex={0} aria-label={title}>{value}</pre>
      <div className={s.row}>
        <Button size="sm" icon="copy" onClick={() => void take()}>{t('add.copy', 'Copy')}</Button>
        <Button size="sm" variant="secondary" onClick={done}>{t('settings.kept', 'I have it')}</Button>
        <span role="status">{said}</span>
      </div>
    </Alert>
  );
}

/** A button that asks once more before it does what cannot be undone. */
export function Sure({ what, yes, busy, label, act }: { what: string; yes: string; busy: boolean; label: string; act: () => void }) {
  const s = useStyles2(styles);
  const [asked, setAsked] = useState(false);
  if (!asked) {
    return <Button size="sm" variant="secondary" fill="outline" disabled={busy} aria-label={`${what}: ${label}`} onClick={() => setAsked(true)}>{what}</Button>;
  }
  return (
    <span className={s.row}>
      <Button size="sm" variant="destructive" autoFocus disabled={busy} onClick={() => (setAsked(false), act())}>{yes}</Button>
      <Button size="sm" variant="secondary" onClick={() => setAsked(false)}>{t('settings.no', 'No')}</Button>
    </span>
  );
}

export function Refused({ of: no }: { of?: Refusal }) {
  return no ? <Alert severity="error" title={sentence(no.message)}>{sentence(no.hint)}</Alert> : null;
}

/** A form in one row, where there is room; send gets its texts. */
export function Form({ send, children }: { send: (texts: Record<string, string>) => void; children: ReactNode }) {
  const s = useStyles2(styles);
  const [written, setWritten] = useState(false);
  useUnsaved(() => written);
  const submit = (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    send(Object.fromEntries([...new FormData(e.currentTarget)].map(([k, v]) => [k, String(v).trim()])));
  };
  const look = (e: FormEvent<HTMLFormElement>) => setWritten([...new FormData(e.currentTarget).values()].some((v) => v !== ''));
  return <form className={s.form} onSubmit={submit} onInput={look}>{children}</form>;
}

/** Runs a deed and remembers why it was refused. */
export function useDeed(): [Refusal | undefined, (deed: () => Promise<unknown>) => Promise<void>] {
  const [no, setNo] = useState<Refusal>();
  return [
    no,
    async (deed) => {
      setNo(undefined);
      try {
        await deed();
      } catch (e) {
        setNo(e instanceof Refusal ? e : new Refusal(0, String(e), ''));
      }
    },
  ];
}

export function Buttons({ children }: { children: ReactNode }) {
  return <span className={useStyles2(styles).row}>{children}</span>;
}

const styles = (theme: GrafanaTheme2) => ({
  secret: css({ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', margin: theme.spacing(1, 0) }),
  row: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: theme.spacing(1) }),
  form: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-end', gap: theme.spacing(1.5), '& > div': { margin: 0 } }),
});
