// Planning work, or changing a plan: which servers, when, why; and what it would be, before it is.
import { css, cx } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, Button, Field, Input, useStyles2 } from '@grafana/ui';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useId, useState } from 'react';
import { useNavigate } from 'react-router-dom';
import { call, now, Refusal, told, useAnswer, useChange } from '../../api/client';
import type { Window, WindowPreview } from '../../api/schema';
import { Moment } from '../../components/Filters';
import { Line } from '../../components/List';
import { ServerLink } from '../../components/Links';
import { Columns, Panel } from '../../components/Panel';
import { Data, Dim, When } from '../../components/Text';
import { useUnsaved } from '../../components/useUnsaved';
import { countServers, number, plain, sentence, until } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { Tabs } from '../../components/Tabs';
import { between, dayName, days, labelName, labels, lacking, longText, nextLike, passed, requestOf, unready, when, type Draft, type Label } from './planned';
import { Values } from './Values';

/** of: what is changed; absent = a new plan. */
export function PlanForm({ begin, of: start, close: closed }: { begin: Draft; of?: Window; close: () => void }) {
  const s = useStyles2(styles);
  const host = useHost();
  const navigate = useNavigate();
  const [first] = useState(() => JSON.stringify(begin));
  const [draft, setDraft] = useState(begin);
  const leave = useUnsaved(() => JSON.stringify(draft) !== first);
  const close = () => void leave().then(closed);
  const [theirs, setTheirs] = useState<Window>();
  const [failed, setFailed] = useState('');
  const plan = useChange('POST', '/windows');
  const change = useChange('PUT', '/windows/{id}');
  const set = (more: Partial<Draft>) => setDraft((d) => ({ ...d, ...more }));
  useTime(every);
  const missing = unready(draft, now());
  const save = async (version = start?.version) => {
    setFailed('');
    try {
      const out = start ? await change.mutateAsync({ params: { id: start.id }, body: requestOf(draft, version) }) : await plan.mutateAsync({ params: {}, body: requestOf(draft) });
      if (start) {
        close();
      } else {
        await leave();
        navigate(host.base + link.work(out.window.id));
      }
    } catch (e) {
      if (start && e instanceof Refusal && e.status === 409) {
        const there = await call(host, 'GET', '/windows/{id}', { id: start.id }).catch(() => undefined);
        if (there && there.window.version !== version) {
          setTheirs(there.window);
          return;
        }
      }
      setFailed(told(e));
    }
  };
  const busy = plan.isPending || change.isPending;
  return (
    <Panel title={start ? t('planned.changeTitle', 'Change the plan') : t('planned.newTitle', 'Plan work')} extra={<Button size="sm" variant="secondary" icon="times" onClick={close}>{t('diff.close', 'Close')}</Button>}>
      <form
        className={s.form}
        onSubmit={(e) => {
          e.preventDefault();
          void save();
        }}
      >
        {theirs && <Theirs of={theirs} busy={busy} take={close} over={() => { setTheirs(undefined); void save(theirs.version); }} />}
        <Why draft={draft} set={set} versioned={start !== undefined} />
        <Where draft={draft} set={set} />
        <Time draft={draft} set={set} />
        <Preview draft={draft} />
        <div className={s.buttons}>
          <Button type="submit" disabled={busy || missing !== '' || theirs !== undefined}>{start ? t('planned.save', 'Save the plan') : t('planned.plan', 'Plan it')}</Button>
          <Dim>{missing}</Dim>
        </div>
        <div role="status">{failed && <Alert severity="error" title={failed} />}</div>
      </form>
    </Panel>
  );
}

const every = 5000; // ms until the clock is looked at again

