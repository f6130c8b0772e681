import { css, cx } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { useStyles2 } from '@grafana/ui';
import type { ReactNode } from 'react';

/** Names and values; what has no value is left out. raw: the names are not our words, and stay as they are. */
export function Facts({ of, raw }: { of: Array<[string, ReactNode]>; raw?: boolean }) {
  const s = useStyles2(styles);
  return (
    <dl className={s.list}>
      {of
        .filter(([, v]) => v !== undefined && v !== null && v !== '' && v !== false)
        .map(([name, value]) => (
          <div key={name}>
            <dt className={cx(s.name, !raw && s.ours)}>{name}</dt>
            <dd className={s.value}>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  list: css({ display: 'grid', gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 180px), 1fr))', gap: theme.spacing(1, 2), margin: theme.spacing(0.5, 0) }),
  name: css({ color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize, fontWeight: theme.typography.fontWeightRegular }),
  ours: css({ '&::first-letter': { textTransform: 'uppercase' } }),
  value: css({ margin: 0, overflowWrap: 'anywhere' }),
});
