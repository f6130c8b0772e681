// The drive bays as one sees them in front of the machine: which one to pull.
import { css, cx } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2, useTheme2 } from '@grafana/ui';
import type { Device } from '../../api/schema';
import { clean } from '../../format';
import { look, toneColors } from '../../status';

/** The slot's number in a place such as c0/e252/s4; undefined for what is in none. */
export const slotOf = (place: string) => /(?:^|\/)s(\d{1,4})$/.exec(place)?.[1];

/** The enclosure's part of a place: "e252", or "" where the drives hang on the controller itself. */
export const enclosureOf = (place: string) => /(?:^|\/)(e\d{1,4})\//.exec(place)?.[1] ?? '';

export function Bays({ of }: { of: Device[] }) {
  const s = useStyles2(styles);
  const theme = useTheme2();
  const drives = of.filter((d) => d.type === 'physical_drive' && slotOf(d.place) !== undefined);
  if (!drives.length) {
    return null;
  }
  const enclosures = new Map<string, Device[]>();
  for (const d of drives) {
    enclosures.set(enclosureOf(d.place), [...(enclosures.get(enclosureOf(d.place)) ?? []), d]);
  }
  return (
    <>
      {[...enclosures].map(([enclosure, list]) => (
        <figure key={enclosure} className={s.enclosure}>
          <figcaption className={s.caption}>{enclosure ? `${t('bays.enclosure', 'Enclosure')} ${enclosure.slice(1)}` : t('bays.direct', 'Drives')}</figcaption>
          <ol className={s.bays} aria-label={t('bays.label', 'Drive bays')}>
            {list
              .sort((a, b) => Number(slotOf(a.place)) - Number(slotOf(b.place)))
              .map((d) => {
                const l = look(d.status);
                const c = toneColors(theme, l.tone);
                return (
                  <li
                    key={d.place}
                    className={cx(s.bay, css({ borderColor: c.strong, background: d.status === 'ok' ? theme.colors.background.secondary : c.ground, color: d.status === 'ok' ? theme.colors.text.primary : c.text }))}
                    title={[d.place, d.state, d.model, d.serial, d.status_text].filter(Boolean).map((x) => clean(x, 80)).join(' · ')}
                  >
                    <span className={s.light} style={{ background: c.strong }} aria-hidden />
                    <span className={s.slot}>{slotOf(d.place)}</span>
                    <span className={s.state}>{clean(d.state || '?', 8)}</span>
                    {d.status !== 'ok' && <span className={s.word}>{l.word()}</span>}
                  </li>
                );
              })}
          </ol>
        </figure>
      ))}
    </>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  enclosure: css({ margin: theme.spacing(0.5, 0, 1.5), padding: theme.spacing(1), border: `1px solid ${theme.colors.border.medium}`, borderRadius: theme.shape.radius.default, background: theme.colors.background.canvas }),
  caption: css({ color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize, marginBottom: theme.spacing(0.5) }),
  bays: css({ listStyle: 'none', display: 'grid', gridTemplateColumns: 'repeat(auto-fill, minmax(74px, 1fr))', gap: theme.spacing(0.5), margin: 0, padding: 0 }),
  bay: css({ position: 'relative', display: 'flex', flexDirection: 'column', minHeight: 62, padding: theme.spacing(0.5, 1, 0.5, 1.5), border: '1px solid', borderRadius: theme.shape.radius.default, overflow: 'hidden' }),
  light: css({ position: 'absolute', left: 0, top: 0, bottom: 0, width: 5 }),
  slot: css({ fontWeight: theme.typography.fontWeightMedium, fontVariantNumeric: 'tabular-nums' }),
  state: css({ fontSize: theme.typography.bodySmall.fontSize }),
  word: css({ fontSize: theme.typography.bodySmall.fontSize, fontWeight: theme.typography.fontWeightMedium }),
});