/** Has the form drawn again as time passes: it may lie open until its time is over. */
function useTime(ms: number) {
  const [, again] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => again((n) => n + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
}

interface Part {
  draft: Draft;
  set: (more: Partial<Draft>) => void;
}

function Why({ draft: d, set, versioned }: Part & { versioned: boolean }) {
  const id = useId();
  return (
    <Columns wide={280}>
      <Field noMargin label={t('planned.reason', 'What is done, and why')} htmlFor={id + 'r'}>
        <Input id={id + 'r'} value={d.reason} maxLength={120} autoComplete="off" placeholder={t('planned.reasonText', 'firmware of the controllers, ticket 4711')} onChange={(e) => set({ reason: e.currentTarget.value })} />
      </Field>
      {versioned && (
        <Field noMargin label={t('planned.comment', 'Why it is changed')} htmlFor={id + 'c'}>
          <Input id={id + 'c'} value={d.comment} maxLength={500} autoComplete="off" onChange={(e) => set({ comment: e.currentTarget.value })} />
        </Field>
      )}
    </Columns>
  );
}

const facetOf: Record<Exclude<Label, 'name'>, string> = { site: 'site', rack: 'rack', role: 'role', owner: 'owner', os: 'os_type' };

function Where({ draft: d, set }: Part) {
  const s = useStyles2(styles);
  const [typed, setTyped] = useState('');
  const facets = useAnswer('/server-facets', {}, { every: 0 });
  const names = useAnswer('/servers', { search: typed, limit: 20 }, { every: 0, enabled: !d.all });
  const offered = (l: Label) => (l === 'name' ? (names.data?.items ?? []).map((v) => v.name) : (facets.data?.facets.find((f) => f.name === facetOf[l])?.values ?? []).map((v) => v.value).filter(Boolean));
  return (
    <fieldset className={s.set}>
      <legend className={s.legend}>{t('planned.where', 'Which servers')}</legend>
      <Tabs label={t('planned.where', 'Which servers')} value={d.all ? 'all' : 'some'} onChange={(v) => set({ all: v === 'all' })} of={[['some', t('planned.some', 'These')], ['all', t('planned.all', 'All servers')]]} />
      {!d.all && (
        <>
          <div className={s.grid}>
            {labels.map((l) => (
              <Values key={l} name={labelName[l]()} values={d.servers[l]} offered={offered(l)} onTyped={l === 'name' ? setTyped : undefined} onChange={(v) => set({ servers: { ...d.servers, [l]: v } })} />
            ))}
          </div>
          <Dim>{t('planned.whereText', 'Several of one kind: any of them. Several kinds: all must agree.')}</Dim>
          {Object.keys(d.more).length > 0 && <Dim>{t('planned.more', 'And, as it was written elsewhere:')} <Data>{JSON.stringify(d.more)}</Data></Dim>}
        </>
      )}
    </fieldset>
  );
}

const zones = () => ['UTC', ...Intl.supportedValuesOf('timeZone').filter((z) => z !== 'UTC')];

function Time({ draft: d, set }: Part) {
  const s = useStyles2(styles);
  const id = useId();
  const toggle = (day: string) => set({ days: d.days.includes(day) ? d.days.filter((x) => x !== day) : [...d.days, day] });
  return (
    <fieldset className={s.set}>
      <legend className={s.legend}>{t('planned.when', 'When')}</legend>
      <Tabs label={t('planned.when', 'When')} value={d.weekly ? 'weekly' : 'once'} onChange={(v) => set({ weekly: v === 'weekly' })} of={[['once', t('planned.once', 'Once')], ['weekly', t('planned.weekly', 'Every week')]]} />
      {d.weekly ? (
        <>
          <div className={s.days} role="group" aria-label={t('planned.days', 'Days on which it begins')}>
            {days.map((day) => (
              <label key={day} className={cx(s.day, d.days.includes(day) && s.picked)}>
                <input type="checkbox" checked={d.days.includes(day)} onChange={() => toggle(day)} /> {dayName(day)}
              </label>
            ))}
          </div>
          <div className={s.row}>
            <label className={s.field}>
              <span className={s.name}>{t('planned.from', 'From')}</span>
              <input className={s.time} type="time" required value={d.from} onChange={(e) => set({ from: e.target.value })} />
            </label>
            <label className={s.field}>
              <span className={s.name}>{t('planned.to', 'To')}</span>
              <input className={s.time} type="time" required value={d.to} onChange={(e) => set({ to: e.target.value })} />
            </label>
            <span className={s.field}>
              <label className={s.name} htmlFor={id}>{t('planned.zone', 'By the clock of')}</label>
              <Input id={id} width={28} value={d.zone} list={id + 'z'} maxLength={64} autoComplete="off" spellCheck={false} onChange={(e) => set({ zone: e.currentTarget.value })} />
              <datalist id={id + 'z'}>{zones().map((z) => <option key={z} value={z} />)}</datalist>
            </span>
          </div>
          {d.from && d.to && <Dim>{d.from < d.to ? t('planned.lasts', 'It lasts {{span}}.', { span: longText(d) }) : t('planned.lastsOver', 'It lasts {{span}}, until the next day.', { span: longText(d) })}</Dim>}
        </>
      ) : (
        <>
          <div className={s.row}>
            <Moment name={t('planned.starts', 'From (empty: now)')} value={d.starts} onChange={(starts) => set({ starts })} />
            <Moment name={t('planned.ends', 'To')} value={d.ends} onChange={(ends) => set({ ends })} />
          </div>
          <div role="status">{passed(d, now()) && <Passed draft={d} set={set} />}</div>
          <Dim>{t('planned.zoneOf', 'By the clock of {{zone}}.', { zone: Intl.DateTimeFormat().resolvedOptions().timeZone, ...plain })}</Dim>
        </>
      )}
      <Dim>{t('planned.longer', 'What counts is when the ruler hears of a change: let it last a quarter of an hour longer than the work.')}</Dim>
    </fieldset>
  );
}

function Passed({ draft: d, set }: Part) {
  const next = nextLike(d, now());
  return (
    <Alert severity="warning" title={t('planned.passedTitle', 'This time is over: nothing can be planned for it any more.')}>
      <Button size="sm" type="button" variant="secondary" onClick={() => set(next)}>
        {next.starts ? t('planned.takeNext', 'Take {{time}}', { time: between(next.starts, next.ends) }) : t('planned.takeUntil', 'Take until {{until}}', { until: until(next.ends, now()) })}
      </Button>
    </Alert>
  );
}

const pause = 300; // ms without a key before the ruler is asked

/** What the ruler says it would be. */
function Preview({ draft: d }: { draft: Draft }) {
  const s = useStyles2(styles);
  const host = useHost();
  const missing = lacking(d, now());
  const body = JSON.stringify({ ...requestOf(d), reason: '', comment: '' });
  const [asked, setAsked] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setAsked(missing ? '' : body), pause);
    return () => clearTimeout(timer);
  }, [body, missing]);
  const said = useQuery<WindowPreview, Refusal>({
    queryKey: ['/windows/preview', asked], enabled: asked !== '', retry: false, placeholderData: keepPreviousData, refetchInterval: false,
    queryFn: ({ signal }) => call(host, 'POST', '/windows/preview', {}, JSON.parse(asked), signal),
  });
  return (
    <div className={s.preview} role="status" aria-label={t('planned.preview', 'What it would be')}>
      {missing ? <Dim>{missing}</Dim> : said.error ? <>{sentence(said.error.message)} <Dim>{sentence(said.error.hint)}</Dim></> : !said.data ? <Dim>{t('planned.asking', 'One moment…')}</Dim> : <Would of={said.data} />}
    </div>
  );
}

