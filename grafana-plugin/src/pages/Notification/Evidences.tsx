import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2 } from '@grafana/ui';
import type { Evidence } from '../../api/schema';
import { Facts } from '../../components/Facts';
import { Line } from '../../components/List';
import { Link, SerialLink } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Empty } from '../../components/States';
import { Data, Dim, Tag, When } from '../../components/Text';
import { field, lines, plural, words } from '../../format';
import { link } from '../../routes';

/** One record can say several things: it is shown once, with all of them. */
function byRecord(list: Evidence[]): Evidence[][] {
  const out = new Map<string, Evidence[]>();
  list.forEach((e, i) => {
    const key = e.record_id || `#${i}`;
    out.set(key, [...(out.get(key) ?? []), e]);
  });
  return [...out.values()];
}

export function Evidences({ of }: { of: Evidence[] }) {
  const s = useStyles2(styles);
  return (
    <Panel title={t('evidence.title', 'Evidence')}>
      {of.length === 0 && <Empty title={t('evidence.none', 'No record: a silence leaves none.')} />}
      {byRecord(of).map((group) => {
        const e = group[0];
        return (
          <article key={e.record_id} className={s.record}>
            <Line>
              <Tag>{words(e.category)}</Tag>
              <strong>
                <Data max={120}>{e.name}</Data>
              </strong>
              <Dim>
                <When at={e.at ?? e.received_at} />
              </Dim>
            </Line>
            <ul className={s.effects}>
              {group.map((g, i) => (
                <li key={i}>
                  <Dim>{words(g.effect)}</Dim> <Data max={1000}>{g.reason}</Data>
                </li>
              ))}
            </ul>
            {e.body && (
              <pre className={s.text} tabIndex={0} aria-label={t('evidence.text', 'Text of the record')}>
                {lines(e.body, 4096)}
              </pre>
            )}
            {e.fields.length > 0 && (
              <details>
                <summary>{plural('evidence.fields', e.fields.length, '1 field', '{{n}} fields')}</summary>
                <Facts raw of={e.fields.map((f): [string, React.ReactNode] => [field(f.name, f.value)[0], f.name === 'serial' && f.value ? <SerialLink key={f.name} number={f.value} /> : <bdi key={f.name}>{field(f.name, f.value)[1] || '–'}</bdi>])} />
              </details>
            )}
            {e.raw && (
              <details>
                <summary>{t('evidence.raw', 'As the tool printed it')}</summary>
                <pre className={s.text} tabIndex={0}>
                  {lines(e.raw, 32768)}
                </pre>
              </details>
            )}
            <Dim>
              {t('evidence.record', 'record')} {e.category === 'eventlog' ? <Link to={link.event(e.record_id)}><Data max={160}>{e.record_id}</Data></Link> : <Data max={160}>{e.record_id}</Data>}
              {e.cut && ` · ${t('evidence.cut', 'something was too long and was cut')}`}
            </Dim>
          </article>
        );
      })}
    </Panel>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  record: css({ padding: theme.spacing(1, 0), '& + &': { borderTop: `1px solid ${theme.colors.border.weak}` } }),
  effects: css({ margin: theme.spacing(0.5, 0), paddingLeft: theme.spacing(2.5) }),
  text: css({ maxHeight: 320, overflow: 'auto', whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', margin: theme.spacing(0.5, 0), padding: theme.spacing(1), fontSize: theme.typography.bodySmall.fontSize, color: theme.colors.text.primary, background: theme.colors.background.secondary, border: 0 }),
});
