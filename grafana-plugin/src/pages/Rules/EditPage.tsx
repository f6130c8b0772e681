// Making a rule, and changing one of the store: YAML or a form, judged while it is written, tried on the past, saved.
import { t } from '@grafana/i18n';
import { Alert, Button, Input, Spinner, Stack } from '@grafana/ui';
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from 'react';
import { useNavigate, useParams, useSearchParams } from 'react-router-dom';
import { call, Refusal, told, useAnswer, useChange } from '../../api/client';
import type { RuleMistake, RuleProblem, RuleReport } from '../../api/schema';
import { Link } from '../../components/Links';
import { List, Item } from '../../components/List';
import { Columns, Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Data, Dim } from '../../components/Text';
import { useUnsaved } from '../../components/useUnsaved';
import { clean, plain, sentence } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { Backtest } from './Backtest';
import { Code, Diff } from '../../components/Code';
import { begin, fieldOf, Form, kinds, shape } from './Form';
import { Tabs } from '../../components/Tabs';
import { put, scalar } from './yaml';

const Editor = lazy(() => import('./Editor'));

export default function EditPage() {
  const { Page } = useHost();
  const { id } = useParams();
  const [params] = useSearchParams();
  const copy = params.get('copy') ?? undefined;
  const me = useAnswer('/me', {}, { every: 0 });
  // Asked once: what is being written must not change below the fingers.
  const wanted = id ?? copy;
  const [have, setHave] = useState<string>(); // a question that is switched off is not asked again by what changes elsewhere
  const from = useAnswer('/rules/{id}', { id: wanted ?? '' }, { every: 0, enabled: wanted !== undefined && have !== wanted });
  // What the rule's page has just read is not asked for again.
  if (wanted !== have && (from.isFetchedAfterMount || !from.isStale) && from.data?.rule.id === wanted) {
    setHave(wanted);
  }
  const title = id ? t('edit.title', 'Edit {{id}}', { id: clean(id, 80), ...plain }) : t('edit.new', 'Make a rule');
  const back = <Link to={id ? link.rule(id) : link.rules()}>{id ? t('edit.back', 'The rule') : t('rule.all', 'All rules')}</Link>;
  if (me.data && me.data.role === 'viewer') {
    return (
      <Page title={title} subtitle={back}>
        <Empty icon="search" title={t('edit.viewer', 'You may look at rules, not make them.')}>
          {t('edit.viewerHint', 'An editor may try one on the past; an admin saves it.')}
        </Empty>
      </Page>
    );
  }
  const admin = me.data?.role === 'admin';
  return (
    <Page title={title} subtitle={back}>
      {id === undefined && copy === undefined ? (
        <Writing admin={admin} text={begin(params.get('kind') ?? 'match')} fresh />
      ) : (
        <Loaded of={from}>
          {(d) =>
            have !== wanted ? null : id === undefined ? (
              <Writing admin={admin} text={put(d.yaml, ['id'], scalar(d.rule.id + '-own'))} />
            ) : d.rule.source === 'file' ? (
              <Empty icon="search" title={t('edit.file', 'This rule stands in a file, and is changed there.')}>
                <Link to={link.ruleNew({ copy: id })}>{t('rule.copy', 'Copy into the store')}</Link>
              </Empty>
            ) : (
              <Writing admin={admin} text={d.yaml} id={id} version={d.rule.version} />
            )
          }
        </Loaded>
      )}
    </Page>
  );
}

const pause = 300; // ms without a key before the ruler is asked

/** What the ruler says of a text, a moment after it was last changed. */
function useReport(text: string, id: string | undefined): { report?: RuleReport; of?: string; error: string } {
  const host = useHost();
  const [said, setSaid] = useState<{ report?: RuleReport; of?: string; error: string }>({ error: '' });
  useEffect(() => {
    const end = new AbortController();
    const timer = setTimeout(() => {
      call(host, 'POST', '/rules/validate', {}, { yaml: text, id: id ?? '' }, end.signal).then(
        (report) => setSaid({ report, of: text, error: '' }),
        (e: unknown) => !end.signal.aborted && setSaid((before) => ({ ...before, error: told(e) }))
      );
    }, pause);
    return () => {
      clearTimeout(timer);
      end.abort();
    };
  }, [host, text, id]);
  return said;
}

const none: RuleMistake[] = [];

