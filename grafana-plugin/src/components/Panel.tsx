import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { useStyles2 } from '@grafana/ui';
import { useId, type ReactNode } from 'react';

/** A titled block of a page. */
export function Panel({ title, extra, children, flush }: { title: ReactNode; extra?: ReactNode; children: ReactNode; flush?: boolean }) {
  const s = useStyles2(styles);
  const id = useId();
  return (
    <section className={s.panel} aria-labelledby={id}>
      <div className={s.head}>
        <h2 className={s.title} id={id}>
          {title}
        </h2>
        {extra}
      </div>
      <div className={flush ? undefined : s.body}>{children}</div>
    </section>
  );
}

/** Blocks side by side where there is room. */
export function Columns({ children, wide = 360 }: { children: ReactNode; wide?: number }) {
  const gap = useStyles2((theme: GrafanaTheme2) => css({ display: 'grid', gap: theme.spacing(2), gridTemplateColumns: `repeat(auto-fit, minmax(min(100%, ${wide}px), 1fr))`, alignItems: 'start' }));
  return <div className={gap}>{children}</div>;
}

/** Blocks below one another. */
export function Rows({ children }: { children: ReactNode }) {
  return <div className={useStyles2((theme: GrafanaTheme2) => css({ display: 'flex', flexDirection: 'column', gap: theme.spacing(2), minWidth: 0 }))}>{children}</div>;
}

const styles = (theme: GrafanaTheme2) => ({
  panel: css({ background: theme.colors.background.primary, border: `1px solid ${theme.colors.border.weak}`, borderRadius: theme.shape.radius.default, minWidth: 0 }),
  head: css({ display: 'flex', alignItems: 'center', justifyContent: 'space-between', gap: theme.spacing(1), flexWrap: 'wrap', padding: theme.spacing(1.5, 2, 0.5) }),
  title: css({ margin: 0, fontSize: theme.typography.h5.fontSize, fontWeight: theme.typography.fontWeightMedium }),
  body: css({ padding: theme.spacing(0.5, 2, 2) }),
});
