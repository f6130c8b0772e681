import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2 } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { now } from '../api/client';
import { absolute, clean, relative } from '../format';

/** Text that came from a server: made inert, cut, and kept apart from the writing direction around it. */
export function Data({ children, max = 200 }: { children: string; max?: number }) {
  const shown = clean(children, max);
  return <bdi title={shown.endsWith('…') ? clean(children, 2000) : undefined}>{shown}</bdi>;
}

/** A time: relative in text, absolute with its zone on hover. */
export function When({ at, none }: { at: string | null; none?: string }) {
  const [, again] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => again((n) => n + 1), 5000);
    return () => clearInterval(timer);
  }, []);
  if (!at) {
    return <span>{none ?? t('time.never', 'never')}</span>;
  }
  return (
    <time dateTime={at} title={absolute(at)}>
      {relative(Date.parse(at), now())}
    </time>
  );
}

/** Less important words. */
export function Dim({ children }: { children: React.ReactNode }) {
  return <span className={useStyles2(dim)}>{children}</span>;
}
const dim = (theme: GrafanaTheme2) => css({ color: theme.colors.text.secondary });

/** A label such as "simulated". */
export function Tag({ children, title }: { children: React.ReactNode; title?: string }) {
  return (
    <span className={useStyles2(tag)} title={title}>
      {children}
    </span>
  );
}
const tag = (theme: GrafanaTheme2) =>
  css({ color: theme.colors.text.secondary, border: `1px solid ${theme.colors.border.medium}`, borderRadius: theme.shape.radius.pill, padding: '0 8px', fontSize: theme.typography.bodySmall.fontSize, whiteSpace: 'nowrap' });

export function Simulated({ yes }: { yes: boolean }) {
  return yes ? <Tag title={t('simulated.title', 'This server does not exist: the simulator plays it')}>{t('simulated.word', 'simulated')}</Tag> : null;
}