function Would({ of: p }: { of: WindowPreview }) {
  const n = p.window.concerns;
  const running = p.window.state === 'active';
  return (
    <>
      <div>
        {running ? <strong>{t('planned.atOnce', 'It would hold at once, until {{until}}.', { until: until(p.window.until ?? '', now()) })}</strong> : p.times[0] && <><strong>{between(p.times[0].from, p.times[0].to)}</strong> <Dim>(<When at={p.times[0].from} />)</Dim></>}
        {p.times.slice(1).map((x) => <Dim key={x.from}>{' · '}{between(x.from, x.to)}</Dim>)}
      </div>
      <Line>
        <strong>{n === 0 ? t('planned.nobody', 'No server is like that now.') : countServers(n)}</strong>
        {p.examples.map((v) => <ServerLink key={v.id} id={v.id} name={v.name} />)}
        {n > p.examples.length && <Dim>{t('labels.andMore', 'and {{n}} more', { n: number(n - p.examples.length) })}</Dim>}
      </Line>
    </>
  );
}

/** Somebody else was faster. */
function Theirs({ of: w, busy, take, over }: { of: Window; busy: boolean; take: () => void; over: () => void }) {
  const s = useStyles2(styles);
  const ended = w.state === 'ended';
  return (
    <Alert severity="warning" title={ended ? t('planned.theyEnded', 'Somebody ended it meanwhile') : t('conflict.title', 'Somebody changed it meanwhile')}>
      <p>
        <Data max={80}>{w.changed_by}</Data> <When at={w.changed_at} />{w.comment && <>: <Data max={300}>{w.comment}</Data></>}
      </p>
      {!ended && <p><Data max={120}>{w.reason}</Data> · {when(w)} · <Data max={200}>{w.condition}</Data></p>}
      <div className={s.buttons}>
        <Button size="sm" variant="secondary" type="button" onClick={take}>{t('conflict.takeTheirs', 'Take theirs, mine is lost')}</Button>
        {!ended && <Button size="sm" variant="destructive" type="button" disabled={busy} onClick={over}>{t('conflict.takeMine', 'Save mine over theirs')}</Button>}
      </div>
    </Alert>
  );
}

