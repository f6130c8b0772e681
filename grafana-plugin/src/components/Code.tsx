// Text of several lines that nobody edits: YAML and differences.
import { css, cx } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { useStyles2 } from '@grafana/ui';
import { clean } from '../format';

/** YAML as it is written, each line made inert. */
export function Code({ children, label }: { children: string; label: string }) {
  const s = useStyles2(styles);
  return (
    <pre className={s.code} tabIndex={0} aria-label={label}>
      {children.replace(/\n$/, '').split('\n').map((l) => clean(l, 4000)).join('\n')}
    </pre>
  );
}

/** A unified diff. */
export function Diff({ text, label }: { text: string; label: string }) {
  const s = useStyles2(styles);
  const look = (l: string) => (/^(---|\+\+\+|@@)/.test(l) ? s.head : l.startsWith('+') ? s.came : l.startsWith('-') ? s.went : undefined);
  return (
    <pre className={s.code} tabIndex={0} aria-label={label}>
      {text.replace(/\n$/, '').split('\n').map((l, i) => (
        <span key={i} className={cx(s.line, look(l))}>
          {clean(l, 4000) || ' '}
        </span>
      ))}
    </pre>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  code: css({ margin: theme.spacing(1, 0), padding: theme.spacing(1), overflow: 'auto', maxHeight: 560, whiteSpace: 'pre', fontFamily: theme.typography.fontFamilyMonospace, fontSize: theme.typography.bodySmall.fontSize, lineHeight: 1.5, color: theme.colors.text.primary, background: theme.colors.background.secondary, border: `1px solid ${theme.colors.border.weak}`, borderRadius: theme.shape.radius.default }),
  line: css({ display: 'block' }),
  head: css({ color: theme.colors.text.secondary }),
  came: css({ background: theme.colors.success.transparent }),
  went: css({ background: theme.colors.error.transparent }),
});
