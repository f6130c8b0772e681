// What to do: a section of the runbook, and below it those to which it points.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2 } from '@grafana/ui';
import { useRef } from 'react';
import type { Runbook } from '../../api/schema';
import { Markdown } from '../../components/Markdown';
import { Panel } from '../../components/Panel';
import { Dim } from '../../components/Text';
import { clean } from '../../format';

export function Book({ of: b }: { of: Runbook }) {
  const s = useStyles2(styles);
  const box = useRef<HTMLDivElement>(null);
  const also = (b.also as Runbook['also'] | undefined) ?? []; // the app may be newer than the ruler
  const leads = (words: string) => {
    const at = also.findIndex((v) => v.title.toLowerCase() === words.toLowerCase());
    return at < 0
      ? undefined
      : () => {
          const section = box.current?.querySelectorAll('details')[at];
          if (section) {
            section.open = true;
            section.querySelector('summary')?.focus({ preventScroll: true });
            section.scrollIntoView({ block: 'nearest' });
          }
        };
  };
  return (
    <Panel title={t('notification.runbook', 'What to do')} extra={<Dim>{clean(b.name, 120)}{b.own && ` · ${t('notification.runbookOwn', 'your own')}`}</Dim>}>
      <Markdown of={b.text} leads={leads} />
      <div ref={box} className={s.also}>
        {also.map((v, i) => (
          <details key={i}>
            <summary>{clean(v.title, 120)}</summary>
            <Markdown of={v.text} leads={leads} />
          </details>
        ))}
      </div>
    </Panel>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  also: css({ '& details': { borderTop: `1px solid ${theme.colors.border.weak}`, padding: theme.spacing(1, 0) }, '& details[open] > summary': { marginBottom: theme.spacing(1) }, '&:empty': { display: 'none' } }),
});