const styles = (theme: GrafanaTheme2) => {
  const box = { height: theme.spacing(theme.components.height.md), padding: theme.spacing(0, 1), background: theme.components.input.background, color: theme.components.input.text, border: `1px solid ${theme.components.input.borderColor}`, borderRadius: theme.shape.radius.default };
  return {
    form: css({ display: 'flex', flexDirection: 'column', gap: theme.spacing(2.5) }),
    set: css({ display: 'flex', flexDirection: 'column', alignItems: 'flex-start', gap: theme.spacing(1), minWidth: 0, margin: 0, padding: 0, border: 0 }),
    legend: css({ margin: theme.spacing(0, 0, 0.5), padding: 0, border: 0, fontSize: theme.typography.body.fontSize, fontWeight: theme.typography.fontWeightMedium }),
    grid: css({ display: 'grid', gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 220px), 1fr))', gap: theme.spacing(1.5), width: '100%' }),
    row: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-end', gap: theme.spacing(1.5) }),
    field: css({ display: 'flex', flexDirection: 'column', margin: 0 }),
    name: css({ margin: 0, color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
    time: css({ ...box, '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}`, outlineOffset: 1 } }),
    days: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(0.75) }),
    day: css({ ...box, display: 'inline-flex', alignItems: 'center', gap: theme.spacing(0.75), margin: 0, cursor: 'pointer', '& input': { margin: 0, accentColor: theme.colors.primary.main }, '&:focus-within': { outline: `2px solid ${theme.colors.primary.main}`, outlineOffset: 1 } }),
    picked: css({ background: theme.colors.action.selected }),
    preview: css({ display: 'flex', flexDirection: 'column', gap: theme.spacing(0.5), padding: theme.spacing(1.5), background: theme.colors.background.secondary, borderLeft: `3px solid ${theme.colors.primary.main}`, borderRadius: theme.shape.radius.default, overflowWrap: 'anywhere' }),
    buttons: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: theme.spacing(1) }),
  };
};
