// A table of many thousand rows, of which only those in sight are in the document. Rows have one height, so that the
// scroll bar is true and nothing jumps; whatever scrolls, the window or a frame around us, is listened to.
import { css, cx } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2, useTheme2 } from '@grafana/ui';
import { useEffect, useLayoutEffect, useRef, useState, type ReactNode, type RefObject } from 'react';
import { useHost } from '../host';
import { look, toneColors } from '../status';
import { SortButton, sortedBy, type Column } from './Table';
import { Dim } from './Text';

/** Which rows to draw: from first, before last. */
export interface Range {
  first: number;
  last: number;
}

interface Props<T> {
  label: string;
  columns: Array<Column<T>>;
  total: number;
  /** undefined = not there yet */
  row: (index: number) => T | undefined;
  id: (row: T) => string;
  status?: (row: T) => string | undefined;
  sort?: string;
  onSort?: (sort: string) => void;
  onRange: (range: Range) => void;
  pick?: { name: (row: T) => string; is: (row: T) => boolean; set: (row: T, on: boolean) => void; all: boolean; setAll: (on: boolean) => void };
}

const around = 12; // rows beyond those in sight
const step = 6; // the range moves by so many, not with every pixel

/** The rows in sight of the rows in an element, and how high one is: that differs on a phone. */
function useInSight(of: RefObject<HTMLElement>, total: number): [Range, number] {
  const [range, setRange] = useState<Range>({ first: 0, last: Math.min(total, 40) });
  const [height, setHeight] = useState(40);
  useLayoutEffect(() => {
    let frame = 0;
    const measure = () => {
      frame = 0;
      const top = of.current?.getBoundingClientRect().top ?? 0;
      const real = of.current?.querySelector('tr[data-row]')?.getBoundingClientRect().height || height;
      if (Math.abs(real - height) > 0.5) {
        setHeight(real);
        return; // and once more, with it
      }
      const first = Math.max(0, Math.min(total, Math.floor((-top / height - around) / step) * step));
      const last = Math.min(total, Math.ceil(((window.innerHeight - top) / height + around) / step) * step);
      setRange((r) => (r.first === first && r.last === last ? r : { first, last: Math.max(first, last) }));
    };
    const soon = () => {
      frame ||= requestAnimationFrame(measure);
    };
    measure();
    document.addEventListener('scroll', soon, { capture: true, passive: true });
    window.addEventListener('resize', soon);
    return () => {
      cancelAnimationFrame(frame);
      document.removeEventListener('scroll', soon, { capture: true });
      window.removeEventListener('resize', soon);
    };
  }, [of, total, height]);
  return [range, height];
}

export function LongTable<T>({ label, columns, total, row, id, status, sort, onSort, onRange, pick }: Props<T>) {
  const s = useStyles2(styles);
  const { stickyTop = 0 } = useHost();
  const body = useRef<HTMLTableSectionElement>(null);
  const [focused, setFocused] = useState<number>();
  const [range, height] = useInSight(body, total);
  useEffect(() => onRange(range), [range, onRange]);
  const shown: number[] = [];
  for (let i = range.first; i < Math.min(range.last, total); i++) {
    shown.push(i);
  }
  if (focused !== undefined && focused < total && !shown.includes(focused)) {
    shown.push(focused); // what has the focus stays, however far one scrolls
    shown.sort((a, b) => a - b);
  }
  const rows: ReactNode[] = [];
  let next = 0;
  const gap = (until: number) => until > next && rows.push(<tr key={`gap-${next}`} aria-hidden className={s.gap} style={{ height: (until - next) * height }} />);
  for (const i of shown) {
    gap(i);
    rows.push(<LongRow key={i} index={i} of={row(i)} columns={columns} id={id} status={status} pick={pick} />);
    next = i + 1;
  }
  gap(total);
  return (
    <table
      className={s.table} role="table" aria-label={label} aria-rowcount={total + 1}
      onFocus={(e) => {
        const at = (e.target as HTMLElement).closest('tr[data-row]')?.getAttribute('data-row');
        setFocused(at ? Number(at) : undefined);
      }}
      onBlur={(e) => !e.currentTarget.contains(e.relatedTarget) && setFocused(undefined)}
    >
      <colgroup>
        {pick && <col className={s.pickColumn} />}
        {columns.map((c) => (
          <col key={c.id} style={{ width: c.width }} />
        ))}
      </colgroup>
      <thead role="rowgroup" style={{ top: stickyTop }}>
        <tr role="row" aria-rowindex={1}>
          {pick && (
            <th scope="col" role="columnheader">
              <input type="checkbox" aria-label={t('table.pickAll', 'Select all that match')} checked={pick.all} onChange={(e) => pick.setAll(e.currentTarget.checked)} />
            </th>
          )}
          {columns.map((c) => (
            <th key={c.id} scope="col" role="columnheader" className={cx(c.number && s.number, c.minor && s.minor)} aria-sort={sortedBy(c, sort)}>
              {c.sort && onSort ? <SortButton column={c} sort={sort} onSort={onSort} /> : c.name()}
            </th>
          ))}
        </tr>
      </thead>
      <tbody ref={body} role="rowgroup">
        {rows}
      </tbody>
    </table>
  );
}

