import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Button, useStyles2 } from '@grafana/ui';
import { useMemo } from 'react';
import { now, useAnswer } from '../../api/client';
import type { AuditEntry } from '../../api/schema';
import { Filters, Pick, Search } from '../../components/Filters';
import { Item, Line, List } from '../../components/List';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Data, Dim, Tag, When } from '../../components/Text';
import { oneOf, useFilters } from '../../components/useFilters';
import { words } from '../../format';
import { differences } from './differences';

const hour = 3_600_000;
const spans = { hour, day: 24 * hour, week: 7 * 24 * hour, month: 30 * 24 * hour };
const spanNames = Object.keys(spans) as Array<keyof typeof spans>;
/** All below such a word: the API takes the beginning of an action. */
const actions = ['login', 'logout', 'user', 'token', 'join_token', 'notification', 'silence', 'rules', 'server', 'register', 'demo'];

export function Audit() {
  const s = useStyles2(styles);
  const [q, set] = useFilters();
  const span = oneOf(q.since, spanNames);
  // To five minutes: the question stays the same while one looks.
  const since = useMemo(() => (span ? new Date(Math.floor((now() - spans[span]) / 300_000) * 300_000).toISOString() : undefined), [span]);
  const filter = { actor: q.actor, action: q.action, subject: q.subject, search: q.search, since };
  const list = useAnswer('/audit', { ...filter, before_id: Number(q.before_id) || undefined, limit: 100 });
  const narrowed = Object.values(filter).some(Boolean);
  const to = (changes: Record<string, string | undefined>) => set({ ...changes, before_id: undefined });
  const any: [string, string] = ['', t('filters.any', 'any')];
  const action = q.action && !actions.includes(q.action) ? [...actions, q.action] : actions;
  const spanText = { hour: t('audit.hour', 'the last hour'), day: t('audit.day', 'the last day'), week: t('audit.week', 'the last week'), month: t('audit.month', 'the last 30 days') };
  return (
    <Panel title={t('settings.audit', 'Audit log')}>
      <Filters>
        <Search value={q.search ?? ''} placeholder={t('audit.search', 'part of anything')} onChange={(search) => to({ search })} />
        <Search name={t('audit.actor', 'Who')} value={q.actor ?? ''} placeholder={t('audit.exactly', 'exactly this name')} onChange={(actor) => to({ actor })} />
        <Search name={t('audit.subject', 'On what')} value={q.subject ?? ''} placeholder={t('audit.exactlyId', 'exactly this name or id')} onChange={(subject) => to({ subject })} />
        <Pick name={t('audit.action', 'What')} value={q.action ?? ''} options={[any, ...action.map((a): [string, string] => [a, words(a)])]} onChange={(a) => to({ action: a })} />
        <Pick name={t('audit.when', 'When')} value={span ?? ''} options={[any, ...spanNames.map((n): [string, string] => [n, spanText[n]])]} onChange={(v) => to({ since: v })} />
      </Filters>
      <Loaded of={list}>
        {(l) => (
          <>
            {l.items.length ? (
              <List label={t('settings.audit', 'Audit log')}>
                {l.items.map((e) => (
                  <Entry key={e.id} of={e} only={to} />
                ))}
              </List>
            ) : (
              <Empty icon="search" title={narrowed ? t('changes.noMatch', 'None matches.') : t('audit.none', 'Nothing was changed yet.')} />
            )}
            <div className={s.pages}>
              {q.before_id && <Button variant="secondary" size="sm" onClick={() => set({ before_id: undefined })}>{t('changes.first', 'The newest')}</Button>}
              {l.next_before_id > 0 && <Button variant="secondary" size="sm" onClick={() => set({ before_id: l.next_before_id })}>{t('changes.next', 'Older')}</Button>}
            </div>
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function Entry({ of: e, only }: { of: AuditEntry; only: (changes: Record<string, string | undefined>) => void }) {
  const s = useStyles2(styles);
  const found = differences(e.detail);
  return (
    <Item after={<Dim><When at={e.at} /></Dim>}>
      <Line>
        <button type="button" className={s.only} title={t('audit.onlyActor', 'Only what this one did')} onClick={() => only({ actor: e.actor })}><strong><Data max={64}>{e.actor}</Data></strong></button>
        <span>{words(e.action.replaceAll('.', ' '))}</span>
        {e.subject && <button type="button" className={s.only} title={t('audit.onlySubject', 'Only what was done to this')} onClick={() => only({ subject: e.subject })}><code><Data max={80}>{e.subject}</Data></code></button>}
        {e.via && <Tag title={t('audit.via', 'by which door')}><Data max={60}>{e.via}</Data></Tag>}
      </Line>
      {found.length > 0 && (
        <dl className={s.facts}>
          {found.map((d) => (
            <div key={d.name}>
              <dt>{words(d.name)}</dt>
              <dd>
                {d.value !== undefined ? (
                  <Data max={500}>{d.value}</Data>
                ) : (
                  <>
                    <del className={s.before}><Data max={500}>{d.before || '–'}</Data></del> → <ins className={s.after}><Data max={500}>{d.after || '–'}</Data></ins>
                  </>
                )}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </Item>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  pages: css({ display: 'flex', gap: theme.spacing(1), marginTop: theme.spacing(1) }),
  only: css({ all: 'unset', cursor: 'pointer', overflowWrap: 'anywhere', '&:hover': { textDecoration: 'underline' }, '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}` } }),
  facts: css({
    margin: theme.spacing(0.5, 0, 0), fontSize: theme.typography.bodySmall.fontSize, div: { display: 'flex', gap: theme.spacing(1), flexWrap: 'wrap' },
    dt: { color: theme.colors.text.secondary, fontWeight: theme.typography.fontWeightRegular }, dd: { margin: 0, overflowWrap: 'anywhere' },
  }),
  before: css({ color: theme.colors.text.secondary }),
  after: css({ textDecoration: 'none', color: theme.colors.text.primary, fontWeight: theme.typography.fontWeightMedium }),
});
