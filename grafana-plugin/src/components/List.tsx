import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { useStyles2 } from '@grafana/ui';
import type { ReactNode } from 'react';

/** A plain list with a line between its rows. */
export function List({ children, label }: { children: ReactNode; label?: string }) {
  return (
    <ul className={useStyles2(styles).list} aria-label={label}>
      {children}
    </ul>
  );
}

/** A row: something small before it, what it says, something small behind. */
export function Item({ before, children, after }: { before?: ReactNode; children: ReactNode; after?: ReactNode }) {
  const s = useStyles2(styles);
  return (
    <li className={s.row}>
      {before && <span className={s.before}>{before}</span>}
      <div className={s.grow}>{children}</div>
      {after && <span className={s.after}>{after}</span>}
    </li>
  );
}

/** Small pieces in one line, with room between, broken where it is narrow. */
export function Line({ children }: { children: ReactNode }) {
  return <div className={useStyles2(styles).line}>{children}</div>;
}

const styles = (theme: GrafanaTheme2) => ({
  list: css({ listStyle: 'none', margin: 0, padding: 0 }),
  row: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-start', gap: theme.spacing(1.5), padding: theme.spacing(1, 0), '& + &': { borderTop: `1px solid ${theme.colors.border.weak}` } }),
  before: css({ flex: 'none', paddingTop: 2 }),
  // On a phone, what stands behind goes below where the text would be squeezed.
  grow: css({ flex: 1, minWidth: 0, overflowWrap: 'anywhere', '@media (max-width: 480px)': { flexBasis: '50%' } }),
  after: css({ flex: 'none' }),
  line: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: theme.spacing(0.25, 1), minWidth: 0 }),
});