function Writing({ text: first, id, version, admin, fresh }: { text: string; id?: string; version?: number; admin: boolean; fresh?: boolean }) {
  const { base } = useHost();
  const navigate = useNavigate();
  const [start] = useState(first);
  const [text, write] = useState(first);
  const [on, setOn] = useState(version ?? 0);
  const [view, setView] = useState<'yaml' | 'form'>(fresh ? 'form' : 'yaml');
  const [comment, setComment] = useState('');
  const [failed, setFailed] = useState('');
  const [conflict, setConflict] = useState<RuleProblem>();
  const [jump, setJump] = useState<{ line: number; column: number }>();
  const [field, setField] = useState<{ path: string }>();
  const form = useMemo(() => (view === 'form' ? shape(text) : undefined), [view, text]);
  const formField = (m: RuleMistake) => (form && 'kind' in form ? fieldOf(m, form.kind, form.rule) : undefined);
  const look = (next: typeof view, at?: { jump?: typeof jump; field?: typeof field }) => {
    setView(next);
    setJump(at?.jump); // what led there before does not take the focus again
    setField(at?.field);
  };
  /** Leads to where it is wrong: to the form's field, else to the line. */
  const lead = (m: RuleMistake) => {
    const f = formField(m);
    if (f) {
      look(view, { field: { path: f.path } });
    } else {
      look('yaml', { jump: { line: m.line, column: m.column } });
    }
  };
  const saved = useRef(false);
  const setText = (next: string) => {
    write(next);
    setFailed('');
  };
  const { report, of, error } = useReport(text, id);
  const mistakes = report?.mistakes ?? none;
  const judged = of === text && report !== undefined;
  const create = useChange('POST', '/rules');
  const update = useChange('PUT', '/rules/{id}');
  const busy = create.isPending || update.isPending;
  const changed = text !== start;
  const leave = useUnsaved(() => changed && !saved.current);
  const save = async (based = on) => {
    setFailed('');
    try {
      const out = id ? await update.mutateAsync({ params: { id }, body: { yaml: text, version: based, comment: comment.trim() } }) : await create.mutateAsync({ params: {}, body: { yaml: text, comment: comment.trim() } });
      saved.current = true;
      await leave();
      navigate(base + link.rule(out.rules[0]?.id ?? id ?? ''));
    } catch (e) {
      const said = e instanceof Refusal ? (e.answer as RuleProblem | undefined) : undefined;
      if (e instanceof Refusal && e.status === 409 && said?.current) {
        setConflict(said);
      } else {
        setFailed(told(e));
      }
    }
  };
  return (
    <Rows>
      {conflict && (
        <Conflict
          of={conflict}
          mine={text}
          onTheirs={() => {
            setText(conflict.current?.yaml ?? text);
            setOn(conflict.current?.version ?? on);
            setConflict(undefined);
          }}
          onMine={() => {
            const v = conflict.current?.version ?? on;
            setOn(v);
            setConflict(undefined);
            void save(v);
          }}
          onMerge={() => {
            setOn(conflict.current?.version ?? on);
            setConflict(undefined);
            look('yaml');
          }}
        />
      )}
      <Columns wide={480}>
        <Panel
          title={t('edit.text', 'The rule')}
          extra={<Tabs label={t('edit.views', 'Written as')} value={view} onChange={look} of={[['form', t('edit.form', 'Form')], ['yaml', t('edit.yaml', 'YAML')]]} />}
        >
          {fresh && !changed && (
            <p>
              <Dim>{t('edit.begin', 'Begin with')}</Dim>{' '}
              {kinds.map((k) => (
                <Button key={k} size="sm" variant="secondary" fill="text" onClick={() => setText(begin(k))}>
                  {k}
                </Button>
              ))}
            </p>
          )}
          {view === 'form' ? (
            <Form text={text} onChange={setText} fixedId={id !== undefined} mistakes={mistakes} jump={field} />
          ) : (
            <Suspense fallback={<Spinner />}>
              <Editor value={text} onChange={setText} mistakes={mistakes} label={t('edit.editor', 'YAML of the rule')} jump={jump} />
            </Suspense>
          )}
        </Panel>
        <Rows>
          <Panel title={t('edit.means', 'What it means')}>
            {error && <Alert severity="warning" title={error} />}
            {report ? (
              <Judged of={report} onPick={lead} name={(m) => formField(m)?.name} />
            ) : (
              !error && <Dim>{t('states.loading', 'Loading…')}</Dim>
            )}
          </Panel>
          <Panel title={t('edit.save', 'Save it')}>
            {admin ? (
              <form
                onSubmit={(e) => {
                  e.preventDefault();
                  const order = (m: RuleMistake) => formField(m)?.at ?? Infinity;
                  const first = [...mistakes].sort((a, b) => (order(a) === order(b) ? 0 : order(a) - order(b)))[0];
                  if (first) {
                    setFailed(t('edit.mendFirst', 'It is not saved: mend what is marked first.'));
                    lead(first);
                  } else {
                    void save();
                  }
                }}
              >
                <Stack wrap="wrap" alignItems="center" gap={1}>
                  <Input width={36} value={comment} aria-label={t('edit.comment', 'Comment')} placeholder={t('edit.commentText', 'Why? It stands beside the version.')} maxLength={500} onChange={(e) => setComment(e.currentTarget.value)} />
                  <Button type="submit" disabled={busy || !judged || (id !== undefined && text === start && on === version)}>
                    {id ? t('edit.saveVersion', 'Save as version {{n}}', { n: on + 1 }) : t('edit.create', 'Make the rule')}
                  </Button>
                </Stack>
              </form>
            ) : (
              <Dim>{t('edit.adminOnly', 'Only an admin saves rules. You can try this text on the past, and send it to one.')}</Dim>
            )}
            <div role="status">{failed && <Alert severity="error" title={failed} />}</div>
          </Panel>
        </Rows>
      </Columns>
      <Backtest yaml={text} disabled={!judged || mistakes.length > 0} />
    </Rows>
  );
}

