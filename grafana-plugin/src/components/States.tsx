// The four states of everything that is asked for: loading, empty, failed with a way to ask again, forbidden.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, Button, Icon, Spinner, useStyles2 } from '@grafana/ui';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { type Refusal } from '../api/client';
import { sentence } from '../format';

/** Shows an answer, or why there is none. What was there before stays, with a word that it is old. */
export function Loaded<T>({ of, children }: { of: UseQueryResult<T, Refusal>; children: (answer: T) => ReactNode }) {
  const s = useStyles2(styles);
  const { data, error, refetch, isFetching } = of;
  const again = (
    <Button size="sm" variant="secondary" icon="sync" disabled={isFetching} onClick={() => void refetch()}>
      {t('states.retry', 'Retry')}
    </Button>
  );
  if (data !== undefined && !(error && [401, 403, 404].includes(error.status))) {
    return (
      <>
        {error && (
          <Alert severity="warning" title={sentence(error.message)}>
            {t('states.old', 'What you see is from before.')} {again}
          </Alert>
        )}
        {children(data)}
      </>
    );
  }
  if (!error) {
    return (
      <div className={s.middle} role="status">
        <Spinner inline /> {t('states.loading', 'Loading…')}
      </div>
    );
  }
  if (error.status === 401 || error.status === 403) {
    return (
      <div className={s.middle} role="alert">
        <Icon name="lock" size="xl" aria-hidden />
        <p className={s.strong}>{t('states.forbidden', 'You may not see this.')}</p>
        <p>{sentence(error.message)} {sentence(error.hint)}</p>
      </div>
    );
  }
  return (
    <Alert severity="error" title={sentence(error.message)}>
      <p>{sentence(error.hint)}</p>
      {again}
    </Alert>
  );
}

/** What a list shows where it has nothing: why, and what to do. */
export function Empty({ title, children, icon = 'check-circle' }: { title: string; children?: ReactNode; icon?: 'check-circle' | 'search' | 'rocket' | 'hourglass' }) {
  const s = useStyles2(styles);
  return (
    <div className={s.middle}>
      <Icon name={icon} size="xl" aria-hidden />
      <p className={s.strong}>{title}</p>
      {children && <div>{children}</div>}
    </div>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  middle: css({ display: 'flex', flexDirection: 'column', alignItems: 'center', gap: theme.spacing(0.5), padding: theme.spacing(3), textAlign: 'center', color: theme.colors.text.secondary, '& p': { margin: 0 } }),
  strong: css({ color: theme.colors.text.primary, fontWeight: theme.typography.fontWeightMedium }),
});
