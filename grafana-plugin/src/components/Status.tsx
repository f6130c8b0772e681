import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { Icon, useTheme2 } from '@grafana/ui';
import { look, toneColors } from '../status';

/** A status as sign, word and colour. */
export function Status({ of, title }: { of: string; title?: string }) {
  const theme = useTheme2();
  const l = look(of);
  return (
    <span className={pill(theme, of)} title={title}>
      <Icon name={l.icon} size="sm" aria-hidden />
      {l.word()}
    </span>
  );
}

const pill = (theme: GrafanaTheme2, of: string) => {
  const c = toneColors(theme, look(of).tone);
  return css({
    display: 'inline-flex', alignItems: 'center', gap: 4, padding: '1px 8px', whiteSpace: 'nowrap', borderRadius: theme.shape.radius.pill, fontSize: theme.typography.bodySmall.fontSize,
    fontWeight: theme.typography.fontWeightMedium, color: c.text, background: c.ground, border: `1px solid ${c.border}`,
  });
};

/** The same without a word, beside one that says it. */
export function Dot({ of }: { of: string }) {
  const theme = useTheme2();
  return <span aria-hidden className={css({ display: 'inline-block', flex: 'none', width: 10, height: 10, borderRadius: theme.shape.radius.circle, background: toneColors(theme, look(of).tone).strong })} />;
}