type RowProps<T> = Pick<Props<T>, 'columns' | 'id' | 'status' | 'pick'> & { index: number; of: T | undefined };

function LongRow<T>({ index, of: r, columns, status, pick }: RowProps<T>) {
  const s = useStyles2(styles);
  const theme = useTheme2();
  const of = r && status?.(r);
  const edge = of && of !== 'ok' ? css({ boxShadow: `inset 3px 0 0 ${toneColors(theme, look(of).tone).strong}` }) : undefined;
  return (
    <tr data-row={index} role="row" aria-rowindex={index + 2} className={cx(s.row, edge)} aria-busy={r === undefined || undefined} aria-selected={r && pick ? pick.is(r) : undefined}>
      {pick && (
        <td role="cell" className={s.pick}>
          {r !== undefined && <input type="checkbox" aria-label={pick.name(r)} checked={pick.is(r)} onChange={(e) => pick.set(r, e.currentTarget.checked)} />}
        </td>
      )}
      {columns.map((c, i) => {
        const content = r === undefined ? '…' : c.cell(r);
        const none = content === undefined || content === null || content === '' || content === false;
        return (
          <td key={c.id} role="cell" className={cx(c.number && s.number, c.minor && s.minor, i === 0 && s.first)}>
            {none || r === undefined ? <Dim>{none ? '–' : content}</Dim> : content}
          </td>
        );
      })}
    </tr>
  );
}

const phone = '@media (max-width: 719px)';
const styles = (theme: GrafanaTheme2) => ({
  table: css({
    width: '100%', borderCollapse: 'collapse', tableLayout: 'fixed',
    thead: { position: 'sticky', zIndex: 1, background: theme.colors.background.primary, boxShadow: `inset 0 -1px 0 ${theme.colors.border.medium}` },
    'th, td': { padding: theme.spacing(0, 1), textAlign: 'left', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' },
    th: { height: theme.spacing(4.5), color: theme.colors.text.secondary, fontWeight: theme.typography.fontWeightMedium, fontSize: theme.typography.bodySmall.fontSize },
    'input[type=checkbox]': { width: 16, height: 16, margin: 0, verticalAlign: 'middle', accentColor: theme.colors.primary.main, cursor: 'pointer' },
    [phone]: { display: 'block', colgroup: { display: 'none' }, thead: { position: 'static', display: 'block', tr: { display: 'flex', flexWrap: 'wrap', alignItems: 'center' }, th: { height: 'auto', padding: theme.spacing(0.5, 1) } }, tbody: { display: 'block' } },
  }),
  pickColumn: css({ width: 34 }),
  row: css({
    height: 40, borderTop: `1px solid ${theme.colors.border.weak}`, '&:hover': { background: theme.colors.action.hover }, '&[aria-selected=true]': { background: theme.colors.action.selected },
    // One line never becomes two: the height is counted on.
    '& td > *': { flexWrap: 'nowrap', overflow: 'hidden', textOverflow: 'ellipsis' }, '& td a': { overflowWrap: 'normal' },
    [phone]: {
      position: 'relative', display: 'grid', gridTemplateColumns: 'minmax(0, 1fr) minmax(0, 0.7fr)', alignContent: 'center', rowGap: 2, height: 88, paddingLeft: 36, overflow: 'hidden',
      td: { minWidth: 0, padding: theme.spacing(0, 0.5) }, '& td > div': { minWidth: 0 },
    },
  }),
  pick: css({ [phone]: { position: 'absolute', left: 10, top: 0, bottom: 0, display: 'flex', alignItems: 'center', padding: '0 !important' } }),
  first: css({ [phone]: { gridColumn: '1 / -1' } }),
  gap: css({ [phone]: { display: 'block' } }),
  number: css({ fontVariantNumeric: 'tabular-nums', textAlign: 'right !important' as 'right' }),
  minor: css({ [phone]: { display: 'none' } }),
});