/** What the ruler says: mistakes with where they are, or what the text means. */
function Judged({ of: r, onPick, name }: { of: RuleReport; onPick: (m: RuleMistake) => void; name: (m: RuleMistake) => string | undefined }) {
  if (r.mistakes.length) {
    return (
      <List label={t('edit.mistakes', 'Mistakes')}>
        {r.mistakes.map((m, i) => (
          <Item key={i} before={<Button size="sm" variant="secondary" fill="text" onClick={() => onPick(m)}>{name(m) ?? t('edit.line', 'line {{line}}, {{column}}', { line: m.line, column: m.column })}</Button>}>
            <Data max={400}>{m.text}</Data>
            {m.hint && (
              <div>
                <Dim>
                  <Data max={400}>{m.hint}</Data>
                </Dim>
              </div>
            )}
          </Item>
        ))}
      </List>
    );
  }
  return (
    <>
      {r.explain.split('\n').slice(1).map((l) => (
        <p key={l}>{clean(l, 2000)}</p>
      ))}
      {r.effect && <p><Dim>{sentence(r.effect)}</Dim></p>}
      {r.warnings.map((w) => (
        <Alert key={w} severity="warning" title={sentence(w)} />
      ))}
    </>
  );
}

/** Somebody else saved meanwhile: both texts, and a choice. */
function Conflict({ of: p, mine, onMine, onTheirs, onMerge }: { of: RuleProblem; mine: string; onMine: () => void; onTheirs: () => void; onMerge: () => void }) {
  return (
    <Panel title={t('conflict.title', 'Somebody changed it meanwhile')}>
      <p>{sentence(p.error)}</p>
      {p.diff && (
        <details open>
          <summary>{t('conflict.diff', 'What they changed')}</summary>
          <Diff label={t('conflict.diff', 'What they changed')} text={p.diff} />
        </details>
      )}
      <Columns wide={360}>
        <div>
          <h3>{t('conflict.theirs', 'What is there now')}</h3>
          <Code label={t('conflict.theirs', 'What is there now')}>{p.current?.yaml ?? ''}</Code>
        </div>
        <div>
          <h3>{t('conflict.mine', 'What you wrote')}</h3>
          <Code label={t('conflict.mine', 'What you wrote')}>{mine}</Code>
        </div>
      </Columns>
      <Stack wrap="wrap" gap={1}>
        <Button variant="secondary" onClick={onTheirs}>
          {t('conflict.takeTheirs', 'Take theirs, mine is lost')}
        </Button>
        <Button variant="secondary" onClick={onMerge}>
          {t('conflict.merge', 'Go on with mine, and put both together')}
        </Button>
        <Button variant="destructive" onClick={onMine}>
          {t('conflict.takeMine', 'Save mine over theirs')}
        </Button>
      </Stack>
    </Panel>
  );
}
