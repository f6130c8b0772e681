import { css, cx } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2 } from '@grafana/ui';
import { useState } from 'react';
import type { Facet } from '../../api/schema';
import { Data } from '../../components/Text';
import { number, words } from '../../format';

const names: Record<string, () => string> = {
  device_type: () => t('facet.type', 'Kind'),
  model: () => t('facet.model', 'Model'),
  firmware: () => t('facet.firmware', 'Firmware'),
  state: () => t('facet.state', 'State'),
  status: () => t('facet.status', 'Status'),
};
const order = ['status', 'device_type', 'model', 'firmware', 'state'];
const few = 6;

/** How many there are of each value; choosing one narrows, choosing it again takes it back. */
export function Facets({ of, chosen, set }: { of: Facet[]; chosen: Record<string, string>; set: (changes: Record<string, string | undefined>) => void }) {
  const s = useStyles2(styles);
  const shown = order.flatMap((name) => of.find((f) => filterName(f.name) === name) ?? []);
  return (
    <div className={s.facets}>
      {shown.map((f) => (
        <One key={f.name} of={f} chosen={chosen[filterName(f.name)]} choose={(v) => set({ [filterName(f.name)]: v })} />
      ))}
    </div>
  );
}

const filterName = (facet: string) => (facet === 'type' ? 'device_type' : facet);

function One({ of: f, chosen, choose }: { of: Facet; chosen?: string; choose: (value: string | undefined) => void }) {
  const s = useStyles2(styles);
  const [all, setAll] = useState(false);
  const most = Math.max(1, ...f.values.map((v) => v.count));
  const name = names[filterName(f.name)]?.() ?? words(f.name);
  const shown = all ? f.values : f.values.slice(0, few);
  return (
    <section aria-label={name}>
      <h3 className={s.name}>{name}</h3>
      <ul className={s.list}>
        {shown.map((v) => (
          <li key={v.value}>
            <button type="button" className={cx(s.value, chosen === v.value && s.chosen)} disabled={!v.value} aria-pressed={chosen === v.value} onClick={() => choose(chosen === v.value ? undefined : v.value)}>
              <span className={s.text}>{v.value ? <Data max={60}>{filterName(f.name) === 'device_type' ? words(v.value) : v.value}</Data> : t('facet.unknown', 'not known')}</span>
              <span className={s.count}>{number(v.count)}</span>
              <span className={s.bar} style={{ width: `${(v.count / most) * 100}%` }} aria-hidden />
            </button>
          </li>
        ))}
      </ul>
      {f.values.length > few && (
        <button type="button" className={s.more} onClick={() => setAll(!all)}>
          {all ? t('facet.fewer', 'fewer') : t('facet.more', '{{n}} more', { n: f.values.length - few })}
        </button>
      )}
    </section>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  facets: css({ display: 'grid', gap: theme.spacing(1.5, 3), gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 160px), 1fr))' }),
  name: css({ margin: theme.spacing(0, 0, 0.5), color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize, fontWeight: theme.typography.fontWeightMedium }),
  list: css({ listStyle: 'none', margin: 0, padding: 0 }),
  value: css({
    all: 'unset', boxSizing: 'border-box', position: 'relative', width: '100%', display: 'flex', gap: theme.spacing(1), padding: theme.spacing(0.25, 0.5, 0.5), cursor: 'pointer', borderRadius: theme.shape.radius.default,
    '&:hover': { background: theme.colors.action.hover }, '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}` }, '&:disabled': { cursor: 'default', color: theme.colors.text.secondary, background: 'none' },
  }),
  chosen: css({ background: theme.colors.action.selected, fontWeight: theme.typography.fontWeightMedium }),
  text: css({ flex: 1, minWidth: 0, overflowWrap: 'anywhere' }),
  count: css({ color: theme.colors.text.secondary, fontVariantNumeric: 'tabular-nums' }),
  bar: css({ position: 'absolute', left: 0, bottom: 0, height: 2, background: theme.colors.primary.border }),
  more: css({ all: 'unset', cursor: 'pointer', padding: theme.spacing(0.25, 0.5), color: theme.colors.text.link, '&:hover': { textDecoration: 'underline' }, '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}` } }),
});
