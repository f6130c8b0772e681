import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Input, useStyles2 } from '@grafana/ui';
import { useEffect, useId, useRef, useState, type ReactNode } from 'react';
import { clean } from '../format';

/** The row of filters above a list. */
export function Filters({ children }: { children: ReactNode }) {
  return (
    <form role="search" className={useStyles2(styles).row} onSubmit={(e) => e.preventDefault()}>
      {children}
    </form>
  );
}

/** Filters that are seldom used: open where one of them is in use, and as people open and close it. */
export function MoreFilters({ used, className, children }: { used: boolean; className: string; children: ReactNode }) {
  const [open, setOpen] = useState(used);
  useEffect(() => setOpen((was) => was || used), [used]);
  return (
    <details className={className} open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{t('filters.more', 'More filters')}</summary>
      {children}
    </details>
  );
}

/** Free text; told when typing pauses. */
export function Search({ name, value, placeholder, onChange, narrow }: { name?: string; value: string; placeholder: string; onChange: (text: string) => void; narrow?: boolean }) {
  const s = useStyles2(styles);
  const [text, setText] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const tell = useRef(onChange); // when the time has come, with the other filters as they are then
  useEffect(() => {
    tell.current = onChange;
  });
  useEffect(() => setText((typed) => (typed.trim() === value ? typed : value)), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <label className={narrow ? s.short : s.wide}>
      <span className={s.name}>{name ?? t('filters.search', 'Search')}</span>
      <Input
        type="search"
        value={text}
        placeholder={placeholder}
        maxLength={200}
        autoComplete="off"
        spellCheck={false}
        onChange={(e) => {
          const v = e.currentTarget.value;
          setText(v);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => tell.current(v.trim()), 250);
        }}
      />
    </label>
  );
}

/** One of a few words; one that is none of them (from an address) is shown as it is. The browser's own list: it works with every keyboard and on every phone. */
export function Pick({ name, bare, wrong, value, options, onChange }: { name: string; /** the name is for the ears only */ bare?: boolean; /** id of what says why the choice does not do */ wrong?: string; value: string; options: Array<[string, string]>; onChange: (value: string) => void }) {
  const s = useStyles2(styles);
  const id = useId();
  return (
    <span className={s.field}>
      {!bare && (
        <label className={s.name} htmlFor={id}>
          {name}
        </label>
      )}
      <select id={id} aria-invalid={wrong ? true : undefined} aria-describedby={wrong} aria-label={bare ? name : undefined} className={bare ? s.narrow : s.select} value={value} onChange={(e) => onChange(e.target.value)}>
        {value !== '' && !options.some(([v]) => v === value) && <option value={value}>{clean(value, 80)}</option>}
        {options.map(([v, text]) => (
          <option key={v} value={v}>
            {text}
          </option>
        ))}
      </select>
    </span>
  );
}

/** A moment as RFC 3339, chosen in the reader's zone; '' = none. */
export function Moment({ name, value, onChange }: { name: string; value: string; onChange: (value: string) => void }) {
  const s = useStyles2(styles);
  const at = new Date(value);
  const local = Number.isNaN(at.getTime()) ? '' : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  return (
    <label className={s.field}>
      <span className={s.name}>{name}</span>
      <input className={s.select} type="datetime-local" value={local} onChange={(e) => onChange(e.target.value && new Date(e.target.value).toISOString())} />
    </label>
  );
}

const phone = '@media (max-width: 719px)';
const styles = (theme: GrafanaTheme2) => ({
  row: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-end', gap: theme.spacing(1.5), marginBottom: theme.spacing(2) }),
  wide: css({ flex: '1 1 220px', maxWidth: 420, margin: 0 }),
  short: css({ flex: '0 1 160px', minWidth: 110, margin: 0 }),
  field: css({ display: 'flex', flexDirection: 'column', [phone]: { flex: '1 1 40%', '& select': { width: '100%', maxWidth: 'none' } } }),
  name: css({ margin: 0, color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
  narrow: css(select(theme, 90)),
  select: css(select(theme, 110)),
});

const select = (theme: GrafanaTheme2, minWidth: number) => ({
  height: theme.spacing(theme.components.height.md), minWidth, maxWidth: 220, padding: theme.spacing(0, 1), background: theme.components.input.background, color: theme.components.input.text, border: `1px solid ${theme.components.input.borderColor}`,
  borderRadius: theme.shape.radius.default, '&:hover': { borderColor: theme.components.input.borderHover }, '&[aria-invalid]': { borderColor: theme.colors.error.border }, '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}`, outlineOffset: 1 }, option: { background: theme.colors.background.primary },
});
