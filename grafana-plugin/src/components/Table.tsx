// A table that turns into cards on a narrow screen.
import { css, cx } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Icon, useStyles2, useTheme2 } from '@grafana/ui';
import { useEffect, type ReactNode } from 'react';
import { look, toneColors } from '../status';
import { Dim } from './Text';

export interface Column<T> {
  id: string;
  /** asked when it is shown: the language is known then */
  name: () => string;
  /** undefined = nothing known */
  cell: (row: T) => ReactNode;
  /** what the API calls this order; absent = cannot be sorted */
  sort?: string;
  /** digits below digits */
  number?: boolean;
  /** not on a phone: the thing's own page has it */
  minor?: boolean;
  /** as CSS says it; absent = what is left. In Table, the least. */
  width?: string | number;
}

/** What a column's heading says of the order. */
export const sortedBy = <T,>(c: Column<T>, sort?: string) => (c.sort && sort === c.sort ? 'ascending' : c.sort && sort === '-' + c.sort ? 'descending' : undefined);

/** A heading that sorts; once more, the other way round. */
export function SortButton<T>({ column: c, sort, onSort }: { column: Column<T>; sort?: string; onSort: (sort: string) => void }) {
  const s = useStyles2(styles);
  return (
    <button type="button" className={s.sort} onClick={() => onSort(sort === c.sort ? '-' + c.sort : (c.sort as string))}>
      {c.name()}
      {sort === c.sort && <Icon name="arrow-up" size="sm" aria-hidden />}
      {sort === '-' + c.sort && <Icon name="arrow-down" size="sm" aria-hidden />}
    </button>
  );
}

interface Props<T> {
  label: string;
  columns: Array<Column<T>>;
  rows: T[];
  id: (row: T) => string;
  /** a status that colours the row's edge */
  status?: (row: T) => string | undefined;
  sort?: string;
  onSort?: (sort: string) => void;
}

export function Table<T>({ label, columns, rows, id, status, sort, onSort }: Props<T>) {
  const s = useStyles2(styles);
  const theme = useTheme2();
  return (
    <div className={s.wrap} tabIndex={0} role="group" aria-label={label}>
      <table className={s.table}>
        <thead>
          <tr>
            {columns.map((c) => (
              <th key={c.id} scope="col" style={{ minWidth: c.width }} className={c.number ? s.number : undefined} aria-sort={sortedBy(c, sort)}>
                {c.sort && onSort ? <SortButton column={c} sort={sort} onSort={onSort} /> : c.name()}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => {
            const of = status?.(r);
            const edge = of && of !== 'ok' ? css({ boxShadow: `inset 3px 0 0 ${toneColors(theme, look(of).tone).strong}` }) : undefined;
            return (
              <tr key={id(r)} className={edge}>
                {columns.map((c) => {
                  const content = c.cell(r);
                  const none = content === undefined || content === null || content === '';
                  return (
                    <td key={c.id} data-label={c.name()} className={cx(c.number && s.number, (none || c.minor) && s.none)}>
                      {none ? <Dim>–</Dim> : content}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** "51–100 of 650", with ways to the pages around. */
export function Pager({ total, limit, offset, go }: { total: number; limit: number; offset: number; go: (offset: number) => void }) {
  const s = useStyles2(styles);
  useEffect(() => {
    if (total > 0 && offset >= total) {
      go(Math.floor((total - 1) / limit) * limit); // what was on the last page is gone
    }
  });
  if (total <= limit) {
    return null;
  }
  return (
    <nav className={s.pager} aria-label={t('pager.label', 'Pages of the list')}>
      <button type="button" className={s.page} disabled={offset <= 0} onClick={() => go(Math.max(0, offset - limit))}>
        ← {t('pager.before', 'Before')}
      </button>
      <span>{t('pager.where', '{{from}}–{{to}} of {{total}}', { from: offset + 1, to: Math.min(total, offset + limit), total })}</span>
      <button type="button" className={s.page} disabled={offset + limit >= total} onClick={() => go(offset + limit)}>
        {t('pager.next', 'Next')} →
      </button>
    </nav>
  );
}

const phone = '@media (max-width: 719px)';
const styles = (theme: GrafanaTheme2) => ({
  wrap: css({ overflowX: 'auto' }),
  table: css({
    width: '100%', borderCollapse: 'collapse',
    // A word is broken where it would be wider than a column may be, not to make room for another column.
    'th, td': { padding: theme.spacing(0.75, 1), textAlign: 'left', verticalAlign: 'top', overflowWrap: 'break-word', maxWidth: 280 },
    'td time, td code': { whiteSpace: 'nowrap' },
    th: { color: theme.colors.text.secondary, fontWeight: theme.typography.fontWeightMedium, fontSize: theme.typography.bodySmall.fontSize, whiteSpace: 'nowrap', borderBottom: `1px solid ${theme.colors.border.medium}` },
    'tbody tr + tr td': { borderTop: `1px solid ${theme.colors.border.weak}` },
    'tbody tr:hover': { background: theme.colors.action.hover },
    [phone]: {
      display: 'block', thead: { display: 'none' }, tbody: { display: 'block' },
      tr: { display: 'block', padding: theme.spacing(1, 0.5), borderBottom: `1px solid ${theme.colors.border.weak}` },
      'td, td code': { maxWidth: 'none', overflowWrap: 'anywhere', whiteSpace: 'normal' },
      td: { display: 'flex', flexWrap: 'wrap', gap: theme.spacing(0.25, 1), justifyContent: 'flex-end', textAlign: 'right', padding: theme.spacing(0.25, 1), borderTop: '0 !important' },
      'td::before': { content: 'attr(data-label)', color: theme.colors.text.secondary, flex: 'none', marginRight: 'auto' },
    },
  }),
  number: css({ whiteSpace: 'nowrap', fontVariantNumeric: 'tabular-nums', textAlign: 'right !important' as 'right' }),
  none: css({ [phone]: { display: 'none !important' } }),
  sort: css({ all: 'unset', cursor: 'pointer', display: 'inline-flex', alignItems: 'center', gap: 2, '&:hover': { color: theme.colors.text.primary }, '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}` } }),
  pager: css({ display: 'flex', alignItems: 'center', justifyContent: 'center', gap: theme.spacing(2), padding: theme.spacing(1.5), color: theme.colors.text.secondary }),
  page: css({ background: 'transparent', border: `1px solid ${theme.colors.border.medium}`, borderRadius: theme.shape.radius.default, color: theme.colors.text.primary, padding: theme.spacing(0.5, 1.5), '&:disabled': { color: theme.colors.text.disabled }, '&:hover:not(:disabled)': { background: theme.colors.action.hover } }),
});
