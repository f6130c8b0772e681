// What stands before the pages: the frame of logging in and of choosing a password.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, useStyles2 } from '@grafana/ui';
import { useEffect, type FormEvent, type ReactNode } from 'react';
import { Refusal } from '../api/client';
import { sentence } from '../format';
import { consolePaths, paths } from '../routes';

export function Door({ title, children }: { title: string; children: ReactNode }) {
  const s = useStyles2(styles);
  useEffect(() => {
    document.title = `${title} · Nocturne`;
  }, [title]);
  return (
    <main className={s.door}>
      <div className={s.card}>
        <div className={s.brand}>
          <img src="/moon.svg" alt="" width={32} height={32} />
          Nocturne
        </div>
        <h1 className={s.title}>{title}</h1>
        {children}
      </div>
    </main>
  );
}

/** A form whose texts are given to send; no is why it was refused. */
export function DoorForm({ send, no, children }: { send: (texts: Record<string, string>) => void; no?: Refusal; children: ReactNode }) {
  const s = useStyles2(styles);
  const submit = (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    send(Object.fromEntries([...new FormData(e.currentTarget)].map(([k, v]) => [k, String(v)])));
  };
  return (
    <form className={s.form} onSubmit={submit}>
      {children}
      {no && <Alert severity="error" title={sentence(no.message)}>{sentence(no.hint)}</Alert>}
    </form>
  );
}

export const refusal = (e: unknown) => (e instanceof Refusal ? e : new Refusal(0, String(e), ''));

/** Where to go after logging in: a path of ours that the address names, else the first page. */
export function back(search: string): string {
  const said = new URLSearchParams(search).get('back') ?? '';
  try {
    const to = new URL(said, location.origin);
    if (said.startsWith('/') && to.origin === location.origin && !to.pathname.startsWith('//') && !Object.values<string>(consolePaths).includes(to.pathname)) {
      return to.pathname + to.search;
    }
  } catch {
    // no address at all
  }
  return paths.tonight;
}

/** Leaves everything that was loaded for somebody else behind. */
export const enter = (path: string) => location.replace(path);

let led = false;

/** Asks for a login, and comes back to where we are. Once: who stays, to keep what is unsaved, is not asked by every question. */
export function toLogin() {
  if (led) {
    return;
  }
  led = true;
  const here = location.pathname + location.search;
  location.replace(consolePaths.login + (here === '/' ? '' : '?back=' + encodeURIComponent(here)));
}

export const doorText = {
  loading: () => t('states.loading', 'Loading…'),
};

const styles = (theme: GrafanaTheme2) => ({
  door: css({ minHeight: '100vh', display: 'flex', justifyContent: 'center', alignItems: 'flex-start', padding: 'max(16px, 10vh) 12px 24px', background: theme.colors.background.canvas, color: theme.colors.text.primary, overflowWrap: 'anywhere' }),
  card: css({ width: '100%', maxWidth: 420, padding: theme.spacing(3), background: theme.colors.background.primary, border: `1px solid ${theme.colors.border.weak}`, borderRadius: theme.shape.radius.default, boxShadow: theme.shadows.z1 }),
  brand: css({ display: 'flex', alignItems: 'center', gap: theme.spacing(1), color: theme.colors.text.secondary, fontWeight: theme.typography.fontWeightMedium }),
  title: css({ margin: theme.spacing(2, 0), fontSize: theme.typography.h3.fontSize }),
  form: css({ display: 'flex', flexDirection: 'column', gap: theme.spacing(2) }),
});
